"""Random enlargement, cropping and mirroring of training images, inside a compiled step."""

from functools import partial

import chex
import jax
import jax.numpy as jnp


def _enlarged_crop(image: jax.Array, key: jax.Array, enlarge: float) -> jax.Array:
    """Returns a random crop, of the image's own size, of the image enlarged bilinearly: (H, W, C) -> (H, W, C)."""
    chex.assert_rank(image, 3)
    sizes = image.shape[:2]
    larger = tuple(round(enlarge * size) for size in sizes)
    offsets = [
        jax.random.randint(each, (), 0, big - size + 1)
        for each, big, size in zip(jax.random.split(key), larger, sizes, strict=True)
    ]
    scale = jnp.array([big / size for big, size in zip(larger, sizes, strict=True)], jnp.float32)
    shift = -jnp.array(offsets, jnp.float32)
    return jax.image.scale_and_translate(image, image.shape, (0, 1), scale, shift, "linear", antialias=False)


def jitter(image: jax.Array, key: jax.Array, enlarge: float = 1.0, flip: bool = True) -> jax.Array:
    """Enlarges an image, crops it to its size at a random place, and mirrors it with probability 1/2.

    Isola et al. 2017, appendix 6.2, and CycleGAN's code: 256 pixels are enlarged to 286.

    Args:
      image: (H, W, C), floats.
      key: decides place and side; the same key treats the images of a pair alike.
      enlarge: factor of height and width, 1 or more.
      flip: mirror half of the images.
    """
    crop_key, flip_key = jax.random.split(key)
    if enlarge > 1:
        image = _enlarged_crop(image, crop_key, enlarge)
    if flip:
        image = jnp.where(jax.random.bernoulli(flip_key), image[:, ::-1], image)
    return image


def jitter_domains(
    batch: dict[str, jax.Array], keys: jax.Array, enlarge: float, flip: bool, paired: bool
) -> dict[str, jax.Array]:
    """Returns a batch with jittered images "a" and "b".

    Args:
      batch: "a" and "b", (B, H, W, C), and other arrays, which don't change.
      keys: one per example, (B,).
      enlarge, flip: as for `jitter`.
      paired: treat both images of an example alike.
    """
    random = jax.vmap(partial(jitter, enlarge=enlarge, flip=flip))
    keys_a, keys_b = (keys, keys) if paired else jax.vmap(jax.random.split, out_axes=1)(keys)
    return dict(batch) | {"a": random(batch["a"], keys_a), "b": random(batch["b"], keys_b)}
