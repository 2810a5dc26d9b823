"""The world models' agent: vision and memory from the workdirs that trained them, and the game that it plays."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.dataset import DataSet, digest_of
from gdl_jax.data.images.spec import image_data_spec
from gdl_jax.envs.dream.dynamics import Dream
from gdl_jax.envs.dream.dynamics import EnvParams as DreamParams
from gdl_jax.learners.evolution import mean_parameters
from gdl_jax.learners.evolution_strategies import make_strategy
from gdl_jax.models import mdn_rnn
from gdl_jax.models.agent import Agent, AgentParams
from gdl_jax.runs import command
from gdl_jax.runs.experiment import Run
from gdl_jax.runs.records import has_ended
from gdl_jax.runs.restore import RestoredRun, restore

DREAM_STARTS = 1000  # first frames from which dreams begin, at most


class Vision(NamedTuple):
    """What sees.

    Attributes:
      name: of its workdir and the step it was trained to.
      digest: tells what it has learnt from what others have.
      z_dim: dimensions of its codes.
      encoder, decoder: the networks.
      encoder_params, decoder_params: what they have learnt.
    """

    name: str
    digest: str
    z_dim: int
    encoder: nn.Module
    decoder: nn.Module
    encoder_params: Any
    decoder_params: Any


class Memory(NamedTuple):
    """What remembers and dreams.

    Attributes:
      network: the MDN-RNN.
      params: what it has learnt.
      digest: as a vision's.
      vision: the digest of the vision whose codes it has learnt from.
      frames: the kind of frames that this vision was shown, a name of `game.FRAMES`.
      first_mean, first_log_var: (N, z), codes of the first frames of episodes.
    """

    network: mdn_rnn.MDNRNN
    params: Any
    digest: str
    vision: str
    frames: str
    first_mean: np.ndarray
    first_log_var: np.ndarray


@dataclass(frozen=True)
class Game(DataSet):
    """The racing game as a controller's data set: no rows but numbers of individuals and of evaluations, and who plays.

    Attributes:
      agent: its networks.
      params: what vision and memory have learnt.
      vision, memory: as they were trained; None where only shapes matter.
    """

    agent: Agent | None = None
    params: AgentParams | None = None
    vision: Vision | None = None
    memory: Memory | None = None


def _restored(field: str, workdir: str, expected: str, load: Callable[[Any], DataSet] | None = None) -> RestoredRun:
    if not Path(workdir).is_dir():
        moved = "where it was moved, the stage that needs it finds it by the same command as before"
        raise ConfigError(field, workdir, f"no such directory; {expected} makes it, and {moved}")
    try:
        restored = restore(Path(workdir), warn=lambda text: None, load=load, expected=expected)
    except UserError as error:
        raise ConfigError(field, workdir, str(error)) from error
    run = restored.run
    if run.step < run.config.steps and not has_ended(Path(workdir)):
        command.warn(f"{workdir}: its training was stopped at step {run.step} of {run.config.steps}")
    return restored


def digest_of_params(params: Any) -> str:
    """Returns what tells parameters from others."""
    return digest_of(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params))


def _without_frames(config: Any) -> DataSet | None:
    return image_data_spec("rollouts:none", config.image_size)


def load_vision(workdir: str) -> Vision:
    """Returns what `experiments.worlds.vae` trained; the frames it was trained on need not be there any more.

    Raises:
      ConfigError: no run of it there; names vision.
    """
    experiment, run, _ = _restored("vision", workdir, "world_vae", _without_frames)
    networks, params = experiment.networks(run.config, run.data), run.state.params
    name = f"{Path(workdir).name} at step {run.step}, seed {run.config.seed}"
    modules = networks["encoder"].module, networks["decoder"].module
    learnt = params["encoder"], params["decoder"]
    return Vision(name, digest_of_params(learnt), run.config.z_dim, *modules, *learnt)


def load_memory(workdir: str) -> Memory:
    """Returns what `experiments.worlds.mdn_rnn` trained, and where its dreams begin.

    Raises:
      ConfigError: no run of it there, or its latents are gone or have changed; names memory.
    """
    experiment, run, _ = _restored("memory", workdir, "world_memory")
    network, params = experiment.networks(run.config, run.data)["memory"].module, run.state.params["memory"]
    made_by = run.data.made_by
    origin = digest_of_params(params), made_by["vision"], made_by["frames"]
    return Memory(network, params, *origin, *run.data.train.first_codes(DREAM_STARTS))


def make_dream(config: Any, data: Game) -> tuple[Dream, DreamParams]:
    """Returns the dream of the game's memory, and its parameters.

    Args:
      config: a controller's: `draw_rewards`, `temperature` and `dream_steps`.
      data: the game; without a trained memory, dreams begin with codes of zero.
    """
    sizes = data.agent.memory.config
    transition = mdn_rnn.transition(data.agent.memory, config.draw_rewards)
    dream = Dream(transition, sizes.z_dim, sizes.hidden_units, can_end=sizes.done_head)
    if data.memory is None:
        first = (jnp.zeros((1, sizes.z_dim)),) * 2
    else:
        first = data.memory.first_mean, data.memory.first_log_var
    params = DreamParams(
        variables={"params": data.params.memory},
        initial_mean=jnp.asarray(first[0]),
        initial_log_var=jnp.asarray(first[1]),
        temperature=config.temperature,
        max_steps_in_episode=config.dream_steps,
    )
    return dream, params


def mean_controller(run: Run) -> Any:
    """Returns the parameters to drive with: those at the centre of the search."""
    config = run.config
    strategy = make_strategy(config.strategy, config.batch_size, run.state.best_parameters, config.sigma_init)
    return mean_parameters(strategy.algorithm, run.state)
