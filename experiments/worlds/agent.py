"""The world models' parts, from the workdirs of the stages that trained them."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from experiments.worlds import mdn_rnn as world_memory
from experiments.worlds import vae as world_vae
from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import DataSet, digest_of
from gdl_jax.data.images.blank import blank
from gdl_jax.models.mdn_rnn import MDNRNN
from gdl_jax.runs import command
from gdl_jax.runs.experiment import Run
from gdl_jax.runs.main import has_ended
from gdl_jax.runs.restore import restore

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
      frames: the kind of frames that this vision was shown, a name of `world_game.FRAMES`.
      first_mean, first_log_var: (N, z), codes of the first frames of episodes.
    """

    network: MDNRNN
    params: Any
    digest: str
    vision: str
    frames: str
    first_mean: np.ndarray
    first_log_var: np.ndarray


def _restored(flag: str, workdir: str, expected: str, load=None) -> Run:
    if not Path(workdir).is_dir():
        moved = "where it was moved, the stage that needs it finds it by the same command as before"
        raise UserError(f"--{flag}={workdir}: no such directory; {expected} makes it, and {moved}")
    try:
        run = restore(Path(workdir), warn=lambda text: None, load=load, expected=expected).run
    except UserError as error:
        raise UserError(f"--{flag}={workdir}: {error}") from error
    if run.step < run.config.steps and not has_ended(Path(workdir)):
        command.warn(f"--{flag}={workdir}: its training was stopped at step {run.step} of {run.config.steps}")
    return run


def digest_of_params(params: Any) -> str:
    """Tells parameters from others."""
    return digest_of(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params))


def _without_frames(config) -> DataSet:
    return blank("rollouts:none", config.image_size)


def load_vision(workdir: str) -> Vision:
    """What `world_vae` trained; the frames it was trained on need not be there any more.

    Raises:
      UserError: no run of it there; names --vision.
    """
    run = _restored("vision", workdir, "world_vae", _without_frames)
    networks, params = world_vae.parts(run.config, run.data), run.state.params
    name = f"{Path(workdir).name} at step {run.step}, seed {run.config.seed}"
    modules = networks["encoder"].module, networks["decoder"].module
    learnt = params["encoder"], params["decoder"]
    return Vision(name, digest_of_params(learnt), run.config.z_dim, *modules, *learnt)


def load_memory(workdir: str) -> Memory:
    """What `world_memory` trained, and where its dreams begin.

    Raises:
      UserError: no run of it there, or its latents are gone or have changed; names --memory.
    """
    run = _restored("memory", workdir, "world_memory")
    network, params = world_memory.parts(run.config, run.data)["memory"].module, run.state.params["memory"]
    made_by = run.data.made_by
    origin = digest_of_params(params), made_by["vision"], made_by["frames"]
    return Memory(network, params, *origin, *run.data.train.first_codes(DREAM_STARTS))
