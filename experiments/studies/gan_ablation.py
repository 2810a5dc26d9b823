"""The comparison that the book's chapter 4 makes in words: GAN, WGAN, WGAN-GP and a hinge loss, with error bars.

    python -m experiments.studies.gan_ablation                                  bundled digits
    python -m experiments.studies.gan_ablation --dataset=mnist --data_dir=D     the ledger's run

Each loss trains `--seeds` networks in one program, all of the same two architectures (but for what belongs to the
method: its critic's dropout, its normalisation, its optimiser) until its critic has seen `--critic_updates` batches; a
Wasserstein critic gets five of them for each update of the generator, as in the book. Samples are measured in the
feature space of a classifier, which is trained first. "FID instability" says how far the FIDs of a training's second
half lie from a line through them, relative to their mean: all losses are evaluated equally often, and none has to have
a scale for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from experiments import classifier, gan, wgan, wgan_gp
from gdl_jax.core.config_flags import AtLeast
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.runs import study
from gdl_jax.runs.measure import to_results
from gdl_jax.runs.study import Study, StudyOptions, Variant

EVALUATIONS = 10  # in each training
LOG_ROWS = 50  # in the training with the fewest updates of the generator; a row is of as many updates for each loss
N_CRITIC = 5  # updates of a Wasserstein critic for each of the generator's
NETWORKS = ("--first_filters=32", "--generator_filters=32,16,1", "--critic_filters=16,32,32")
HINGE = (
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
)
VARIANTS = (  # a step, an update of the generator, is as many batches for the critic as `step_size` says
    Variant("gan", "GAN", gan.EXPERIMENT),
    Variant("wgan", "WGAN", wgan.EXPERIMENT, step_size=N_CRITIC),
    Variant("wgan_gp", "WGAN-GP", wgan_gp.EXPERIMENT, step_size=N_CRITIC),
    Variant("hinge_spectral_norm", "hinge, spectral norm", gan.EXPERIMENT, HINGE),
)


@dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    workdir: str = "runs/gan_ablation"
    dataset: str = "digits"  # images of 28x28 with one channel and classes
    data_dir: str = ""  # where data sets that are not bundled lie
    features: str = ""  # workdir of a `classifier` run in whose feature space samples are measured; none: trains one
    seeds: int = 8
    # batches of 64 that each critic learns from
    critic_updates: Annotated[int, AtLeast(LOG_ROWS * N_CRITIC)] = 1500


def _data(options: Options) -> tuple[str, ...]:
    return f"--dataset={options.dataset}", f"--data_dir={options.data_dir}"


def feature_network(options: Options) -> Sequence[Variant]:
    """Returns the classifier that is trained first, unless there is one already."""
    flags = ("--steps=2500", *_data(options), "--eval_every=0")
    return () if options.features else (Variant("classifier", "classifier", classifier.EXPERIMENT, flags),)


def flags(options: Options, variant: Variant) -> Sequence[str]:
    """Returns what makes the variants' networks, budgets and logs equal."""
    steps = options.critic_updates // variant.step_size
    every = -(-steps // EVALUATIONS)
    return (
        f"--steps={steps}",
        *_data(options),
        *NETWORKS,
        f"--n_critic={variant.step_size}",
        "--batch_size=64",
        f"--seeds={options.seeds}",
        f"--features={options.features or Path(options.workdir) / 'classifier'}",
        f"--log_every={options.critic_updates // (N_CRITIC * LOG_ROWS)}",
        f"--eval_every={every}",
        f"--checkpoint_every={every}",
    )


def fid_instability(steps: Sequence[float], distances: Sequence[float]) -> float:
    """Returns the standard deviation of a training's second half of FIDs about their linear trend, over their mean.

    Args:
      steps: (N,), of the evaluations; at least 3 in the second half.
      distances: (N,), the FIDs.
    """
    late = np.asarray(steps) >= 0.5 * max(steps)
    time, values = np.asarray(steps, np.float64)[late], np.asarray(distances, np.float64)[late]
    rest = values - np.polyval(np.polyfit(time, values, 1), time)
    return float(np.sqrt(np.square(rest).sum() / (len(values) - 2)) / values.mean())


def measure(workdir: Path) -> dict[str, Any]:
    """Returns the instability of each seed's FID, from the log of a run."""
    rows = [row for row in read_rows(workdir / "metrics.jsonl") if "samples/fid" in row]
    steps = [row["step"] for row in rows]
    series = np.array([row["replicas"]["samples/fid"] for row in rows])
    return to_results({"fid_instability": np.array([fid_instability(steps, distances) for distances in series.T])})


STUDY = Study(
    options=Options(),
    variants=lambda options: VARIANTS,
    flags=flags,
    heading="loss",
    columns={
        "samples/modes_covered": "modes covered",
        "samples/kl_to_uniform": "KL to uniform",
        "samples/fid": "FID",
        "samples/recall": "recall",
        "samples/classifier_score": "classifier score",
        "fid_instability": "FID instability",
    },
    curves=("samples/fid", "samples/modes_covered", "samples/kl_to_uniform"),
    x_label="batches that the critic has seen",
    measure=measure,
    references={"real_images": "real images"},
    texts=("failure_modes",),
    prerequisites=feature_network,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Does what `python -m experiments.studies.gan_ablation` does."""
    study.main(STUDY, __doc__, argv)


if __name__ == "__main__":
    main()
