"""Tests of checkpoints: round trips, damaged files, other shapes, a full disk."""

import subprocess

import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.checkpoint import Checkpoints
from gdl_jax.core.errors import UserError


def state(value):
    return {"w": jnp.asarray(np.random.default_rng(value).normal(size=(64, 64))), "step": jnp.int32(value)}


def save_three(directory):
    checkpoints = Checkpoints(directory, warn=lambda text: None)
    for step in (1, 2, 3):
        checkpoints.save(step, state(step), {"note": step})
    checkpoints.close()


def restore(directory):
    warnings = []
    checkpoints = Checkpoints(directory, warn=warnings.append)
    try:
        return checkpoints.restore(state(0)), warnings
    finally:
        checkpoints.close()


def payload(directory, step):
    """Returns the largest file of a checkpoint, which has its arrays."""
    return max((p for p in (directory / str(step)).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_restores_the_newest_checkpoint(tmp_path):
    save_three(tmp_path)
    restored, warnings = restore(tmp_path)
    assert (restored.step, restored.notes, warnings) == (3, {"note": 3}, [])
    np.testing.assert_array_equal(restored.state["w"], state(3)["w"])


def test_returns_none_without_checkpoints(tmp_path):
    assert restore(tmp_path) == (None, [])


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 0xFF
    path.write_bytes(contents)


@pytest.mark.parametrize("damage", [truncate, flip, lambda path: path.unlink()])
def test_reports_a_damaged_checkpoint_and_uses_the_previous_one(tmp_path, damage):
    save_three(tmp_path)
    damage(payload(tmp_path, 3))
    restored, warnings = restore(tmp_path)
    assert restored.step == 2
    np.testing.assert_array_equal(restored.state["w"], state(2)["w"])
    assert len(warnings) == 1
    assert str(tmp_path / "3") in warnings[0]


def test_only_training_moves_a_damaged_checkpoint_aside(tmp_path):
    directory = tmp_path / "checkpoints"
    save_three(directory)
    truncate(payload(directory, 3))
    restore(directory)
    assert (directory / "3").is_dir()
    checkpoints = Checkpoints(directory, warn=lambda text: None)
    checkpoints.restore(state(0))
    checkpoints.set_aside_unreadable()
    assert not (directory / "3").exists()
    assert (tmp_path / "damaged_checkpoints" / "3").is_dir()
    checkpoints.save(3, state(3), {})
    checkpoints.close()
    restored, warnings = restore(directory)
    assert (restored.step, warnings) == (3, [])


def test_refuses_arrays_of_other_shapes_by_name(tmp_path):
    save_three(tmp_path)
    checkpoints = Checkpoints(tmp_path, warn=lambda text: None)
    with pytest.raises(UserError, match=r"\['w'\] .*\[64, 64\].*\[5, 64\]"):
        checkpoints.restore({"w": jnp.zeros((5, 64)), "step": jnp.int32(0)})
    checkpoints.close()


def test_refuses_a_directory_with_only_damaged_checkpoints(tmp_path):
    save_three(tmp_path)
    for step in (1, 2, 3):
        truncate(payload(tmp_path, step))
    with pytest.raises(UserError, match=str(tmp_path)):
        restore(tmp_path)


def test_a_full_disk_keeps_the_earlier_checkpoints(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small file system: {mounted.stderr.decode().strip()}")
    try:
        directory = tmp_path / "checkpoints"
        checkpoints = Checkpoints(directory, warn=lambda text: None)
        checkpoints.save(1, state(1), {})
        large = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(1000, 1000))), "step": jnp.int32(2)}
        with pytest.raises(UserError, match=str(directory)):
            checkpoints.save(2, large, {})
            checkpoints.close()
        restored, _ = restore(directory)
        assert restored.step == 1
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=False)
