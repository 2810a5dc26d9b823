"""Metrics of translated held-out images: distances to the target domain, attributes, change of the background."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.adversarial.feature_networks import Features, load_features
from experiments.autoencoding.attribute_classifier import (
    AttributeClassifier,
    load_attribute_classifier,
    related_attributes,
)
from experiments.translation.perceptual import load_perceptual_distance
from experiments.translation.setup import LEAST_COMPARED, Config
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.images.avatars import BACKGROUND
from gdl_jax.data.images.domains import TwoDomains, images_of
from gdl_jax.evaluation import pairs
from gdl_jax.evaluation.attributes import edit_success
from gdl_jax.evaluation.distances import kernel_distance
from gdl_jax.runs.experiment import SampleEvaluator

TARGETS = {"a": "b", "b": "a"}  # domain -> the one that its images are translated into


def held_out(data: TwoDomains, split: str, domain: str, limit: int) -> np.ndarray:
    """Returns the first images of a domain in a split, at most `limit`, each once: (N, H, W, C) in [0, 1]."""
    return images_of(getattr(data, split), domain, limit).astype(np.float32) / 255.0


def background(faces: np.ndarray) -> np.ndarray:
    """Returns True at background pixels of avatars, (N, H, W, 3) in [0, 1] -> (N, H, W)."""
    return (np.abs(255.0 * faces - np.array(BACKGROUND)) < 2.0).all(axis=-1)


class Target(NamedTuple):
    """Attribute that translated faces must have or lack.

    Attributes:
      column: index of the attribute.
      has: True if faces must have it.
      related: (A,) bool, attributes that the translation changes by definition.
    """

    column: int
    has: bool
    related: np.ndarray


def targets(config: Config, names: tuple[str, ...]) -> dict[str, Target]:
    """Returns the target of translations into each domain; {} if the domains are not made by attributes of `names`."""
    domains = config.domains if config.direction == "AtoB" else config.domains[::-1]
    plain = [domain.removeprefix("-") for domain in domains]
    if len(plain) != 2 or not all(name in names for name in plain):
        return {}
    related = related_attributes(names, plain[0]) | related_attributes(names, plain[1])
    return {
        domain: Target(names.index(name), not text.startswith("-"), related)
        for domain, name, text in zip(TARGETS, plain, domains, strict=True)
    }


def unpaired_evaluator(config: Config, data: TwoDomains) -> SampleEvaluator | None:
    """Returns the evaluator of translations {"a": images into A, "b": images into B} of the test split's images.

    None if there is nothing to measure: neither `features` nor `attribute_classifier`, and no avatars, whose background
    is known. The reference has the same metrics of untranslated images.

    Raises:
      ConfigError: the networks can't be loaded, or the split has too few images.
    """
    if not (config.features or config.attribute_classifier or config.dataset == "avatars"):
        return None
    real = {domain: held_out(data, "test", domain, config.judged_samples) for domain in TARGETS}
    protocol, parts = [], []
    if config.features:
        _check_count(config, "features", data, real)
        network = load_features(config.features)
        protocol.append(f"KID to the target domain's test images: {network.name}{network.about_kid}")
        parts.append(_distances(network, real))
    if config.attribute_classifier:
        classifier = _load_classifier(config, data)
        goals = targets(config, classifier.names)
        if not goals:
            reason = f"needs domains made by two of its attributes, {', '.join(classifier.names)}"
            raise ConfigError("attribute_classifier", config.attribute_classifier, reason)
        right = " and ".join(f"{classifier.accuracy[goal.column]:.1%}" for goal in goals.values())
        protocol.append(
            "has_attribute: share predicted to be as the target's attribute says; others_kept: share of the attributes "
            f"outside its group predicted as before. The classifier is right for {right} of test faces in the domains' "
            f"attributes, {classifier.accuracy.mean():.1%} in all"
        )
        parts.append(_attributes(classifier, goals, real))
    if config.dataset == "avatars":
        protocol.append("background_shift: mean absolute change of the avatars' background, pixels in [0, 1]")
        parts.append(_shifts(real))
    counts = " and ".join(f"{len(real[domain]):,}" for domain in TARGETS)
    protocol.insert(0, f"translations of {counts} test images")
    reference = {f"untranslated/{name}": value for part in parts for name, value in part.untranslated.items()}
    if reference:
        protocol.append("untranslated: the same of the images before translation")

    def evaluate(images: Any) -> dict[str, float]:
        return {f"samples/{name}": value for part in parts for name, value in part.measure(images).items()}

    return SampleEvaluator("; ".join(protocol), sum(map(len, real.values())), evaluate, reference)


def _check_count(config: Config, field: str, data: TwoDomains, real: Mapping[str, np.ndarray]) -> None:
    if min(map(len, real.values())) < LEAST_COMPARED:
        reason = f"{data.name} has fewer than {LEAST_COMPARED} test images of a domain"
        raise ConfigError(field, getattr(config, field), reason)


def _load_classifier(config: Config, data: TwoDomains) -> AttributeClassifier:
    """Returns the classifier of the data set's attributes."""
    classifier = load_attribute_classifier(config.attribute_classifier)
    if classifier.names != data.attributes:
        raise ConfigError("attribute_classifier", config.attribute_classifier, "was trained on other attributes")
    return classifier


def _shifts(real: Mapping[str, np.ndarray]) -> "_Part":
    subjects = {domain: ~background(faces) for domain, faces in real.items()}

    def measure(images: Mapping[str, np.ndarray]) -> dict[str, float]:
        shifts = {
            into: pairs.background_shift(real[domain], images[into], subjects[domain])
            for into, domain in TARGETS.items()
        }
        return {f"background_shift_into_{into}": float(shift.mean()) for into, shift in shifts.items()}

    return _Part(measure, {})


def paired_evaluator(config: Config, data: TwoDomains) -> SampleEvaluator:
    """Returns the evaluator of translations (N, H, W, C) of the test split's images, next to the true ones.

    With `features=vgg16`, the perceptual distance is measured, too.

    Raises:
      ConfigError: the networks can't be loaded, the split has too few images for them, or images are too small.
    """
    truth = held_out(data, "test", "b", config.judged_samples)
    if min(truth.shape[1:3]) < pairs.WINDOW:
        raise ConfigError("image_size", config.image_size, f"SSIM needs at least {pairs.WINDOW} pixels a side")
    protocol = [f"translations of {len(truth):,} test images, compared with the true ones; pixels in [0, 1]"]
    parts = [_pixels(truth)]
    if config.features:
        _check_count(config, "features", data, {"b": truth})
        network = load_features(config.features)
        protocol.append(f"KID to the true images: {network.name}{network.about_kid}")
        real = network.extract(truth)[0]
        parts.append(
            lambda images: {"kid": kernel_distance(real, network.extract(images)[0], normalise=network.normalise)}
        )
    if config.features == "vgg16":
        distance = load_perceptual_distance()
        protocol.append(f"perceptual_distance: {distance.name}")
        parts.append(lambda images: {"perceptual_distance": float(distance.measure(truth, images).mean())})
    if config.attribute_classifier:
        classifier = _load_classifier(config, data)
        true = classifier.predict(truth)
        protocol.append(
            "attributes_right: share of attributes predicted as for the true images, by a classifier that is right for "
            f"{classifier.accuracy.mean():.1%}"
        )
        parts.append(lambda images: {"attributes_right": float((classifier.predict(images) == true).mean())})

    def evaluate(images: Any) -> dict[str, float]:
        return {f"samples/{name}": value for part in parts for name, value in part(images).items()}

    return SampleEvaluator("; ".join(protocol), config.judged_samples, evaluate)


def _pixels(truth: np.ndarray) -> Any:
    def measure(images: np.ndarray) -> dict[str, float]:
        return {
            "l1": float(pairs.l1(truth, images).mean()),
            "psnr": float(pairs.psnr(truth, images).mean()),
            "ssim": float(pairs.ssim(truth, images).mean()),
        }

    return measure


class _Part(NamedTuple):
    """Metrics of one network: `measure` is a function of translations {"a", "b"}."""

    measure: Callable[[Mapping[str, np.ndarray]], dict[str, float]]
    untranslated: dict[str, float]


def _distances(network: Features, real: Mapping[str, np.ndarray]) -> _Part:
    features = {domain: network.extract(images)[0] for domain, images in real.items()}

    def measure(images: Mapping[str, np.ndarray]) -> dict[str, float]:
        return {f"kid_into_{into}": kid(features[into], network.extract(images[into])[0]) for into in TARGETS}

    def kid(real: np.ndarray, fake: np.ndarray) -> float:
        return kernel_distance(real, fake, normalise=network.normalise)

    return _Part(
        measure, {f"kid_into_{into}": kid(features[into], features[domain]) for into, domain in TARGETS.items()}
    )


def _attributes(classifier: AttributeClassifier, goals: Mapping[str, Target], real: Mapping[str, np.ndarray]) -> _Part:
    before = {domain: classifier.predict(images) for domain, images in real.items()}

    def success(into: str, after: np.ndarray) -> dict[str, float]:
        goal = goals[into]
        has, kept = edit_success(before[TARGETS[into]], after, goal.column, goal.related, goal.has)
        return {f"has_attribute_of_{into}": has, f"others_kept_into_{into}": kept}

    def measure(images: Mapping[str, np.ndarray]) -> dict[str, float]:
        return {n: v for into in TARGETS for n, v in success(into, classifier.predict(images[into])).items()}

    untranslated = {n: v for into, domain in TARGETS.items() for n, v in success(into, before[domain]).items()}
    return _Part(measure, untranslated)
