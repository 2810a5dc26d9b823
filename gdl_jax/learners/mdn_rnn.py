"""How the world models' memory is trained: by what comes next (Ha & Schmidhuber 2018; book chapter 8, stage 4)."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from gdl_jax.core.learner import Learner
from gdl_jax.core.prng import example_normal
from gdl_jax.learners.gradient import Loss, TrainState, update
from gdl_jax.learners.variational import reparameterise
from gdl_jax.losses.mixture import mixture_negative_log_likelihood
from gdl_jax.models.mdn_rnn import MDNRNN, dream_along


def world_memory(
    memory: MDNRNN,
    optimizer: optax.GradientTransformation,
    *,
    reward_weight: float = 1.0,
    done_weight: float = 1.0,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Minimises the mixtures' loss and the binary cross-entropies of reward and end, each a mean over transitions.

    A batch has the codes of T + 1 frames and the T transitions between them, as `gdl_jax.data.worlds.latents` makes it:
    "mean" and "log_var" (B, T + 1, z); "action" (B, T, A); "reward", "done" and "mask" (B, T). z is drawn anew from the
    codes at every step. The network is given z_t, a_t and whether a reward came with z_t, that of the transition
    before, and has to tell z_{t+1}, whether a reward comes with it (not if the episode ends there, as in the book), and
    whether the episode ends. Where `mask` is 0, a transition is no part of its episode and counts for nothing.

    Args:
      memory: the network.
      optimizer: from `optimizers.make_optimizer`.
      reward_weight, done_weight: of the cross-entropies; of heads that there are.
      accumulate: parts of a batch whose gradients are added up; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    Metrics: loss; mixture_loss, in nats per dimension; reward_loss, reward_accuracy and done_loss, of heads that there
    are. All are means over transitions.

    `sample(state, key, num, steps)` dreams (num, steps, z), from z ~ N(0, 1), with actions of zero.
    """
    heads = memory.config

    def terms(params, batch, key):
        """{name: (sums over the transitions of each example (B,), their numbers (B,))}."""
        noise = example_normal(key, batch["mean"].shape, axis_name)
        z = reparameterise(batch["mean"], batch["log_var"], noise)
        rewarded = (batch["reward"] > 0).astype(jnp.float32)
        came_with_z = jnp.pad(rewarded[:, :-1], ((0, 0), (1, 0)))
        carry = memory.zero_carry(z.shape[0])
        predicted, _, _ = memory.apply({"params": params}, z[:, :-1], batch["action"], came_with_z, carry)
        mask = batch["mask"]
        weights = mask.sum(axis=1)

        def masked(values):
            return (values * mask).sum(axis=1), weights

        mixtures = (predicted.log_weights, predicted.means, predicted.log_sigmas)
        found = {"mixture_loss": masked(mixture_negative_log_likelihood(z[:, 1:], *mixtures).mean(axis=-1))}
        if heads.reward_head:
            target = rewarded * (1 - batch["done"])
            logit = predicted.reward_logit
            found["reward_loss"] = masked(optax.sigmoid_binary_cross_entropy(logit, target))
            found["reward_accuracy"] = masked(((logit > 0) == (target > 0)).astype(jnp.float32))
        if heads.done_head:
            found["done_loss"] = masked(optax.sigmoid_binary_cross_entropy(predicted.done_logit, batch["done"]))
        return found

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
        count = batch["mask"].sum()  # of transitions: long episodes weigh more than short ones
        means = {n: sums.sum() / count for n, (sums, _) in terms(params["memory"], batch, key).items()}
        return Loss(total(means), batch_stats, means, weight=count)

    def step(state, batch, key):
        return update(state, loss_function, batch, key, optimizer, axis_name, accumulate)

    def evaluate(state, batch, key):
        found = terms(state.params["memory"], batch, key)
        weights = found["mixture_loss"][1]
        return found | {"loss": (total({name: sums for name, (sums, _) in found.items()}), weights)}

    def sample(state, key, num, steps=100):
        start_key, key = jax.random.split(key)
        start = jax.random.normal(start_key, (num, heads.z_dim))
        dream = partial(dream_along, memory, {"params": state.params["memory"]})
        return jax.vmap(dream)(jax.random.split(key, num), start, jnp.zeros((num, steps, heads.action_dim)))

    return Learner(init, step, evaluate, sample)
