"""Training of two generators and two critics on unpaired images of two domains: CycleGAN (Zhu et al. 2017; book 05_01).

The generators' loss is the sum over both directions of an adversarial, a cycle-consistency and an identity term. In an
update, the generators step against the critics, and the critics against the generators' translations and a pool of
earlier ones. Both steps start from the networks before the update, and one pass of the generators serves both.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from gdl_jax.core.learner import Batch, Learner
from gdl_jax.learners.adversarial import generate
from gdl_jax.learners.adversarial_updates import (
    Players,
    Term,
    critic_update,
    fake_term,
    generator_update,
    initial_players,
    losses_of,
    real_term,
)
from gdl_jax.learners.autoencoder import ReconstructionLoss
from gdl_jax.learners.averaging import initial_average, updated_average
from gdl_jax.learners.gradient import TrainState, apply_eval
from gdl_jax.learners.image_pool import ImagePool, empty_pool, exchange
from gdl_jax.losses.adversarial import AdversarialLoss
from gdl_jax.losses.reconstruction import mae

DOMAINS = ("a", "b")


@struct.dataclass
class TranslationState:
    """State of generators, critics and pools.

    Attributes:
      generator, critic: training states of the two generators and of the two critics.
      averaged: exponential moving average of the generators' {"params", "batch_stats"}; {} without one.
      pools: {"a", "b": pool of translations into that domain}; {} without pools.
      step: (), number of updates.
    """

    generator: TrainState
    critic: TrainState
    averaged: Any
    pools: dict[str, ImagePool]
    step: jax.Array


class Terms(NamedTuple):
    """Terms of the generators' loss.

    Attributes:
      adversarial, cycle, identity: their weights (lambda in paper and book), 0 or more.
      cycle_loss, identity_loss: distance of an image and its reconstruction, both in [-1, 1].
    """

    adversarial: float = 1.0
    cycle: float = 10.0
    identity: float = 5.0
    cycle_loss: ReconstructionLoss = mae
    identity_loss: ReconstructionLoss = mae

    def of(self, batch: Batch, outputs: Mapping[str, jax.Array]) -> dict[str, Term]:
        """Returns the cycle and identity terms of both domains; there are none with weight 0."""
        terms = {}
        for domain, image in signed(batch).items():
            if self.cycle:
                terms[f"cycle_loss_{domain}"] = Term(self.cycle_loss(image, outputs[f"cycle_{domain}"]), self.cycle)
            if self.identity:
                values = self.identity_loss(image, outputs[f"identity_{domain}"])
                terms[f"identity_loss_{domain}"] = Term(values, self.identity)
        return terms


def signed(batch: Batch) -> dict[str, jax.Array]:
    """Returns a batch's images {"a", "b"} in [-1, 1], as networks see them."""
    return {domain: 2.0 * batch[domain] - 1.0 for domain in DOMAINS}


def shown(outputs: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Returns the translations {"a", "b"} among the generators' outputs."""
    return {domain: outputs[f"fake_{domain}"] for domain in DOMAINS}


def translation(
    generator: nn.Module,
    critic: nn.Module,
    generator_optimizer: optax.GradientTransformation,
    critic_optimizer: optax.GradientTransformation,
    loss: AdversarialLoss,
    *,
    terms: Terms,
    pool_size: int = 50,
    pool_rule: str = "paper",
    ema_decay: float = 0.0,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Trains generators and critics of both directions together.

    A batch has "a" and "b", (B, H, W, C) in [0, 1], and optionally "a_first" and "b_first", (B,), 0 for repetitions
    that held-out means must not count.

    Args:
      generator: as `models.cyclegan.Translators`: {"a", "b"} in [-1, 1] -> its outputs.
      critic: as `models.cyclegan.Critics`: {"a", "b"} -> scores {"a", "b"}.
      generator_optimizer, critic_optimizer: from `optimizers.make_optimizer`.
      loss: of each score.
      terms: of the generators' loss.
      pool_size: number of earlier translations in each pool; 0: no pools.
      pool_rule: see `image_pool.exchange`.
      ema_decay: of the generators' moving average, used by `sample` and `evaluate`; 0: none.
      accumulate: parts into which a batch is split to accumulate gradients; see `gradient.update`.
      axis_name: the pmapped axis or None.

    Metrics, all without weights: "critic_loss_real", "critic_loss_fake" and their sum "critic_loss", "generator_loss"
    (adversarial), each a sum over both directions; "real_accuracy" and "fake_accuracy" if the loss has a boundary;
    "cycle_loss_a" (from a to b and back), "identity_loss_a" (a's images through the generator of a) and those of b.
    `evaluate` returns the last two and "generator_loss_a" (of translations into a), and those of b.

    The learner's `sample(state, key, num, batch)` returns the generators' outputs for the first `num` images.
    """
    players = Players(
        generator,
        critic,
        inputs=lambda batch, keys: (signed(batch),),
        real=signed,
        shown=shown,
        generator_terms=terms.of,
        adversarial_weight=terms.adversarial,
        axis_name=axis_name,
    )
    critic_terms = real_term(players, loss), fake_term(players, loss)

    def init(key, batch):
        batch = dict(batch, step=jnp.zeros((), jnp.int32))
        generator_state, critic_state = initial_players(players, generator_optimizer, critic_optimizer, key, batch)
        averaged = initial_average(generator_state) if ema_decay else {}
        pools = {domain: empty_pool(pool_size, batch[domain][0]) for domain in DOMAINS} if pool_size else {}
        return TranslationState(generator_state, critic_state, averaged, pools, batch["step"])

    def step(state, batch, key):
        generator_key, critic_key, *pool_keys = jax.random.split(key, 4)
        batch = dict(batch, step=state.step)
        arguments = (state.generator, state.critic, batch, generator_key, generator_optimizer, accumulate)
        generator_state, of_generator, fakes = generator_update(players, loss, *arguments)
        fakes, pools = dict(fakes), dict(state.pools)
        for domain, pool_key in zip(pools, pool_keys, strict=False):
            pools[domain], fakes[domain] = exchange(pools[domain], fakes[domain], pool_key, pool_rule, axis_name)
        rest = jax.random.split(critic_key), critic_optimizer, axis_name, accumulate
        critic_state, of_critic = critic_update(state.critic, critic_terms, batch | {"fakes": fakes}, *rest)
        averaged = state.averaged
        if ema_decay:
            averaged = updated_average(averaged, generator_state, ema_decay, state.step)
        total = {"critic_loss": of_critic["critic_loss_real"] + of_critic["critic_loss_fake"]}
        state = TranslationState(generator_state, critic_state, averaged, pools, state.step + 1)
        return state, of_generator | of_critic | total

    def outputs_of(state, batch):
        return generate(generator, state, signed(batch))

    def evaluate(state, batch, key):
        outputs = outputs_of(state, batch)
        scores = apply_eval(critic, state.critic.params, state.critic.batch_stats, shown(outputs))
        counted = {domain: batch.get(f"{domain}_first", jnp.ones(len(batch[domain]))) for domain in DOMAINS}
        values = {name: term.values for name, term in terms.of(batch, outputs).items()}
        values |= {f"generator_loss_{domain}": losses_of(loss.generator, scores[domain]) for domain in DOMAINS}
        source = {"generator_loss_a": "b", "generator_loss_b": "a"}  # a translation into a counts b's images
        weights = {name: counted[source.get(name, name[-1])] for name in values}
        return {name: (weights[name] * value, weights[name]) for name, value in values.items()}

    def sample(state, key, num, batch):
        return outputs_of(state, {domain: batch[domain][:num] for domain in DOMAINS})

    return Learner(init, step, evaluate, sample)
