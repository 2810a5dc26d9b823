"""What looking at the document, and copying from it, are worth to questions: error bars, and who knows less beside it.

    python -m experiments.studies.qa_ablation                                made-up bulletins, minutes
    python -m experiments.studies.qa_ablation --config=squad --data_dir=D    the ledger's run

Each variant trains `--seeds` networks in one program from random numbers of their own, each until its held-out loss no
longer falls; numbers are of the best. Writes WORKDIR/table.md and ablation.png; a run that was stopped goes on where it
was.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags

from experiments.qa import EXPERIMENT
from gdl_jax.core.errors import UserError
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.plots.curves import compared_curves
from gdl_jax.runs import command
from gdl_jax.runs.json_files import read_json, write_json
from gdl_jax.runs.main import shown
from gdl_jax.runs.study import cell, finished
from gdl_jax.runs.tables import as_table

PROGRAM = "qa_ablation"
VARIANTS = {  # name of the run -> label, flags
    "plain": ("the answer alone (book)", ("--attention=false", "--copy=false")),
    "attention": ("attention", ("--attention", "--copy=false")),
    "copy": ("attention and copying", ("--attention", "--copy")),
}
COLUMNS = {
    "test/word_loss": "nats a word",
    "samples/answer_F1": "answers, F1",
    "samples/answer_F1_at_random": "as many at random",
    "samples/question_BLEU-4": "BLEU-4",
    "samples/question_ROUGE-L": "ROUGE-L",
    "samples/question_unknown_share": "<UNK>",
    "samples/kind_judged": "who, where, when, how many",
    "samples/kind_fits": "kind fits the answer",
    "samples/kind_chance": "by chance",
}
REFERENCES = ("all words", "as common as", "tagging everything/", "people/")  # begin their names in the results
CURVES = ("validation/word_loss", "samples/answer_F1", "samples/question_BLEU-4")


def measure(workdir: Path) -> dict[str, Any]:
    """A finished run's {metric: {"mean", "std", "values"}}, and what it is to be compared with."""
    results = read_json(workdir / "results.json")
    kept = (*COLUMNS, "best step", "steps trained", "samples judged by", "training_minutes")
    references = (name for name in results if name.startswith(REFERENCES))
    return {name: results[name] for name in (*kept, *references) if name in results}


def table(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a line for each variant, mean and standard deviation over its replicas."""
    rows = [
        [label, *(cell(each[name]) for name in COLUMNS), f"{each['training_minutes']:.1f}"]
        for label, each in measured.items()
    ]
    return as_table(["decoder", *COLUMNS.values(), "minutes"], rows)


def _main(values: flags.FlagValues) -> None:
    if values.seeds < 2:
        raise UserError(f"--seeds={values.seeds}: a spread needs at least 2")
    workdir = Path(values.workdir)
    steps = values.steps or EXPERIMENT.presets[values.config].steps
    common = [f"--config={values.config}", f"--data_dir={values.data_dir}", f"--seeds={values.seeds}"]
    if values.eval_every is not None:
        common.append(f"--eval_every={values.eval_every}")
    measured, logs = {}, {}
    for name, (label, chosen) in VARIANTS.items():
        run = finished(PROGRAM, EXPERIMENT, workdir / name, steps, *common, *chosen)
        if run is None:
            return
        measured[label] = measure(run)
        logs[label] = [row for row in read_rows(run / "metrics.jsonl") if CURVES[0] in row]
    first = next(iter(measured.values()))
    beside = {name: value for name, value in first.items() if name.startswith((*REFERENCES, "samples judged by"))}
    text = f"{table(measured)}\n{shown(beside)}"
    write_json(workdir / "results.json", measured)
    (workdir / "table.md").write_text(text)
    compared_curves(logs, CURVES, "step", workdir / "ablation.png")
    sys.stdout.write(f"{text}\nmean ± standard deviation of {values.seeds} seeds\n")
    sys.stderr.write(f"{workdir / 'table.md'}, {workdir / 'ablation.png'}\n")


def main(argv=None) -> None:
    """What `python -m experiments.studies.qa_ablation` does."""
    values = command.new_flags()
    presets = list(EXPERIMENT.presets)
    flags.DEFINE_string("workdir", "runs/qa_ablation", "where the runs are kept", flag_values=values)
    flags.DEFINE_enum("config", presets[0], presets, "preset of `qa` that all runs share", flag_values=values)
    flags.DEFINE_string("data_dir", "", "where data sets that are not bundled lie", flag_values=values)
    flags.DEFINE_integer("seeds", 3, "networks of each variant", flag_values=values)
    flags.DEFINE_integer("steps", None, "most updates of each [the preset's]", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("eval_every", None, "steps between two evaluations [the preset's]", flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
