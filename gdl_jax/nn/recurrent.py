"""Recurrent layers with Keras's defaults.

Kernels are initialised Glorot-uniform, recurrent kernels orthogonal, biases zero except the forget gate's, which are 1.
One matrix product computes all gates. The inputs' product is computed for the whole sequence before the loop over time,
which only multiplies the hidden state.

A mask is (B, T), numbers or booleans; steps where it is 0 are skipped: the carry doesn't change, and the step's output
is the previous hidden state.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax

from gdl_jax.nn.dense import dense, kernel_gradient
from gdl_jax.nn.layers import glorot_uniform

LSTMCarry = tuple[jax.Array, jax.Array]  # hidden state h and cell state c, each (B, features), float32
GRUCarry = jax.Array  # hidden state (B, features), float32


def hard_sigmoid(x: jax.Array) -> jax.Array:
    """Returns clip(x / 5 + 1 / 2, 0, 1), the recurrent activation of LSTM and GRU up to Keras 2.2."""
    return jnp.clip(0.2 * x + 0.5, 0.0, 1.0)


RECURRENT_ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "sigmoid": nn.sigmoid,
    "hard_sigmoid": hard_sigmoid,
}


def _unit_forget_bias(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Returns zeros, but ones for the second of four gates (Jozefowicz et al. 2015)."""
    del key
    return jnp.zeros((4, shape[0] // 4)).at[1].set(1.0).reshape(shape)


class _Recurrence(NamedTuple):
    """Functions of a recurrent cell; none of them closes over an array.

    Attributes:
      cell: (output of `mix`, carry, more parameters) -> the new carry.
      mix: (x W + b, h U) -> the cell's inputs (..., columns); linear.
      hidden: carry -> hidden state (B, features).
      reverse: run from the last step to the first.
    """

    cell: Callable[[jax.Array, Any, Any], Any]
    mix: Callable[[jax.Array, jax.Array], jax.Array]
    hidden: Callable[[Any], jax.Array]
    reverse: bool

    def advance(self, mixed: jax.Array, carry: Any, more: Any, kept: jax.Array | None) -> Any:
        """Returns the carry after a step, unchanged in rows where `kept` (B,) is false."""
        new = self.cell(mixed, carry, more)
        if kept is None:
            return new
        return jax.tree.map(lambda new, old: jnp.where(kept[:, None], new, old), new, carry)

    def run(self, recurrent_kernel, more, projected, kept, carry, keep: bool) -> tuple[Any, Any]:
        """Returns the last carry, and each step's hidden state or, with `keep`, residuals for the backward pass."""

        def step(carry, inputs):
            projected, kept = inputs
            mixed = self.mix(projected, self.hidden(carry).astype(recurrent_kernel.dtype) @ recurrent_kernel)
            new = self.advance(mixed, carry, more, kept)
            return new, ((mixed, carry) if keep else self.hidden(new))

        return lax.scan(step, carry, (projected, kept), reverse=self.reverse)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scan(recurrence: _Recurrence, recurrent_kernel, more, projected, kept, carry) -> tuple[jax.Array, Any]:
    """Returns hidden states (T, B, features) and the last carry.

    The backward pass is written by hand, for speed. It saves each step's carry and the cell's inputs, and recomputes
    the gates. The gradient of U is one product after the loop, of all hidden states with their products' gradients:
    accumulated step by step, it would dominate the loop's memory traffic.
    """
    last, hs = recurrence.run(recurrent_kernel, more, projected, kept, carry, keep=False)
    return hs, last


def _scan_forward(recurrence: _Recurrence, recurrent_kernel, more, projected, kept, carry):
    last, (mixed, befores) = recurrence.run(recurrent_kernel, more, projected, kept, carry, keep=True)
    before, end = recurrence.hidden(befores), recurrence.hidden(last)[None]
    hs = jnp.concatenate([end, before[:-1]] if recurrence.reverse else [before[1:], end])
    return (hs, last), (recurrent_kernel, more, projected, kept, (mixed, befores))


def _scan_backward(recurrence: _Recurrence, saved, cotangents):
    recurrent_kernel, more, projected, kept, (mixed, befores) = saved
    to_hs, to_carry = cotangents
    product = jax.ShapeDtypeStruct((*projected.shape[:2], recurrent_kernel.shape[1]), recurrent_kernel.dtype)
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), (projected, product))
    transposed = lax.optimization_barrier(recurrent_kernel.T)  # once: XLA:CPU multiplies by a transpose more slowly

    def add_to_hidden(carry, h):
        (carry_of_h,) = jax.linear_transpose(recurrence.hidden, carry)(h)
        return jax.tree.map(jnp.add, carry, carry_of_h)

    def step(state, inputs):
        to_carry, to_more = state
        mixed, before, kept, to_h = inputs
        _, pull_back = jax.vjp(lambda *inputs: recurrence.advance(*inputs, kept), mixed, before, more)
        to_mixed, to_before, to_more_here = pull_back(add_to_hidden(to_carry, to_h))
        _, to_product = jax.linear_transpose(recurrence.mix, *one)(to_mixed)
        to_before = add_to_hidden(to_before, (to_product @ transposed).astype(to_h.dtype))
        return (to_before, jax.tree.map(jnp.add, to_more, to_more_here)), to_mixed

    first = to_carry, jax.tree.map(jnp.zeros_like, more)
    steps = (mixed, befores, kept, to_hs)
    (to_carry, to_more), to_mixed = lax.scan(step, first, steps, reverse=not recurrence.reverse)
    to_projected, to_products = jax.linear_transpose(recurrence.mix, projected, product)(to_mixed)
    states = recurrence.hidden(befores).astype(recurrent_kernel.dtype)
    flat = (x.reshape(-1, x.shape[-1]) for x in (states, to_products))
    return kernel_gradient(*flat), to_more, to_projected, None, to_carry


_scan.defvjp(_scan_forward, _scan_backward)


class _Parameters(NamedTuple):
    """Parameters W (F, columns), b (columns,), U (features, recurrent columns), and others of the cell."""

    kernel: jax.Array
    bias: jax.Array
    recurrent_kernel: jax.Array
    more: Any


def _over_time(
    recurrence: _Recurrence, parameters: _Parameters, xs: jax.Array, carry: Any, mask: jax.Array | None
) -> tuple[jax.Array, Any]:
    """Runs a cell over xs (B, T, F); carry, mask and results as in `LSTM`."""
    kernel, bias, recurrent_kernel, more = parameters
    kept = None if mask is None else mask.astype(bool).T  # (T, B)
    xs = xs.swapaxes(0, 1)  # (T, B, F)
    projected = (dense(xs.reshape(-1, xs.shape[-1]), kernel) + bias).reshape(*xs.shape[:2], -1)
    hs, carry = _scan(recurrence, recurrent_kernel, more, projected, kept, carry)
    return hs.swapaxes(0, 1), carry


class LSTM(nn.Module):
    """Long short-term memory: flax's cell as a layer with Keras's defaults and a backward pass that is fast on CPU.

    Hochreiter & Schmidhuber 1997, with the forget gates of Gers et al. 2000. With s the recurrent activation and
    [i, f, g, o] = x W + h U + b, in Keras's order of the gates, c' = s(f) c + s(i) tanh(g) and h' = s(o) tanh(c').

    Attributes:
      features: of the hidden state and of the cell state.
      recurrent_activation: of the three gates.
      dtype: of the products; None: promoted from input and parameters. Gates and carry are float32.
    """

    features: int
    recurrent_activation: Callable[[jax.Array], jax.Array] = nn.sigmoid
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(
        self, xs: jax.Array, carry: LSTMCarry, mask: jax.Array | None = None, reverse: bool = False
    ) -> tuple[jax.Array, LSTMCarry]:
        """Runs over a sequence.

        Args:
          xs: (B, T, F).
          carry: before the first step.
          mask: (B, T) or None.
          reverse: run backwards in time, from the last unmasked step to the first.

        Returns:
          hs: (B, T, features), the hidden state after each step.
          carry: after the last step.
        """
        columns = 4 * self.features
        kernel = self.param("kernel", glorot_uniform, (xs.shape[-1], columns))
        recurrent_kernel = self.param("recurrent_kernel", nn.initializers.orthogonal(), (self.features, columns))
        bias = self.param("bias", _unit_forget_bias, (columns,))
        xs, kernel, recurrent_kernel = promote_dtype(xs, kernel, recurrent_kernel, dtype=self.dtype)

        def cell(gates, carry, _):
            return self._cell(gates.astype(jnp.float32), carry[1])

        recurrence = _Recurrence(cell, jnp.add, lambda carry: carry[0], reverse)
        return _over_time(recurrence, _Parameters(kernel, bias, recurrent_kernel, None), xs, carry, mask)

    def step(self, x: jax.Array, carry: LSTMCarry) -> tuple[jax.Array, LSTMCarry]:
        """Takes one step: x (B, F), carry -> the new hidden state (B, features), the new carry."""
        hs, carry = self(x[:, None], carry)
        return hs[:, 0], carry

    def zero_carry(self, batch_size: int) -> LSTMCarry:
        """Returns the initial carry, zeros."""
        return (jnp.zeros((batch_size, self.features)),) * 2

    def _cell(self, gates: jax.Array, c: jax.Array) -> LSTMCarry:
        """Returns the new carry, given the gates before their activations (B, 4 features) and the cell state."""
        i, f, g, o = self._activated(gates)
        c = f * c + i * g
        return o * jnp.tanh(c), c

    def _activated(self, gates: jax.Array) -> list[jax.Array]:
        """Returns s(i), s(f), tanh(g), s(o), each (B, features), given the gates (B, 4 features)."""
        if self.recurrent_activation is nn.sigmoid:  # as (1 + tanh(x / 2)) / 2: one tanh for all, a quarter faster
            half = jnp.array([0.5, 0.5, 1.0, 0.5]).repeat(self.features)
            i, f, g, o = jnp.split(jnp.tanh(half * gates), 4, axis=-1)
            return [0.5 * i + 0.5, 0.5 * f + 0.5, g, 0.5 * o + 0.5]
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        activate = self.recurrent_activation
        return [activate(i), activate(f), jnp.tanh(g), activate(o)]


class GRU(nn.Module):
    """Gated recurrent unit: flax's cell as a layer with Keras's defaults and a backward pass that is fast on CPU.

    Cho et al. 2014, with Keras's order of the gates: update z, reset r, candidate. With s the recurrent activation and
    [a_z, a_r, a_h] = x W + b, z = s(a_z + (h U)_z), r = s(a_r + (h U)_r), h' = z h + (1 - z) tanh(a_h + g).
    g is r (h U)_h where the reset follows the product (cuDNN's form, Keras's default since 2.3), with a bias c of its
    own added to h U for all three gates; and ((r h) U)_h where it precedes the product (Cho's form, and the book's).

    Attributes:
      features: of the hidden state.
      recurrent_activation: of the two gates.
      reset_after: apply the reset gate after the product.
      dtype: of the products; None: promoted from input and parameters. Gates and carry are float32.
    """

    features: int
    recurrent_activation: Callable[[jax.Array], jax.Array] = nn.sigmoid
    reset_after: bool = True
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(
        self, xs: jax.Array, carry: GRUCarry, mask: jax.Array | None = None, reverse: bool = False
    ) -> tuple[jax.Array, GRUCarry]:
        """Runs over a sequence; arguments and results as in `LSTM`."""
        columns = 3 * self.features
        kernel = self.param("kernel", glorot_uniform, (xs.shape[-1], columns))
        recurrent_kernel = self.param("recurrent_kernel", nn.initializers.orthogonal(), (self.features, columns))
        bias = self.param("bias", nn.initializers.zeros, (columns,))
        if self.reset_after:
            recurrent_bias = self.param("recurrent_bias", nn.initializers.zeros, (columns,))
        xs, kernel, recurrent_kernel = promote_dtype(xs, kernel, recurrent_kernel, dtype=self.dtype)

        gates = 2 * self.features  # columns of update and reset gate

        def mix(projected, product):
            """Returns the two gates' sums, then the candidate's terms, unsummed; one term if the reset comes first."""
            sums = projected[..., :gates] + product[..., :gates]
            return jnp.concatenate([sums, projected[..., gates:], product[..., gates:]], axis=-1)

        def reset_after(mixed, h, recurrent_bias):
            z, r = self._gates(mixed[:, :gates] + recurrent_bias[:gates])
            projected, product = jnp.split(mixed[:, gates:], 2, axis=-1)
            return z * h + (1 - z) * jnp.tanh(projected + r * (product + recurrent_bias[gates:]))

        def reset_before(mixed, h, candidate_kernel):
            z, r = self._gates(mixed[:, :gates])
            product = dense((r * h).astype(candidate_kernel.dtype), candidate_kernel)
            return z * h + (1 - z) * jnp.tanh(mixed[:, gates:] + product.astype(jnp.float32))

        def cell(mixed, h, more):
            return (reset_after if self.reset_after else reset_before)(mixed.astype(jnp.float32), h, more)

        if self.reset_after:
            in_product, more = recurrent_kernel, recurrent_bias
        else:
            in_product, more = recurrent_kernel[:, :gates], recurrent_kernel[:, gates:]
        recurrence = _Recurrence(cell, mix, lambda h: h, reverse)
        return _over_time(recurrence, _Parameters(kernel, bias, in_product, more), xs, carry, mask)

    def step(self, x: jax.Array, carry: GRUCarry) -> tuple[jax.Array, GRUCarry]:
        """Takes one step: x (B, F), carry -> the new hidden state (B, features), and the same as the new carry."""
        hs, carry = self(x[:, None], carry)
        return hs[:, 0], carry

    def zero_carry(self, batch_size: int) -> GRUCarry:
        """Returns the initial carry, zeros."""
        return jnp.zeros((batch_size, self.features))

    def _gates(self, sums: jax.Array) -> list[jax.Array]:
        """Returns the update and the reset gate, each (B, features)."""
        return jnp.split(self.recurrent_activation(sums), 2, axis=-1)


def bidirectional(
    forward: LSTM | GRU, backward: LSTM | GRU, xs: jax.Array, mask: jax.Array | None = None
) -> tuple[jax.Array, tuple[Any, Any]]:
    """Runs two layers over a sequence, one in each direction, and concatenates their states (Schuster & Paliwal 1997).

    Args:
      forward, backward: layers with parameters of their own; the second runs from each row's last unmasked step to its
        first.
      xs: (B, T, F).
      mask: (B, T) or None.

    Returns:
      hs: (B, T, features of both), each layer's hidden state after reading the step.
      carries: last carries of both layers.
    """
    before, last = forward(xs, forward.zero_carry(xs.shape[0]), mask)
    after, first = backward(xs, backward.zero_carry(xs.shape[0]), mask, reverse=True)
    return jnp.concatenate([before, after], axis=-1), (last, first)
