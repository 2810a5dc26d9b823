"""Config, networks, learner, figures and sample metrics of the GANs on images (book chapter 4)."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.adversarial import rules
from experiments.adversarial.feature_networks import Features, load_features
from gdl_jax.core.config_flags import AtLeast, EvaluationOnly, IsPath, Needs
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import DataSet, Source, joined, only_class
from gdl_jax.evaluation.distances import (
    density_and_coverage,
    frechet_distance,
    kernel_distance,
    precision_and_recall,
)
from gdl_jax.evaluation.modes import class_counts, inception_score, kl_to_real, kl_to_uniform, modes, modes_covered
from gdl_jax.evaluation.neighbours import nearest_by_l1
from gdl_jax.learners.adversarial import clip_weights, generate, noise_inputs
from gdl_jax.learners.gradient import init_variables
from gdl_jax.learners.optimizers import is_weight
from gdl_jax.models import dcgan
from gdl_jax.plots import images
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.config import DTYPES, ImageConfig
from gdl_jax.runs.experiment import Experiment, Network, Run, SampleEvaluator, SampleMetrics, Sampler, SampleRequest
from gdl_jax.runs.images import data_spec, image_spec, load_data

BATCH = 128
SHOWN = 40
PAIRS, STEPS_BETWEEN = 5, 11
WALK_POINTS, WALK_FRAMES = 6, 12
NEAREST_SHOWN, NEAREST_MEASURED = 10, 100
LEAST_COMPARED = 10  # images: density and coverage need the five nearest neighbours
NEAR_LIMIT = 0.95  # share of the clipping limit above which a weight counts as clipped; an update moves it by some 0.01
# For images of 28x28 pixels: the networks of the presets `digits`, and everything common to the presets `tiny`.
DIGITS = {
    "generator_filters": (64, 32, 1),
    "generator_kernel_sizes": (5, 5, 5),
    "generator_strides": (2, 2, 1),
    "critic_filters": (32, 64, 64),
    "critic_kernel_sizes": (5, 5, 5),
    "critic_strides": (2, 2, 1),
}
TINY = DIGITS | {
    "first_filters": 8,
    "generator_filters": (8, 4, 1),
    "critic_filters": (4, 8, 8),
    "batch_size": 16,
    "steps": 40,
    "log_every": 10,
    "eval_every": 20,
    "checkpoint_every": 20,
}


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, rules.Config, dcgan.Config):
    only_class: str = ""  # train on images of this class only
    join_splits: bool = False  # train on all splits, as the book's WGAN does; nothing is held out then
    conditional: bool = False  # give the class to generator and critic
    # feature extractor for sample metrics: vgg16, inception:PATH, or the workdir of a `classifier` run; empty: none
    features: Annotated[str, IsPath(names=("", "vgg16"), kinds=("inception",)), EvaluationOnly()] = ""
    # number of samples to compare with as many held-out images, or with all of them if there are fewer
    judged_samples: Annotated[int, AtLeast(LEAST_COMPARED), Needs("features"), EvaluationOnly()] = 1000


def load(config: Config) -> DataSet:
    """Returns the data set, restricted to one class and with its splits joined if the config says so.

    Raises:
      UserError: it cannot be loaded, or lacks classes that the config needs.
    """
    data = load_data(config)
    if config.only_class:
        data = only_class(data, config.only_class)
    if config.conditional and not data.classes:
        raise ConfigError("conditional", None, f"dataset={config.dataset} has no classes")
    return joined(data) if config.join_splits else data


def spec(config: Config) -> DataSet | None:
    """Returns one black image of the data set's shape; None where the classes needed are known from the data alone."""
    data = data_spec(config)
    if data is None:
        return None
    known = config.only_class in data.classes if config.only_class else data.classes or not config.conditional
    return data if known else None


def networks(config: Config, data: DataSet) -> dict[str, Network]:
    """Returns critic and generator."""
    image = image_spec(data)
    label = (jax.ShapeDtypeStruct((1,), jnp.int32),) if config.conditional else ()
    noise = jax.ShapeDtypeStruct((1, config.z_dim), jnp.float32)
    classes = len(data.classes) if config.conditional else 0
    dtype = DTYPES[config.precision]
    return {
        "critic": Network(dcgan.Critic(config, classes, dtype), (image, *label)),
        "generator": Network(dcgan.Generator(config, image.shape[1:], classes, dtype), (noise, *label)),
    }


def build(config: Config, data: DataSet, axis_name: str | None) -> Learner:
    """Returns the learner."""
    return rules.make_learner(
        config,
        {name: network.module for name, network in networks(config, data).items()},
        axis_name,
        inputs=noise_inputs(config.z_dim, labels=config.conditional),
        real=lambda batch: 2.0 * batch["image"] - 1.0,
        conditions=lambda batch: (batch["label"],) if config.conditional else (),
    )


def draw(run: Run, key: jax.Array, num: int) -> np.ndarray:
    """Returns `num` samples (num, H, W, C) in [0, 1]; classes are as frequent as in the training split."""
    outputs = rules.draw_outputs(run, key, num, lambda key, indices: draw_conditions(run, key, len(indices)))
    return (outputs + 1.0) / 2.0


def draw_conditions(run: Run, key: jax.Array, num: int) -> dict[str, jax.Array]:
    """Returns {"label": (num,)}, the labels of random training images; {} for an unconditional generator."""
    if not run.config.conditional:
        return {}
    labels = np.sort(run.data.train.labels())  # a described data set may know only how many there are of each
    rows = np.asarray(jax.random.randint(key, (num,), 0, len(labels)))
    return {"label": jnp.asarray(labels[rows], jnp.int32)}


def _decode(run: Run, z: np.ndarray) -> np.ndarray:
    """Returns the images (N, H, W, C) in [0, 1] of noise (N, z_dim) in evaluation mode, all of one class."""
    generator = networks(run.config, run.data)["generator"].module
    label = draw_conditions(run, run.key, 1).values()

    @jax.jit
    def decode(z):
        return generate(generator, run.state, z, *(jnp.repeat(one, len(z)) for one in label))

    return (in_batches(decode, z, BATCH) + 1.0) / 2.0


def _features(
    network: Features, data: DataSet, source: Source, first: int, count: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the features of `count` images of a split, from index `first` of a fixed random order on."""
    index = np.random.default_rng(0).permutation(len(source))[first : first + count]
    return in_batches(
        lambda rows: network.extract(np.asarray(data.transform(source.take(rows))["image"])), index, BATCH
    )


def sample_evaluator(config: Config, data: DataSet) -> SampleEvaluator | None:
    """Returns the evaluator that compares samples with real images in feature space; None without `features`.

    The real images are the first `judged_samples` of the test split in a fixed random order, or all of it if it has
    fewer; training images where nothing is held out. The protocol says which, and how many.

    Raises:
      ConfigError: the feature extractor cannot be loaded, or the split has too few images.
    """
    if not config.features:
        return None
    network = load_features(config.features)
    split = "train" if data.test is None else "test"
    real = _features(network, data, getattr(data, split), 0, config.judged_samples)
    count = len(real[0])
    if count < LEAST_COMPARED:
        reason = f"{data.name} has {count} {split} images; needs {LEAST_COMPARED}"
        raise ConfigError("features", config.features, reason)
    protocol = f"{network.name}{network.about_kid}; {config.judged_samples:,} generated and {count:,} {split} images"
    protocol += " (nothing is held out)" if split == "train" else ""
    used = count if split == "train" else 0  # training images
    reference = {}
    if len(data.train) - used >= LEAST_COMPARED:
        others = _features(network, data, data.train, used, config.judged_samples)
        reference = _named("real_images", _compare(network, real, others))
        protocol += f"; real_images: {len(others[0]):,} {'other ' if used else ''}training images"
        protocol += " in place of generated ones"
    known = {"modes_of_real_images": float(modes(real[1]).sum())} if network.classes else {}

    def evaluate(samples):
        return _named("samples", _compare(network, real, network.extract(samples)) | known)

    return SampleEvaluator(protocol, config.judged_samples, evaluate, reference)


def _named(kind: str, numbers: Mapping[str, float]) -> dict[str, float]:
    return {f"{kind}/{name}": number for name, number in numbers.items()}


def _compare(network: Features, real, fake) -> dict[str, float]:
    """Returns metrics that compare generated with real images.

    Args:
      network: that extracted the features; class frequencies are compared if it has the data set's classes.
      real, fake: features (N, D), and class probabilities (N, K) or None.
    """
    (real_features, real_probabilities), (features, probabilities) = real, fake
    precision, recall = precision_and_recall(real_features, features)
    density, coverage = density_and_coverage(real_features, features)
    numbers = {
        "fid": frechet_distance(real_features, features),
        "kid": kernel_distance(real_features, features, normalise=network.normalise),
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
    }
    if probabilities is not None:
        numbers["classifier_score"] = inception_score(probabilities)
    if network.classes:
        counts = class_counts(probabilities)
        numbers |= {
            "modes_covered": float(modes_covered(real_probabilities, probabilities)),
            "kl_to_uniform": kl_to_uniform(counts),
            "kl_to_real": kl_to_real(counts, class_counts(real_probabilities)),
        }
    return numbers


def preview(run: Run) -> None:
    """Draws samples from the same noise at every step."""
    images.image_grid(draw(run, run.key, SHOWN), run.figures / f"samples_at_{run.step:07d}.png", columns=10)


def analyse(run: Run) -> dict[str, Any]:
    """Draws samples, latent paths, nearest training images and the critic's weights; returns metrics and failures."""
    images.image_grid(draw(run, run.key, 60), run.figures / "samples.png", columns=10)
    _paths(run)
    rules.film(run.figures)
    numbers = _nearest(run)
    how = f"means over the first {NEAREST_MEASURED} samples and test images, pixels in [0, 1]"
    protocol = {"l1_to_nearest_training_image": how}
    rules.plot_critic_weights(run)
    if run.config.clip:
        numbers |= weights_at_limit(run)
        protocol["share_at_clipping_limit"] = f"clipped parameters within {1 - NEAR_LIMIT:.0%} of the limit"
    if not any("samples/modes_of_real_images" in row for row in rules.log_rows(run)):
        protocol["failure_modes"] = "found in the log; modes are not counted, as features names no classifier"
    return numbers | {"failure_modes": rules.failures(run), "protocol": protocol}


def weights_at_limit(run: Run) -> dict[str, float]:
    """Returns the share of the critic's clipped parameters near the limit, now and at initialisation."""
    biases = run.config.clip_biases
    critic = networks(run.config, run.data)["critic"]
    inputs = [jnp.zeros(spec.shape, spec.dtype) for spec in critic.inputs]
    start, _ = init_variables(critic.module, run.key, *inputs)

    def share(params):
        leaves = jax.tree_util.tree_leaves_with_path(params)
        clipped = [np.ravel(w) for path, w in leaves if biases or is_weight(path, w)]
        return float((np.abs(np.concatenate(clipped)) >= NEAR_LIMIT * run.config.clip).mean())

    at_start = clip_weights(run.config.clip, biases)(start)
    return {
        "critic/share_at_clipping_limit": share(run.state.critic.params),
        "initial_critic/share_at_clipping_limit": share(at_start),
    }


def _paths(run: Run) -> None:
    """Draws straight lines between pairs of latent points; animates a closed walk through several of them."""
    ends = np.asarray(jax.random.normal(run.key, (2 * PAIRS, run.config.z_dim)))
    share = np.linspace(0.0, 1.0, STEPS_BETWEEN)[:, None]
    lines = np.concatenate([(1 - share) * a + share * b for a, b in ends.reshape(PAIRS, 2, -1)])
    decoded = _decode(run, lines).reshape(PAIRS, STEPS_BETWEEN, *image_spec(run.data).shape[1:])
    headings = [f"{value:.1f}" for value in share[:, 0]]
    labels = [f"pair {i + 1}" for i in range(PAIRS)]
    images.rows(list(decoded), labels, run.figures / "interpolations.png", headings=headings)
    stops = np.concatenate([ends[:WALK_POINTS], ends[:1]])
    share = np.arange(WALK_FRAMES)[:, None] / WALK_FRAMES
    walk = np.concatenate([(1 - share) * a + share * b for a, b in itertools.pairwise(stops)])
    frames = [images.tile(image[None], 1)[0] / 255.0 for image in _decode(run, walk.astype(np.float32))]
    images.animation(frames, run.figures / "latent_walk.gif", frames_per_second=12)


def _nearest(run: Run) -> dict[str, float]:
    """Draws samples above their nearest training images; returns their mean distance, and that of held-out images."""
    drawn = draw(run, run.key, NEAREST_MEASURED)
    found = nearest_by_l1(drawn, run.data.train)
    shown = slice(NEAREST_SHOWN)
    neighbours = np.asarray(run.data.transform(run.data.train.take(found.index[shown]))["image"])
    headings = [f"{distance:.3f}" for distance in found.distance[shown]]
    path = run.figures / "nearest_training_images.png"
    images.rows([drawn[shown], neighbours], ["sample", "nearest"], path, headings=headings)
    numbers = {"samples/l1_to_nearest_training_image": float(found.distance.mean())}
    if run.data.test is not None:
        rows = run.data.test.take(np.arange(min(NEAREST_MEASURED, len(run.data.test))))
        held_out = nearest_by_l1(np.asarray(run.data.transform(rows)["image"]), run.data.train)
        numbers["test_images/l1_to_nearest_training_image"] = float(held_out.distance.mean())
    return numbers


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Draws a grid of samples."""
    path = request.out / "samples.png"
    images.image_grid(draw(run, run.key, request.num), path, columns=10)
    return [path]


def experiment(*, name: str, module: str, presets: Mapping[str, Config]) -> Experiment:
    """Returns an experiment of chapter 4.

    Args:
      name: of the experiment.
      module: `__name__` of the script that defines it as EXPERIMENT.
      presets: by name; the first is the default.
    """
    return Experiment(
        name=name,
        module=module,
        presets=presets,
        load=load,
        spec=spec,
        networks=networks,
        build=build,
        preview=preview,
        analyse=analyse,
        sampler=Sampler(sample=sample),
        sample_metrics=SampleMetrics(draw=draw, evaluator=sample_evaluator),
    )
