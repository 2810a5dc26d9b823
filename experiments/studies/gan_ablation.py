"""Compares the losses of the book's chapter 4 with error bars: GAN, WGAN, WGAN-GP, and a hinge loss.

    python -m experiments.studies.gan_ablation                                  bundled digits
    python -m experiments.studies.gan_ablation --dataset=mnist --data_dir=D     the ledger's run; 51 minutes

Minutes are those of two CPU cores. For each loss, `--seeds` pairs of networks are trained in one program until each
critic has seen `--critic_updates` batches. A Wasserstein critic gets five of them per generator update, as in the book.
The architectures are the same, except for what belongs to the method: dropout of the critic, normalisation, optimiser.
Samples are evaluated with the features of a classifier, which is trained first. "FID instability" is the residual
standard deviation of the FIDs in the second half of training around their linear trend, divided by their mean. It needs
no common scale of the losses, and all of them are evaluated equally often.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from experiments import classifier, gan, wgan, wgan_gp
from gdl_jax.core.config_flags import AtLeast, IsPath
from gdl_jax.core.metrics_log import read_rows, seed_values
from gdl_jax.runs import study
from gdl_jax.runs.measure import to_results
from gdl_jax.runs.study import Study, StudyOptions, Variant

EVALUATIONS = 10  # per training
LOG_ROWS = 50  # for the fewest generator updates; rows average over equally many generator updates for all losses
N_CRITIC = 5  # updates of a Wasserstein critic per generator update
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
VARIANTS = (  # a step is a generator update; `step_size` is its number of critic batches
    Variant("gan", "GAN", gan.EXPERIMENT),
    Variant("wgan", "WGAN", wgan.EXPERIMENT, step_size=N_CRITIC),
    Variant("wgan_gp", "WGAN-GP", wgan_gp.EXPERIMENT, step_size=N_CRITIC),
    Variant("hinge_spectral_norm", "hinge, spectral norm", gan.EXPERIMENT, HINGE),
)


@dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    workdir: Annotated[str, IsPath()] = "runs/gan_ablation"
    dataset: str = "digits"  # 28x28 images with one channel and classes
    data_dir: Annotated[str, IsPath()] = ""  # folder of data sets that are not bundled
    # workdir of a `classifier` run, the feature extractor of sample metrics; empty: train one
    features: Annotated[str, IsPath()] = ""
    seeds: int = 8
    # batches of 64 that each critic is trained on
    critic_updates: Annotated[int, AtLeast(LOG_ROWS * N_CRITIC)] = 1500


def _data(options: Options) -> tuple[str, ...]:
    return f"--dataset={options.dataset}", f"--data_dir={options.data_dir}"


def feature_network(options: Options) -> Sequence[Variant]:
    """Returns the classifier to train first; nothing if `features` names one."""
    flags = ("--steps=2500", *_data(options), "--eval_every=0")
    return () if options.features else (Variant("classifier", "classifier", classifier.EXPERIMENT, flags),)


def flags(options: Options, variant: Variant) -> Sequence[str]:
    """Returns the flags that give all variants the same networks, budget and logs."""
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
    """Returns the residual standard deviation of FIDs around their linear trend, divided by their mean.

    Only evaluations in the second half of training count.

    Args:
      steps: (N,), of the evaluations; at least 3 in the second half.
      distances: (N,), the FIDs.
    """
    late = np.asarray(steps) >= 0.5 * max(steps)
    time, values = np.asarray(steps, np.float64)[late], np.asarray(distances, np.float64)[late]
    rest = values - np.polyval(np.polyfit(time, values, 1), time)
    return float(np.sqrt(np.square(rest).sum() / (len(values) - 2)) / values.mean())


def measure(workdir: Path) -> dict[str, Any]:
    """Returns the FID instability of each seed, from the log of a run."""
    rows = [row for row in read_rows(workdir / "metrics.jsonl") if "samples/fid" in row]
    steps = [row["step"] for row in rows]
    series = np.array([seed_values(row)["samples/fid"] for row in rows])
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
    x_label="batches seen by the critic",
    measure=measure,
    references={"real_images": "real images"},
    texts=("failure_modes",),
    prerequisites=feature_network,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.studies.gan_ablation`."""
    study.main(STUDY, __doc__, argv)


if __name__ == "__main__":
    main()
