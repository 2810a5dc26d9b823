"""What the experiments with an encoder and a decoder share: the two networks, and their compiled forms."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.learners.autoencoder import decode, encode
from gdl_jax.models import autoencoder as networks
from gdl_jax.runs.experiment import DTYPES, Part, Run, image_batches, image_spec

BATCH = 100


def coder_parts(encoder: type, config: Any, data) -> dict[str, Part]:
    """Encoder (of a class of models.autoencoder) and decoder."""
    image = image_spec(data)
    codes = jax.ShapeDtypeStruct((1, config.z_dim), jnp.float32)
    dtype = DTYPES[config.precision]
    return {
        "encoder": Part(encoder(config, dtype), (image,)),
        "decoder": Part(networks.Decoder(config, image.shape[1:], dtype), (codes,)),
    }


class Coders(NamedTuple):
    """Compiled, in evaluation mode, NumPy arrays to NumPy arrays, of any number of rows.

    Attributes:
      encode: images (N, H, W, C) -> what the encoder makes of them: codes (N, z), or mean and log_var, each (N, z).
      decode: codes (N, z) -> images.
    """

    encode: Callable
    decode: Callable


def _batched(function: Callable) -> Callable:
    """`function` on whole batches of at most BATCH rows, so that it is compiled for few shapes."""
    compiled = jax.jit(function)

    def call(rows):
        outputs = [jax.device_get(compiled(rows[i : i + BATCH])) for i in range(0, len(rows), BATCH)]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *outputs)

    return call


def coders(run: Run, parts: dict[str, Part]) -> Coders:
    """The run's encoder and decoder."""
    encoder, decoder = parts["encoder"].module, parts["decoder"].module
    return Coders(
        _batched(lambda pixels: encode(encoder, run.state, pixels)),
        _batched(lambda codes: decode(decoder, run.state, codes)),
    )


def encode_rows(run: Run, code: Coders, source, limit: int) -> tuple[dict[str, np.ndarray], Any]:
    """The first rows of a split, at most `limit`, without their images, and what the encoder makes of them."""
    parts = [
        ({name: array for name, array in rows.items() if name != "image"}, code.encode(pixels))
        for rows, pixels in image_batches(run.data, source, BATCH, limit)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
