"""Attention over sequences: weights that sum to 1 over the steps, and the sum of the steps so weighted.

Masks are (B, T), of numbers or booleans. Where they are 0 a weight is 0, whatever the value there; a row that has
nothing to attend to gets a context of zeros.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gdl_jax.nn.layers import Dense


def masked_softmax(scores: jax.Array, mask: jax.Array | None) -> jax.Array:
    """exp(score) over the sum of those that the mask keeps: (B, T), (B, T) or None -> (B, T) float32."""
    scores = scores.astype(jnp.float32)
    if mask is None:
        return jax.nn.softmax(scores, axis=-1)
    kept = mask.astype(bool)
    # The least number and not minus infinity, which in a row of nothing else would make NaN of the gradient too.
    return jax.nn.softmax(jnp.where(kept, scores, jnp.finfo(jnp.float32).min), axis=-1) * kept


def weighted_sum(weights: jax.Array, values: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Weights (B, T), values (B, T, V) -> (B, V); values that the mask leaves out may be NaN."""
    if mask is not None:
        values = jnp.where(mask.astype(bool)[..., None], values, 0)
    return jnp.einsum("bt,btv->bv", weights, values)


class AttentionPool(nn.Module):
    """What matters of a sequence, as one vector: the attention of book 07_02.

    A step's score is tanh(w^T value + b), its weight the softmax of the scores over time.

    Attributes:
      dtype: the type in which scores are computed; None is that of the values and the parameters.
    """

    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, values: jax.Array, mask: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Values (B, T, V), mask (B, T) or None -> context (B, V), weights (B, T)."""
        flat = values.reshape(-1, values.shape[-1])
        scores = jnp.tanh(Dense(1, dtype=self.dtype, name="score")(flat)).reshape(values.shape[:2])  # (B, T)
        weights = masked_softmax(scores, mask)
        return weighted_sum(weights, values, mask), weights


class AdditiveAttention(nn.Module):
    """Which of a sequence's steps a query asks for (Bahdanau et al. 2015, section 3.1 and appendix A.1.2).

    A step's score is v^T tanh(W query + U value), its weight the softmax of the scores over time.

    Attributes:
      units: of the layer in which query and values meet.
      dtype: the type in which scores are computed; None is that of the values and the parameters.
    """

    units: int
    dtype: jnp.dtype | None = None

    def setup(self):
        self.query = Dense(self.units, use_bias=False, dtype=self.dtype)
        self.value = Dense(self.units, use_bias=False, dtype=self.dtype)
        self.score = Dense(1, use_bias=False, dtype=self.dtype)

    def project(self, values: jax.Array) -> jax.Array:
        """U value of each step, (B, T, V) -> (B, T, units): the same for all queries, to be taken before a loop."""
        return self.value(values.reshape(-1, values.shape[-1])).reshape(*values.shape[:2], self.units)

    def __call__(
        self, query: jax.Array, values: jax.Array, mask: jax.Array | None = None, projected: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Attends once.

        Args:
          query: (B, Q).
          values: (B, T, V).
          mask: (B, T) or None.
          projected: `project(values)`; None: taken here.

        Returns:
          context (B, V), weights (B, T).
        """
        projected = self.project(values) if projected is None else projected
        met = jnp.tanh(self.query(query)[:, None] + projected)  # (B, T, units)
        scores = self.score(met.reshape(-1, self.units)).reshape(values.shape[:2])  # (B, T)
        weights = masked_softmax(scores, mask)
        return weighted_sum(weights, values, mask), weights
