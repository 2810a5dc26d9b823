"""Variational autoencoders on digits and on faces (book chapter 3: 03_03, 03_05, 03_06).

    python -m experiments.vae --config=digits                       bundled digits, about two minutes
    python -m experiments.vae --config=faces                        avatars at 128x128, z = 200, about half an hour
    python -m experiments.vae --dataset=mnist --data_dir=D --steps=375000 --log_every=1875
                                                                    the book's run: 200 epochs of 60,000 digits
    python -m experiments.vae --config=faces --dataset=celeba --data_dir=D --steps=31655
                                                                    the book's run: 5 epochs of CelebA
    python -m experiments.sample --workdir=runs/vae-faces --images=photos --edit=Eyeglasses:2
    python -m experiments.sample --workdir=runs/vae-faces --images=photos --morph

Minutes are those of two CPU cores. On MNIST, the mean loss of the first and the second epoch is 58.4 and 51.6.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import jax
import numpy as np

from experiments.autoencoding.attribute_edits import check_edits
from experiments.autoencoding.encoding import Coders, coder_parts, coders, encode_rows
from gdl_jax.core.errors import UserError
from gdl_jax.data.images.folder import list_images
from gdl_jax.data.images.pixels import read_image
from gdl_jax.evaluation.attributes import attribute_vector
from gdl_jax.evaluation.latents import latent_statistics
from gdl_jax.evaluation.likelihood import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    importance_weighted_bound,
)
from gdl_jax.learners.autoencoder import decode, make_reconstruction_loss
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.learners.variational import reparameterise, vae
from gdl_jax.models import autoencoder as networks
from gdl_jax.plots import images, latent
from gdl_jax.runs.experiment import Experiment, ImageConfig, image_spec, load_data
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, networks.Config):
    optimizer: str = "adam"  # by name or package.module:function
    learning_rate: float = 5e-4  # constant, as in the book
    reconstruction_loss: str = "mse"  # mse, bce, rmse or package.module:function
    reconstruction_weight: float = 1000.0  # of the reconstruction loss against the divergence (book: r_loss_factor)
    kl_weight: float = 1.0  # of the divergence (beta of a beta-VAE)
    free_bits: float = 0.0  # nats per latent dimension that cost nothing
    likelihood_samples: int = 50  # importance samples per image of the likelihood estimate
    likelihood_examples: int = 100  # test images of the likelihood estimate; 0: no estimate
    attribute_classifier: str = ""  # workdir of `classifier --config=attributes`, to judge attribute arithmetic

    LEAST = ImageConfig.LEAST | {
        "z_dim": 1,
        "reconstruction_weight": 0,
        "kl_weight": 0,
        "free_bits": 0,
        "likelihood_samples": 1,
        "likelihood_examples": 0,
    }


PRESETS = {
    "digits": Config(steps=2000),
    "faces": Config(
        dataset="avatars",
        image_size=128,
        encoder_strides=(2, 2, 2, 2),
        decoder_filters=(64, 64, 32, 3),
        decoder_strides=(2, 2, 2, 2),
        z_dim=200,
        use_batch_norm=True,
        dropout_rate=0.25,
        reconstruction_weight=10_000.0,
        steps=6000,
    ),
}
ENCODED = 5000  # images that maps, statistics and attribute vectors are made of, at most
GRID = 20
FACTORS = np.arange(-4, 5)
MORPH = np.linspace(0.0, 1.0, 11)
SHOWN_ATTRIBUTES = ("Eyeglasses", "Blond_Hair", "Smiling", "Long_Hair", "Male", "Young")


def parts(config, data):
    """Encoder and decoder."""
    return coder_parts(networks.GaussianEncoder, config, data)


def build(config, data, axis_name):
    """The learner."""
    modules = {name: part.module.clone(axis_name=axis_name) for name, part in parts(config, data).items()}
    return vae(
        **modules,
        optimizer=make_optimizer(config.optimizer, config.learning_rate),
        reconstruction_loss=make_reconstruction_loss(config.reconstruction_loss),
        z_dim=config.z_dim,
        reconstruction_weight=config.reconstruction_weight,
        kl_weight=config.kl_weight,
        free_bits=config.free_bits,
        axis_name=axis_name,
    )


class Encoded(NamedTuple):
    """The first rows of a split, without their images, and their codes."""

    columns: dict[str, np.ndarray]
    mean: np.ndarray
    log_var: np.ndarray


def _encode(run, code: Coders, source) -> Encoded:
    columns, (mean, log_var) = encode_rows(run, code, source, ENCODED)
    return Encoded(columns, mean, log_var)


def _test_images(run, index: np.ndarray) -> np.ndarray:
    """(N, H, W, C) of the test split's rows at `index`."""
    return np.asarray(run.data.transform(run.data.test.take(index))["image"])


def preview(run):
    """Samples from the prior, the same noise at every step."""
    drawn = np.asarray(run.learner.sample(run.state, run.key, 40))
    images.image_grid(drawn, run.figures / f"samples_at_{run.step:07d}.png", columns=10)


def analyse(run):
    """The book's figures of chapter 3, latent statistics, and the likelihood estimate."""
    code = coders(run, parts(run.config, run.data))
    test = _encode(run, code, run.data.test)
    noise = np.asarray(jax.random.normal(run.key, test.mean.shape))
    codes = np.asarray(reparameterise(test.mean, test.log_var, noise))
    drawn = np.asarray(run.learner.sample(run.state, run.key, 60))
    images.image_grid(drawn, run.figures / "samples.png", columns=10)
    shown = _test_images(run, np.arange(min(10, len(codes))))
    images.rows([shown, code.decode(test.mean[:10])], ["original", "decoded"], run.figures / "reconstructions.png")
    latent.histograms(codes, run.figures / "latent_histograms.png")
    if run.config.z_dim == 2:
        labels = test.columns.get("label", np.zeros(len(codes), int))
        latent.scatter(codes, labels, run.data.classes, run.figures / "latent_scatter.png")
        latent.normal_cdf_map(codes, labels, run.data.classes, run.figures / "latent_p_values.png")
        _decoded_grid(code.decode, run.figures / "decoded_grid.png")
    numbers = latent_statistics(test.mean, test.log_var, codes)
    if run.config.likelihood_examples:
        numbers |= _likelihood(run, test)
    pairs = [(test.mean[2 * i], test.mean[2 * i + 1]) for i in range(min(3, len(codes) // 2))]
    if pairs:
        _morphs(code.decode, pairs, run.figures / "morphs.png")
    if run.data.attributes:
        vectors = attribute_vectors(run, code)
        _arithmetic(run, code.decode, test, vectors)
        if run.config.attribute_classifier:
            numbers |= check_edits(run, code, vectors, Path(run.config.attribute_classifier))
    return numbers


def _decoded_grid(decoder, path):
    """What codes decode to that divide N(0, 1) into equal shares (book: norm.ppf(linspace(0.01, 0.99, 20)))."""
    values = np.array([NormalDist().inv_cdf(share) for share in np.linspace(0.01, 0.99, GRID)])
    grid = np.stack(np.meshgrid(values, values[::-1]), -1).reshape(-1, 2).astype(np.float32)
    tiles = decoder(grid)
    latent.decoded_grid(tiles.reshape(GRID, GRID, *tiles.shape[1:]), (values, values), path)


def _likelihood(run, test: Encoded) -> dict[str, float]:
    """The importance-weighted bound; only losses that are minus a log density allow one."""
    config = run.config
    if config.reconstruction_loss == "mse" and config.kl_weight > 0 and config.reconstruction_weight > 0:
        log_likelihood = gaussian_log_likelihood(config.reconstruction_weight / config.kl_weight)
    elif config.reconstruction_loss == "bce":
        log_likelihood = bernoulli_log_likelihood
    else:
        return {}
    decoder = parts(config, run.data)["decoder"].module
    count, samples = min(config.likelihood_examples, len(test.mean)), config.likelihood_samples
    bound = jax.jit(
        lambda key, pixels, mean, log_var: importance_weighted_bound(
            key, pixels, mean, log_var, lambda z: decode(decoder, run.state, z), log_likelihood, samples
        )
    )
    values = bound(run.key, _test_images(run, np.arange(count)), test.mean[:count], test.log_var[:count])
    return {f"log-likelihood bound, {samples} samples, {count} images (nats)": float(values.mean())}


def attribute_vectors(run, code: Coders) -> dict[str, np.ndarray]:
    """{attribute: mean code with it minus mean code without it}, from training images; z is the posterior mean."""
    train = _encode(run, code, run.data.train)
    has_it = train.columns["attributes"].T
    varied = {name: has for name, has in zip(run.data.attributes, has_it, strict=True) if has.any() and not has.all()}
    return {name: attribute_vector(train.mean, has) for name, has in varied.items()}


def _arithmetic(run, decoder, test: Encoded, vectors):
    """An ordinary face without each attribute, moved along its vector by -4 ... 4 halves of the mean difference."""
    shown = [name for name in SHOWN_ATTRIBUTES if name in vectors] or list(vectors)[:4]
    rows, labels, taken = [], [], []
    for name in shown:
        without = np.flatnonzero(test.columns["attributes"][:, run.data.attributes.index(name)] == 0)
        without = np.setdiff1d(without, taken)
        if not len(without):
            continue
        ordinary = np.linalg.norm(test.mean[without] - test.mean[without].mean(axis=0), axis=1).argmin()
        start = without[ordinary]
        taken.append(start)
        path_codes = test.mean[start] + 0.5 * FACTORS[:, None] * vectors[name]
        image = _test_images(run, np.array([start]))
        rows.append(np.concatenate([image, decoder(path_codes.astype(np.float32))]))
        labels.append(name.replace("_", " "))
    if rows:
        headings = ["image", *(f"{factor:+d}" if factor else "0" for factor in FACTORS)]
        images.rows(rows, labels, run.figures / "attribute_arithmetic.png", headings=headings)


def _morphs(decoder, pairs, path):
    """Straight lines between pairs of codes."""
    rows = [decoder(np.stack([(1 - t) * a + t * b for t in MORPH]).astype(np.float32)) for a, b in pairs]
    labels = [f"pair {i + 1}" for i in range(len(rows))]
    images.rows(rows, labels, path, headings=[f"{t:.1f}" for t in MORPH])


def _read_photos(run, paths) -> tuple[list[str], np.ndarray]:
    """Names and pixels (N, H, W, C) in [0, 1] of a user's own files and folders."""
    files = [path / name for path in paths if path.is_dir() for name in list_images(path)]
    files += [path for path in paths if not path.is_dir()]
    _, height, width, channels = image_spec(run.data).shape
    if height != width:
        raise UserError("--images: only models of square images can encode photos")
    pixels = np.stack([read_image(file, height) for file in files]).astype(np.float32) / 255.0
    if channels == 1:
        pixels = pixels.mean(-1, keepdims=True)
    return [file.stem for file in files], pixels


def sample(run, request):
    """Draws from the prior; or reconstructions, edits and morphs of given images."""
    if not request.images:
        path = request.out / "samples.png"
        images.image_grid(np.asarray(run.learner.sample(run.state, run.key, request.num)), path, columns=10)
        return [path]
    names, pixels = _read_photos(run, request.images)
    code = coders(run, parts(run.config, run.data))
    mean, _ = code.encode(pixels)
    columns, headings, written = [pixels, code.decode(mean)], ["image", "decoded"], []
    if request.edits:
        vectors = attribute_vectors(run, code) if run.data.attributes else {}
        for name, factor in request.edits.items():
            if name not in vectors:
                known = ", ".join(vectors) or "none: its data set has no attributes"
                raise UserError(f"--edit={name}: the model knows {known}")
            columns.append(code.decode((mean + factor * vectors[name]).astype(np.float32)))
            headings.append(f"{name} {factor:+g}")
    path = request.out / ("edited.png" if request.edits else "decoded.png")
    images.rows(list(np.stack(columns, 1)), names, path, headings=headings)
    written.append(path)
    if request.morph:
        if len(names) < 2:
            raise UserError("--morph needs at least two images")
        path = request.out / "morphs.png"
        _morphs(code.decode, list(itertools.pairwise(mean)), path)
        written.append(path)
    return written


TAKES = ("images", "edit", "morph")
EXPERIMENT = Experiment("vae", Config, PRESETS, build, parts, analyse, preview, sample, load_data, takes=TAKES)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
