"""What the experiments with an encoder and a decoder share: the two networks, and their compiled forms."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.data.dataset import DataSet, Source
from gdl_jax.learners.autoencoder import decode, encode
from gdl_jax.models import autoencoder
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.config import DTYPES
from gdl_jax.runs.experiment import Network, Run
from gdl_jax.runs.images import image_batches, image_spec

BATCH = 100  # images that are encoded, or decoded, together


def coder_networks(encoder: type, config: Any, data: DataSet) -> dict[str, Network]:
    """Returns encoder (of a class of models.autoencoder) and decoder."""
    image = image_spec(data)
    codes = jax.ShapeDtypeStruct((1, config.z_dim), jnp.float32)
    dtype = DTYPES[config.precision]
    return {
        "encoder": Network(encoder(config, dtype), (image,)),
        "decoder": Network(autoencoder.Decoder(config, image.shape[1:], dtype), (codes,)),
    }


class Coders(NamedTuple):
    """Compiled, in evaluation mode, NumPy arrays to NumPy arrays, of any number of rows.

    Attributes:
      encode: images (N, H, W, C) -> what the encoder makes of them: codes (N, z), or mean and log_var, each (N, z).
      decode: codes (N, z) -> images.
    """

    encode: Callable[[np.ndarray], Any]
    decode: Callable[[np.ndarray], np.ndarray]


def make_coders(run: Run, networks: dict[str, Network]) -> Coders:
    """Returns the run's encoder and decoder, compiled."""
    encoder, decoder = networks["encoder"].module, networks["decoder"].module
    encode_batch = jax.jit(lambda pixels: encode(encoder, run.state, pixels))
    decode_batch = jax.jit(lambda codes: decode(decoder, run.state, codes))
    return Coders(
        lambda pixels: in_batches(encode_batch, pixels, BATCH),
        lambda codes: in_batches(decode_batch, codes, BATCH),
    )


def encode_rows(run: Run, coders: Coders, source: Source, limit: int) -> tuple[dict[str, np.ndarray], Any]:
    """Returns the first rows of a split, at most `limit`, without their images, and what the encoder makes of them."""
    parts = [
        ({name: array for name, array in rows.items() if name != "image"}, coders.encode(pixels))
        for rows, pixels in image_batches(run.data, source, BATCH, limit)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def images_at(run: Run, source: Source, index: np.ndarray) -> np.ndarray:
    """Returns a split's images (N, H, W, C) in [0, 1] at `index`."""
    return np.asarray(run.data.transform(source.take(index))["image"])
