"""Colours of the ground; in gymnasium's CarRacing-v3 they may be random in each episode."""

import jax
import jax.numpy as jnp
from flax import struct

BRIGHTER = 20.0  # by which one channel of the grass squares exceeds a random background


@struct.dataclass
class Colours:
    """Red, green and blue, each (3,), 0 to 255.

    Attributes:
      road: of the tiles; in each group of three, the second is 2.55 and the third 5.1 lighter.
      background: of the meadow.
      grass: of the squares on the meadow.
    """

    road: jax.Array
    background: jax.Array
    grass: jax.Array


def default_colours() -> Colours:
    """Returns gymnasium's colours without domain randomisation."""
    rgb = (102, 102, 102), (102, 204, 102), (102, 230, 102)
    return Colours(*(jnp.array(channels, jnp.float32) for channels in rgb))


def random_colours(key: jax.Array) -> Colours:
    """Draws gymnasium's random colours: road and background uniform in [0, 210), grass brighter in one channel."""
    road_key, background_key, channel_key = jax.random.split(key, 3)
    road = jax.random.uniform(road_key, (3,), maxval=210.0)
    background = jax.random.uniform(background_key, (3,), maxval=210.0)
    channel = jax.random.randint(channel_key, (), 0, 3)
    return Colours(road, background, background.at[channel].add(BRIGHTER))
