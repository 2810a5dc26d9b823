"""Tables made from the ledger: the page of all results, and the tables in DOCUMENTS.

A table in a document is between one of these markers and `<!-- /ledger -->`:

    <!-- ledger:systems -->                  the systems with their commands, minutes and results
    <!-- ledger:results -->                  the headline results
    <!-- ledger:rows EXPERIMENT PHRASE -->   the rows of an experiment; with a phrase, those with it in their title

Commands and minutes of the systems are read from their docstrings: lines "python -m experiments.COMMAND  TEXT; N
minutes".
"""

import ast
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments import registry
from gdl_jax.core.errors import UserError

Row = Mapping[str, Any]
ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "results" / "README.md"
DOCUMENTS = (ROOT.parent / "README.md", ROOT / "worlds" / "README.md")


class Headline(NamedTuple):
    """A row of the table of results.

    Attributes:
      title: of the row in the ledger.
      command: the line of the table of systems that shows its number; "" for none.
      label: of the number in the table of systems.
    """

    title: str
    command: str = ""
    label: str = ""


ABOUT = """# Results

Measured numbers, next to the book's or the paper's. The rows, with flags, versions and values of each seed, are in the
JSON files of this folder; `python -m experiments.ledger` makes this page from them. The number after ± is the standard
deviation over seeds, or over episodes for returns. "Required" is the bound set before the measurement. The number in
the column "protocol" refers to the list below the table.
"""
RECORDS = {  # experiments that are no systems -> the system, or the title of the section, with their rows
    **dict.fromkeys(("world_ablation", "car_racing_fidelity"), "world_models"),
    "parameters": "Parameter counts",
    **dict.fromkeys(("benchmarks", "world_benchmark", "cma_es_benchmark"), "Speed and memory"),
    "fsdp": "State sharded over devices",
}
SUBSTITUTES = {  # beginnings of a row's data -> what they stand for
    "avatars with sunglasses": "generated faces",
    "outlines of avatars": "generated faces",
    "avatars": "generated faces in place of CelebA",
    "Quick, Draw! quadrupeds": "drawings of 15 animals in place of the book's camels",
    "CIFAR-10 (a JPEG-compressed copy": "for CIFAR-10 itself",
    "CIFAR-10's 6,000 horses": "from a JPEG-compressed copy",
    "squad": "a part of SQuAD 1.1 in place of NewsQA",
    "corpus_chorales": "music21's chorales in place of the book's",
}
HEADLINES = (
    Headline("MLP, CIFAR-10, 10 epochs: test accuracy", "classifier --config=mlp", "test accuracy"),
    Headline("CNN, CIFAR-10, 10 epochs: test accuracy", "classifier --config=cnn", "test accuracy"),
    Headline("autoencoder, MNIST's first 1,000 images, 200 epochs: MSE"),
    Headline("VAE digits, MNIST, mean loss of epoch 2"),
    Headline(
        "VAE faces, avatars: edits that add Eyeglasses: share that succeeds",
        "vae --config=faces",
        "successful edits (glasses)",
    ),
    Headline("GAN, quadrupeds: FID after 6,000 batches", "gan --config=quadrupeds", "FID by a classifier"),
    Headline("WGAN, horses: FID after 6,000 iterations", "wgan --config=horses", "FID by VGG16"),
    Headline("WGAN-GP, avatars: FID after 3,000 iterations", "wgan_gp --config=avatars", "FID by VGG16"),
    *(Headline(f"ablation, {loss}: FID") for loss in ("GAN", "WGAN", "WGAN-GP", "hinge loss, spectral norm")),
    Headline(
        "CycleGAN, avatars, 2,000 updates: share of held-out faces that get sunglasses",
        "cyclegan",
        "share that gets sunglasses",
    ),
    Headline("CycleGAN, avatars, 2,000 updates: share of other attributes kept, towards sunglasses"),
    *(Headline(f"pix2pix ablation, {loss}: attributes right") for loss in ("L1", "GAN", "L1 + cGAN")),
    Headline("style transfer, the book's settings: loss after 200 evaluations relative to SciPy's L-BFGS-B"),
    Headline("Aesop, the book's LSTM: test perplexity", "text_rnn --config=aesop", "test perplexity"),
    Headline(
        "SQuAD, attention and copying: loss of test questions, nats per word",
        "studies.qa_ablation --config=squad",
        "best loss, nats per word",
    ),
    Headline("SQuAD, attention and copying: BLEU-4 of questions"),
    Headline("cello suites, LSTMs with attention: validation loss", "music_rnn --config=cello", "validation loss"),
    Headline(
        "cello suites, LSTMs with attention in all twelve keys with dropout: validation loss",
        "music_rnn --config=cello_regularised",
        "validation loss",
    ),
    Headline(
        "the book's MuseGAN on its 229 chorales, 6,000 iterations: share of samples that differ from a training piece "
        "of some key in fewer than 10% of cells",
        "musegan --config=chorales",
        "share of copies of training pieces",
    ),
    Headline(
        "controller trained in dreams alone, 2 rounds of 30 generations: mean return in gymnasium's CarRacing-v3",
        "world_models --dream --rounds=2",
        "return in gymnasium's game",
    ),
    Headline(
        "controller trained in our game, default preset, 30 generations: mean return in gymnasium's CarRacing-v3",
        "world_models",
        "return in gymnasium's game",
    ),
    Headline("drives with the same actions: largest difference between the rewards of a step"),
    Headline("CarRacing with 64x64 frames: steps per second"),
)
FIDS = "FIDs use the feature extractor of their protocol, not Inception-v3: they compare runs of one table only."
COMMAND = re.compile(r"^ +python -m experiments\.(?P<command>\S+( \S+)*) {2,}(?P<about>.*); (?P<minutes>\d+) minutes?$")


def _docstring(name: str) -> str:
    path = ROOT.joinpath(*registry.MODULES.get(name, f"experiments.{name}").split(".")[1:]).with_suffix(".py")
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


@functools.cache
def systems() -> dict[str, str]:
    """Returns {name: title} of the systems in the book's order; a title is the docstring's start, up to the colon."""
    names = [name for name in registry.NAMES if registry.MODULES[name] == f"experiments.{name}"]
    names += [module.removeprefix("experiments.") for module in registry.PIPELINES]
    return {name: _docstring(name).partition(":")[0] for name in names}


def section_of(row: Row) -> str:
    """Returns the title of a row's section on the page."""
    name = RECORDS.get(row["experiment"], row["experiment"])
    return systems().get(name, name)


def substitute(row: Row) -> str:
    """Returns what a row's data stand for if they are not the book's; else ""."""
    return next((about for start, about in SUBSTITUTES.items() if row["data"].startswith(start)), "")


def format_number(number: float, digits: int = 5) -> str:
    """Returns a count in full, another number to `digits` significant digits."""
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:.{digits}g}"


def measured(row: Row, digits: int = 5) -> str:
    """Returns a row's number, its standard deviation, and "not reproduced" if it misses its bound."""
    std = row.get("std")
    text = format_number(row["value"], digits) + ("" if std is None else f" ± {float(f'{std:.2g}'):g}")
    return text + (", **not reproduced**" if row["reached"] is False else "")


def reference(row: Row) -> str:
    """Returns a row's reference and its source."""
    return "" if row["reference"] is None else f"{format_number(row['reference'])} ({row['reference_source']})"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def missed_table(rows: Iterable[Row]) -> str:
    """Returns the table of all results that are not reproduced, in the order of the page's sections."""
    missed = [row for row in _in_order(rows) if row["reached"] is False]
    header = ["system", "result", "measured", "required", "reference", "why"]
    cells = [
        [section_of(row), row["title"], format_number(row["value"]), row["bound"], reference(row), row["note"]]
        for row in missed
    ]
    return markdown(header, cells)


def _data(row: Row) -> str:
    """Returns a row's data, marked if they are a substitute for the book's."""
    data = "" if row["data"] == "none" else row["data"]
    return data + (f" (**substitute**: {substitute(row)})" if substitute(row) else "")


def table(rows: Sequence[Row]) -> str:
    """Returns rows with the same seeds, hardware and commit: these facts, a Markdown table, and numbered protocols."""
    row, same_data = rows[0], len({row["data"] for row in rows}) == 1
    facts = {"data": _data(row) if same_data else "", "seeds": row["seeds"], "hardware": row["hardware"]}
    line = "; ".join(f"{name}: {fact}" for name, fact in {**facts, "commit": row["commit"]}.items() if fact)
    line = line[:1].upper() + line[1:]
    texts = [". ".join(filter(None, (row["protocol"], row["note"]))) for row in rows]
    numbers = {text: str(i) for i, text in enumerate(dict.fromkeys(filter(None, texts)), start=1)}
    cells = [
        [
            row["title"],
            *([] if same_data else [_data(row)]),
            measured(row),
            row["bound"] or "",
            reference(row),
            "" if row["minutes"] is None else f"{row['minutes']:.1f}",
            numbers.get(text, ""),
        ]
        for row, text in zip(rows, texts, strict=True)
    ]
    header = ["result", *([] if same_data else ["data"]), "measured", "required", "reference", "minutes", "protocol"]
    protocols = "".join(f"{number}. {text}\n" for text, number in numbers.items())
    return (f"{line}\n\n" if line else "") + markdown(header, cells) + (f"\n{protocols}" if protocols else "")


def _in_order(rows: Iterable[Row]) -> list[Row]:
    """Returns rows in the order of the page's sections; of a section, those of the system itself first."""
    titles = dict.fromkeys((*systems().values(), *RECORDS.values()))
    places = {title: place for place, title in enumerate(titles)}
    return sorted(rows, key=lambda row: (places.get(section_of(row), len(places)), row["experiment"] in RECORDS))


def page(rows: Iterable[Row]) -> str:
    """Returns the page of all rows: those not reproduced, then a section for each system in the book's order."""
    sections: dict[str, dict[Any, list[Row]]] = {}
    for row in _in_order(rows):
        shared = row["seeds"], row["hardware"], row["commit"]
        sections.setdefault(section_of(row), {}).setdefault(shared, []).append(row)
    parts = [ABOUT, f"\n## Not reproduced\n\n{missed_table(rows)}"]
    for title, groups in sections.items():
        parts += [f"\n## {title}\n", *(f"\n{table(group)}" for group in groups.values())]
    return "".join(parts)


def commands(name: str) -> list[tuple[str, str, str]]:
    """Returns (command, description, minutes) of the commands in a system's docstring that say their minutes."""
    found = map(COMMAND.match, _docstring(name).splitlines())
    return [(each["command"], each["about"], each["minutes"]) for each in found if each]


def _by_title(rows: Sequence[Row]) -> dict[str, Row]:
    return {row["title"]: row for row in rows}


def systems_table(rows: Sequence[Row]) -> str:
    """Returns the table of systems: commands, minutes, descriptions, and numbers of the ledger."""
    of_title, headlines = _by_title(rows), {each.command: each for each in HEADLINES}
    cells = []
    for name, title in systems().items():
        for line, about, minutes in commands(name):
            if headline := headlines.get(line.replace(" --data_dir=D", "")):
                row = of_title[headline.title]
                about += f"; {headline.label} {measured(row, 4)}{' on substitute data' if substitute(row) else ''}"
                about += "" if row["reference"] is None else f" (reference: {format_number(row['reference'], 4)})"
            cells.append([title, f"`launch/local.sh {line}`", minutes, about])
            title = ""
    return markdown(["system", "command", "minutes", "result"], cells)


def results_table(rows: Sequence[Row]) -> str:
    """Returns the table of headline results."""
    of_title, cells = _by_title(rows), []
    for headline in HEADLINES:
        row = of_title[headline.title]
        cells.append([row["title"], _data(row), measured(row, 4), reference(row), str(row["seeds"])])
    return markdown(["result", "data", "measured", "reference", "seeds"], cells) + f"\n{FIDS}\n"


def rows_table(rows: Sequence[Row], experiment: str, phrase: str = "") -> str:
    """Returns the table of an experiment's rows with `phrase` in their title.

    Raises:
      UserError: there is none.
    """
    found = [row for row in rows if row["experiment"] == experiment and phrase in row["title"]]
    if not found:
        raise UserError(f"ledger:rows {experiment} {phrase}: no such row")
    minutes = ["" if row["minutes"] is None else f"{row['minutes']:.1f}" for row in found]
    cells = [
        [row["title"], _data(row), measured(row), reference(row), str(row["seeds"]), each]
        for row, each in zip(found, minutes, strict=True)
    ]
    return markdown(["result", "data", "measured", "reference", "seeds", "minutes"], cells)


TABLES: Mapping[str, Callable[..., str]] = {"systems": systems_table, "results": results_table, "rows": rows_table}
BLOCK = re.compile(r"<!-- ledger:(?P<name>\w+)(?P<words>( [^\n]*?)?) -->\n.*?<!-- /ledger -->", re.DOTALL)


def filled(text: str, rows: Sequence[Row]) -> str:
    """Returns a document with the tables between its markers made anew.

    Raises:
      UserError: a marker names no table, or no row.
    """

    def block(found: re.Match) -> str:
        if found["name"] not in TABLES:
            raise UserError(f"ledger:{found['name']}: unknown table; choose one of {', '.join(TABLES)}")
        table_text = TABLES[found["name"]](rows, *found["words"].split(maxsplit=1))
        return f"<!-- ledger:{found['name']}{found['words']} -->\n\n{table_text}\n<!-- /ledger -->"

    return BLOCK.sub(block, text)


def write(rows: Sequence[Row]) -> None:
    """Writes the page, and the tables in DOCUMENTS."""
    PAGE.write_text(page(rows), encoding="utf-8")
    for path in DOCUMENTS:
        before = path.read_text(encoding="utf-8")
        after = filled(before, rows)
        if after != before:
            path.write_text(after, encoding="utf-8")
