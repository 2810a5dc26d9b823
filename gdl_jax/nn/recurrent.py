"""Recurrent layers with Keras's defaults.

Kernels start Glorot-uniform, recurrent kernels orthogonal, biases at zero but for the forget gate's, which are 1.
All gates are columns of one product. That of the inputs is taken for the whole sequence at once, before the loop over
time; the loop is left with the product of the hidden state.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax

from gdl_jax.nn.dense import dense
from gdl_jax.nn.layers import glorot_uniform

LSTMCarry = tuple[jax.Array, jax.Array]  # hidden state h and cell state c, each (B, features), float32


def hard_sigmoid(x: jax.Array) -> jax.Array:
    """clip(x / 5 + 1 / 2, 0, 1): the recurrent activation of LSTM and GRU in Keras 2.2 and before."""
    return jnp.clip(0.2 * x + 0.5, 0.0, 1.0)


RECURRENT_ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "sigmoid": nn.sigmoid,
    "hard_sigmoid": hard_sigmoid,
}


def _unit_forget_bias(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Zeros, but ones for the second of four gates (Jozefowicz et al. 2015)."""
    del key
    return jnp.zeros((4, shape[0] // 4)).at[1].set(1.0).reshape(shape)


class LSTM(nn.Module):
    """Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gates of Gers et al. 2000).

    With s the recurrent activation and [i, f, g, o] = x W + h U + b, in Keras's order of the gates,
    c' = s(f) c + s(i) tanh(g) and h' = s(o) tanh(c').

    Attributes:
      features: of the hidden state and of the cell state.
      recurrent_activation: of the three gates.
      dtype: the type of the products; None is that of the input and the parameters. Gates and carry are float32.
    """

    features: int
    recurrent_activation: Callable[[jax.Array], jax.Array] = nn.sigmoid
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, xs: jax.Array, carry: LSTMCarry, mask: jax.Array | None = None) -> tuple[jax.Array, LSTMCarry]:
        """A whole sequence.

        Args:
          xs: (B, T, F).
          carry: before the first step.
          mask: (B, T), of numbers or booleans, or None; where it is 0 a step is skipped: the carry stays what it was.

        Returns:
          hs: (B, T, features), the hidden state after each step.
          carry: after the last step.
        """
        columns = 4 * self.features
        kernel = self.param("kernel", glorot_uniform, (xs.shape[-1], columns))
        recurrent_kernel = self.param("recurrent_kernel", nn.initializers.orthogonal(), (self.features, columns))
        bias = self.param("bias", _unit_forget_bias, (columns,))
        xs, kernel, recurrent_kernel = promote_dtype(xs, kernel, recurrent_kernel, dtype=self.dtype)

        def step(carry, inputs):
            projected, kept = inputs
            gates = projected + dense(carry[0].astype(xs.dtype), recurrent_kernel)
            new = self._cell(gates.astype(jnp.float32), carry[1])
            if kept is not None:
                new = jax.tree.map(lambda new, old: jnp.where(kept[:, None], new, old), new, carry)
            return new, new[0]

        kept = None if mask is None else mask.astype(bool).T  # (T, B)
        xs = xs.swapaxes(0, 1)  # (T, B, F)
        projected = (dense(xs.reshape(-1, xs.shape[-1]), kernel) + bias).reshape(*xs.shape[:2], columns)
        carry, hs = lax.scan(step, carry, (projected, kept))
        return hs.swapaxes(0, 1), carry

    def step(self, x: jax.Array, carry: LSTMCarry) -> tuple[jax.Array, LSTMCarry]:
        """One step: x (B, F), carry -> the new hidden state (B, features), the new carry."""
        hs, carry = self(x[:, None], carry)
        return hs[:, 0], carry

    def zero_carry(self, batch_size: int) -> LSTMCarry:
        """What a sequence starts from where nothing else is known."""
        return (jnp.zeros((batch_size, self.features)),) * 2

    def _cell(self, gates: jax.Array, c: jax.Array) -> LSTMCarry:
        """Gates before their activations (B, 4 features), cell state -> the new carry."""
        activate = self.recurrent_activation
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        c = activate(f) * c + activate(i) * jnp.tanh(g)
        return activate(o) * jnp.tanh(c), c
