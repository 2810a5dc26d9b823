"""Copied n-grams, against counts by hand and a naive loop."""

import numpy as np
import pytest

from gdl_jax.evaluation.copying import copied_shares


def test_n_grams_of_the_training_sequence_count_as_copied():
    """Nine copied tokens contain two copied 8-grams; a third 8-gram, with another last token, is not copied."""
    training = np.arange(2, 40)
    samples = np.concatenate([training[5:14], [40, 1], training[20:26]])[None]  # 1 is the separator
    assert copied_shares(training, {"all": samples}, length=8, separator=1) == {"all": pytest.approx(2 / 3)}


def test_samples_without_n_grams_have_no_share():
    shares = copied_shares(
        np.arange(9), {"short": np.array([[2, 3]]), "ended": np.ones((2, 20))}, length=8, separator=1
    )
    assert set(shares) == {"short", "ended"} and np.isnan(list(shares.values())).all()


def test_copied_tokens_agree_in_all_features():
    training = np.array([(3, 0), (0, 1), (1, 1), (2, 1), (0, 2), (3, 0), (1, 1), (1, 1), (1, 1)])
    rows = [
        [(0, 1), (1, 1), (2, 1), (0, 1)],  # (0, 1, 2) is copied; (1, 2, 0) differs in the last feature
        [(1, 1), (1, 1), (1, 1), (3, 0)],  # copied; the second 3-gram contains the separator
        [(1, 1), (2, 1), (3, 0), (1, 1)],  # no 3-gram without the separator
    ]
    shares = copied_shares(training, {"all": np.array(rows)}, length=3, separator=3)
    assert shares == {"all": pytest.approx(2 / 3)}


@pytest.mark.parametrize("length", [1, 2, 3])
def test_shares_match_a_naive_loop(length):
    rng = np.random.default_rng(0)
    training, samples = rng.integers(0, 5, 60), rng.integers(0, 5, (6, 12))
    known = {tuple(training[i : i + length]) for i in range(len(training) - length + 1)}
    n_grams = [tuple(row[i : i + length]) for row in samples for i in range(len(row) - length + 1)]
    counted = [n_gram for n_gram in n_grams if 4 not in n_gram]
    (share,) = copied_shares(training, {"all": samples}, length=length, separator=4).values()
    assert share == pytest.approx(sum(n_gram in known for n_gram in counted) / len(counted))
