"""Whether attribute arithmetic does what it says, judged by a classifier that was trained apart from the autoencoder.

A factor is chosen on validation images, and the shares are measured on test images: how many of those without an
attribute have it after its vector was added, by the classifier's word, and how many of their other attributes stay.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.images import avatars
from gdl_jax.evaluation.attributes import edit_success
from gdl_jax.learners.gradient import apply_eval
from gdl_jax.runs.experiment import Experiment, Run, image_batches
from gdl_jax.runs.restore import restore

EDITED = ("Eyeglasses", "Red_Hair", "Curly_Hair")  # glasses, a hair colour, a hairstyle
FACTORS = (0.75, 1.0, 1.25, 1.5, 2.0, 2.5)
GROUPS = (tuple(avatars.HAIR_COLORS), tuple(avatars.HAIRSTYLES), ("Eyeglasses", "Sunglasses"), ("Beard", "Moustache"))
HELD_OUT = 1000
BATCH = 500  # images whose logits are computed together


def _predictor(experiment: Experiment, run: Run):
    """Returns a function from images (N, H, W, C) in [0, 1] to logits (N, K), compiled once."""
    (part,) = experiment.parts(run.config, run.data).values()
    apply = jax.jit(lambda x: apply_eval(part.module, run.state.params, run.state.batch_stats, x))
    return lambda pixels: np.concatenate([apply(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)])


def load_judge(workdir: Path, image_size: int):
    """images (N, S, S, C) -> predicted attributes (N, A), and the classifier's own accuracy on its test split.

    Raises:
      UserError: the workdir holds no attribute classifier of the same data set.
    """
    experiment, judge, _ = restore(workdir, warn=lambda text: None)
    if experiment.name != "classifier" or judge.config.target != "attributes":
        raise UserError(f"--attribute_classifier={workdir}: holds no `classifier --config=attributes`")
    logits_of = _predictor(experiment, judge)
    size = judge.config.image_size
    resize = jax.jit(lambda x: jax.image.resize(x, (len(x), size, size, x.shape[-1]), "linear"))

    def predict(images):
        if size != image_size:
            images = np.concatenate([resize(jnp.asarray(images[i : i + 500])) for i in range(0, len(images), 500)])
        return logits_of(images) > 0

    parts = [
        (logits_of(pixels), rows["attributes"]) for rows, pixels in image_batches(judge.data, judge.data.test, BATCH)
    ]
    logits, attributes = (np.concatenate(part) for part in zip(*parts, strict=True))
    right = (logits > 0) == (attributes > 0)
    return predict, judge.data.attributes, right.mean(0)


def check_edits(run, code, vectors, workdir: Path) -> dict[str, float]:
    """Numbers for the results: shares for each attribute of EDITED, and the judge's own accuracy."""
    predict, names, accuracy = load_judge(workdir, run.config.image_size)
    if names != run.data.attributes:
        raise UserError(f"--attribute_classifier={workdir}: was trained on other attributes")
    numbers = {"attribute classifier: accuracy, mean of attributes": float(accuracy.mean())}

    def faces_without(source, name):
        """Codes of the faces without the attribute, their predicted attributes, and which of them could show it."""
        rows = source.take(np.arange(min(HELD_OUT, len(source))))
        without = rows["attributes"][:, names.index(name)] == 0
        mean, _ = code.encode(np.asarray(run.data.transform(rows)["image"])[without])
        able = np.ones(len(mean), bool)
        if name in avatars.HAIR_COLORS:  # bald and hatted faces have no hair to colour
            colors = [names.index(color) for color in avatars.HAIR_COLORS]
            able = rows["attributes"][without][:, colors].any(axis=1)
        return mean, predict(code.decode(mean)), able

    def shares(faces, name, factor):
        """(gained, kept) over the faces that could show the attribute, and over all of them."""
        mean, before, able = faces
        after = predict(code.decode((mean + factor * vectors[name]).astype(np.float32)))
        group = next(group for group in GROUPS if name in group)
        related = np.array([other in group for other in names])
        column = names.index(name)
        return edit_success(before[able], after[able], column, related), edit_success(before, after, column, related)

    for name in EDITED:
        tried = faces_without(run.data.validation, name)
        found = {factor: shares(tried, name, factor)[0] for factor in FACTORS}
        factor = max(found, key=lambda f: min(found[f][0] / 0.9, found[f][1] / 0.85))
        (gained, kept), (gained_of_all, kept_of_all) = shares(faces_without(run.data.test, name), name, factor)
        numbers |= {
            f"edit {name}: factor": factor,
            f"edit {name}: gained": gained,
            f"edit {name}: others kept": kept,
            f"attribute classifier: accuracy on {name}": float(accuracy[names.index(name)]),
        }
        if name in avatars.HAIR_COLORS:
            numbers |= {
                f"edit {name}: gained, bald and hatted faces counted": gained_of_all,
                f"edit {name}: others kept, bald and hatted faces counted": kept_of_all,
            }
    return numbers
