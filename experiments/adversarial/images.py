"""What chapter 4's experiments share: config, learner, figures, and how sampled images are judged."""

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments.adversarial import rules as game
from experiments.adversarial.feature_networks import load_features
from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import joined, only_class
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
from gdl_jax.models import dcgan
from gdl_jax.plots import images
from gdl_jax.runs.experiment import DTYPES, Experiment, ImageConfig, Judge, Part, image_spec, load_data

BATCH = 128
SHOWN = 40
PAIRS, STEPS_BETWEEN = 5, 11
WALK_POINTS, WALK_FRAMES = 6, 12
NEAREST_SHOWN, NEAREST_MEASURED = 10, 100
LEAST_JUDGED = 10  # images: distances are to the fifth nearest of them
NEAR_LIMIT = 0.95  # share of the clipping limit from which on a weight is at it; one update moves it by some hundredths


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, game.Config, dcgan.Config):
    only_class: str = ""  # train on images of this class only
    join_splits: bool = False  # train on all splits, as the book's WGAN does; then nothing is held out
    conditional: bool = False  # generator and critic get the class as well
    features: str = ""  # judge of samples: vgg16, inception:PATH, or workdir of a `classifier` run; none: no judge
    judged_samples: int = 1000  # generated images that are compared with as many held-out ones, or all that there are

    LEAST = ImageConfig.LEAST | game.Config.LEAST | {"first_filters": 1, "judged_samples": LEAST_JUDGED}
    NEEDS = ImageConfig.NEEDS | game.Config.NEEDS | {"judged_samples": "features"}


def load(config):
    """The data set, perhaps of one class, perhaps with all splits joined."""
    data = load_data(config)
    if config.only_class:
        data = only_class(data, config.only_class)
    if config.conditional and not data.classes:
        raise UserError(f"--conditional: --dataset={config.dataset} has no classes")
    return joined(data) if config.join_splits else data


def _classes(config, data) -> int:
    return len(data.classes) if config.conditional else 0


def parts(config, data):
    """Critic and generator."""
    image = image_spec(data)
    label = (jax.ShapeDtypeStruct((1,), jnp.int32),) if config.conditional else ()
    noise = jax.ShapeDtypeStruct((1, config.z_dim), jnp.float32)
    classes, dtype = _classes(config, data), DTYPES[config.precision]
    return {
        "critic": Part(dcgan.Critic(config, classes, dtype), (image, *label)),
        "generator": Part(dcgan.Generator(config, image.shape[1:], classes, dtype), (noise, *label)),
    }


def build(config, data, axis_name):
    """The learner."""
    return game.make_learner(
        config,
        {name: part.module for name, part in parts(config, data).items()},
        axis_name,
        inputs=noise_inputs(config.z_dim, labels=config.conditional),
        real=lambda batch: 2.0 * batch["image"] - 1.0,
        conditions=lambda batch: (batch["label"],) if config.conditional else (),
    )


def draw(run, key, num: int) -> np.ndarray:
    """`num` samples (num, H, W, C) in [0, 1]; with classes, as often of each as training images are."""
    outputs = game.draw_outputs(run, key, num, lambda key, places: _conditions(run, key, len(places)))
    return (outputs + 1.0) / 2.0


def _conditions(run, key, num: int) -> dict[str, jax.Array]:
    """{"label": (num,)}, those of training images drawn by `key`; {} where the generator knows no classes."""
    if not run.config.conditional:
        return {}
    rows = np.asarray(jax.random.randint(key, (num,), 0, len(run.data.train)))
    return {"label": jnp.asarray(run.data.train.take(rows)["label"], jnp.int32)}


def _decode(run, z: np.ndarray) -> np.ndarray:
    """Images in [0, 1] of noise (N, z_dim), in evaluation mode; of one class, which training images have."""
    generator = parts(run.config, run.data)["generator"].module
    labels = tuple(jnp.repeat(label, len(z)) for label in _conditions(run, run.key, 1).values())
    return (np.asarray(jax.jit(lambda z: generate(generator, run.state, z, *labels))(z)) + 1.0) / 2.0


def make_judge(config, data) -> Judge | None:
    """What compares samples with real images in the feature space of --features, if that is given.

    The real images are held out: --judged_samples of the test split, or all of it where it has fewer. Where nothing is
    held out they are training images. The protocol says which, and how many.

    Raises:
      UserError: the network can't be had, or the test split has too few images.
    """
    if not config.features:
        return None
    network = load_features(config.features)
    split = "train" if data.test is None else "test"

    def features_of(source, first):
        index = np.random.default_rng(0).permutation(len(source))[first : first + config.judged_samples]
        batches = (data.transform(source.take(index[i : i + BATCH])) for i in range(0, len(index), BATCH))
        seen = [network.extract(np.asarray(batch["image"])) for batch in batches]
        return tuple(None if arrays[0] is None else np.concatenate(arrays) for arrays in zip(*seen, strict=True))

    real = features_of(getattr(data, split), 0)
    count = len(real[0])
    if count < LEAST_JUDGED:
        raise UserError(f"--features={config.features}: {data.name} has {count} {split} images; needs {LEAST_JUDGED}")
    protocol = f"{network.name}; {config.judged_samples:,} generated and {count:,} {split} images"
    protocol += " (nothing is held out)" if split == "train" else ""
    others = len(data.train) - (count if split == "train" else 0)
    reference = {}
    if others >= LEAST_JUDGED:
        more = features_of(data.train, count if split == "train" else 0)
        reference = {f"real images/{name}": number for name, number in _compare(real, more, network.classes).items()}
        protocol += f'; "real images": {len(more[0]):,} {"other " if split == "train" else ""}training images instead'
        protocol += " of generated ones"

    known = {"modes_of_real_images": float(modes(real[1]).sum())} if network.classes else {}

    def of_images(samples) -> dict[str, float]:
        numbers = _compare(real, network.extract(samples), network.classes) | known
        return {f"samples/{name}": number for name, number in numbers.items()}

    return Judge(protocol, config.judged_samples, of_images, reference)


def _compare(real, fake, classes) -> dict[str, float]:
    """How near generated images are to real ones.

    Args:
      real, fake: features (N, D) and probabilities (N, K) or None, of each.
      classes: that the probabilities are of, where their shares are to be compared; else ().
    """
    (real_features, real_probabilities), (features, probabilities) = real, fake
    precision, recall = precision_and_recall(real_features, features)
    density, coverage = density_and_coverage(real_features, features)
    numbers = {
        "fid": frechet_distance(real_features, features),
        "kid": kernel_distance(real_features, features),
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
    }
    if probabilities is not None:
        numbers["classifier_score"] = inception_score(probabilities)
    if classes:
        counts = class_counts(probabilities)
        numbers |= {
            "modes_covered": float(modes_covered(real_probabilities, probabilities)),
            "kl_to_uniform": kl_to_uniform(counts),
            "kl_to_real": kl_to_real(counts, class_counts(real_probabilities)),
        }
    return numbers


def preview(run):
    """Samples from the same noise at every step."""
    images.image_grid(draw(run, run.key, SHOWN), run.figures / f"samples_at_{run.step:07d}.png", columns=10)


def analyse(run):
    """Samples, paths through latent space, nearest training images, the critic's weights, and what went wrong."""
    images.image_grid(draw(run, run.key, 60), run.figures / "samples.png", columns=10)
    _paths(run)
    _film(run.figures)
    numbers = _nearest(run)
    game.plot_critic_weights(run)
    if run.config.clip:
        numbers |= _at_the_limit(run)
    counted = any("samples/modes_of_real_images" in row for row in game.log_rows(run))
    uncounted = "" if counted else "; modes not counted (no classifier given by --features)"
    numbers["failure modes"] = game.failures(run) + uncounted
    return numbers


def _at_the_limit(run) -> dict[str, float]:
    """How many of the critic's clipped parameters are near the limit, and how many were before it learnt."""
    biases = run.config.clip_biases
    critic = parts(run.config, run.data)["critic"]
    inputs = [jnp.zeros(spec.shape, spec.dtype) for spec in critic.inputs]
    start, _ = init_variables(critic.module, run.key, *inputs)

    def share(params):
        clipped = [np.ravel(w) for w in jax.tree.leaves(params) if biases or w.ndim > 1]
        return float((np.abs(np.concatenate(clipped)) >= NEAR_LIMIT * run.config.clip).mean())

    name = f"critic's clipped parameters within {1 - NEAR_LIMIT:.0%} of the limit"
    at_start = clip_weights(run.config.clip, biases)(start)
    return {name: share(run.state.critic.params), f"{name}, at initialisation": share(at_start)}


def _paths(run):
    """Straight lines between pairs of latent points, and a closed walk through several of them as a film."""
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


def _film(figures):
    """The previews, one after the other."""
    frames = [np.asarray(Image.open(path).convert("RGB")) / 255.0 for path in sorted(figures.glob("samples_at_*.png"))]
    if len(frames) > 1:
        images.animation(frames, figures / "training.gif", frames_per_second=4)


def _nearest(run):
    """Samples above their nearest training images, and how near those are; held-out images, no copies, beside them."""
    drawn = draw(run, run.key, NEAREST_MEASURED)
    found = nearest_by_l1(drawn, run.data.train)
    shown = slice(NEAREST_SHOWN)
    neighbours = np.asarray(run.data.transform(run.data.train.take(found.index[shown]))["image"])
    headings = [f"{distance:.3f}" for distance in found.distance[shown]]
    path = run.figures / "nearest_training_images.png"
    images.rows([drawn[shown], neighbours], ["sample", "nearest"], path, headings=headings)
    numbers = {"L1 distance to the nearest training image, samples": float(found.distance.mean())}
    if run.data.test is not None:
        rows = run.data.test.take(np.arange(min(NEAREST_MEASURED, len(run.data.test))))
        held_out = nearest_by_l1(np.asarray(run.data.transform(rows)["image"]), run.data.train)
        numbers["L1 distance to the nearest training image, test images"] = float(held_out.distance.mean())
    return numbers


def sample(run, request):
    """A grid of samples."""
    path = request.out / "samples.png"
    images.image_grid(draw(run, run.key, request.num), path, columns=10)
    return [path]


def experiment(name, config, presets) -> Experiment:
    """One of chapter 4's experiments, by its presets."""
    return Experiment(name, config, presets, build, parts, analyse, preview, sample, load, make_judge, draw)
