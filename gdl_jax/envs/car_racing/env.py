"""gymnasium's CarRacing-v3 with gymnax's interface: one class around `simulation` and `picture`."""

import jax
import jax.numpy as jnp
from flax import struct

from gdl_jax.core.errors import UserError
from gdl_jax.core.extras import extra
from gdl_jax.envs.car_racing import simulation
from gdl_jax.envs.car_racing.colours import default_colours, random_colours
from gdl_jax.envs.car_racing.picture import PICTURES
from gdl_jax.envs.car_racing.policies import HIGH, LOW
from gdl_jax.envs.car_racing.scene import Scene, rasterise
from gdl_jax.envs.car_racing.simulation import BOOK_PARAMS, DISCRETE_ACTIONS, Dynamic, EnvParams
from gdl_jax.envs.car_racing.track import Track, make_track

with extra("worlds"):
    from gymnax.environments import environment, spaces


@struct.dataclass
class State:
    """State of an episode.

    Attributes:
      track: the track, constant during an episode.
      scene: the raster of the track and its colours, constant during an episode; None without frames.
      dynamic: the changing part.
    """

    track: Track
    scene: Scene | None
    dynamic: Dynamic

    @property
    def time(self) -> jax.Array:
        """() int32, steps since the reset."""
        return self.dynamic.time


class CarRacing(environment.Environment[State, EnvParams]):
    """Environment of a racing car on a random track. Observations are frames, uint8, or empty.

    Call `step_env` and `reset_env`: gymnax's `step` makes a new track at every step, whether the episode ends or not,
    and a track costs as much as hundreds of steps. For many cars on one track, call `simulation.step`.

    Args:
      observation: gymnasium (96x96, zooming in during the first second), gymnasium64 (the same at 64x64, score
        blackened), book (64x64, constant zoom, and the book's default parameters) or none.
      continuous: whether actions are (3,) floats (steering, gas, brake); otherwise they are integers: 0 nothing,
        1 right, 2 left, 3 gas, 4 brake.

    Raises:
      UserError: unknown observation.
    """

    def __init__(self, observation: str = "gymnasium", continuous: bool = True):
        if observation != "none" and observation not in PICTURES:
            raise UserError(f"observation {observation!r}: must be one of none, {', '.join(PICTURES)}")
        self.observation, self.continuous = observation, continuous

    @property
    def default_params(self) -> EnvParams:
        return BOOK_PARAMS if self.observation == "book" else EnvParams()

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, State]:
        """Returns (observation, state) of a car at rest on a new random track."""
        track_key, colour_key = jax.random.split(key)
        track, scene = make_track(track_key), None
        if self.observation != "none":
            colours = jax.tree.map(
                lambda random, default: jnp.where(params.domain_randomize, random, default),
                random_colours(colour_key),
                default_colours(),
            )
            scene = rasterise(track, colours, params.playfield)
        state = State(track, scene, simulation.reset(track, params))
        return self.get_obs(state), state

    def step_env(self, key: jax.Array, state: State, action: jax.Array, params: EnvParams):
        """Returns (observation, state, reward, terminated, info); see `simulation.step`. The key is ignored."""
        if not self.continuous:
            action = jnp.array(DISCRETE_ACTIONS)[action]
        dynamic, reward, terminated, _, info = simulation.step(state.track, state.dynamic, action, params)
        state = state.replace(dynamic=dynamic)
        return self.get_obs(state), state, reward, terminated, info

    def get_obs(self, state: State, params: EnvParams | None = None, key: jax.Array | None = None) -> jax.Array:
        """Returns the frame, (H, W, 3) uint8; (0,) for observation "none"."""
        if self.observation == "none":
            return jnp.zeros(0, jnp.uint8)
        return PICTURES[self.observation][1](state.scene, state.dynamic)

    def is_terminated(self, state: State, params: EnvParams) -> jax.Array:
        """Returns True if all tiles are visited or the car is outside the playfield.

        It ignores laps that end on tile 0 (`lap_complete_percent`): after a reset, the car starts on that tile.
        """
        all_visited = state.dynamic.visited.sum() == state.track.count
        return all_visited | simulation.is_outside(state.dynamic.car, params)

    @property
    def num_actions(self) -> int:
        """Dimensions of a continuous action, or number of discrete actions."""
        return len(LOW) if self.continuous else len(DISCRETE_ACTIONS)

    def action_space(self, params: EnvParams | None = None) -> spaces.Box | spaces.Discrete:
        """Returns the box of steering in [-1, 1], gas and brake in [0, 1]; or the discrete space."""
        if self.continuous:
            return spaces.Box(jnp.array(LOW), jnp.array(HIGH), (len(LOW),))
        return spaces.Discrete(len(DISCRETE_ACTIONS))

    def observation_space(self, params: EnvParams | None = None) -> spaces.Box:
        """Returns the space of frames."""
        shape = (0,) if self.observation == "none" else PICTURES[self.observation][0]
        return spaces.Box(0, 255, shape, jnp.uint8)
