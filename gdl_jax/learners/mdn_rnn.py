"""Training of the world models' memory by next-step prediction (Ha & Schmidhuber 2018; book chapter 8, stage 4)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gdl_jax.core.learner import Learner
from gdl_jax.core.prng import example_normal
from gdl_jax.learners.gradient import Loss, TrainState, update
from gdl_jax.learners.variational import reparameterise
from gdl_jax.losses.mixture import mixture_negative_log_likelihood
from gdl_jax.models.mdn_rnn import MDNRNN, dream_along


def mdn_rnn(
    memory: MDNRNN,
    optimizer: optax.GradientTransformation,
    *,
    reward_weight: float = 1.0,
    done_weight: float = 1.0,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Minimises the mixtures' loss and the cross-entropies of reward and episode end, each a mean over transitions.

    Batches are those of `gdl_jax.data.worlds.latents`, with the codes of T + 1 frames and the T transitions between
    them: "mean" and "log_var" (B, T + 1, z); "action" (B, T, A); "reward", "done" and "mask" (B, T). z is sampled from
    the codes at every step. The inputs are z_t, a_t and whether the previous transition gave a reward; the targets are
    z_{t+1}, whether a reward comes with it (never at the end of an episode, as in the book), and whether the episode
    ends. Transitions with mask 0 are padding and ignored.

    Args:
      memory: the network.
      optimizer: from `optimizers.make_optimizer`.
      reward_weight, done_weight: of the cross-entropies; ignored without the head.
      accumulate: parts into which a batch is split to accumulate gradients; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    Metrics, all means over transitions: loss; mixture_loss, in nats per dimension; with the heads, reward_loss,
    reward_accuracy and done_loss.

    `sample(state, key, num, steps)` generates dreams (num, steps, z), from z ~ N(0, 1), with actions of zero.
    """
    heads = memory.config

    def terms(params, batch, key):
        """Returns {name: (sums over each example's transitions (B,), numbers of transitions (B,))}."""
        noise = example_normal(key, batch["mean"].shape, axis_name)
        z = reparameterise(batch["mean"], batch["log_var"], noise)
        rewarded = (batch["reward"] > 0).astype(jnp.float32)
        previous_reward = jnp.pad(rewarded[:, :-1], ((0, 0), (1, 0)))
        carry = memory.zero_carry(z.shape[0])
        returned: Any = memory.apply({"params": params}, z[:, :-1], batch["action"], previous_reward, carry)
        predicted, _, _ = returned
        mask = batch["mask"]
        weights = mask.sum(axis=1)

        def masked(values):
            return (values * mask).sum(axis=1), weights

        mixtures = (predicted.log_weights, predicted.means, predicted.log_sigmas)
        losses = {"mixture_loss": masked(mixture_negative_log_likelihood(z[:, 1:], *mixtures).mean(axis=-1))}
        if heads.reward_head:
            target = rewarded * (1 - batch["done"])
            logit = predicted.reward_logit
            losses["reward_loss"] = masked(optax.sigmoid_binary_cross_entropy(logit, target))
            losses["reward_accuracy"] = masked(((logit > 0) == (target > 0)).astype(jnp.float32))
        if heads.done_head:
            losses["done_loss"] = masked(optax.sigmoid_binary_cross_entropy(predicted.done_logit, batch["done"]))
        return losses

    def total(values):
        loss = values["mixture_loss"]
        for name, weight in (("reward_loss", reward_weight), ("done_loss", done_weight)):
            loss += weight * values.get(name, 0.0)
        return loss

    def init(key, batch):
        z, action = batch["mean"][:, :-1], batch["action"]
        params = memory.init(key, z, action, batch["reward"], memory.zero_carry(z.shape[0]))["params"]
        params = {"memory": params}
        return TrainState(params, {}, optimizer.init(params))

    def loss_function(params, batch_stats, batch, key):
        count = batch["mask"].sum()  # of transitions: longer episodes have larger weights
        means = {n: sums.sum() / count for n, (sums, _) in terms(params["memory"], batch, key).items()}
        return Loss(total(means), batch_stats, means, weight=count)

    def step(state, batch, key):
        return update(state, loss_function, batch, key, optimizer, axis_name, accumulate)

    def evaluate(state, batch, key):
        losses = terms(state.params["memory"], batch, key)
        weights = losses["mixture_loss"][1]
        return losses | {"loss": (total({name: sums for name, (sums, _) in losses.items()}), weights)}

    def sample(state, key, num, steps=100):
        start_key, key = jax.random.split(key)
        start = jax.random.normal(start_key, (num, heads.z_dim))
        dream = partial(dream_along, memory, {"params": state.params["memory"]})
        return jax.vmap(dream)(jax.random.split(key, num), start, jnp.zeros((num, steps, heads.action_dim)))

    return Learner(init, step, evaluate, sample)
