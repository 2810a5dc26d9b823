"""World models, stage 4 (book chapter 8): the memory, a recurrent network that tells what comes next.

    python -m experiments.worlds.mdn_rnn --dataset=latents:runs/world/latents
    python -m experiments.worlds.mdn_rnn --dataset=latents:runs/world/latents --done_head

Batches are of whole episodes. `mixture_loss` is in nats per latent dimension: codes of N(0, 1) that nothing is known of
cost 1.42, what is left of them where the next frame is known for certain is the noise of q(z | frame).
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data import catalogue
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.worlds.latents import transitions
from gdl_jax.evaluation.latents import distance_between
from gdl_jax.learners.mdn_rnn import world_memory
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.learners.variational import reparameterise
from gdl_jax.models import mdn_rnn as networks
from gdl_jax.plots import latent
from gdl_jax.runs.experiment import DTYPES, Experiment, Part, RunConfig
from gdl_jax.runs.main import main

DREAMS, DREAM_STEPS = 64, 300  # at most, and of those that are sampled
DREAMT = "Codes of dreams"


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, networks.Config):
    dataset: str = "latents:runs/world/latents"  # latents:PATH of `world_encode`
    optimizer: str = "adam"  # by name or package.module:function
    learning_rate: float = 1e-3  # constant, as in the book
    reward_weight: float = 1.0  # of the reward's cross-entropy
    done_weight: float = 1.0  # of the end's cross-entropy
    batch_size: int = 100  # whole episodes an update, over all devices
    steps: int = 4000  # updates in all
    eval_every: int = 500  # steps between two passes over the held-out split; 0: at the end only

    LEAST = RunConfig.LEAST | {"z_dim": 1, "hidden_units": 1, "mixtures": 1, "reward_weight": 0, "done_weight": 0}


PRESETS = {
    "small": Config(steps=1000),
    "book": Config(recurrent_activation="hard_sigmoid"),
    "paper": Config(reward_input=False, reward_head=False, steps=20_000),
}


def load(config):
    """The latents, whose codes must be of the network's size."""
    data = catalogue.load(config.dataset, train_examples=config.train_examples)
    rows = data.train.take(np.zeros(1, np.int64))
    for flag, array in (("z_dim", "mean"), ("action_dim", "action")):
        if array not in rows or rows[array].shape[-1] != getattr(config, flag):
            size = rows[array].shape[-1] if array in rows else "no"
            raise UserError(f"--{flag}={getattr(config, flag)}: {data.name} has {size}")
    return data


def blank(config):
    """One episode of a few steps."""
    steps = 4
    codes, numbers = np.zeros((1, steps, config.z_dim), np.float32), np.zeros((1, steps), np.float32)
    action, length = np.zeros((1, steps, config.action_dim), np.float32), np.full(1, steps, np.int32)
    rows = {"mean": codes, "log_var": codes, "action": action, "reward": numbers, "done": numbers > 0, "length": length}
    return DataSet(config.dataset, ArraySource(rows), ArraySource(rows), transform=transitions)


def parts(config, data):
    """The network."""
    del data
    z, action = (jax.ShapeDtypeStruct((1, 1, size), jnp.float32) for size in (config.z_dim, config.action_dim))
    carry = (jax.ShapeDtypeStruct((1, config.hidden_units), jnp.float32),) * 2
    inputs = z, action, jax.ShapeDtypeStruct((1, 1), jnp.float32), carry
    return {"memory": Part(networks.MDNRNN(config, DTYPES[config.precision]), inputs)}


def build(config, data, axis_name):
    """The learner."""
    return world_memory(
        parts(config, data)["memory"].module,
        make_optimizer(config.optimizer, config.learning_rate),
        reward_weight=config.reward_weight,
        done_weight=config.done_weight,
        axis_name=axis_name,
    )


@partial(jax.jit, static_argnums=0)
def _dream_along(network, params, key, first, actions):
    """(N, T, z), dreams from first codes (N, z) by actions (N, T, A)."""
    dream = partial(networks.dream_along, network, {"params": params})
    return jax.vmap(dream)(jax.random.split(key, len(first)), first, actions)


def _dreamt_and_real(run) -> list[np.ndarray]:
    """Codes (N, z) of held-out episodes, and of dreams that begin as these do and in which the same is done."""
    rows = run.data.test.take(np.arange(min(DREAMS, len(run.data.test))))
    noise_key, key = jax.random.split(run.key)
    real = reparameterise(rows["mean"], rows["log_var"], jax.random.normal(noise_key, rows["mean"].shape))
    network = parts(run.config, run.data)["memory"].module
    dreamt = _dream_along(network, run.state.params["memory"], key, real[:, 0], jnp.asarray(rows["action"]))
    inside = np.arange(real.shape[1]) < rows["length"][:, None]
    return [np.asarray(codes)[inside] for codes in (dreamt, real)]


def preview(run):
    """What single dimensions are in dreams."""
    dreamt, _ = _dreamt_and_real(run)
    latent.histograms(dreamt, run.figures / f"samples_at_{run.step:07d}.png", DREAMT)


def analyse(run):
    """How far dreams are from what is real: the spread of each latent dimension, the same done in both."""
    dreamt, real = _dreamt_and_real(run)
    latent.histograms(dreamt, run.figures / "dreamt_latents.png", DREAMT)
    latent.histograms(real, run.figures / "real_latents.png", "Codes of frames")
    return {
        "latent std, dreamt": float(dreamt.std(axis=0).mean()),
        "latent std, real": float(real.std(axis=0).mean()),
        "KS distance of dreamt from real latents, mean": float(distance_between(dreamt, real).mean()),
    }


def sample(run, request):
    """Dreams, as codes: an array (num, steps, z)."""
    path = request.out / "dreams.npy"
    np.save(path, np.asarray(run.learner.sample(run.state, run.key, request.num, DREAM_STEPS)))
    return [path]


EXPERIMENT = Experiment("world_memory", Config, PRESETS, build, parts, analyse, preview, sample, load, blank=blank)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
