"""Figures of the latent space: the latent plane, lines between codes, and lines along attribute vectors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np

from experiments.autoencoding.encoding import Coders, images_at
from gdl_jax.plots import images, latent
from gdl_jax.runs.experiment import Run

GRID = 20  # codes per side of the latent plane
FACTORS = np.arange(-4, 5)  # in halves of an attribute's vector
MORPH = np.linspace(0.0, 1.0, 11)
SHOWN_ATTRIBUTES = ("Eyeglasses", "Blond_Hair", "Smiling", "Long_Hair", "Male", "Young")  # those the data set has


def decoded_grid(coders: Coders, path: Path) -> None:
    """Draws decoded codes at evenly spaced quantiles of N(0, 1) (book: norm.ppf(linspace(0.01, 0.99, 20)))."""
    values = np.array([NormalDist().inv_cdf(share) for share in np.linspace(0.01, 0.99, GRID)])
    grid = np.stack(np.meshgrid(values, values[::-1]), -1).reshape(-1, 2).astype(np.float32)
    tiles = coders.decode(grid)
    latent.decoded_grid(tiles.reshape(GRID, GRID, *tiles.shape[1:]), (values, values), path)


def latent_maps(coders: Coders, codes: np.ndarray, labels: np.ndarray, classes: Sequence[str], folder: Path) -> None:
    """Draws a two-dimensional latent space: codes (N, 2), their quantiles in N(0, 1), and a decoded grid."""
    latent.scatter(codes, labels, classes, folder / "latent_scatter.png")
    latent.normal_cdf_map(codes, labels, classes, folder / "latent_p_values.png")
    decoded_grid(coders, folder / "decoded_grid.png")


def morphs(coders: Coders, pairs: Sequence[tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Draws the images on straight lines between pairs of codes (z,), one row per pair."""
    rows = [coders.decode(np.stack([(1 - t) * a + t * b for t in MORPH]).astype(np.float32)) for a, b in pairs]
    labels = [f"pair {i + 1}" for i in range(len(rows))]
    images.rows(rows, labels, path, headings=[f"{t:.1f}" for t in MORPH])


def attribute_arithmetic(
    run: Run, coders: Coders, attributes: np.ndarray, mean: np.ndarray, vectors: Mapping[str, np.ndarray], path: Path
) -> None:
    """Draws, for each attribute, a typical face without it, moved along the attribute's vector by -4/2 ... 4/2 of it.

    Args:
      run: of the autoencoder.
      coders: its networks.
      attributes: (N, A) of the first test images.
      mean: (N, z), their codes.
      vectors: {attribute: (z,)}, from `attribute_vectors`.
      path: of the figure; not written if every face has all of the attributes.
    """
    shown = [name for name in SHOWN_ATTRIBUTES if name in vectors] or list(vectors)[:4]
    rows, labels, taken = [], [], []
    for name in shown:
        without = np.flatnonzero(attributes[:, run.data.attributes.index(name)] == 0)
        without = np.setdiff1d(without, taken)
        if not len(without):
            continue
        ordinary = np.linalg.norm(mean[without] - mean[without].mean(axis=0), axis=1).argmin()
        start = without[ordinary]
        taken.append(start)
        path_codes = mean[start] + 0.5 * FACTORS[:, None] * vectors[name]
        image = images_at(run, run.data.test, np.array([start]))
        rows.append(np.concatenate([image, coders.decode(path_codes.astype(np.float32))]))
        labels.append(name.replace("_", " "))
    if rows:
        headings = ["image", *(f"{factor:+d}" if factor else "0" for factor in FACTORS)]
        images.rows(rows, labels, path, headings=headings)
