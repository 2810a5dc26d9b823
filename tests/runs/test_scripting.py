"""Tests of training from Python."""

import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.runs.scripting import restore, train
from tests.core import toy


def test_trains_in_a_folder_and_resumes(tmp_path):
    first = train(toy.make_learner(), toy.make_data(), tmp_path / "run", steps=4, batch_size=8)
    assert (first.began, first.step) == (0, 4) and set(first.evaluated) == {"test/loss"}
    assert train(toy.make_learner(), toy.make_data(), tmp_path / "run", steps=6, batch_size=8).began == 4


def test_refuses_a_batch_larger_than_the_training_split(tmp_path):
    with pytest.raises(ConfigError, match="batch_size=91"):
        train(toy.make_learner(), toy.make_data(train=90), tmp_path / "run", steps=4, batch_size=91)
    assert not (tmp_path / "run").exists()


def test_refuses_the_home_directory_of_an_unknown_user():
    with pytest.raises(ConfigError, match="workdir"):
        train(toy.make_learner(), toy.make_data(), "~no_such_user_here/x", steps=4, batch_size=8)
    with pytest.raises(ConfigError, match="workdir"):
        restore("~no_such_user_here/x")
