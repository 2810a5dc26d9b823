"""Pool of earlier generated images from which a critic's images are drawn (Shrivastava et al. 2017, section 2.3).

The critic is trained on images of earlier generators, too, and so forgets them less. A pool is part of a learner's
state: a resumed run continues exactly.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

RULES = ("paper", "book")


@struct.dataclass
class ImagePool:
    """Images and their number.

    Attributes:
      images: (size, ...); zeros where none has been stored yet.
      count: (), int32, images stored so far; with the paper's rule at most `size`.
    """

    images: jax.Array
    count: jax.Array


def empty_pool(size: int, image: jax.Array) -> ImagePool:
    """Returns an empty pool for `size` images of the shape and dtype of `image`."""
    return ImagePool(jnp.zeros((size, *image.shape), image.dtype), jnp.zeros((), jnp.int32))


def _paper_rule(pool: ImagePool, image: jax.Array, key: jax.Array) -> tuple[ImagePool, jax.Array]:
    """Until the pool is full, stores and returns the image; then swaps it for an older one with probability 1/2."""
    size = len(pool.images)
    swap_key, place_key = jax.random.split(key)
    full = pool.count >= size
    place = jnp.where(full, jax.random.randint(place_key, (), 0, size), pool.count)
    swaps = full & jax.random.bernoulli(swap_key)
    returned = jnp.where(swaps, pool.images[place], image)
    kept = jnp.where(swaps | ~full, image, pool.images[place])
    count = jnp.minimum(pool.count + 1, size)
    return ImagePool(lax.dynamic_update_index_in_dim(pool.images, kept, place, 0), count), returned


def _book_rule(pool: ImagePool, image: jax.Array, key: jax.Array) -> tuple[ImagePool, jax.Array]:
    """Stores the image in place of the oldest; returns one of the pool's, each with the same probability."""
    size = len(pool.images)
    images = lax.dynamic_update_index_in_dim(pool.images, image, pool.count % size, 0)
    count = pool.count + 1
    return ImagePool(images, count), images[jax.random.randint(key, (), 0, jnp.minimum(count, size))]


_RULES: dict[str, Callable[[ImagePool, jax.Array, jax.Array], tuple[ImagePool, jax.Array]]] = {
    "paper": _paper_rule,
    "book": _book_rule,
}


def exchange(
    pool: ImagePool, images: jax.Array, key: jax.Array, rule: str = "paper", axis_name: str | None = None
) -> tuple[ImagePool, jax.Array]:
    """Stores new images in a pool, one after the other, and returns as many images for the critic.

    Args:
      pool: the pool, the same on every device.
      images: (B, ...), those of this device.
      key: the same on every device.
      rule: `paper` (CycleGAN's: once the pool is full, an image is swapped for a random older one with probability 1/2)
        or `book` (05_01's: an image is stored in any case, and a random one of the pool is returned).
      axis_name: the pmapped axis over which the images are split, or None.

    Returns:
      The new pool, and images (B, ...) for this device.
    """
    count = len(images)
    everywhere = images if axis_name is None else lax.all_gather(images, axis_name, tiled=True)

    def one(pool, image_and_key):
        return _RULES[rule](pool, *image_and_key)

    pool, drawn = lax.scan(one, pool, (everywhere, jax.random.split(key, len(everywhere))))
    if axis_name is not None:
        drawn = lax.dynamic_slice_in_dim(drawn, lax.axis_index(axis_name) * count, count)
    return pool, drawn
