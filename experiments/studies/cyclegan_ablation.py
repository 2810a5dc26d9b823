"""Compares CycleGAN with and without identity loss, image pool and instance normalisation, with error bars.

    python -m experiments.studies.cyclegan_ablation               faces get and lose sunglasses, 64x64; 25 minutes
    python -m experiments.studies.cyclegan_ablation --steps=4000  as many updates as the preset has

Minutes are those of two CPU cores. All variants have the networks and settings of the preset, and each differs in one.
`--seeds` pairs of generators and critics are trained in one program, then measured on held-out faces. The claims:

- Without the identity loss the background changes its colour (book figure 5-9): "background shift".
- The pool of earlier translations keeps training from oscillating (Zhu et al. 2017, section 4): failure modes.
- Instance normalisation suits translation better than batch normalisation (book chapter 5). With one image per update
  both normalise by that image in training; batch normalisation has scales and biases, and running averages in
  evaluation.

An attribute classifier is trained first. "Has" is the share of translations that have, or lack, the attribute as their
new domain does; "others kept" is the share of other attributes that stay. WORKDIR/faces.png shows the same held-out
faces translated by each variant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from experiments.cyclegan import EXPERIMENT, outputs_of
from experiments.studies import translations
from experiments.translation.judging import TARGETS, held_out
from gdl_jax.core.config_flags import AtLeast, IsPath, OneOf
from gdl_jax.plots import images
from gdl_jax.runs import study
from gdl_jax.runs.study import Study, TrainedVariant, Variant

VARIANTS = (
    Variant("base", "base", EXPERIMENT),
    Variant("no_identity", "no identity loss", EXPERIMENT, ("--identity_weight=0",)),
    Variant("no_pool", "no pool", EXPERIMENT, ("--pool_size=0",)),
    Variant("batch_norm", "batch normalisation", EXPERIMENT, ("--unet_norm=batch", "--critic_norm=batch")),
)
COLUMNS = {
    "samples/has_attribute_of_b": "A to B: has",
    "samples/others_kept_into_b": "A to B: others kept",
    "samples/background_shift_into_b": "A to B: background shift",
    "test/cycle_loss_a": "A to B to A: cycle loss",
    "samples/has_attribute_of_a": "B to A: has",
    "samples/others_kept_into_a": "B to A: others kept",
    "samples/background_shift_into_a": "B to A: background shift",
    "test/cycle_loss_b": "B to A to B: cycle loss",
}
SHOWN = 8  # faces of each domain


@dataclass(frozen=True, kw_only=True)
class Options(translations.Options):
    workdir: Annotated[str, IsPath()] = "runs/cyclegan_ablation"
    config: Annotated[str, OneOf("avatars", "tiny")] = "avatars"  # preset of all runs
    steps: Annotated[int, AtLeast(1)] = 1500  # updates of each variant


def flags(options: Options, variant: Variant) -> Sequence[str]:
    """Returns the flags of all variants."""
    return f"--config={options.config}", *translations.common_flags(options)


def draw_faces(trained: Sequence[TrainedVariant], path: Path) -> None:
    """Draws held-out faces of both domains, each above its translations by all variants (first seeds).

    Args:
      trained: the variants.
      path: of the PNG, in the study's folder.
    """
    runs = translations.first_seeds(trained, path.parent)
    data = next(iter(runs.values())).data
    real = {domain: held_out(data, "test", domain, SHOWN) for domain in TARGETS}
    count = min(map(len, real.values()))
    real = {domain: faces[:count] for domain, faces in real.items()}
    outputs = {label: outputs_of(run, real) for label, run in runs.items()}
    rows, labels = [], []
    for domain, into in TARGETS.items():
        rows += [real[domain], *(translated[f"fake_{into}"] for translated in outputs.values())]
        labels += [f"{domain.upper()}: {data.domains['ab'.index(domain)]}", *(f"to {into.upper()}, {x}" for x in runs)]
    images.rows(rows, labels, path)


STUDY = Study(
    options=Options(),
    variants=lambda options: VARIANTS,
    flags=flags,
    heading="variant",
    columns=COLUMNS,
    picture=translations.pictures(COLUMNS, draw_faces),
    references={"untranslated": "untranslated"},
    texts=("failure_modes",),
    note=lambda options: f"{translations.about_errors(options)}; cycle loss: L1 of pixels in [-1, 1]",
    prerequisites=lambda options: translations.classifier_of(options, EXPERIMENT.preset(options.config)),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.studies.cyclegan_ablation`."""
    study.main(STUDY, __doc__, argv)


if __name__ == "__main__":
    main()
