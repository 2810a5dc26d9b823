"""The racing game as the world models' stages play it: kinds of frames, and random worlds to drive in."""

from collections.abc import Callable, Mapping

import jax

from gdl_jax.envs.car_racing.colours import default_colours
from gdl_jax.envs.car_racing.picture import PICTURES
from gdl_jax.envs.car_racing.scene import Scene, rasterise
from gdl_jax.envs.car_racing.simulation import BOOK_PARAMS, Dynamic, EnvParams
from gdl_jax.envs.car_racing.track import Track, make_track

# name -> parameters of the game, and (scene, all that changes) -> frame
FRAMES: Mapping[str, tuple[EnvParams, Callable[[Scene, Dynamic], jax.Array]]] = {
    "gymnasium": (EnvParams(), PICTURES["gymnasium64"][1]),
    "book": (BOOK_PARAMS, PICTURES["book"][1]),
}


def make_worlds(keys: jax.Array, playfield: float) -> tuple[Track, Scene]:
    """Returns a random track for each key (N,), and their scenes, each array with a leading axis of N."""
    tracks = jax.vmap(make_track)(keys)
    return tracks, jax.lax.map(lambda track: rasterise(track, default_colours(), playfield), tracks)
