"""Parts of the studies of image translation: options, attribute classifier, common flags, and pictures."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from experiments import classifier
from experiments.translation import setup
from gdl_jax.core.config_flags import AtLeast, IsPath
from gdl_jax.plots.points import means_with_errors
from gdl_jax.runs.experiment import Run
from gdl_jax.runs.restore import restore
from gdl_jax.runs.study import StudyOptions, TrainedVariant, Variant

LOG_ROWS = 50  # of each training; failure modes are found in the log
CLASSIFIER = "attribute_classifier"  # name of the run that is trained first


@dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    # workdir of a `classifier` run on attributes, which checks translated faces; empty: train one
    attribute_classifier: Annotated[str, IsPath()] = ""
    steps: Annotated[int, AtLeast(1)] = 1000  # updates of each variant


def classifier_of(options: Options, preset: setup.Config) -> Sequence[Variant]:
    """Returns the classifier of the preset's faces to train first; nothing if the options name one."""
    data = f"--image_size={preset.image_size}", f"--avatars={preset.avatars}"
    flags = ("--config=attributes", *data, "--eval_every=0")
    return () if options.attribute_classifier else (Variant(CLASSIFIER, CLASSIFIER, classifier.EXPERIMENT, flags),)


def common_flags(options: Options) -> tuple[str, ...]:
    """Returns the flags that give all variants the same budget, log and classifier; evaluation is at the end only."""
    return (
        f"--steps={options.steps}",
        f"--seeds={options.seeds}",
        f"--attribute_classifier={options.attribute_classifier or Path(options.workdir) / CLASSIFIER}",
        f"--log_every={max(1, options.steps // LOG_ROWS)}",
        "--eval_every=0",
    )


def about_errors(options: Options) -> str:
    """Returns the relation of the table's standard deviations to the picture's standard errors."""
    return f"standard errors, the bars of ablation.png, are these over √{options.seeds}"


def draw_results(columns: Mapping[str, str], trained: Sequence[TrainedVariant], path: Path) -> None:
    """Draws the results of all variants with standard errors.

    Args:
      columns: {name of a result: title}; those that a variant lacks are skipped.
      trained: the variants.
      path: of the PNG.
    """
    names = [name for name in columns if all(name in each.results for each in trained)]
    means_with_errors(
        {columns[name]: {each.variant.label: each.results[name]["values"] for each in trained} for name in names}, path
    )


def pictures(
    columns: Mapping[str, str], draw_faces: Callable[[Sequence[TrainedVariant], Path], None]
) -> Callable[[Sequence[TrainedVariant], Path], None]:
    """Returns `Study.picture`: results with standard errors, and faces.png beside them.

    Args:
      columns: as in `draw_results`.
      draw_faces: draws held-out faces through each variant; called with the variants and the path of faces.png.
    """

    def draw(trained: Sequence[TrainedVariant], path: Path) -> None:
        draw_results(columns, trained, path)
        draw_faces(trained, path.with_name("faces.png"))

    return draw


def first_seeds(trained: Sequence[TrainedVariant], workdir: Path) -> dict[str, Run]:
    """Returns {label of a variant: its run of the first seed}; `workdir` is the study's."""

    def warn(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    return {each.variant.label: restore(workdir / each.variant.name, warn).run for each in trained}
