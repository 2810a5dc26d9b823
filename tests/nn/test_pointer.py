"""Copying against NumPy sums over positions."""

import jax
import numpy as np
import pytest
from scipy import special

from gdl_jax.nn.pointer import log_probabilities, log_probability

B, T, D, V = 3, 4, 6, 5


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    logits, gate_logits = rng.normal(size=(B, T, V)) * 3, rng.normal(size=(B, T)) * 2
    attention = rng.dirichlet(np.ones(D), (B, T))
    attention[..., -1] = 0  # padding
    attention /= attention.sum(axis=-1, keepdims=True)
    document = np.array([[2, 5, 3, 5, 7, 0], [1, 6, 6, 8, 2, 0], [5, 6, 7, 8, 9, 0]])
    targets = np.array([[2, 5, 3, 1], [6, 8, 2, 4], [9, 5, 4, 3]])  # generated, copied, or both
    return [x.astype(np.float32) for x in (logits, gate_logits, attention)] + [document, targets]


def test_copying_matches_a_sum_over_positions():
    logits, gate_logits, attention, document, targets = inputs()
    found = log_probability(logits, gate_logits, attention, document, targets)
    for b in range(B):
        for t in range(T):
            gate, target = special.expit(gate_logits[b, t]), targets[b, t]
            probability = gate * special.softmax(logits[b, t])[target] if target < V else 0.0
            for position, word in enumerate(document[b]):
                probability += (1 - gate) * attention[b, t, position] * (word == target)
            assert float(found[b, t]) == pytest.approx(np.log(probability), rel=1e-4)


@pytest.mark.slow
def test_all_words_at_once_match_single_words():
    logits, gate_logits, attention, document, _ = inputs()
    words = np.broadcast_to(np.arange(V + D), (B, V + D))
    every = log_probabilities(logits[:, 0], gate_logits[:, 0], attention[:, 0], document)
    alone = log_probability(
        *(np.repeat(x[:, :1], V + D, axis=1) for x in (logits, gate_logits, attention)), document, words
    )
    np.testing.assert_allclose(np.exp(every), np.exp(alone), rtol=1e-4, atol=1e-30)
    np.testing.assert_allclose(np.exp(every).sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.slow
def test_gradients_are_finite_for_impossible_targets():
    logits, gate_logits, attention, document, targets = inputs()
    targets[0, 0] = 9  # neither in the vocabulary nor in its document

    def total(logits, gate_logits, attention):
        return log_probability(logits, gate_logits, attention, document, targets).sum()

    value, gradients = jax.value_and_grad(total, (0, 1, 2))(logits, gate_logits, attention)
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients)
    assert all(np.abs(gradient).max() > 1e-3 for gradient in gradients)
