"""Beam search against one written out in lists, on chains whose next word depends on the last two."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from gdl_jax.nn.beam import beam_search

W, END = 4, 1
START = W  # comes before all words, and is none
TABLE = special.log_softmax(np.random.default_rng(0).normal(size=(3, W + 1, W + 1, W)) * 2, axis=-1)


def search(width, length, batch=3):
    table = jnp.asarray(TABLE, jnp.float32)

    def step(words, carry):
        example, before = carry
        return table[example, before, words], (example, words)

    carry = (jnp.arange(batch), jnp.full(batch, START))
    return beam_search(step, carry, jnp.full(batch, START), width=width, length=length, end=END)


def written_out(example, width, length):
    """[(score, words)], the best first."""
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
def test_it_finds_what_lists_find(width, length):
    found = search(width, length)
    for example in range(3):
        expected = written_out(example, width, length)
        tokens, scores = found.tokens[example], found.scores[example]
        np.testing.assert_allclose(scores[: len(expected)], [score for score, _ in expected], rtol=1e-5)
        assert tokens[: len(expected)].tolist() == [words for _, words in expected]
        assert (scores[len(expected) :] < -1e20).all()  # there are no more sequences than that


def test_a_wider_beam_finds_what_greed_misses():
    greedy, wide = search(1, 5).scores[:, 0], search(4**4, 5).scores[:, 0]
    assert (wide >= greedy - 1e-5).all() and (wide > greedy + 0.01).any()
