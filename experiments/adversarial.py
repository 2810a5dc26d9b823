"""What the experiments with a generator and a critic share: config, learner, figures, and how samples are judged."""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments.experiment import DTYPES, Experiment, Judge, Part, RunConfig, image_spec, load_data, refuse_images
from experiments.features import load_features
from gdl_jax.core.errors import UserError
from gdl_jax.core.logging import read_rows
from gdl_jax.data.dataset import joined, only_class
from gdl_jax.evaluation.distances import (
    density_and_coverage,
    frechet_distance,
    kernel_distance,
    precision_and_recall,
)
from gdl_jax.evaluation.instability import failure_modes
from gdl_jax.evaluation.modes import class_shares, inception_score, kl_to_uniform, modes_covered
from gdl_jax.evaluation.neighbours import nearest_by_l1
from gdl_jax.learners.adversarial import (
    Penalty,
    adversarial,
    clip_weights,
    generate,
    make_adversarial_loss,
    noise_inputs,
)
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.models import dcgan
from gdl_jax.plots import images
from gdl_jax.plots.weights import weight_histograms

BATCH = 250
SHOWN = 40
PAIRS, STEPS_BETWEEN = 5, 10
WALK_POINTS, WALK_FRAMES = 6, 12
NEAREST_SHOWN, NEAREST_MEASURED = 10, 100


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, dcgan.Config):
    only_class: str = ""  # train on images of this class only
    join_splits: bool = False  # train on all splits, as the book's WGAN does; then nothing is held out
    conditional: bool = False  # generator and critic get the class as well
    adversarial_loss: str = "bce"  # bce, least_squares, wasserstein, hinge or package.module:LOSS
    n_critic: int = 1  # critic updates for each of the generator
    generator_optimizer: str = "rmsprop"  # by name or package.module:function
    generator_learning_rate: float = 4e-4  # constant, as in the book
    critic_optimizer: str = "rmsprop"  # by name or package.module:function
    critic_learning_rate: float = 8e-4  # constant, as in the book
    separate_updates: bool = True  # the critic learns from real and from generated images in turn, not at once
    batch_statistics: bool = False  # generated images for the critic are normalised by their batch, not by averages
    gradient_penalty: float = 0.0  # weight of the penalty on the critic's gradient; 0: none
    gradient_penalty_center: float = 1.0  # the norm that is not penalised
    gradient_penalty_at: str = "interpolates"  # interpolates (WGAN-GP), or real (R1 with center 0)
    clip: float = 0.0  # limit of the critic's weights; 0: none
    clip_biases: bool = True  # clip biases too, as the book does
    ema_decay: float = 0.0  # of an average of the generator's parameters, which then makes the samples; 0: none
    features: str = ""  # workdir of a `classifier` run, with which samples are judged; none: they are not
    judged_samples: int = 1000  # generated images, and as many real ones, that are compared

    LEAST = RunConfig.LEAST | {
        "z_dim": 1,
        "first_filters": 1,
        "n_critic": 1,
        "gradient_penalty": 0,
        "gradient_penalty_center": 0,
        "clip": 0,
        "ema_decay": 0,
        "batch_norm_momentum": 0,
        "judged_samples": 10,
    }

    def __post_init__(self):
        super().__post_init__()
        if self.gradient_penalty_at not in ("interpolates", "real"):
            raise UserError(f"--gradient_penalty_at={self.gradient_penalty_at}: choose interpolates or real")
        for name in ("ema_decay", "batch_norm_momentum"):
            if getattr(self, name) >= 1:
                raise UserError(f"--{name}={getattr(self, name)}: must be below 1")


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
    modules = {name: part.module.clone(axis_name=axis_name) for name, part in parts(config, data).items()}
    optimizers = {
        f"{player}_optimizer": make_optimizer(
            getattr(config, f"{player}_optimizer"),
            getattr(config, f"{player}_learning_rate"),
            f"{player}_",
        )
        for player in ("generator", "critic")
    }
    penalty = Penalty(config.gradient_penalty, config.gradient_penalty_center, config.gradient_penalty_at)
    more = {"constrain": clip_weights(config.clip, config.clip_biases)} if config.clip else {}
    return adversarial(
        **modules,
        **optimizers,
        loss=make_adversarial_loss(config.adversarial_loss),
        inputs=noise_inputs(config.z_dim, labels=config.conditional),
        real=lambda batch: 2.0 * batch["image"] - 1.0,
        conditions=lambda batch: (batch["label"],) if config.conditional else (),
        n_critic=config.n_critic,
        penalty=penalty if config.gradient_penalty else None,
        separate_updates=config.separate_updates,
        batch_statistics=config.batch_statistics,
        ema_decay=config.ema_decay,
        axis_name=axis_name,
        **more,
    )


@functools.lru_cache(maxsize=4)
def _compiled_sample(learner):
    return jax.jit(lambda state, key, batch: learner.sample(state, key, BATCH, batch))


def draw(run, key, num: int) -> np.ndarray:
    """`num` samples (num, H, W, C) in [0, 1], of all classes in turn where there are classes."""
    labels = {"label": jnp.arange(BATCH) % len(run.data.classes)} if run.config.conditional else {}
    sample_batch = _compiled_sample(run.learner)
    batches = [sample_batch(run.state, jax.random.fold_in(key, i), labels) for i in range(-(-num // BATCH))]
    return (np.concatenate(batches)[:num] + 1.0) / 2.0


def _decode(run, z: np.ndarray) -> np.ndarray:
    """Images in [0, 1] of noise (N, z_dim), in evaluation mode; of class 0 where there are classes."""
    generator = parts(run.config, run.data)["generator"].module
    labels = (jnp.zeros(len(z), jnp.int32),) if run.config.conditional else ()
    return (np.asarray(jax.jit(lambda z: generate(generator, run.state, z, *labels))(z)) + 1.0) / 2.0


def make_judge(config, data) -> Judge | None:
    """What compares samples with real images in the feature space of a classifier, if there is one."""
    if not config.features:
        return None
    network = load_features(Path(config.features))
    split = "train" if data.test is None or len(data.test) < config.judged_samples else "test"
    source = getattr(data, split)
    index = np.random.default_rng(0).permutation(len(source))[: config.judged_samples]
    batches = [data.transform(source.take(index[i : i + BATCH])) for i in range(0, len(index), BATCH)]
    real = np.concatenate([network.extract(np.asarray(batch["image"]))[0] for batch in batches])
    protocol = f"{network.name}; {config.judged_samples:,} generated and {len(index):,} {split} images"

    def of_images(samples) -> dict[str, float]:
        fake, probabilities = network.extract(samples)
        precision, recall = precision_and_recall(real, fake)
        density, coverage = density_and_coverage(real, fake)
        shares = class_shares(probabilities.argmax(axis=1), len(network.classes))
        return {
            "samples/fid": frechet_distance(real, fake),
            "samples/kid": kernel_distance(real, fake),
            "samples/precision": precision,
            "samples/recall": recall,
            "samples/density": density,
            "samples/coverage": coverage,
            "samples/classifier_score": inception_score(probabilities),
            "samples/modes_covered": float(modes_covered(shares)),
            "samples/kl_to_uniform": kl_to_uniform(shares),
        }

    return Judge(protocol, config.judged_samples, of_images)


def preview(run):
    """Samples from the same noise at every step."""
    images.image_grid(draw(run, run.key, SHOWN), run.figures / f"samples_at_{run.step:07d}.png", columns=10)


def analyse(run):
    """Samples, paths through latent space, nearest training images, the critic's weights, and what went wrong."""
    images.image_grid(draw(run, run.key, 60), run.figures / "samples.png", columns=10)
    _paths(run)
    _film(run.figures)
    numbers = _nearest(run)
    flat = jax.tree_util.tree_flatten_with_path(run.state.critic.params)[0]
    weights = {"/".join(str(k.key) for k in path): np.asarray(w) for path, w in flat if w.ndim > 1}
    weight_histograms(weights, run.figures / "critic_weights.png")
    if run.config.clip:
        everything = np.concatenate([np.ravel(w) for w in weights.values()])
        numbers["critic weights at the clipping limit"] = float((np.abs(everything) > 0.99 * run.config.clip).mean())
    found = failure_modes(read_rows(run.figures.parent / "metrics.jsonl"), len(run.data.classes))
    numbers["failure modes"] = "; ".join(f"{name}: {seen}" for name, seen in found.items()) or "none seen in the log"
    return numbers


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
    refuse_images(request, "a generator of noise")
    path = request.out / "samples.png"
    images.image_grid(draw(run, run.key, request.num), path, columns=10)
    return [path]


def experiment(name, config, presets) -> Experiment:
    """One of chapter 4's experiments, by its presets."""
    return Experiment(name, config, presets, build, parts, analyse, preview, sample, load, make_judge, draw)
