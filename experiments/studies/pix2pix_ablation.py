"""Compares the losses of pix2pix with error bars: L1, GAN, conditional GAN, and L1 with either GAN.

    python -m experiments.studies.pix2pix_ablation                  drawings of faces to faces, 64x64; 50 minutes
    python -m experiments.studies.pix2pix_ablation --config=labels  flat label maps of faces to faces

Minutes are those of two CPU cores. Outlines have no colours: many faces fit a drawing, and the L1 loss alone predicts
something like their median. All variants have the networks and settings of the preset; `--seeds` pairs of networks are
trained in one program, then measured on held-out drawings. A GAN is conditional (cGAN) if the critic sees the drawing,
too. An attribute classifier, trained first on real faces, reads the translations: "attributes right" stands for the FCN
score of Isola et al. 2017, which a recogniser of real street scenes gives to generated ones. Their share of pixels
recognised (table 1) is 0.42 for L1, 0.22 for GAN, 0.57 for cGAN, 0.64 for L1 + GAN and 0.66 for L1 + cGAN. The claims:

- L1 alone is nearest to the truth in L1 and PSNR, but blurred: its KID and perceptual distance are worse than those of
  L1 + cGAN.
- GAN alone has the fewest attributes right: nothing ties its output to the drawing.
- cGAN alone is realistic (KID), but farther from the truth in all other columns than L1 + cGAN.
- L1 + cGAN recognises most; L1 + GAN is close behind.

WORKDIR/faces.png shows the same held-out drawings translated by each variant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from experiments.pix2pix import EXPERIMENT, translated
from experiments.studies import translations
from experiments.translation.judging import held_out
from experiments.translation.setup import LEAST_COMPARED
from gdl_jax.core.config_flags import AtLeast, IsPath, OneOf
from gdl_jax.plots import images
from gdl_jax.runs import study
from gdl_jax.runs.study import Study, TrainedVariant, Variant

VARIANTS = (
    Variant("l1", "L1", EXPERIMENT, ("--adversarial_weight=0",)),
    Variant("gan", "GAN", EXPERIMENT, ("--l1_weight=0", "--conditional=false")),
    Variant("cgan", "cGAN", EXPERIMENT, ("--l1_weight=0",)),
    Variant("l1_gan", "L1 + GAN", EXPERIMENT, ("--conditional=false",)),
    Variant("l1_cgan", "L1 + cGAN", EXPERIMENT),
)
COLUMNS = {
    "samples/l1": "L1",
    "samples/psnr": "PSNR, dB",
    "samples/ssim": "SSIM",
    "samples/perceptual_distance": "perceptual distance",
    "samples/attributes_right": "attributes right",
    "samples/kid": "KID",
}
SHOWN = 8  # drawings


@dataclass(frozen=True, kw_only=True)
class Options(translations.Options):
    workdir: Annotated[str, IsPath()] = "runs/pix2pix_ablation"
    config: Annotated[str, OneOf("edges", "labels", "tiny")] = "edges"  # preset of all runs
    steps: Annotated[int, AtLeast(1)] = 3000  # updates of each variant
    # feature extractor for KID: vgg16, which gives the perceptual distance too, or inception:PATH; empty: neither
    features: Annotated[str, IsPath(names=("", "vgg16"), kinds=("inception",))] = "vgg16"
    judged_samples: Annotated[int, AtLeast(LEAST_COMPARED)] = 500  # largest number of held-out drawings translated


def flags(options: Options, variant: Variant) -> Sequence[str]:
    """Returns the flags of all variants."""
    measured = f"--features={options.features}", f"--judged_samples={options.judged_samples}"
    return f"--config={options.config}", *translations.common_flags(options), *measured


def draw_faces(trained: Sequence[TrainedVariant], path: Path) -> None:
    """Draws held-out drawings, their translations by all variants (first seeds), and the true faces.

    Args:
      trained: the variants.
      path: of the PNG, in the study's folder.
    """
    runs = translations.first_seeds(trained, path.parent)
    data = next(iter(runs.values())).data
    drawings, faces = (held_out(data, "test", domain, SHOWN) for domain in "ab")
    rows = [drawings, *(translated(run, drawings) for run in runs.values()), faces]
    images.rows(rows, [data.domains[0], *runs, data.domains[1]], path)


STUDY = Study(
    options=Options(),
    variants=lambda options: VARIANTS,
    flags=flags,
    heading="loss",
    columns=COLUMNS,
    picture=translations.pictures(COLUMNS, draw_faces),
    texts=("failure_modes",),
    note=translations.about_errors,
    prerequisites=lambda options: translations.classifier_of(options, EXPERIMENT.preset(options.config)),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.studies.pix2pix_ablation`."""
    study.main(STUDY, __doc__, argv)


if __name__ == "__main__":
    main()
