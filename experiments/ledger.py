"""Records measured results in `experiments/results/*.json`, and writes the tables made from them.

    python -m experiments.ledger                  writes experiments/results/README.md, and tables in other READMEs
    python -m experiments.ledger --workdir=runs/classifier-cnn --metric=test/accuracy --bound='>= 0.715' \\
        --reference=0.7183 --reference_source="the book's code, 10 epochs" --protocol="10,000 test images"

The second command records a row of a finished run, then writes the tables. A row has all that is needed to check it:
experiment, flags, data, seeds, versions, commit, minutes, hardware, protocol, and the book's or paper's number next to
the measured one. A number that misses its bound is "not reproduced", and its row says why.
"""

import json
import operator
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from experiments.results import pages
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.json_files import write_json
from gdl_jax.core.metrics_log import read_rows as read_metrics
from gdl_jax.runs import command
from gdl_jax.runs.records import has_ended, read_flags, read_results

ROOT = Path(__file__).resolve().parent
BOUNDS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


def read_rows() -> list[dict[str, Any]]:
    """Returns all rows, in the order of their files and of their recording."""
    return [row for path in sorted((ROOT / "results").glob("*.json")) for row in json.loads(path.read_text())]


def reached(value: float, bound: str) -> bool:
    """Returns true if `value` satisfies a bound such as ">= 0.715".

    Raises:
      ConfigError: the bound is not <=, >= or == and a number.
    """
    try:
        symbol, number = bound.split()
        return BOUNDS[symbol](value, float(number))
    except (ValueError, KeyError) as error:
        raise ConfigError("bound", bound, "write <=, >= or ==, a space and a number") from error


def record(row: dict[str, Any]) -> None:
    """Adds a row, or replaces the one with the same title."""
    path = ROOT / "results" / f"{row['experiment']}.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    write_json(path, [*(old for old in rows if old["title"] != row["title"]), row])


def find_number(metric: str, results: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns {"mean", "std" and "values" if there are any} of a result, or of the log at a step ("train/loss@1875").

    Raises:
      ConfigError: there is no such number.
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
    """Returns the run's own protocol of a result or of its kind; "" if there is none.

    Also "" for numbers of the log, as evaluations during training may have used another split.
    """
    protocol = results.get("protocol", {})
    return "" if "@" in metric else protocol.get(metric, protocol.get(metric.partition("/")[0], ""))


def _without_folders(value: Any) -> Any:
    """Returns a flag's value, PATH or KIND:PATH, without the folders of one machine."""
    kind, path = re.fullmatch(r"(?s)(\w+:)?(.*)", str(value)).groups(default="")
    return kind + Path(path).name if path.startswith("/") else value


def make_row(values: flags.FlagValues) -> dict[str, Any]:
    """Returns a row from a finished run's flags.json and results.json.

    Raises:
      UserError: the run is not finished, or a flag does not fit it.
    """
    workdir = Path(values.workdir)
    run = read_flags(workdir / "flags.json")
    if not has_ended(workdir):
        raise ConfigError("workdir", workdir, "the run is not finished")
    results = read_results(workdir)
    number = find_number(values.metric, results, read_metrics(workdir / "metrics.jsonl"))
    changed = {k: v for k, v in run["flags"].items() if run["defaults"][k] != v and k != "data_dir"}
    changed = {k: _without_folders(v) for k, v in changed.items()}
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


def _main(values: flags.FlagValues) -> None:
    if values.workdir and values.metric:
        record(make_row(values))
    elif values.workdir or values.metric:
        raise ConfigError("workdir", values.workdir, "give workdir and metric together")
    pages.write(read_rows())
    sys.stderr.write("\n".join(map(str, (pages.PAGE, *pages.DOCUMENTS))) + "\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.ledger`."""
    values = command.new_flags()
    flags.DEFINE_bool("page", False, "ignored; the tables are always written", flag_values=values)
    command.define_path("workdir", None, "a finished run", values)
    flags.DEFINE_string("metric", None, "name in its results.json, or NAME@STEP for its log", flag_values=values)
    flags.DEFINE_string("title", None, "title of the row", flag_values=values)
    flags.DEFINE_string("bound", None, "required bound, as '>= 0.715'", flag_values=values)
    flags.DEFINE_float("reference", None, "the book's or paper's number", flag_values=values)
    flags.DEFINE_string("reference_source", "", "source of the reference", flag_values=values)
    flags.DEFINE_string("protocol", "", "how it was measured: samples, networks", flag_values=values)
    flags.DEFINE_string("data", None, "the data in words [the name of the data set]", flag_values=values)
    flags.DEFINE_string("note", "", "why the bound was missed, or a remark", flag_values=values)
    flags.DEFINE_string("hardware", "2 CPU cores", "hardware of the run", flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
