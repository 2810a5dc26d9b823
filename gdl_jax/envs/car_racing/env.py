"""gymnasium's CarRacing-v3 with gymnax's interface: `simulation` and `picture` behind one class."""

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces

from gdl_jax.core.errors import UserError
from gdl_jax.envs.car_racing import simulation
from gdl_jax.envs.car_racing.colours import default_colours, random_colours
from gdl_jax.envs.car_racing.picture import PICTURES
from gdl_jax.envs.car_racing.policies import HIGH, LOW
from gdl_jax.envs.car_racing.scene import Scene, rasterise
from gdl_jax.envs.car_racing.simulation import BOOK_PARAMS, DISCRETE_ACTIONS, Dynamic, EnvParams
from gdl_jax.envs.car_racing.track import Track, make_track


@struct.dataclass
class State:
    """An episode at one moment.

    Attributes:
      track: the track, the same throughout the episode.
      scene: the track as it is drawn, with its colours, the same throughout; None where nothing is drawn.
      dynamic: all that changes.
    """

    track: Track
    scene: Scene | None
    dynamic: Dynamic

    @property
    def time(self) -> jax.Array:
        """() int32, steps since the reset."""
        return self.dynamic.time


class CarRacing(environment.Environment[State, EnvParams]):
    """The racing car on a random track. An observation is a frame, uint8, or empty.

    `step_env` and `reset_env` are what to call: gymnax's `step` makes a new track at every step, whether the episode
    ends or not, and a track costs as much as hundreds of steps. Where many cars share a track, call `simulation.step`.

    Args:
      observation: gymnasium (96x96, the camera comes down during the first second), gymnasium64 (the same at 64x64, the
        score blackened), book (64x64, constant zoom; its default parameters are the book's, too) or none.
      continuous: actions are (3,) floats: steering, gas and brake; otherwise numbers: 0 nothing, 1 right, 2 left,
        3 gas, 4 brake.

    Raises:
      UserError: the observation is none of these.
    """

    def __init__(self, observation: str = "gymnasium", continuous: bool = True):
        if observation != "none" and observation not in PICTURES:
            raise UserError(f"observation {observation!r}: choose one of none, {', '.join(PICTURES)}")
        self.observation, self.continuous = observation, continuous

    @property
    def default_params(self) -> EnvParams:
        return BOOK_PARAMS if self.observation == "book" else EnvParams()

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, State]:
        """A new track, and the car at rest on it: observation, state."""
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
        """Observation, state, reward, terminated, info; see `simulation.step`. The key is not used."""
        if not self.continuous:
            action = jnp.array(DISCRETE_ACTIONS)[action]
        dynamic, reward, terminated, _, info = simulation.step(state.track, state.dynamic, action, params)
        state = state.replace(dynamic=dynamic)
        return self.get_obs(state), state, reward, terminated, info

    def get_obs(self, state: State, params: EnvParams | None = None, key: jax.Array | None = None) -> jax.Array:
        """The frame, (H, W, 3) uint8; (0,) for the observation none."""
        if self.observation == "none":
            return jnp.zeros(0, jnp.uint8)
        return PICTURES[self.observation][1](state.scene, state.dynamic)

    def is_terminated(self, state: State, params: EnvParams) -> jax.Array:
        """Whether all tiles are visited or the car is outside the playfield.

        That leaves out the lap that a first tile ends, which can't happen after a reset: the car starts on that tile.
        """
        all_visited = state.dynamic.visited.sum() == state.track.count
        return all_visited | simulation.is_outside(state.dynamic.car, params)

    @property
    def num_actions(self) -> int:
        """Numbers in an action, or how many actions there are to choose from."""
        return len(LOW) if self.continuous else len(DISCRETE_ACTIONS)

    def action_space(self, params: EnvParams | None = None) -> spaces.Box | spaces.Discrete:
        """Steering in [-1, 1], gas and brake in [0, 1]; or a number."""
        if self.continuous:
            return spaces.Box(jnp.array(LOW), jnp.array(HIGH), (len(LOW),))
        return spaces.Discrete(len(DISCRETE_ACTIONS))

    def observation_space(self, params: EnvParams | None = None) -> spaces.Box:
        """Frames."""
        shape = (0,) if self.observation == "none" else PICTURES[self.observation][0]
        return spaces.Box(0, 255, shape, jnp.uint8)
