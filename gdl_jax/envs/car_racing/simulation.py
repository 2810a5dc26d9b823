"""The rules of gymnasium's CarRacing-v3, without its picture: pure functions of a track, a state and an action.

The track is an argument of its own: map `step` over many cars with in_axes=None for the track, and all of them share
it.
"""

import jax
import jax.numpy as jnp
from flax import struct

from gdl_jax.envs.car_racing.car import (
    GRASS_FRICTION,
    ROAD_FRICTION,
    WHEEL_X,
    WHEEL_Y,
    Car,
    hull_position,
    place_car,
    step_car,
    wheel_positions,
)
from gdl_jax.envs.car_racing.contacts import touch
from gdl_jax.envs.car_racing.track import SCALE, Track

# What the numbers 0 to 4 of the discrete action space stand for: nothing, right, left, gas, brake.
DISCRETE_ACTIONS = ((0.0, 0.0, 0.0), (0.6, 0.0, 0.0), (-0.6, 0.0, 0.0), (0.0, 0.2, 0.0), (0.0, 0.0, 0.8))


@struct.dataclass
class EnvParams:
    """The game's numbers; the defaults are gymnasium's.

    Attributes:
      max_steps_in_episode: after which an episode is cut off (truncated).
      lap_complete_percent: share of tiles (0 to 1, the name is gymnasium's) after which coming upon an unvisited
        first tile ends the lap. The car starts on the first tile, so this never happens there.
      playfield: half the side of the square that the car must not leave.
      step_reward: of each step.
      tile_reward: shared by all tiles of the track.
      outside_reward: of the step that leaves the playfield, in place of all else.
      domain_randomize: whether each episode has its own colours.
    """

    max_steps_in_episode: int = 1000
    lap_complete_percent: float = 0.95
    playfield: float = 2000 / SCALE
    step_reward: float = -0.1
    tile_reward: float = 1000.0
    outside_reward: float = -100.0
    domain_randomize: bool = False


BOOK_PARAMS = EnvParams(playfield=3000 / SCALE)  # the book's own copy of the game (08_WorldModels)


@struct.dataclass
class Dynamic:
    """What changes during an episode.

    Attributes:
      car: the car.
      on_road: (4,) bool, which wheels touched a tile when contacts were last looked for.
      visited: (T,) bool, the tiles that a wheel has touched.
      carried: (), reward that the next step pays out: that of the tiles the car was put on.
      time: () int32, steps since the reset.
    """

    car: Car
    on_road: jax.Array
    visited: jax.Array
    carried: jax.Array
    time: jax.Array


def _tile_reward(track: Track, before: jax.Array, visited: jax.Array, params: EnvParams) -> jax.Array:
    return params.tile_reward * (visited.sum() - before.sum()) / track.count


def reset(track: Track, params: EnvParams, tile: jax.Array | int = 0) -> Dynamic:
    """The car at rest on a tile: 0, as in gymnasium, or another. The same track and tile always give the same state.

    From another than 0, a lap ends with the last tile alone: the rule of 95 % waits for tile 0 to be new.

    gymnasium moves the world one step on at a reset, at no cost; the tiles touched then are paid for later. It looks
    for contacts before it turns the wheels from the axes to the car's direction.
    """
    position, angle = track.centre[tile], track.angle[tile]
    nothing = jnp.zeros(track.centre.shape[0], bool)
    wheels = position[0] + WHEEL_X, position[1] + WHEEL_Y
    on_road, visited = touch(track, nothing, position, wheels, jnp.full((4,), angle))
    carried = _tile_reward(track, nothing, visited, params)
    return Dynamic(place_car(position, angle), on_road, visited, carried, jnp.int32(0))


def is_outside(car: Car, params: EnvParams) -> jax.Array:
    """(), whether the car has left the playfield, which ends the episode."""
    return (jnp.abs(hull_position(car)) > params.playfield).any()


def step(
    track: Track, dynamic: Dynamic, action: jax.Array, params: EnvParams
) -> tuple[Dynamic, jax.Array, jax.Array, jax.Array, dict[str, jax.Array]]:
    """A fiftieth of a second.

    Args:
      action: (3,), steering (-1 to 1, right is positive), gas (0 to 1) and brake (0 to 1).

    Returns:
      The next state, the reward (), whether the episode has come to an end () and whether its time is up (), and
      {"lap_finished": (), "tiles_visited": ()}.
    """
    # Box2D looks for contacts before it moves the bodies, and gymnasium sets the forces before that, by the contacts
    # of the step before.
    friction_limit = jnp.where(dynamic.on_road, ROAD_FRICTION, GRASS_FRICTION)
    before = dynamic.car
    on_road, visited = touch(
        track, dynamic.visited, hull_position(before), wheel_positions(before), before.angle + before.joint_angle
    )
    car = step_car(before, action, friction_limit)

    tiles_visited = visited.sum()
    new_lap = visited[0] & ~dynamic.visited[0] & (tiles_visited > params.lap_complete_percent * track.count)
    outside = is_outside(car, params)
    lap_finished = (new_lap | (tiles_visited == track.count)) & ~outside
    reward = dynamic.carried + params.step_reward + _tile_reward(track, dynamic.visited, visited, params)
    time = dynamic.time + 1
    following = Dynamic(car, on_road, visited, jnp.zeros_like(dynamic.carried), time)
    info = {"lap_finished": lap_finished, "tiles_visited": tiles_visited}
    truncated = time >= params.max_steps_in_episode
    return following, jnp.where(outside, params.outside_reward, reward), lap_finished | outside, truncated, info
