"""The comparison that the book's chapter 4 makes in words: GAN, WGAN, WGAN-GP and a hinge loss, with error bars.

    python -m experiments.studies.gan_ablation                                  bundled digits
    python -m experiments.studies.gan_ablation --dataset=mnist --data_dir=D     the ledger's run

Each loss trains `--seeds` replicas in one program, all on the same two networks (but for what belongs to the method:
its critic's dropout, its normalisation, its optimiser) until its critic has seen `--critic_updates` batches; a
Wasserstein critic gets five of them for each update of the generator, as in the book. A classifier that is trained
first judges the samples. "FID's unrest" says how far the FIDs of a training's second half lie from a line through
them, relative to their mean: all losses are asked as often, and none has to have a scale for that. Writes
WORKDIR/table.md and ablation.png; a run that was stopped goes on where it was.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from experiments import classifier, gan, wgan, wgan_gp
from gdl_jax.core.errors import UserError
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.plots.curves import compared_curves
from gdl_jax.runs import command
from gdl_jax.runs.experiment import Experiment
from gdl_jax.runs.json_files import read_json, write_json
from gdl_jax.runs.main import numbers, shown
from gdl_jax.runs.study import cell, finished
from gdl_jax.runs.tables import as_table

PROGRAM = "gan_ablation"
EVALUATIONS = 10  # in each training
LOG_ROWS = 50  # in the training with the fewest updates of the generator; a row is of as many updates for each loss
CLASSIFIER_STEPS = 2500


class Variant(NamedTuple):
    """A row of the table: the preset `digits` of an experiment, changed by flags."""

    name: str
    label: str
    experiment: Experiment
    n_critic: int
    flags: tuple[str, ...] = ()


VARIANTS = (
    Variant("gan", "GAN", gan.EXPERIMENT, 1),
    Variant("wgan", "WGAN", wgan.EXPERIMENT, 5),
    Variant("wgan_gp", "WGAN-GP", wgan_gp.EXPERIMENT, 5),
    Variant(
        "hinge_spectral_norm",
        "hinge, spectral norm",
        gan.EXPERIMENT,
        1,
        (
            "--adversarial_loss=hinge",
            "--spectral_norm",
            "--critic_dropout_rate=0",
            "--critic_activation=leaky_relu",
            "--separate_updates=false",
            "--batch_statistics",
            "--generator_optimizer=adam_0.5",
            "--generator_learning_rate=2e-4",
            "--critic_optimizer=adam_0.5",
            "--critic_learning_rate=2e-4",
        ),
    ),
)
NETWORKS = ("--first_filters=32", "--generator_filters=32,16,1", "--critic_filters=16,32,32")
COLUMNS = {
    "samples/modes_covered": "modes covered",
    "samples/kl_to_uniform": "KL to uniform",
    "samples/fid": "FID",
    "samples/recall": "recall",
    "samples/classifier_score": "classifier score",
    "unrest": "FID's unrest",
}
REAL = "real images/"  # begins the names of what the judge says of real images in place of samples


def _train(variant: Variant, values: flags.FlagValues, data: Sequence[str], judge: str) -> Path | None:
    most = max(each.n_critic for each in VARIANTS)
    if values.critic_updates < LOG_ROWS * most:
        raise UserError(f"--critic_updates={values.critic_updates}: must be at least {LOG_ROWS * most}")
    steps = values.critic_updates // variant.n_critic
    return finished(
        PROGRAM,
        variant.experiment,
        Path(values.workdir) / variant.name,
        steps,
        *data,
        *NETWORKS,
        *variant.flags,
        f"--n_critic={variant.n_critic}",
        "--batch_size=64",
        f"--seeds={values.seeds}",
        f"--features={judge}",
        f"--log_every={values.critic_updates // (most * LOG_ROWS)}",
        f"--eval_every={-(-steps // EVALUATIONS)}",
        f"--checkpoint_every={-(-steps // EVALUATIONS)}",
    )


def unrest(steps: Sequence[float], distances: Sequence[float]) -> float:
    """Standard deviation of a training's second half of FIDs about their linear trend, over their mean.

    Args:
      steps: (N,), of the evaluations; at least 3 in the second half.
      distances: (N,), the FIDs.
    """
    late = np.asarray(steps) >= 0.5 * max(steps)
    time, values = np.asarray(steps, np.float64)[late], np.asarray(distances, np.float64)[late]
    rest = values - np.polyval(np.polyfit(time, values, 1), time)
    return float(np.sqrt(np.square(rest).sum() / (len(values) - 2)) / values.mean())


def measure(workdir: Path) -> dict[str, Any]:
    """A finished run's {metric: {"mean", "std", "values"}}, the unrest of each replica's FID with them."""
    results = read_json(workdir / "results.json")
    rows = [row for row in read_rows(workdir / "metrics.jsonl") if "samples/fid" in row]
    steps = [row["step"] for row in rows]
    series = np.array([row["replicas"]["samples/fid"] for row in rows])
    spread = numbers({"unrest": np.array([unrest(steps, distances) for distances in series.T])})
    kept = ("failure modes", "training_minutes", "samples judged by")
    of_real = (name for name in results if name.startswith(REAL))
    return {name: results[name] for name in (*COLUMNS, *of_real, *kept) if name in results} | spread


def table(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a line for each loss, mean and standard deviation over its replicas; one for real images, if judged."""
    columns = [name for name in COLUMNS if all(name in each for each in measured.values())]

    rows = [
        [label, *(cell(each[name]) for name in columns), f"{each['training_minutes']:.1f}"]
        for label, each in measured.items()
    ]
    first = next(iter(measured.values()))
    if any(name.startswith(REAL) for name in first):
        real = [first.get(REAL + name.removeprefix("samples/")) for name in columns]
        rows.append(["real images", *("" if value is None else f"{value:.3g}" for value in real), ""])
    return as_table(["loss", *(COLUMNS[name] for name in columns), "minutes"], rows)


def _main(values: flags.FlagValues) -> None:
    if values.seeds < 2:
        raise UserError(f"--seeds={values.seeds}: a spread needs at least 2")
    workdir = Path(values.workdir)
    data = (f"--dataset={values.dataset}", f"--data_dir={values.data_dir or ''}")
    judge = values.features
    if judge is None:
        arguments = (*data, "--eval_every=0")
        judge = finished(PROGRAM, classifier.EXPERIMENT, workdir / "classifier", CLASSIFIER_STEPS, *arguments)
        if judge is None:
            return
    measured, logs = {}, {}
    for variant in VARIANTS:
        run = _train(variant, values, data, str(judge))
        if run is None:
            return
        measured[variant.label] = measure(run)
        rows = [row for row in read_rows(run / "metrics.jsonl") if "samples/fid" in row]
        logs[variant.label] = [row | {"step": row["step"] * variant.n_critic} for row in rows]
    text = table(measured) + "".join(f"\n{label}: {each['failure modes']}\n" for label, each in measured.items())
    write_json(workdir / "results.json", measured)
    (workdir / "table.md").write_text(text)
    panels = [name for name in ("samples/fid", "samples/modes_covered", "samples/kl_to_uniform") if name in rows[-1]]
    compared_curves(logs, panels, "batches that the critic has seen", workdir / "ablation.png")
    protocol = {"samples judged by": next(iter(measured.values()))["samples judged by"]}
    sys.stdout.write(f"{text}\nmean ± standard deviation of {values.seeds} seeds; {shown(protocol)}")
    sys.stderr.write(f"{workdir / 'table.md'}, {workdir / 'ablation.png'}\n")


def main(argv=None) -> None:
    """What `python -m experiments.studies.gan_ablation` does."""
    values = command.new_flags()
    flags.DEFINE_string("workdir", "runs/gan_ablation", "where the runs are kept", flag_values=values)
    flags.DEFINE_string("dataset", "digits", "images of 28x28 with one channel and classes", flag_values=values)
    flags.DEFINE_string("data_dir", None, "where data sets that are not bundled lie", flag_values=values)
    flags.DEFINE_string("features", None, "workdir of a `classifier` run as judge [trains one]", flag_values=values)
    flags.DEFINE_integer("seeds", 8, "replicas of each loss", flag_values=values)
    flags.DEFINE_integer("critic_updates", 1500, "batches of 64 that each critic learns from", flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
