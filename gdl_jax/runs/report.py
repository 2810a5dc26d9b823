"""One self-contained page about a run: what was run, final numbers, curves, figures, all flags.

It is made from what lies in the workdir and needs no network, no JavaScript and no other file.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from gdl_jax.core.errors import UserError
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.core.progress import duration
from gdl_jax.plots.curves import training_curves
from gdl_jax.plots.figure import words
from gdl_jax.runs.json_files import read_json

HEADLINES = 6  # numbers shown large; the others go into a table
PREVIEWS = 12  # pictures made during training that are shown
WIDE, LARGE = 1.7, 700  # width over height, and pixels of width, from which a figure takes a whole row
PREVIEW_NAME = re.compile(r"(.*)_at_(\d+)")
STYLE = Path(__file__).with_name("report.css")


def write_report(workdir: Path) -> Path:
    """Writes WORKDIR/report.html, and figures/curves.png where there are metrics; whatever is missing is left out.

    Raises:
      UserError: a file of the run is damaged, or the report can't be written.
    """
    run = read_json(workdir / "flags.json")
    results = read_json(workdir / "results.json")
    figures = workdir / "figures"
    path = workdir / "report.html"
    try:
        figures.mkdir(parents=True, exist_ok=True)
        training_curves(read_rows(workdir / "metrics.jsonl"), figures / "curves.png")
        name = " ".join(str(run[key]) for key in ("experiment", "config") if key in run) or workdir.name
        numbers = _numbers(results, run.get("headlines", ()))
        sections = [numbers, _sounds(figures), _texts(figures), _figures(figures)]
        body = "\n".join([_heading(run, results, name), *sections, _flags(run)])
        path.write_text(
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(name)}</title>\n'
            f"<style>{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n",
            encoding="utf-8",
        )
    except OSError as error:
        raise UserError(f"{error.filename or path}: {error.strerror or error}") from error
    return path


def _heading(run: Mapping[str, Any], results: Mapping[str, Any], name: str) -> str:
    title = escape(name)
    if {"experiment", "config"} <= run.keys():
        title = f"{escape(run['experiment'])} <span>{escape(run['config'])}</span>"
    flags = run.get("flags", {})
    facts = [
        f"{run['parameters']:,} parameters" if "parameters" in run else None,
        f"data: {flags['dataset']}" if "dataset" in flags else None,
        f"{flags['steps']:,} steps of {flags['batch_size']}" if {"steps", "batch_size"} <= flags.keys() else None,
        f"{flags['seeds']} seeds" if flags.get("seeds", 1) > 1 else None,
        f"trained in {duration(results['training_minutes'] * 60)}" if "training_minutes" in results else None,
        run.get("device"),
        f"started {run['started'].replace('T', ' ')}" if "started" in run else None,
    ]
    versions = [f"commit {run['commit']}"] if run.get("commit") else []
    versions += [f"{package} {version}" for package, version in run.get("versions", {}).items()]
    lines = [f"<h1>{title}</h1>"]
    lines += [_line(fact for fact in facts if fact)]
    lines += [f"<pre>{escape(run['command'])}</pre>"] if "command" in run else []
    lines += [_line(versions)]
    return "\n".join(lines)


def _line(facts) -> str:
    return f'<p class="quiet">{" &middot; ".join(map(escape, facts))}</p>'


def _short(number: float) -> str:
    """Four significant digits, and all digits of whole numbers."""
    return f"{number:,.0f}" if float(number).is_integer() and abs(number) < 1e9 else f"{number:.4g}"


def _value(value: Any) -> str:
    """HTML of a number, of {"mean", "std"}, or of whatever else a result is."""
    if isinstance(value, Mapping) and "mean" in value:
        return f"{_short(value['mean'])} <small>± {value.get('std', 0.0):.2g}</small>"
    return _short(value) if isinstance(value, (int, float)) else escape(str(value))


def _numbers(results: Mapping[str, Any], headlines: Sequence[str]) -> str:
    """Headlines, then the test split's numbers, its loss before all others; and how they were measured."""
    protocol = results.get("protocol", {})
    shown = [name for name in results if name not in ("training_minutes", "protocol")]
    order = {name: place for place, name in enumerate([*headlines, "test/loss"])}
    shown.sort(key=lambda n: (order.get(n, len(order)), not n.startswith("test/"), n.startswith("validation/")))
    if not shown:
        return ""
    cards = [
        f'<div class="card"><b>{_value(results[name])}</b><span>{escape(_title(name))}</span></div>'
        for name in shown[:HEADLINES]
    ]
    tables = _tables(results)
    compared = {f"{kind}/{metric}" for kinds, metrics in tables.items() for kind in kinds for metric in metrics}
    pairs = [_pair(_title(name), _value(results[name])) for name in shown[HEADLINES:] if name not in compared]
    more = (
        [f'<div class="tables">{"".join(_table(results, *table) for table in tables.items())}</div>'] if tables else []
    )
    more += [f"<dl>{''.join(pairs)}</dl>"] if pairs else []
    heading = "\n<h2>More numbers</h2>\n" if more else ""
    notes = [_line([f"{words(name)}: {_protocol(how)}"]) for name, how in protocol.items()]
    return f'<h2>Results</h2>\n<div class="cards">{"".join(cards)}</div>{heading}{"".join(more)}\n{"".join(notes)}'


def _protocol(how: Any) -> str:
    """A measurement's protocol, a text or {name: value}, as text."""
    if isinstance(how, Mapping):
        return ", ".join(f"{words(name)} {_protocol(value)}" for name, value in how.items())
    return str(how)


def _tables(results: Mapping[str, Any]) -> dict[tuple[str, ...], list[str]]:
    """What is told of several kinds, "KIND/METRIC": kinds -> the metrics that just these have."""
    kinds: dict[str, list[str]] = {}
    for name in results:
        kind, slash, metric = name.partition("/")
        if slash:
            kinds.setdefault(metric, []).append(kind)
    tables: dict[tuple[str, ...], list[str]] = {}
    for metric, having in kinds.items():
        if len(having) > 1:
            tables.setdefault(tuple(sorted(having)), []).append(metric)
    return tables


def _table(results: Mapping[str, Any], kinds: Sequence[str], metrics: Sequence[str]) -> str:
    """One row a metric, one column a kind."""
    head = "".join(f"<th>{escape(words(kind))}</th>" for kind in kinds)
    rows = [
        f"<tr><th>{escape(words(metric))}</th>"
        + "".join(f"<td>{_value(results[f'{kind}/{metric}'])}</td>" for kind in kinds)
        + "</tr>"
        for metric in metrics
    ]
    return f"\n<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _title(name: str) -> str:
    """ "test/kl_loss" -> "KL loss, test"."""
    split, slash, metric = name.partition("/")
    return f"{words(metric)}, {split}" if slash else words(name)


def _figures(figures: Path) -> str:
    """The curves, the figures, and the pictures from during the training."""
    paths = sorted(path for path in figures.iterdir() if path.suffix in (".png", ".gif"))
    curves = [path for path in paths if path.stem == "curves"]
    previews = [path for path in paths if PREVIEW_NAME.fullmatch(path.stem)]
    others = [path for path in paths if path not in curves and path not in previews]
    sections = {"Training": curves, "Figures": others, "During training": _thinned(previews, PREVIEWS)}
    return "\n".join(
        f'<h2>{title}</h2>\n<div class="gallery">{"".join(map(_figure, members))}</div>'
        for title, members in sections.items()
        if members
    )


def _sounds(figures: Path) -> str:
    """Players of what there is to hear, each with its pieces' MIDI files to take along."""
    players = [
        player(path, words(path.stem), sorted(figures.glob(f"{path.stem}_*.mid")))
        for path in sorted(figures.glob("*.mp3"))
    ]
    return f'<h2>To hear</h2>\n<div class="gallery">{"".join(players)}</div>' if players else ""


def _texts(figures: Path) -> str:
    """What was written in words."""
    texts = [
        f'\n<figure class="wide"><figcaption>{escape(words(path.stem))}</figcaption>'
        f"<pre>{escape(path.read_text(encoding='utf-8'))}</pre></figure>"
        for path in sorted(figures.glob("*.txt"))
    ]
    return f'<h2>To read</h2>\n<div class="gallery">{"".join(texts)}</div>' if texts else ""


def _thinned(items: Sequence[Path], most: int) -> list[Path]:
    """At most `most` of them, evenly spread, the first and the last included."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _figure(path: Path) -> str:
    preview = PREVIEW_NAME.fullmatch(path.stem)
    caption = f"{words(preview[1])} at step {int(preview[2]):,}" if preview else words(path.stem)
    try:
        with Image.open(path) as image:
            width, height, kind = *image.size, image.get_format_mimetype()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    wide = ' class="wide"' if width > max(WIDE * height, LARGE) and not preview else ""
    text = escape(caption)
    return (
        f"\n<figure{wide}><figcaption>{text}</figcaption>"
        f'<label><input type="checkbox" aria-label="enlarge {text}">'
        f'<img width="{width}" height="{height}" alt="{text}" src="{data_uri(path, kind)}"></label></figure>'
    )


def _flags(run: Mapping[str, Any]) -> str:
    """All flags; those that differ from the preset are marked."""
    flags, defaults = run.get("flags", {}), run.get("defaults", {})
    pairs = []
    for name, value in flags.items():
        text = escape(_flag_text(value))
        if name in defaults and defaults[name] != value:
            text = f"<mark>{text}</mark> <small>preset: {escape(_flag_text(defaults[name]))}</small>"
        pairs.append(_pair(f"--{name}", text))
    return f"<h2>Flags</h2>\n<dl>{''.join(pairs)}</dl>" if pairs else ""


def _flag_text(value: Any) -> str:
    """As it is written on the command line; an empty text is shown as such."""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text or "(empty)"


def _pair(name: str, value: str) -> str:
    """A name and the HTML of its value."""
    return f"\n<div><dt>{escape(name)}</dt><dd>{value}</dd></div>"


def data_uri(path: Path, kind: str) -> str:
    """A whole file of the given media type as an address, for pages that need no other file."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def player(path: Path, caption: str, scores: Sequence[Path] = ()) -> str:
    """HTML that plays the sound file and hands out the MIDI files `scores`, all of which it holds whole."""
    links = " ".join(
        f'<a download="{escape(score.name)}" href="{data_uri(score, "audio/midi")}">{escape(score.name)}</a>'
        for score in scores
    )
    return (
        f"\n<figure><figcaption>{escape(caption)}</figcaption>"
        f'<audio controls preload="metadata" src="{data_uri(path, "audio/mpeg")}"></audio>'
        f"{f'<p>{links}</p>' if links else ''}</figure>"
    )
