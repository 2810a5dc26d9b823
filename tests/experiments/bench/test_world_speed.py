"""Tests of the table of speeds: its arithmetic, and the timed episodes."""

import jax
import numpy as np
import pytest

from experiments.bench import world_speed
from gdl_jax.envs.car_racing.env import CarRacing


def test_ratios_are_relative_to_gymnasium():
    rates = {"gymnasium": 200.0, "game_no_frames": 30_000.0, "agent_in_dream": 150_000.0}
    _, _, *lines = world_speed.table(rates).splitlines()
    assert [line.split("|")[3].strip() for line in lines] == ["", "150x", "750x"]
    rates["gymnasium"] = world_speed.NO_PEER
    _, _, *lines = world_speed.table(rates).splitlines()
    assert [line.split("|")[3].strip() for line in lines] == ["", "", ""]


@pytest.mark.slow
def test_timed_episodes_are_on_different_tracks():
    dynamic, seen = jax.jit(lambda key: world_speed.play(CarRacing("none"), key, 3, 10))(jax.random.key(0))
    assert seen.shape == (3, 0)
    np.testing.assert_array_equal(dynamic.time, 10)
    positions = np.asarray(dynamic.car.position)
    assert len(np.unique(positions.round(3), axis=0)) == 3


def test_gymnasium_s_rate_counts_all_of_its_games():
    pytest.importorskip("Box2D", reason="needs gymnasium[box2d]")
    from experiments.bench.peers.gymnasium_racing import pixel_steps_per_second

    assert 1 < pixel_steps_per_second(2, 12, 5) < 10_000
