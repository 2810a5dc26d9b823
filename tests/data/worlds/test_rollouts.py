"""Rollouts and their latent codes on disk, as data sets."""

import jax
import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.shards import write_shard
from gdl_jax.data.worlds import latents, rollouts
from gdl_jax.data.worlds.rollouts import split_of

EPISODES, STEPS = 24, 6


def lengths():
    return np.random.default_rng(0).integers(1, STEPS + 1, EPISODES).astype(np.int32)


def write(root, shard_episodes=7):
    """Writes frames whose first pixel encodes episode and step, and latent codes likewise."""
    episode, step = np.indices((EPISODES, STEPS))
    frames = np.zeros((EPISODES, STEPS, 4, 4, 3), np.uint8)
    frames[:, :, 0, 0, 0], frames[:, :, 0, 0, 1] = episode, step
    common = {
        "action": np.stack([episode, step, step], -1).astype(np.float32),
        "reward": (100 * episode + step).astype(np.float32),
        "done": step == lengths()[:, None] - 1,
        "length": lengths(),
    }
    code = np.stack([episode, step], -1).astype(np.float32)
    for number, first in enumerate(range(0, EPISODES, shard_episodes)):
        rows = slice(first, first + shard_episodes)
        here = {name: array[rows] for name, array in common.items()}
        write_shard(root / "rollouts", number, here | {"frames": frames[rows]}, {})
        write_shard(root / "latents", number, here | {"mean": code[rows], "log_var": -code[rows]}, {"vision": "a"})
    return root


def test_splits_have_each_frame_before_an_end_once(tmp_path):
    data = rollouts.load(write(tmp_path) / "rollouts")
    seen = {}
    for name in ("train", "validation", "test"):
        source = getattr(data, name)
        order = np.random.default_rng(1).permutation(len(source))
        images = source.take(order)["image"]
        seen[name] = set(map(tuple, images[:, 0, 0, :2].tolist()))
        assert len(seen[name]) == len(source)
        assert source.nbytes == len(source) * 48
    assert {episode for episode, _ in seen["test"]} == {19}
    assert {episode for episode, _ in seen["validation"]} == {18}
    expected = {(e, t) for e, length in enumerate(lengths()) for t in range(length)}
    assert set().union(*seen.values()) == expected


def test_frames_come_in_the_requested_order(tmp_path):
    source = rollouts.load(write(tmp_path) / "rollouts").train
    order = np.random.default_rng(2).permutation(len(source))
    np.testing.assert_array_equal(source.take(order)["image"], source.take(np.arange(len(source)))["image"][order])


def test_transitions_pair_codes_with_the_action_taken(tmp_path):
    data = latents.load(write(tmp_path) / "latents")
    assert len(data.train) + len(data.validation) + len(data.test) == EPISODES
    rows = data.train.take(np.array([3, 11, 0]))
    batch = jax.jit(data.transform)(rows)
    np.testing.assert_array_equal(batch["mean"][:, 0, 0], [3, 11, 0])
    np.testing.assert_array_equal(batch["log_var"], -batch["mean"])
    # transition t: from code t, by action t
    np.testing.assert_array_equal(batch["action"][..., :2], batch["mean"][:, :-1])
    assert batch["action"].shape == (3, STEPS - 1, 3)
    assert batch["mean"].shape == (3, STEPS, 2)
    ends = lengths()[[3, 11, 0]]
    np.testing.assert_array_equal(batch["mask"].sum(1), np.minimum(ends, STEPS - 1))
    np.testing.assert_array_equal((batch["done"] * batch["mask"]).sum(1), ends < STEPS)


def test_episodes_come_in_the_requested_order_across_shards(tmp_path):
    data = latents.load(write(tmp_path) / "latents")
    order = np.random.default_rng(2).permutation(len(data.train))
    rows, whole = data.train.take(order), data.train.take(np.arange(len(data.train)))
    for name, array in rows.items():
        np.testing.assert_array_equal(array, whole[name][order])
    assert data.train.nbytes == sum(array.nbytes for array in whole.values())
    mean, log_var = data.train.first_codes(5)
    np.testing.assert_array_equal(mean, whole["mean"][:5, 0])
    np.testing.assert_array_equal(log_var, whole["log_var"][:5, 0])
    assert data.made_by == {"vision": "a"}


def test_codes_of_two_encoders_are_not_mixed(tmp_path):
    root = write(tmp_path) / "latents"
    description = root / "00002.json"
    description.write_text(description.read_text().replace('"vision": "a"', '"vision": "b"'))
    with pytest.raises(UserError, match=f"{root}: shard 2 "):
        latents.load(root)


def test_whole_episodes_are_held_out():
    splits = split_of(np.arange(100))
    assert [(splits == name).sum() for name in ("train", "validation", "test")] == [90, 5, 5]


def test_bad_folders_are_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(UserError, match=r"/latents: .*frames"):
        rollouts.load(tmp_path / "latents")
    with pytest.raises(UserError, match=r"/rollouts: .*mean"):
        latents.load(tmp_path / "rollouts")
    with pytest.raises(UserError, match=r"^image_size=64: "):
        latents.load(tmp_path / "latents", 64)
    with pytest.raises(UserError, match=r"^image_size=64: "):
        rollouts.load(tmp_path / "rollouts", 64)
    lacking = tmp_path / "lacking"
    write_shard(lacking, 0, {name: np.zeros((24, 3, 2)) for name in ("mean", "log_var", "action")}, {})
    with pytest.raises(UserError, match=r"/lacking: .*reward"):
        latents.load(lacking)
    few = tmp_path / "few"
    write_shard(few, 0, {"frames": np.zeros((2, 3, 4, 4, 3), np.uint8), "length": np.array([3, 3])}, {})
    with pytest.raises(UserError, match="/few: "):
        rollouts.load(few)
    write_shard(few, 1, {"frames": np.zeros((2, 3, 5, 5, 3), np.uint8), "length": np.array([3, 3])}, {})
    with pytest.raises(UserError, match="/few: shard 1 "):
        rollouts.load(few)
