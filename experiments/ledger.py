"""The ledger of measured results: `experiments/results/*.json`, one row a number, and the page made from it.

    python -m experiments.ledger --workdir=runs/classifier-cnn --metric=test/accuracy --bound='>= 0.715' \\
        --reference=0.7183 --reference_source="the book's code, 10 epochs" --protocol="10,000 test images"
    python -m experiments.ledger --page       (writes experiments/results/README.md)

A row holds what a reader needs to doubt it: experiment, flags, data, seeds, versions, commit, minutes, hardware,
protocol, and the book's or paper's number beside the measured one. A number that misses its bound is "not reproduced",
and says why.
"""

import json
import operator
import sys
from pathlib import Path
from typing import Any

from absl import flags

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.metrics_log import read_rows as read_metrics
from gdl_jax.runs import command
from gdl_jax.runs.json_files import read_json, write_json
from gdl_jax.runs.records import has_ended, read_flags

ROOT = Path(__file__).resolve().parent
PAGE = ROOT / "results" / "README.md"
ABOUT = """# Results

Measured numbers, with the book's or the paper's beside them. The rows, with flags, protocol, versions and commit,
are in the JSON files of this folder; `python -m experiments.ledger --page` makes this page of them.
"""
BOUNDS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


def read_rows() -> list[dict[str, Any]]:
    """Returns all rows, in the order of their files and of their recording."""
    return [row for path in sorted((ROOT / "results").glob("*.json")) for row in json.loads(path.read_text())]


def reached(value: float, bound: str) -> bool:
    """Returns whether `value` keeps to a bound such as ">= 0.715".

    Raises:
      ConfigError: the bound is not <=, >= or == and a number.
    """
    try:
        symbol, number = bound.split()
        return BOUNDS[symbol](value, float(number))
    except (ValueError, KeyError) as error:
        raise ConfigError("bound", bound, "write <=, >= or ==, a space and a number") from error


def record(row: dict[str, Any]) -> None:
    """Adds a row, in place of one of the same title."""
    path = ROOT / "results" / f"{row['experiment']}.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    write_json(path, [*(old for old in rows if old["title"] != row["title"]), row])


def find_number(metric: str, results: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns {"mean", perhaps "std", "values"} of a final result, or of the log at a step ("train/loss@1875").

    Raises:
      ConfigError: there is none of that name.
    """
    name, _, step = metric.partition("@")
    if step:
        for row in rows:
            if str(row["step"]) == step and name in row:
                return {"mean": row[name], "std": row.get(f"{name}_std")}
        raise ConfigError("metric", metric, f"the log has no {name} at step {step}")
    numbers = {key: value for key, value in results.items() if key != "protocol" and not isinstance(value, str)}
    if name not in numbers:
        raise ConfigError("metric", metric, f"the run has {', '.join(sorted(numbers))}")
    return numbers[name] if isinstance(numbers[name], dict) else {"mean": numbers[name]}


def find_protocol(metric: str, results: dict[str, Any]) -> str:
    """Returns how a final result was measured, as the run itself says of it or of its kind; "" where it says nothing.

    Of the log it says nothing: while training went on, another split may have been measured.
    """
    protocol = results.get("protocol", {})
    return "" if "@" in metric else protocol.get(metric, protocol.get(metric.partition("/")[0], ""))


def make_row(values: flags.FlagValues) -> dict[str, Any]:
    """Returns a row from a finished run's flags.json and results.json.

    Raises:
      UserError: the run isn't finished, or a flag doesn't fit it.
    """
    workdir = Path(values.workdir)
    run = read_flags(workdir / "flags.json")
    if not has_ended(workdir):
        raise ConfigError("workdir", workdir, "the run is not finished")
    results = read_json(workdir / "results.json")
    number = find_number(values.metric, results, read_metrics(workdir / "metrics.jsonl"))
    changed = {k: v for k, v in run["flags"].items() if run["defaults"][k] != v and k != "data_dir"}
    changed = {k: Path(v).name if str(v).startswith("/") else v for k, v in changed.items()}  # no reader has that path
    return {
        "title": values.title or f"{run['experiment']} {run['config']}: {values.metric}",
        "experiment": run["experiment"],
        "config": run["config"],
        "flags": changed,
        "data": values.data or run["flags"]["dataset"],
        "seeds": run["flags"]["seeds"],
        "metric": values.metric,
        "value": number["mean"],
        "std": number.get("std"),
        "values": number.get("values"),
        "bound": values.bound,
        "reached": None if values.bound is None else reached(number["mean"], values.bound),
        "reference": values.reference,
        "reference_source": values.reference_source,
        "protocol": "; ".join(filter(None, (values.protocol, find_protocol(values.metric, results)))),
        "note": values.note,
        "minutes": results.get("training_minutes"),
        "hardware": values.hardware,
        "versions": run["versions"],
        "commit": run["commit"],
    }


def format_number(number: float) -> str:
    """Returns a count in full, another number to five digits."""
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:.5g}"


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as a Markdown table."""
    lines = ["| result | measured | asked | reference | data, seeds | minutes |", "| --- " * 6 + "|"]
    for row in rows:
        value = format_number(row["value"]) + (f" ± {row['std']:.2g}" if row.get("std") is not None else "")
        if row["reached"] is False:
            value += f" (not reproduced: {row['note']})"
        elif row["note"]:
            value += f" ({row['note']})"
        reference = "" if row["reference"] is None else f"{format_number(row['reference'])} ({row['reference_source']})"
        minutes = "" if row["minutes"] is None else f"{row['minutes']:.1f}"
        data = f"{row['data']}, {row['seeds']}" if row["seeds"] else ""
        lines.append(f"| {row['title']} | {value} | {row['bound'] or ''} | {reference} | {data} | {minutes} |")
    return "\n".join(lines)


def page(rows: list[dict[str, Any]]) -> str:
    """Returns all rows as a Markdown page, a table for each file of them."""
    sections = {}
    for row in rows:
        sections.setdefault(row["experiment"], []).append(row)
    return ABOUT + "".join(f"\n## {name}\n\n{table(some)}\n" for name, some in sections.items())


def _main(values: flags.FlagValues) -> None:
    if values.page:
        PAGE.write_text(page(read_rows()))
    elif values.workdir and values.metric:
        record(make_row(values))
    else:
        raise ConfigError("workdir", None, "give it together with metric; or give page")


def main(argv=None) -> None:
    """Does what `python -m experiments.ledger` does."""
    values = command.new_flags()
    flags.DEFINE_bool("page", False, "write the page of results", flag_values=values)
    flags.DEFINE_string("workdir", None, "a finished run", flag_values=values)
    flags.DEFINE_string("metric", None, "of its results.json, or NAME@STEP of its log", flag_values=values)
    flags.DEFINE_string("title", None, "what the number is, in words", flag_values=values)
    flags.DEFINE_string("bound", None, "what was asked for, as '>= 0.715'", flag_values=values)
    flags.DEFINE_float("reference", None, "the book's or paper's number", flag_values=values)
    flags.DEFINE_string("reference_source", "", "where that is from", flag_values=values)
    flags.DEFINE_string("protocol", "", "how it was measured: sample counts, networks", flag_values=values)
    flags.DEFINE_string("data", None, "the data in words, where its name is not enough", flag_values=values)
    flags.DEFINE_string("note", "", "why it was not reached", flag_values=values)
    flags.DEFINE_string("hardware", "2 CPU cores", "what it ran on", flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
