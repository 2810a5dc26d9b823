"""The racing game in the stages of the world models: kinds of frames, and random tracks with their scenes."""

from collections.abc import Callable, Mapping

import jax

from gdl_jax.envs.car_racing.colours import default_colours
from gdl_jax.envs.car_racing.picture import PICTURES
from gdl_jax.envs.car_racing.scene import Scene, rasterise
from gdl_jax.envs.car_racing.simulation import BOOK_PARAMS, Dynamic, EnvParams
from gdl_jax.envs.car_racing.track import Track, make_track

# name -> parameters of the game, and (scene, dynamic state) -> frame
FRAMES: Mapping[str, tuple[EnvParams, Callable[[Scene, Dynamic], jax.Array]]] = {
    "gymnasium": (EnvParams(), PICTURES["gymnasium64"][1]),
    "book": (BOOK_PARAMS, PICTURES["book"][1]),
}


def make_worlds(keys: jax.Array, playfield: float) -> tuple[Track, Scene]:
    """Returns a random track and its scene for each key (N,); every array has a leading axis of N."""
    tracks = jax.vmap(make_track)(keys)
    return tracks, jax.lax.map(lambda track: rasterise(track, default_colours(), playfield), tracks)
