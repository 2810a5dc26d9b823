"""The rules of gymnasium's CarRacing-v3, without rendering: pure functions of a track, a state and an action.

The track is a separate argument, so that many cars can share one: vmap `step` with in_axes=None for the track.
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

# Actions 0 to 4 of the discrete action space: nothing, right, left, gas, brake.
DISCRETE_ACTIONS = ((0.0, 0.0, 0.0), (0.6, 0.0, 0.0), (-0.6, 0.0, 0.0), (0.0, 0.2, 0.0), (0.0, 0.0, 0.8))


@struct.dataclass
class EnvParams:
    """Parameters of the game; the defaults are gymnasium's.

    Attributes:
      max_steps_in_episode: after which an episode is truncated.
      lap_complete_percent: share of visited tiles (0 to 1; the name is gymnasium's) above which a first visit of tile 0
        ends the lap. A car that starts on tile 0 never ends a lap this way.
      playfield: half the side of the square that the car must not leave.
      step_reward: of each step.
      tile_reward: divided among all tiles of the track.
      outside_reward: reward of the step that leaves the playfield, in place of all others.
      domain_randomize: whether each episode has random colours.
    """

    max_steps_in_episode: int = 1000
    lap_complete_percent: float = 0.95
    playfield: float = 2000 / SCALE
    step_reward: float = -0.1
    tile_reward: float = 1000.0
    outside_reward: float = -100.0
    domain_randomize: bool = False


BOOK_PARAMS = EnvParams(playfield=3000 / SCALE)  # of the book's copy of the game (08_WorldModels)


@struct.dataclass
class Dynamic:
    """The part of the state that changes during an episode.

    Attributes:
      car: the car.
      on_road: (4,) bool, wheels that touched a tile at the last contact detection.
      visited: (T,) bool, tiles that a wheel has touched.
      carried: (), reward that is added to the next step's: that of the tiles on which the car starts.
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
    """Returns the state of a car at rest on a tile: 0, as in gymnasium, or another. It is deterministic.

    A lap ends once all tiles are visited. The 95 % rule of gymnasium needs an unvisited tile 0, so it can only apply to
    a car that starts on another tile.

    gymnasium's reset advances the world by one step without the step reward; rewards for tiles touched in it are added
    to the next step's. It detects contacts before it turns the wheels from the axes to the car's direction.
    """
    position, angle = track.centre[tile], track.angle[tile]
    nothing = jnp.zeros(track.centre.shape[0], bool)
    wheels = position[0] + WHEEL_X, position[1] + WHEEL_Y
    on_road, visited = touch(track, nothing, position, wheels, jnp.full((4,), angle))
    carried = _tile_reward(track, nothing, visited, params)
    return Dynamic(place_car(position, angle), on_road, visited, carried, jnp.int32(0))


def is_outside(car: Car, params: EnvParams) -> jax.Array:
    """Returns (), True if the car has left the playfield, which ends the episode."""
    return (jnp.abs(hull_position(car)) > params.playfield).any()


def step(
    track: Track, dynamic: Dynamic, action: jax.Array, params: EnvParams
) -> tuple[Dynamic, jax.Array, jax.Array, jax.Array, dict[str, jax.Array]]:
    """Advances the game by 1/50 s.

    Args:
      action: (3,), steering (-1 to 1, right is positive), gas (0 to 1) and brake (0 to 1).

    Returns:
      The next state, reward (), terminated (), truncated (), and info {"lap_finished": (), "tiles_visited": ()}.
    """
    # Box2D detects contacts before it moves the bodies. gymnasium sets the forces before both, by the contacts of the
    # previous step.
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
