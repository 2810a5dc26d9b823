"""Copied runs of tokens, counted by hand and by a naive loop."""

import numpy as np
import pytest

from gdl_jax.evaluation.copying import copied_shares


def test_runs_of_the_training_sequence_are_copied():
    """Of nine tokens in a row, two runs of eight are copied; a third, which ends in another token, is not."""
    training = np.arange(2, 40)
    written = np.concatenate([training[5:14], [40, 1], training[20:26]])[None]  # 1 is the separator
    assert copied_shares(training, {"written": written}, length=8, separator=1) == {"written": pytest.approx(2 / 3)}


def test_a_kind_without_runs_has_no_share():
    shares = copied_shares(
        np.arange(9), {"short": np.array([[2, 3]]), "ended": np.ones((2, 20))}, length=8, separator=1
    )
    assert set(shares) == {"short", "ended"} and np.isnan(list(shares.values())).all()


def test_all_features_of_a_token_must_be_the_same():
    training = np.array([(3, 0), (0, 1), (1, 1), (2, 1), (0, 2), (3, 0), (1, 1), (1, 1), (1, 1)])
    rows = [
        [(0, 1), (1, 1), (2, 1), (0, 1)],  # (0, 1, 2) is copied, (1, 2, 0) has another last feature
        [(1, 1), (1, 1), (1, 1), (3, 0)],  # copied; the second run contains the separator
        [(1, 1), (2, 1), (3, 0), (1, 1)],  # no run
    ]
    shares = copied_shares(training, {"written": np.array(rows)}, length=3, separator=3)
    assert shares == {"written": pytest.approx(2 / 3)}


@pytest.mark.parametrize("length", [1, 2, 3])
def test_shares_are_those_of_a_naive_loop(length):
    rng = np.random.default_rng(0)
    training, samples = rng.integers(0, 5, 60), rng.integers(0, 5, (6, 12))
    known = {tuple(training[i : i + length]) for i in range(len(training) - length + 1)}
    runs = [tuple(row[i : i + length]) for row in samples for i in range(len(row) - length + 1)]
    counted = [run for run in runs if 4 not in run]
    (share,) = copied_shares(training, {"all": samples}, length=length, separator=4).values()
    assert share == pytest.approx(sum(run in known for run in counted) / len(counted))
