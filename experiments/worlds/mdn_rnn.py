"""World models, stage 4 (book chapter 8): the memory, an MDN-RNN that predicts the next code.

    python -m experiments.worlds.mdn_rnn --dataset=latents:runs/world/latents
    python -m experiments.worlds.mdn_rnn --dataset=latents:runs/world/latents --done_head

Batches are of whole episodes. `mixture_loss` is in nats per latent dimension. Predicting N(0, 1) for codes of N(0, 1)
gives 1.42; even with the next frame known exactly, the entropy of q(z | frame) remains.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.config_flags import AtLeast, IsPathAfter
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.data import catalogue
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.worlds.latents import LatentData, transitions
from gdl_jax.evaluation.latents import distance_between
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.mdn_rnn import mdn_rnn as mdn_rnn_learner
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.variational import reparameterise
from gdl_jax.models import mdn_rnn
from gdl_jax.plots import latent
from gdl_jax.runs.config import DTYPES, RunConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler, SampleRequest
from gdl_jax.runs.main import main

DREAMS, DREAM_STEPS = 64, 300  # most dreams to analyse; steps of sampled dreams
DREAMT = "Codes of dreams"


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, OptimizerConfig, mdn_rnn.Config):
    # latents:PATH of `experiments.worlds.encode`
    dataset: Annotated[str, IsPathAfter(*catalogue.PATH_KINDS)] = "latents:runs/world/latents"
    learning_rate: float = 1e-3  # peak value where there is a schedule; the book's is constant
    reward_weight: Annotated[float, AtLeast(0)] = 1.0  # weight of the reward's cross-entropy
    done_weight: Annotated[float, AtLeast(0)] = 1.0  # weight of the done flag's cross-entropy
    batch_size: int = 100  # whole episodes per update, over all devices
    steps: int = 4000


PRESETS = {
    "small": Config(steps=1000),
    "book": Config(recurrent_activation="hard_sigmoid"),
    "paper": Config(reward_input=False, reward_head=False, steps=20_000),
    "tiny": Config(
        z_dim=4,
        hidden_units=8,
        mixtures=2,
        learning_rate=1e-2,
        batch_size=4,
        steps=20,
        log_every=5,
        eval_every=10,
        checkpoint_every=10,
    ),
}


def load(config: Config) -> LatentData:
    """Returns the latents; their codes and actions must have the network's sizes.

    Raises:
      UserError: they have not, or as `catalogue.load`.
    """
    data = catalogue.load(config.dataset, train_examples=config.train_examples)
    rows = data.example()
    for field, array in (("z_dim", "mean"), ("action_dim", "action")):
        if array not in rows or rows[array].shape[-1] != getattr(config, field):
            size = rows[array].shape[-1] if array in rows else "no"
            raise ConfigError(field, getattr(config, field), f"{data.name} has {size}")
    return data


def spec(config: Config) -> DataSet:
    """Returns one episode of a few steps."""
    steps = 4
    codes, numbers = np.zeros((1, steps, config.z_dim), np.float32), np.zeros((1, steps), np.float32)
    action, length = np.zeros((1, steps, config.action_dim), np.float32), np.full(1, steps, np.int32)
    rows = {"mean": codes, "log_var": codes, "action": action, "reward": numbers, "done": numbers > 0, "length": length}
    return DataSet(config.dataset, ArraySource(rows), ArraySource(rows), transform=transitions)


def networks(config: Config, data: DataSet) -> dict[str, Network]:
    """Returns the network, as "memory"."""
    del data
    z, action = (jax.ShapeDtypeStruct((1, 1, size), jnp.float32) for size in (config.z_dim, config.action_dim))
    carry = (jax.ShapeDtypeStruct((1, config.hidden_units), jnp.float32),) * 2
    inputs = z, action, jax.ShapeDtypeStruct((1, 1), jnp.float32), carry
    return {"memory": Network(mdn_rnn.MDNRNN(config, DTYPES[config.precision]), inputs)}


def build(config: Config, data: DataSet, axis_name: str | None) -> Learner:
    """Returns the learner."""
    learner = mdn_rnn_learner(
        networks(config, data)["memory"].module,
        make_optimizer(config),
        reward_weight=config.reward_weight,
        done_weight=config.done_weight,
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(learner, config.ema_decay)


@partial(jax.jit, static_argnums=0)
def _dream_along(network: mdn_rnn.MDNRNN, params: Any, key: jax.Array, first: jax.Array, actions: jax.Array):
    """Returns dreams (N, T, z) that start from codes (N, z), given actions (N, T, A)."""
    dream = partial(mdn_rnn.dream_along, network, {"params": params})
    return jax.vmap(dream)(jax.random.split(key, len(first)), first, actions)


def _dreamt_and_real(run: Run) -> list[np.ndarray]:
    """Returns codes (N, z) of dreams with the first codes and actions of held-out episodes, and of these episodes."""
    rows = run.data.test.take(np.arange(min(DREAMS, len(run.data.test))))
    noise_key, key = jax.random.split(run.key)
    real = reparameterise(rows["mean"], rows["log_var"], jax.random.normal(noise_key, rows["mean"].shape))
    network = networks(run.config, run.data)["memory"].module
    dreamt = _dream_along(network, run.state.params["memory"], key, real[:, 0], jnp.asarray(rows["action"]))
    inside = np.arange(real.shape[1]) < rows["length"][:, None]
    return [np.asarray(codes)[inside] for codes in (dreamt, real)]


def preview(run: Run) -> None:
    """Draws histograms of latent dimensions in dreams."""
    dreamt, _ = _dreamt_and_real(run)
    latent.histograms(dreamt, run.figures / f"samples_at_{run.step:07d}.png", DREAMT)


def analyse(run: Run) -> Results:
    """Compares dreams with held-out episodes for the same actions: standard deviations and KS distance of latents."""
    dreamt, real = _dreamt_and_real(run)
    latent.histograms(dreamt, run.figures / "dreamt_latents.png", DREAMT)
    latent.histograms(real, run.figures / "real_latents.png", "Codes of frames")
    return {
        "dreamt/latent_std_mean": float(dreamt.std(axis=0).mean()),
        "real/latent_std_mean": float(real.std(axis=0).mean()),
        "dreamt/latent_ks_distance_mean": float(distance_between(dreamt, real).mean()),
        "protocol": {"dreamt": "means over latent dimensions; Kolmogorov-Smirnov distance from real codes"},
    }


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes dreams as an array of codes (num, steps, z)."""
    path = request.out / "dreams.npy"
    np.save(path, np.asarray(run.learner.sample(run.state, run.key, request.num, DREAM_STEPS)))
    return [path]


EXPERIMENT = Experiment(
    name="world_memory",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
