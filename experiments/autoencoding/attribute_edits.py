"""Attribute arithmetic, evaluated by a classifier that was trained independently of the autoencoder.

The factor of each attribute's vector is chosen on validation images. Measured on test images that lack the attribute:
the share predicted to have it once its vector is added, and the share of their other attributes that stay as predicted.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.autoencoding.attribute_classifier import (
    AttributeClassifier,
    load_attribute_classifier,
    related_attributes,
)
from experiments.autoencoding.encoding import Coders, encode_rows
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.dataset import Source
from gdl_jax.data.images import avatars
from gdl_jax.evaluation.attributes import attribute_vector, edit_success
from gdl_jax.runs.experiment import Results, Run

EDITED = ("Eyeglasses", "Red_Hair", "Curly_Hair")  # glasses, a hair colour, a hairstyle
FACTORS = (0.75, 1.0, 1.25, 1.5, 2.0, 2.5)
HELD_OUT = 1000  # faces of a split that are used
ENCODED = 5000  # most training images from which an attribute's vector is computed
PROTOCOL = (
    f"the first {HELD_OUT:,} test images, those without the attribute. gained: share predicted to have it once its "
    "vector is added; others kept: share of their other attributes predicted as before. The factor was chosen on "
    "validation images. Hair colours are added to faces with hair only; with hairless: to all"
)


class Faces(NamedTuple):
    """Faces without an attribute.

    Attributes:
      mean: (N, z), their codes.
      before: (N, A) bool, attributes predicted for their reconstructions.
      able: (N,) bool, true where the face can show the attribute.
    """

    mean: np.ndarray
    before: np.ndarray
    able: np.ndarray


def attribute_vectors(run: Run, coders: Coders) -> dict[str, np.ndarray]:
    """Returns {attribute: mean code with it minus mean code without it} of training images; codes are means of q."""
    rows, (mean, _) = encode_rows(run, coders, run.data.train, ENCODED)
    has_it = rows["attributes"].T
    varied = {name: has for name, has in zip(run.data.attributes, has_it, strict=True) if has.any() and not has.all()}
    return {name: attribute_vector(mean, has) for name, has in varied.items()}


def _faces_without(run: Run, coders: Coders, classifier: AttributeClassifier, source: Source, name: str) -> Faces:
    """Returns those of a split's first faces that lack the attribute."""
    names = classifier.names
    rows = source.take(np.arange(min(HELD_OUT, len(source))))
    without = rows["attributes"][:, names.index(name)] == 0
    mean, _ = coders.encode(np.asarray(run.data.transform(rows)["image"])[without])
    able = np.ones(len(mean), bool)
    if name in avatars.HAIR_COLORS:  # bald and hatted faces have no hair to colour
        colors = [names.index(color) for color in avatars.HAIR_COLORS]
        able = rows["attributes"][without][:, colors].any(axis=1)
    return Faces(mean, classifier.predict(coders.decode(mean)), able)


def _shares(
    coders: Coders, classifier: AttributeClassifier, faces: Faces, name: str, change: np.ndarray
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Returns (gained, kept) after adding `change` (z,) to codes: of faces that can show the attribute, and of all."""
    after = classifier.predict(coders.decode((faces.mean + change).astype(np.float32)))
    related = related_attributes(classifier.names, name)
    column = classifier.names.index(name)
    able = faces.able
    return (
        edit_success(faces.before[able], after[able], column, related),
        edit_success(faces.before, after, column, related),
    )


def check_edits(run: Run, coders: Coders, vectors: Mapping[str, np.ndarray], workdir: str) -> Results:
    """Returns the shares of each attribute in EDITED, and the classifier's accuracy.

    Args:
      run: of an autoencoder of faces; its data set has a validation split.
      coders: its networks.
      vectors: {attribute: (z,)}, from `attribute_vectors`.
      workdir: of the attribute classifier.

    Raises:
      ConfigError: attribute_classifier holds no classifier of these attributes.
    """
    classifier = load_attribute_classifier(workdir)
    if classifier.names != run.data.attributes:
        raise ConfigError("attribute_classifier", workdir, "was trained on other attributes")
    results = {"attribute_classifier/accuracy": float(classifier.accuracy.mean())}
    for name in EDITED:
        tried = _faces_without(run, coders, classifier, run.data.validation, name)
        found = {factor: _shares(coders, classifier, tried, name, factor * vectors[name])[0] for factor in FACTORS}
        factor = max(found, key=lambda f: min(found[f][0] / 0.9, found[f][1] / 0.85))
        faces = _faces_without(run, coders, classifier, run.data.test, name)
        (gained, kept), (gained_by_all, kept_by_all) = _shares(coders, classifier, faces, name, factor * vectors[name])
        key = name.lower()
        results |= {
            f"edit/{key}_factor": factor,
            f"edit/{key}_gained": gained,
            f"edit/{key}_others_kept": kept,
            f"attribute_classifier/accuracy_{key}": float(classifier.accuracy[classifier.names.index(name)]),
        }
        if name in avatars.HAIR_COLORS:
            results |= {
                f"edit/{key}_gained_with_hairless": gained_by_all,
                f"edit/{key}_others_kept_with_hairless": kept_by_all,
            }
    return results | {"protocol": {"edit": PROTOCOL}}
