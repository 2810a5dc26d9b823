"""Attention over sequences: softmax weights over the steps, and the weighted sum of the steps.

Masks are numbers or booleans, (B, T) in the modules; where a mask is 0 the weight is 0. A row whose mask is 0
everywhere gets a context of zeros.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gdl_jax.nn.layers import Dense


def masked_softmax(scores: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Returns the softmax over the last axis where the mask is not 0, in float32; rows without any are 0.

    Args:
      scores: (..., T).
      mask: broadcastable to the scores; None: 1 everywhere.
    """
    scores = scores.astype(jnp.float32)
    if mask is None:
        return jax.nn.softmax(scores, axis=-1)
    kept = mask.astype(bool)
    # The lowest finite number: with -inf, a fully masked row would give NaN, in the gradient too.
    return jax.nn.softmax(jnp.where(kept, scores, jnp.finfo(jnp.float32).min), axis=-1) * kept


def weighted_sum(weights: jax.Array, values: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Returns the sum of values (B, T, V) with weights (B, T): (B, V). Masked values may be NaN."""
    if mask is not None:
        values = jnp.where(mask.astype(bool)[..., None], values, 0)
    return jnp.einsum("bt,btv->bv", weights, values)


class AttentionPool(nn.Module):
    """Attention pooling of a sequence into one vector (book 07_02).

    A step's score is tanh(w^T value + b); its weight is the softmax of the scores over time.

    Attributes:
      dtype: of the scores' computation; None: promoted from values and parameters.
    """

    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, values: jax.Array, mask: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Pools values (B, T, V) with a mask (B, T) or None: returns context (B, V) and weights (B, T)."""
        flat = values.reshape(-1, values.shape[-1])
        scores = jnp.tanh(Dense(1, dtype=self.dtype, name="score")(flat)).reshape(values.shape[:2])  # (B, T)
        weights = masked_softmax(scores, mask)
        return weighted_sum(weights, values, mask), weights


class AdditiveAttention(nn.Module):
    """Additive attention of a query over a sequence (Bahdanau et al. 2015, section 3.1 and appendix A.1.2).

    A step's score is v^T tanh(W query + U value); its weight is the softmax of the scores over time.

    Attributes:
      units: of the hidden layer.
      dtype: of the scores' computation; None: promoted from values and parameters.
    """

    units: int
    dtype: jnp.dtype | None = None

    def setup(self):
        self.query = Dense(self.units, use_bias=False, dtype=self.dtype)
        self.value = Dense(self.units, use_bias=False, dtype=self.dtype)
        self.score = Dense(1, use_bias=False, dtype=self.dtype)

    def project(self, values: jax.Array) -> jax.Array:
        """Returns U value of each step, (B, T, V) -> (B, T, units); the same for all queries, so compute it once."""
        return self.value(values.reshape(-1, values.shape[-1])).reshape(*values.shape[:2], self.units)

    def __call__(
        self, query: jax.Array, values: jax.Array, mask: jax.Array | None = None, projected: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Attends once.

        Args:
          query: (B, Q).
          values: (B, T, V).
          mask: (B, T) or None.
          projected: `project(values)`; None: computed here.

        Returns:
          context (B, V), weights (B, T).
        """
        projected = self.project(values) if projected is None else projected
        hidden = jnp.tanh(self.query(query)[:, None] + projected)  # (B, T, units)
        scores = self.score(hidden.reshape(-1, self.units)).reshape(values.shape[:2])  # (B, T)
        weights = masked_softmax(scores, mask)
        return weighted_sum(weights, values, mask), weights
