"""Beam search against a plain search over lists, on second-order Markov chains."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from gdl_jax.nn.beam import beam_search

W, END = 4, 1
START = W  # before the first word; not a word itself
TABLE = special.log_softmax(np.random.default_rng(0).normal(size=(3, W + 1, W + 1, W)) * 2, axis=-1)


def search(width, length, batch=3):
    table = jnp.asarray(TABLE, jnp.float32)

    def step(words, carry):
        example, before = carry
        return table[example, before, words], (example, words)

    carry = (jnp.arange(batch), jnp.full(batch, START))
    return beam_search(step, carry, jnp.full(batch, START), width=width, length=length, end=END)


def reference(example, width, length):
    """Returns [(score, words)], the best first."""
    beams = [(0.0, [])]
    for _ in range(length):
        longer = []
        for score, words in beams:
            if words and words[-1] == END:
                longer.append((score, [*words, END]))
                continue
            before, last = [START, START, *words][-2:]
            longer += [(score + TABLE[example, before, last, word], [*words, word]) for word in range(W)]
        beams = sorted(longer, reverse=True)[:width]
    return beams


@pytest.mark.slow
@pytest.mark.parametrize(("width", "length"), [(1, 5), (2, 5), (3, 6), (4, 1), (81, 4)])
def test_matches_a_search_over_lists(width, length):
    found = search(width, length)
    for example in range(3):
        expected = reference(example, width, length)
        tokens, scores = found.tokens[example], found.scores[example]
        np.testing.assert_allclose(scores[: len(expected)], [score for score, _ in expected], rtol=1e-5)
        assert tokens[: len(expected)].tolist() == [words for _, words in expected]
        assert (scores[len(expected) :] < -1e20).all()  # no further sequences exist


def test_a_wider_beam_improves_on_greedy_decoding():
    greedy, wide = search(1, 5).scores[:, 0], search(4**4, 5).scores[:, 0]
    assert (wide >= greedy - 1e-5).all() and (wide > greedy + 0.01).any()
