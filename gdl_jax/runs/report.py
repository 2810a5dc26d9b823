"""Report of a run, one self-contained page: command, results, curves, figures, all flags.

It is generated from the files in the workdir and needs no network, no JavaScript and no other file.
"""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from gdl_jax.core.errors import UserError
from gdl_jax.core.json_files import from_json, read_json
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.core.progress import duration
from gdl_jax.plots.curves import training_curves
from gdl_jax.plots.figure import words

HEADLINES = 6  # numbers shown large; the others go into tables
PREVIEWS = 12  # pictures from during training
WIDE, LARGE = 1.7, 700  # aspect ratio, and width in pixels, above which a figure takes a whole row
PREVIEW_NAME = re.compile(r"(.*)_at_(\d+)")
STYLE = Path(__file__).with_name("report.css")


def write_report(workdir: Path) -> Path:
    """Writes WORKDIR/report.html, and figures/curves.png if there are metrics. Missing files are skipped.

    Raises:
      UserError: a file of the run is damaged, or the report can't be written.
    """
    run = read_json(workdir / "flags.json")
    results = read_json(workdir / "results.json", from_json)
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
            f"<style>{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n"
            f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n",
            encoding="utf-8",
            errors="backslashreplace",  # paths that are not UTF-8
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


def _line(facts: Iterable[str]) -> str:
    return f'<p class="quiet">{" &middot; ".join(map(escape, facts))}</p>'


def _short(number: float) -> str:
    """Formats a number with four significant digits, and a whole number with all digits."""
    return f"{number:,.0f}" if float(number).is_integer() and abs(number) < 1e9 else f"{number:.4g}"


def _value(value: Any) -> str:
    """Returns the HTML of a number, of {"mean", "std"}, or of any other result."""
    if isinstance(value, Mapping) and "mean" in value:
        return f"{_short(value['mean'])} <small>± {value.get('std', 0.0):.2g}</small>"
    return _short(value) if isinstance(value, (int, float)) else escape(str(value))


def _numbers(results: Mapping[str, Any], headlines: Sequence[str]) -> str:
    """Returns the results: headlines, then the test split's numbers with its loss first, the rest, the protocols."""
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
    heading = "\n<h2>More results</h2>\n" if more else ""
    notes = [_line([f"{words(name)}: {_protocol(how)}"]) for name, how in protocol.items()]
    return f'<h2>Results</h2>\n<div class="cards">{"".join(cards)}</div>{heading}{"".join(more)}\n{"".join(notes)}'


def _protocol(how: Any) -> str:
    """Returns a measurement's protocol, a text or {name: value}, as text."""
    if isinstance(how, Mapping):
        return ", ".join(f"{words(name)} {_protocol(value)}" for name, value in how.items())
    return str(how)


def _tables(results: Mapping[str, Any]) -> dict[tuple[str, ...], list[str]]:
    """Groups metrics KIND/METRIC into tables: {kinds: metrics that exactly these report}."""
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
    """Returns a table with one row per metric and one column per kind."""
    head = "".join(f"<th>{escape(words(kind))}</th>" for kind in kinds)
    rows = [
        f"<tr><th>{escape(words(metric))}</th>"
        + "".join(f"<td>{_value(results[f'{kind}/{metric}'])}</td>" for kind in kinds)
        + "</tr>"
        for metric in metrics
    ]
    return f"\n<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _title(name: str) -> str:
    """Returns a title for a result: "KL loss, test" for "test/kl_loss"."""
    split, slash, metric = name.partition("/")
    return f"{words(metric)}, {split}" if slash else words(name)


def _figures(figures: Path) -> str:
    """Returns the curves, the figures, and the pictures from during training."""
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
    """Returns players of the audio files, each with links to its MIDI files."""
    players = [
        player(path, words(path.stem), sorted(figures.glob(f"{path.stem}_*.mid")))
        for path in sorted(figures.glob("*.mp3"))
    ]
    return f'<h2>Audio</h2>\n<div class="gallery">{"".join(players)}</div>' if players else ""


def _texts(figures: Path) -> str:
    """Returns the generated texts."""
    texts = [
        f'\n<figure class="wide"><figcaption>{escape(words(path.stem))}</figcaption>'
        f"<pre>{escape(path.read_text(encoding='utf-8'))}</pre></figure>"
        for path in sorted(figures.glob("*.txt"))
    ]
    return f'<h2>Text</h2>\n<div class="gallery">{"".join(texts)}</div>' if texts else ""


def _thinned(items: Sequence[Path], most: int) -> list[Path]:
    """Returns at most `most` items, evenly spaced, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _figure(path: Path) -> str:
    preview = PREVIEW_NAME.fullmatch(path.stem)
    caption = f"{words(preview[1])} at step {int(preview[2]):,}" if preview else words(path.stem)
    try:
        with Image.open(path) as image:
            width, height, kind = *image.size, image.get_format_mimetype() or "image/png"
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
    """Returns all flags; those that differ from the preset are marked."""
    flags, defaults = run.get("flags", {}), run.get("defaults", {})
    pairs = []
    for name, value in flags.items():
        text = escape(_flag_text(value))
        if name in defaults and defaults[name] != value:
            text = f"<mark>{text}</mark> <small>preset: {escape(_flag_text(defaults[name]))}</small>"
        pairs.append(_pair(f"--{name}", text))
    return f"<h2>Flags</h2>\n<dl>{''.join(pairs)}</dl>" if pairs else ""


def _flag_text(value: Any) -> str:
    """Formats a value as on the command line; an empty text is shown as "(empty)"."""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text or "(empty)"


def _pair(name: str, value: str) -> str:
    """Returns the HTML of a name and of its value, which is HTML already."""
    return f"\n<div><dt>{escape(name)}</dt><dd>{value}</dd></div>"


def data_uri(path: Path, kind: str) -> str:
    """Returns a file of the given media type as a data URI, which embeds it in a page."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def player(path: Path, caption: str, scores: Sequence[Path] = ()) -> str:
    """Returns HTML that plays an audio file and offers the MIDI files `scores` as downloads; all are embedded."""
    links = " ".join(
        f'<a download="{escape(score.name)}" href="{data_uri(score, "audio/midi")}">{escape(score.name)}</a>'
        for score in scores
    )
    return (
        f"\n<figure><figcaption>{escape(caption)}</figcaption>"
        f'<audio controls preload="metadata" src="{data_uri(path, "audio/mpeg")}"></audio>'
        f"{f'<p>{links}</p>' if links else ''}</figure>"
    )
