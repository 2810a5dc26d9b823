"""Studies: runs that differ in one setting, trained completely and compared in one table with error bars.

    STUDY = Study(options=Options(), variants=variants, columns={"test/loss": "loss"}, curves=("validation/loss",))
    main(STUDY, __doc__)

Such a program has the fields of Options as flags. It trains or resumes each variant in WORKDIR/NAME, and writes
WORKDIR/results.json, table.md and ablation.png.
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from absl import flags

from gdl_jax.core import config_flags
from gdl_jax.core.config_flags import AtLeast, IsPath
from gdl_jax.core.json_files import write_json
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.plots.curves import compared_curves
from gdl_jax.runs import command
from gdl_jax.runs.experiment import Experiment, Results
from gdl_jax.runs.main import main as run_experiment
from gdl_jax.runs.records import has_ended, read_results
from gdl_jax.runs.tables import as_table


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Options of every study; a study's own options inherit from this.

    Fields become flags, like those of a config: comments are help, annotations are checked.

    Raises:
      ConfigError: a field has a value that its annotation forbids.
    """

    workdir: Annotated[str, IsPath()] = "runs/study"  # directory of the runs
    seeds: Annotated[int, AtLeast(2)] = 3  # seeds per variant, trained in one program

    def __post_init__(self):
        config_flags.check(self)


class Variant(NamedTuple):
    """A run of a study.

    Attributes:
      name: name of its folder and of its entry in results.json.
      label: label in the table and in the picture.
      experiment: its experiment.
      flags: flags of this variant alone, as typed on the command line.
      step_size: length of one of its steps on the x axis of the curves.
    """

    name: str
    label: str
    experiment: Experiment
    flags: tuple[str, ...] = ()
    step_size: int = 1


class TrainedVariant(NamedTuple):
    """A variant after training.

    Attributes:
      variant: the variant.
      results: its results.json, with the results of `Study.measure`.
      rows: rows of its metrics.jsonl.
    """

    variant: Variant
    results: Results
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Study:
    """Comparison of runs that are trained in the same way.

    Attributes:
      options: default options, of a class derived from StudyOptions.
      variants: options -> the runs, in the order of the table.
      flags: (options, variant) -> flags that precede the variant's own, which override them.
      columns: {name of a result: column heading}; a column is omitted if a variant lacks the result.
      heading: heading of the column of labels.
      curves: logged metrics, one panel of the picture each; only rows with the first of them are used.
      x_label: label of the x axis, for steps times `Variant.step_size`.
      picture: draws another picture instead of the curves, from the variants in order and the path of a PNG.
      measure: folder of a trained variant -> results in addition to its results.json.
      references: {kind: label} of additional table rows with numbers to compare with: in the column of "SPLIT/METRIC",
        the first variant's result "KIND/METRIC".
      texts: names of results that are texts, printed below the table.
      note: options -> a remark below the table.
      prerequisites: options -> runs that the variants need; trained first, with only their own flags.
    """

    options: StudyOptions
    variants: Callable[[Any], Sequence[Variant]]
    flags: Callable[[Any, Variant], Sequence[str]] = lambda options, variant: ()
    columns: Mapping[str, str]
    heading: str
    curves: tuple[str, ...] = ()
    x_label: str = "step"
    picture: Callable[[Sequence[TrainedVariant], Path], None] | None = None
    measure: Callable[[Path], Results] = lambda workdir: {}
    references: Mapping[str, str] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    note: Callable[[Any], str] = lambda options: ""
    prerequisites: Callable[[Any], Sequence[Variant]] = lambda options: ()


def train_or_resume(variant: Variant, workdir: Path, arguments: Sequence[str] = ()) -> bool:
    """Trains or resumes a variant, unless it is complete. Returns True if it is complete afterwards.

    Args:
      variant: the variant.
      workdir: directory of the run.
      arguments: flags that precede its own.
    """
    sys.stderr.write(f"== {variant.name}\n")
    argv = [variant.name, f"--workdir={workdir}", *arguments, *variant.flags]
    run_experiment(variant.experiment, variant.label, argv)
    return has_ended(workdir)


def train_all(study: Study, options: StudyOptions, workdir: Path) -> list[TrainedVariant] | None:
    """Returns the trained variants; None if training was interrupted."""
    for run in study.prerequisites(options):
        if not train_or_resume(run, workdir / run.name):
            return None
    trained = []
    for variant in study.variants(options):
        folder = workdir / variant.name
        if not train_or_resume(variant, folder, study.flags(options, variant)):
            return None
        results = read_results(folder) | dict(study.measure(folder))
        trained.append(TrainedVariant(variant, results, read_rows(folder / "metrics.jsonl")))
    return trained


def _metric(name: str) -> str:
    return name.split("/", 1)[-1]


def table(study: Study, trained: Sequence[TrainedVariant]) -> str:
    """Returns a Markdown table: one row per variant, mean ± standard deviation over its seeds; then the references."""
    columns = [name for name in study.columns if all(name in each.results for each in trained)]
    rows = []
    for variant, results, _ in trained:
        cells = [f"{results[name]['mean']:.3g} ± {results[name]['std']:.2g}" for name in columns]
        rows.append([variant.label, *cells, f"{results['training_minutes']:.1f}"])
    first = trained[0].results
    for kind, label in study.references.items():
        numbers = [first.get(f"{kind}/{_metric(name)}") for name in columns]
        if any(number is not None for number in numbers):
            rows.append([label, *("" if number is None else f"{number:.3g}" for number in numbers), ""])
    return as_table([study.heading, *(study.columns[name] for name in columns), "minutes"], rows)


def describe(study: Study, options: StudyOptions, trained: Sequence[TrainedVariant]) -> str:
    """Returns Markdown: the table, followed by texts, a note on the numbers, and the protocols."""
    paragraphs = [table(study, trained).rstrip()]
    for variant, results, _ in trained:
        paragraphs += [f"{variant.label}: {results[name]}" for name in study.texts if name in results]
    note = study.note(options)
    paragraphs.append(f"mean ± standard deviation of {options.seeds} seeds{f'; {note}' if note else ''}")
    kinds = {name.split("/", 1)[0] for name in (*study.columns, *study.texts)}
    protocol = trained[0].results.get("protocol", {})
    paragraphs += [f"{kind}: {text}" for kind, text in protocol.items() if kind in kinds]
    return "\n\n".join(paragraphs) + "\n"


def draw_curves(study: Study, trained: Sequence[TrainedVariant], path: Path) -> None:
    """Draws the metrics of `study.curves` over training, except those that a variant did not log."""
    logs = {}
    for variant, _, rows in trained:
        evaluated = [row for row in rows if study.curves[0] in row]
        logs[variant.label] = [{**row, "step": row["step"] * variant.step_size} for row in evaluated]
    names = [name for name in study.curves if all(name in row for rows in logs.values() for row in rows)]
    compared_curves(logs, names, study.x_label, path)


def _compare(study: Study, options: StudyOptions, workdir: Path) -> None:
    trained = train_all(study, options, workdir)
    if trained is None:
        return
    text, path, picture = describe(study, options, trained), workdir / "table.md", workdir / "ablation.png"
    write_json(workdir / "results.json", {each.variant.name: each.results for each in trained})
    path.write_text(text, encoding="utf-8")
    if study.picture is not None:
        study.picture(trained, picture)
    else:
        draw_curves(study, trained, picture)
    sys.stdout.write(text)
    sys.stderr.write(f"{path}, {picture}\n")


def main(studies: Study | Mapping[str, Study], about: str, argv: Sequence[str] | None = None) -> None:
    """Runs a study from the command line.

    Args:
      studies: a study; or several by name, with options of one class: --study selects one (default: the first), and
        each has its own folder in the workdir.
      about: the script's docstring, for --help.
      argv: the program's name and its flags; None: those of this process.
    """
    by_name = studies if isinstance(studies, Mapping) else {"": studies}
    first, values = next(iter(by_name)), command.new_flags()
    if first:
        flags.DEFINE_enum("study", first, list(by_name), "study to run", flag_values=values)
    config_flags.define(by_name[first].options, values)

    def compare(values):
        name = values.study if first else ""
        study = by_name[name]
        options = dataclasses.replace(study.options, **config_flags.chosen(type(study.options), values))
        _compare(study, options, Path(options.workdir) / name)

    command.run(compare, about, values, sys.argv if argv is None else argv)
