"""Samples from any run, and edits of one's own images where the model has an encoder.

python -m experiments.sample --workdir=runs/vae-digits --num=64
python -m experiments.sample --workdir=runs/vae-faces --images=my_photos --edit=Eyeglasses:2
python -m experiments.sample --workdir=runs/vae-faces --images=my_photos --morph
python -m experiments.sample --workdir=runs/text_rnn-small --prompt="my dear" --temperature=0.5
"""

import dataclasses
import math
import sys
from collections.abc import Iterable
from pathlib import Path

import jax
from absl import flags

from gdl_jax.core.errors import UserError
from gdl_jax.runs import command
from gdl_jax.runs.experiment import Experiment, SampleRequest
from gdl_jax.runs.restore import restore

LARGEST = 2**31 - 1
OPTIONS = ("images", "edit", "morph", "prompt", "temperature", "top_k", "top_p")  # that not every experiment takes


def define_boldness(values: flags.FlagValues) -> None:
    """Defines the flags that say what text goes on from, and how boldly."""
    flags.DEFINE_string("prompt", "", "what they go on from", flag_values=values)
    flags.DEFINE_float("temperature", 1.0, "how boldly they are drawn; 0: what is likeliest", flag_values=values)
    flags.DEFINE_integer("top_k", 0, "draw from the likeliest so many only; 0: from all", flag_values=values)
    flags.DEFINE_float("top_p", 1.0, "draw from the likeliest that have this probability together", flag_values=values)


def check_boldness(values: flags.FlagValues) -> None:
    """Checks the flags of `define_boldness`.

    Raises:
      UserError: one is out of its range.
    """
    if not 0 <= values.temperature < math.inf:
        raise UserError(f"--temperature={values.temperature}: must be at least 0, and finite")
    if not 0 <= values.top_k <= LARGEST:
        raise UserError(f"--top_k={values.top_k}: must be at least 0, and at most {LARGEST}")
    if not 0 < values.top_p <= 1:
        raise UserError(f"--top_p={values.top_p}: must be in (0, 1]")


def check_takes(experiment: Experiment, given: Iterable[str]) -> None:
    """Refuses flags that the experiment's samples would not heed.

    Raises:
      UserError: there is one among `given`.
    """
    for name in given:
        if name not in experiment.takes:
            takes = ", ".join(f"--{flag}" for flag in ("num", "seed", *experiment.takes))
            raise UserError(f"--{name}: means nothing to {experiment.name}, whose samples take {takes}")


def _edits(texts: list[str]) -> dict[str, float]:
    edits = {}
    for text in texts:
        name, colon, factor = text.partition(":")
        try:
            edits[name] = float(factor) if colon else 1.0
        except ValueError as error:
            raise UserError(f"--edit={text}: the factor after the colon is not a number") from error
    return edits


def _main(values: flags.FlagValues) -> None:
    check_boldness(values)
    workdir = command.workdir(values)
    images = tuple(Path(text) for text in values.images)
    for path in images:
        if not path.exists():
            raise UserError(f"--images={path}: no such file or folder")
    edits = _edits(values.edit)
    if (edits or values.morph) and not images:
        raise UserError("--edit and --morph need --images")
    experiment, run, _ = restore(workdir, warn=command.warn)
    check_takes(experiment, (name for name in OPTIONS if values[name].present))
    out = Path(values.out) if values.out else workdir / "samples"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out={out}: cannot be made: {error.strerror}") from error
    run = dataclasses.replace(run, key=jax.random.key(values.seed))
    request = SampleRequest(
        out,
        experiment.samples if values.num is None else values.num,
        images,
        edits,
        values.morph,
        values.prompt,
        values.temperature,
        values.top_k,
        values.top_p,
    )
    for path in experiment.sample(run, request):
        sys.stdout.write(f"{path}\n")


def main(argv=None) -> None:
    """What `python -m experiments.sample` does."""
    values = command.new_flags()
    flags.DEFINE_string("workdir", None, "the run's directory", flag_values=values)
    flags.DEFINE_integer("num", None, "how many samples [64; films of driving: 4]", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("seed", 0, "decides which", lower_bound=0, upper_bound=LARGEST, flag_values=values)
    flags.DEFINE_string("out", None, "directory for what is made [WORKDIR/samples]", flag_values=values)
    flags.DEFINE_list("images", [], "image files or folders to encode instead", flag_values=values)
    flags.DEFINE_list("edit", [], "attributes to add to them, as Eyeglasses:2,Smiling:-1", flag_values=values)
    flags.DEFINE_bool("morph", False, "morph from each image to the next", flag_values=values)
    define_boldness(values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
