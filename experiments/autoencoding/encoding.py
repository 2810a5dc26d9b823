"""Networks of the experiments with an encoder and a decoder, and their compiled forms."""

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

BATCH = 100  # images per call


def coder_networks(encoder: type, config: Any, data: DataSet) -> dict[str, Network]:
    """Returns an encoder of the given class of models.autoencoder, and a decoder."""
    image = image_spec(data)
    codes = jax.ShapeDtypeStruct((1, config.z_dim), jnp.float32)
    dtype = DTYPES[config.precision]
    return {
        "encoder": Network(encoder(config, dtype), (image,)),
        "decoder": Network(autoencoder.Decoder(config, image.shape[1:], dtype), (codes,)),
    }


class Coders(NamedTuple):
    """Encoder and decoder in evaluation mode, compiled: from NumPy to NumPy arrays with any number of rows.

    Attributes:
      encode: images (N, H, W, C) -> the encoder's outputs: codes (N, z), or mean and log_var, each (N, z).
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
    """Returns the first `limit` rows of a split, or all, without their images, and the encoder's outputs for them."""
    parts = [
        ({name: array for name, array in rows.items() if name != "image"}, coders.encode(pixels))
        for rows, pixels in image_batches(run.data, source, BATCH, limit)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def images_at(run: Run, source: Source, index: np.ndarray) -> np.ndarray:
    """Returns a split's images (N, H, W, C) in [0, 1] at `index`."""
    return np.asarray(run.data.transform(source.take(index))["image"])
