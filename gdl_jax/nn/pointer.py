"""Mixture of generating words from a vocabulary and copying them from a document (See et al. 2017, equation 9).

p(w) = s(g) softmax(logits)[w] + (1 - s(g)) * (sum of the attention on all positions of w in the document), with s the
sigmoid and g the gate's logit of generating. Ids below V are the vocabulary's; the others occur in the document only,
and their first term is 0. Probabilities are at least the smallest normal float32, which bounds the logarithm and its
gradient.
"""

import jax
import jax.numpy as jnp

LEAST = jnp.finfo(jnp.float32).tiny


def log_probabilities(
    logits: jax.Array, gate_logits: jax.Array, attention: jax.Array, document: jax.Array
) -> jax.Array:
    """Returns log p of every word.

    Args:
      logits: (B, V).
      gate_logits: (B,), g.
      attention: (B, D), sums to 1 over the document, 0 on its padding.
      document: (B, D), integers below V + D.

    Returns:
      (B, V + D).
    """
    gate = jax.nn.sigmoid(gate_logits)[:, None]
    generated = jnp.pad(gate * jax.nn.softmax(logits), ((0, 0), (0, document.shape[1])))
    both = generated.at[jnp.arange(len(document))[:, None], document].add((1 - gate) * attention)
    return jnp.log(jnp.maximum(both, LEAST))


def log_probability(
    logits: jax.Array, gate_logits: jax.Array, attention: jax.Array, document: jax.Array, targets: jax.Array
) -> jax.Array:
    """Returns log p(target), computed in log space without an array (B, T, V + D).

    Args:
      logits: (B, T, V).
      gate_logits: (B, T), g.
      attention: (B, T, D), as for `log_probabilities`.
      document: (B, D), integers below V + D.
      targets: (B, T), integers below V + D.

    Returns:
      (B, T).
    """
    size = logits.shape[-1]
    in_vocabulary = jnp.minimum(targets, size - 1)[..., None]
    generated = jnp.take_along_axis(logits, in_vocabulary, axis=-1)[..., 0] - jax.nn.logsumexp(logits, axis=-1)
    matches = document[:, None, :] == targets[:, :, None]  # (B, T, D)
    pointed = jnp.where(matches, attention, 0.0).sum(axis=-1)  # (B, T)
    copied = jnp.log(jnp.maximum(pointed, LEAST)) + jax.nn.log_sigmoid(-gate_logits)
    nothing = jnp.log(LEAST)
    return jnp.logaddexp(
        jnp.where(targets < size, generated + jax.nn.log_sigmoid(gate_logits), nothing),
        jnp.where(pointed > 0, copied, nothing),
    )
