"""Draws from a categorical distribution that was made bolder or more cautious."""

import jax
import jax.numpy as jnp
from jax import lax

Number = jax.Array | float


def sample_logits(
    key: jax.Array,
    logits: jax.Array,
    temperature: Number = 1.0,
    top_k: jax.Array | int = 0,
    top_p: Number = 1.0,
) -> jax.Array:
    """Draws one value for each row of logits.

    The logits are divided by the temperature; of what they then say, the `top_k` most probable values are kept, and of
    those again the fewest that have `top_p` of their probability together (Holtzman et al. 2020). The three may be
    traced: one compiled program serves all of them. What is drawn does not change with bounds that exclude nothing.

    Args:
      key: for all rows.
      logits: (..., V), not normalised; values of minus infinity are never drawn where there are others.
      temperature: () or (...), at least 0; 1 leaves the distribution as it is, 0 is the most probable value.
      top_k: () or (...), integers; 0: all.
      top_p: () or (...), in [0, 1]; 1: all. At least one value is kept.

    Returns:
      (...), int32 in [0, V).
    """
    logits = logits.astype(jnp.float32)
    temperature, top_k, top_p = (jnp.asarray(bound)[..., None] for bound in (temperature, top_k, top_p))
    # From the largest: whatever the temperature, no quotient overflows.
    scaled = (logits - logits.max(axis=-1, keepdims=True)) / jnp.where(temperature > 0, temperature, 1.0)
    bounded = jnp.any(top_k > 0) | jnp.any(top_p < 1)  # sorting takes longer than all else here
    scaled = lax.cond(bounded, lambda x: jnp.where(_most_probable(x, top_k, top_p), x, -jnp.inf), lambda x: x, scaled)
    drawn = jax.random.categorical(key, scaled)
    return jnp.where(temperature[..., 0] > 0, drawn, logits.argmax(axis=-1)).astype(jnp.int32)


def _most_probable(logits: jax.Array, top_k: jax.Array, top_p: jax.Array) -> jax.Array:
    """Which values (..., V) are kept; of equally probable ones, the first. top_k and top_p are (..., 1)."""
    order = jnp.argsort(-logits, axis=-1, stable=True)
    place = jnp.arange(logits.shape[-1])
    ranked = jnp.take_along_axis(logits, order, axis=-1)
    ranked = jnp.where((top_k <= 0) | (place < top_k), ranked, -jnp.inf)
    probabilities = jax.nn.softmax(ranked, axis=-1)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    kept = (ranked > -jnp.inf) & ((before < top_p) | (top_p >= 1) | (place == 0))
    return jnp.put_along_axis(jnp.zeros_like(kept), order, kept, axis=-1, inplace=False)
