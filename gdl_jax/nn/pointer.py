"""Words that are spoken from a vocabulary or copied from a document (See et al. 2017, equation 9).

p(w) = s(g) softmax(logits)[w] + (1 - s(g)) * (the sum of the attention on all places of w in the document), with s the
sigmoid and g the logit of speaking and not copying; the first term is 0 for words that are not in the vocabulary. Words
below V are the vocabulary's, others are known to the document only. What has no probability is taken to have the least
float32: its logarithm, and the gradient of that, would have no bounds.
"""

import jax
import jax.numpy as jnp

LEAST = jnp.finfo(jnp.float32).tiny


def log_probabilities(
    logits: jax.Array, gate_logits: jax.Array, attention: jax.Array, document: jax.Array
) -> jax.Array:
    """log p of every word.

    Args:
      logits: (B, V).
      gate_logits: (B,), g.
      attention: (B, D), sums to 1 over the document, 0 on its padding.
      document: (B, D), integers below V + D.

    Returns:
      (B, V + D).
    """
    gate = jax.nn.sigmoid(gate_logits)[:, None]
    spoken = jnp.pad(gate * jax.nn.softmax(logits), ((0, 0), (0, document.shape[1])))
    both = spoken.at[jnp.arange(len(document))[:, None], document].add((1 - gate) * attention)
    return jnp.log(jnp.maximum(both, LEAST))


def log_probability(
    logits: jax.Array, gate_logits: jax.Array, attention: jax.Array, document: jax.Array, targets: jax.Array
) -> jax.Array:
    """log p(target), for which sums are taken as logarithms and no array of (B, T, V + D) is made.

    Args:
      logits: (B, T, V).
      gate_logits: (B, T), g.
      attention: (B, T, D), as for `log_probabilities`.
      document: (B, D), integers.
      targets: (B, T), of the same numbers.

    Returns:
      (B, T).
    """
    size = logits.shape[-1]
    known = jnp.minimum(targets, size - 1)[..., None]
    spoken = jnp.take_along_axis(logits, known, axis=-1)[..., 0] - jax.nn.logsumexp(logits, axis=-1)
    there = document[:, None, :] == targets[:, :, None]  # (B, T, D)
    pointed = jnp.where(there, attention, 0.0).sum(axis=-1)  # (B, T)
    copied = jnp.log(jnp.maximum(pointed, LEAST)) + jax.nn.log_sigmoid(-gate_logits)
    nothing = jnp.log(LEAST)
    return jnp.logaddexp(
        jnp.where(targets < size, spoken + jax.nn.log_sigmoid(gate_logits), nothing),
        jnp.where(pointed > 0, copied, nothing),
    )
