"""Agent of the world models: vision and memory restored from their workdirs, and the game as a data set."""

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

DREAM_STARTS = 1000  # most first frames from which dreams begin


class Vision(NamedTuple):
    """Trained vision: the variational autoencoder of frames.

    Attributes:
      name: workdir, step and seed.
      digest: fingerprint of its parameters.
      z_dim: dimensions of its codes.
      encoder, decoder: the networks.
      encoder_params, decoder_params: their parameters.
    """

    name: str
    digest: str
    z_dim: int
    encoder: nn.Module
    decoder: nn.Module
    encoder_params: Any
    decoder_params: Any


class Memory(NamedTuple):
    """Trained memory: the MDN-RNN, and the codes from which its dreams begin.

    Attributes:
      network: the MDN-RNN.
      params: its parameters.
      digest: fingerprint of its parameters.
      vision: digest of the vision that encoded its training data.
      frames: kind of the encoded frames, a name of `game.FRAMES`.
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
    """The racing game as a controller's data set: its rows are indices of individuals and of evaluation episodes.

    Attributes:
      agent: networks of the agent.
      params: parameters of vision and memory.
      vision, memory: as trained; None where only shapes matter.
    """

    agent: Agent | None = None
    params: AgentParams | None = None
    vision: Vision | None = None
    memory: Memory | None = None


def _restored(field: str, workdir: str, expected: str, load: Callable[[Any], DataSet] | None = None) -> RestoredRun:
    if not Path(workdir).is_dir():
        moved = "if it was moved, rerun the stage with its new path"
        raise ConfigError(field, workdir, f"no such directory; it is the workdir of a run of {expected}; {moved}")
    try:
        restored = restore(Path(workdir), warn=lambda text: None, load=load, expected=expected)
    except UserError as error:
        raise ConfigError(field, workdir, str(error)) from error
    run = restored.run
    if run.step < run.config.steps and not has_ended(Path(workdir)):
        command.warn(f"{workdir}: training was interrupted at step {run.step} of {run.config.steps}")
    return restored


def digest_of_params(params: Any) -> str:
    """Returns a fingerprint of parameters."""
    return digest_of(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params))


def _without_frames(config: Any) -> DataSet | None:
    return image_data_spec("rollouts:none", config.image_size)


def load_vision(workdir: str) -> Vision:
    """Returns the vision trained by `experiments.worlds.vae`; its training data need not exist any more.

    Raises:
      ConfigError: `vision` is not the workdir of such a run.
    """
    experiment, run, _ = _restored("vision", workdir, "world_vae", _without_frames)
    networks, params = experiment.networks(run.config, run.data), run.state.params
    name = f"{Path(workdir).name} at step {run.step}, seed {run.config.seed}"
    modules = networks["encoder"].module, networks["decoder"].module
    both = params["encoder"], params["decoder"]
    return Vision(name, digest_of_params(both), run.config.z_dim, *modules, *both)


def load_memory(workdir: str) -> Memory:
    """Returns the memory trained by `experiments.worlds.mdn_rnn`, and the codes from which its dreams begin.

    Raises:
      ConfigError: `memory` is not the workdir of such a run, or its latents are missing or have changed.
    """
    experiment, run, _ = _restored("memory", workdir, "world_memory")
    network, params = experiment.networks(run.config, run.data)["memory"].module, run.state.params["memory"]
    made_by = run.data.made_by
    origin = digest_of_params(params), made_by["vision"], made_by["frames"]
    return Memory(network, params, *origin, *run.data.train.first_codes(DREAM_STARTS))


def make_dream(config: Any, data: Game) -> tuple[Dream, DreamParams]:
    """Returns the dream environment of the game's memory, and its parameters.

    Args:
      config: of a controller; uses `draw_rewards`, `temperature` and `dream_steps`.
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
    """Returns the controller's parameters to drive with: the mean of the search distribution."""
    config = run.config
    strategy = make_strategy(config.strategy, config.batch_size, run.state.best_parameters, config.sigma_init)
    return mean_parameters(strategy.algorithm, run.state)
