"""Memory of the world models: an LSTM with a mixture density output (Ha & Schmidhuber 2018; book 08).

The conventions are the paper's. Step t reads the latent vector z_t, the action a_t chosen there and the reward that
came with z_t, and predicts the outcome of a_t: z_{t+1}, its reward, and whether the episode ends. The carry holds the
past; a controller chooses a_{t+1} from z_{t+1} and the hidden state after step t. (The book's code is off by one: its
network is trained on a_t but gets a_{t-1} when it runs.)

Rewards are 1 if positive, else 0; the first step's is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gdl_jax.core.config_flags import AtLeast
from gdl_jax.core.errors import ConfigError
from gdl_jax.models.checks import activation
from gdl_jax.nn.layers import Dense
from gdl_jax.nn.mixture import mixture_sample
from gdl_jax.nn.recurrent import LSTM, RECURRENT_ACTIVATIONS, LSTMCarry


@dataclass(frozen=True, kw_only=True)
class Config:
    z_dim: Annotated[int, AtLeast(1)] = 32  # dimensions of the latent space
    action_dim: Annotated[int, AtLeast(1)] = 3  # dimensions of an action
    hidden_units: Annotated[int, AtLeast(1)] = 256  # units of the LSTM
    mixtures: Annotated[int, AtLeast(1)] = 5  # Gaussians per latent dimension
    reward_input: bool = True  # feed the reward that came with z to the network (not in the paper)
    reward_head: bool = True  # predict the next reward; needed for dream returns
    done_head: bool = False  # predict the end of the episode
    recurrent_activation: str = "sigmoid"  # activation of the gates; the book's Keras had hard_sigmoid


class Prediction(NamedTuple):
    """Mixture parameters for each dimension of the next z, and logits of its reward and of the episode's end.

    Attributes:
      log_weights: (B, T, z, K), unnormalised.
      means, log_sigmas: (B, T, z, K).
      reward_logit, done_logit: (B, T); None without such a head.
    """

    log_weights: jax.Array
    means: jax.Array
    log_sigmas: jax.Array
    reward_logit: jax.Array | None
    done_logit: jax.Array | None


class MDNRNN(nn.Module):
    """LSTM with a mixture density output."""

    config: Config
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, z: jax.Array, action: jax.Array, reward: jax.Array, carry: LSTMCarry, *, train: bool = False
    ) -> tuple[Prediction, jax.Array, LSTMCarry]:
        """Runs over a sequence, or over a single step with T = 1.

        Args:
          z: (B, T, z_dim).
          action: (B, T, action_dim), chosen at z.
          reward: (B, T), 0 or 1, that came with z; ignored without config.reward_input.
          carry: before the first step; `zero_carry` at the beginning of an episode.
          train: ignored.

        Returns:
          The predictions, the hidden states (B, T, hidden_units), and the last carry.
        """
        del train
        config = self.config
        chex.assert_shape([z, action], [(None, None, config.z_dim), (*z.shape[:2], config.action_dim)])
        inputs = [z, action, *([reward[..., None]] if config.reward_input else [])]
        hidden, carry = self._lstm(name="lstm")(jnp.concatenate(inputs, axis=-1), carry)  # (B, T, 256)
        parameters = 3 * config.z_dim * config.mixtures
        outputs = parameters + config.reward_head + config.done_head  # 481 with one head
        flat = hidden.reshape(-1, config.hidden_units)
        flat = Dense(outputs, dtype=self.dtype, name="head")(flat).astype(jnp.float32)
        flat = flat.reshape(*z.shape[:2], outputs)  # (B, T, 481)
        mixtures = flat[..., :parameters].reshape(*z.shape[:2], 3, config.z_dim, config.mixtures)
        log_weights, means, log_sigmas = (mixtures[:, :, i] for i in range(3))  # each (B, T, 32, 5)
        reward_logit = flat[..., parameters] if config.reward_head else None
        done_logit = flat[..., -1] if config.done_head else None
        return Prediction(log_weights, means, log_sigmas, reward_logit, done_logit), hidden, carry

    @nn.nowrap
    def zero_carry(self, batch_size: int) -> LSTMCarry:
        """Returns the carry at the beginning of an episode."""
        return self._lstm().zero_carry(batch_size)

    @nn.nowrap
    def _lstm(self, **name) -> LSTM:
        activate = activation(self.config, "recurrent_", RECURRENT_ACTIVATIONS)
        return LSTM(self.config.hidden_units, activate, self.dtype, **name)


def dream_step(
    module: MDNRNN,
    variables: Any,
    key: jax.Array,
    z: jax.Array,
    action: jax.Array,
    reward: jax.Array,
    carry: LSTMCarry,
    temperature: jax.Array | float = 1.0,
    draw_rewards: bool = True,
) -> tuple[jax.Array, jax.Array, jax.Array, LSTMCarry]:
    """Samples the next step of one dream from the network's prediction; to be vmapped.

    Args:
      module, variables: the network.
      key: for the samples.
      z, action, reward, carry: (z_dim,), (action_dim,), () and (hidden_units,) twice, as in `MDNRNN`.
      temperature: of the mixtures' samples; see `nn.mixture.mixture_sample`.
      draw_rewards: sample rewards with the predicted probability; otherwise the reward is 1 where its probability is
        above 1/2, as in the book. A car reaches a tile every few steps, at moments that are hard to predict: a network
        that only knows the rate would never give a reward, nor see one as its input.

    Returns:
      The next z (z_dim,), its reward (), 1.0 or 0.0, the logit () of the episode's end, and the carry. Without the
      heads, the reward is 0 and the logit -inf.
    """
    chex.assert_shape([z, action], [(module.config.z_dim,), (module.config.action_dim,)])
    z_key, reward_key = jax.random.split(key)
    one = jax.tree.map(lambda x: x[None], carry)
    predicted, _, carry = module.apply(variables, z[None, None], action[None, None], reward[None, None], one)
    predicted = jax.tree.map(lambda x: x[0, 0], predicted)
    next_z = mixture_sample(z_key, predicted.log_weights, predicted.means, predicted.log_sigmas, temperature)
    never = jnp.float32(-jnp.inf)
    reward_logit = never if predicted.reward_logit is None else predicted.reward_logit
    rewarded = jax.random.bernoulli(reward_key, jax.nn.sigmoid(reward_logit)) if draw_rewards else reward_logit > 0
    done_logit = never if predicted.done_logit is None else predicted.done_logit
    return next_z, rewarded.astype(jnp.float32), done_logit, jax.tree.map(lambda x: x[0], carry)


def dream_along(
    module: MDNRNN,
    variables: Any,
    key: jax.Array,
    z: jax.Array,
    actions: jax.Array,
    temperature: jax.Array | float = 1.0,
    draw_rewards: bool = True,
) -> jax.Array:
    """Samples the latent vectors of one dream with given actions; to be vmapped.

    Args:
      module, variables: the network.
      key: for the samples.
      z: (z_dim,), the first latent vector.
      actions: (T, action_dim).
      temperature, draw_rewards: as in `dream_step`.

    Returns:
      (T, z_dim), the latent vector before each action: z and T - 1 samples.
    """

    def body(state, inputs):
        z, reward, carry = state
        key, action = inputs
        next_z, reward, _, carry = dream_step(
            module, variables, key, z, action, reward, carry, temperature, draw_rewards
        )
        return (next_z, reward, carry), z

    carry = jax.tree.map(lambda x: x[0], module.zero_carry(1))
    start = z, jnp.float32(0), carry
    return lax.scan(body, start, (jax.random.split(key, len(actions)), actions))[1]


def transition(module: MDNRNN, draw_rewards: bool = True) -> Callable:
    """Returns `dream_step` of a network in the form that `gdl_jax.envs.dream.dynamics.Dream` expects.

    Raises:
      ConfigError: the network does not predict rewards, without which a dream has no return.
    """
    if not module.config.reward_head:
        raise ConfigError("reward_head", False, "dreams need a network that predicts rewards")
    return partial(dream_step, module, draw_rewards=draw_rewards)
