"""Tests that one device, eight devices under jit, fsdp and pmap, and two processes give the same numbers."""

import json
import socket
import subprocess
import sys

import numpy as np
import pytest

from gdl_jax.core.parallel import state_axis
from tests.core.parallel_worker import environment

pytestmark = pytest.mark.slow

WORKER = [sys.executable, "-m", "tests.core.parallel_worker"]
FALLING = ("train/loss", "train/gradient_penalty", "train/cycle_loss_a")


def load(path):
    arrays = dict(np.load(path))
    rows = [json.loads(line) for line in str(arrays.pop("rows")).splitlines()]
    name = next(name for name in FALLING if name in rows[0])
    return np.array([row[name] for row in rows]), arrays


def compare(path, other):
    (losses, arrays), (other_losses, other_arrays) = load(path), load(other)
    assert losses[0] > 1.1 * losses[-1]  # the loss falls in these steps
    np.testing.assert_allclose(losses, other_losses, rtol=1e-4)
    assert arrays.keys() == other_arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_allclose(array, other_arrays[name], rtol=2e-3, atol=2e-4, err_msg=name)


@pytest.fixture(scope="module")
def one_device(request, tmp_path_factory):
    """The worker's command line for an experiment, and the file that it saved on one device."""
    out = tmp_path_factory.mktemp("one")
    worker = [*WORKER, f"--experiment={request.param}"]
    subprocess.run([*worker, str(out)], env=environment(1), check=True)
    return worker, out / "jit.npz"


@pytest.mark.parametrize("one_device", ["vae", "wgan_gp", "cyclegan", "text_rnn"], indirect=True)
def test_eight_devices_equal_one(one_device, tmp_path):
    worker, expected = one_device
    subprocess.run([*worker, str(tmp_path), "--parallel=jit,fsdp,pmap"], env=environment(8), check=True)
    for parallel in ("jit", "fsdp", "pmap"):
        compare(expected, tmp_path / f"{parallel}.npz")


@pytest.mark.parametrize("one_device", ["vae"], indirect=True)
def test_two_processes_equal_one(one_device, tmp_path):
    worker, expected = one_device
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = ["--parallel=jit,fsdp", "--processes=2", f"--port={port}"]
    workers = [subprocess.Popen([*worker, str(tmp_path), *flags, f"--id={i}"], env=environment(2)) for i in range(2)]
    try:
        assert [process.wait(timeout=360) for process in workers] == [0, 0]
    finally:
        for process in workers:
            process.kill()
    for parallel in ("jit", "fsdp"):
        compare(expected, tmp_path / f"{parallel}.npz")


def test_sharded_states_save_memory_and_resume_under_any_mode(tmp_path):
    command = [sys.executable, "-m", "tests.core.fsdp_worker", str(tmp_path)]
    done = subprocess.run(command, env=environment(8), check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert report["bytes"] == [report["planned"]] * 8
    assert report["planned"] < report["whole"] / 7  # the bias and the counter are on every device
    assert report["difference"] < 1e-5


def test_shards_arrays_along_the_longest_divisible_axis():
    assert state_axis((3, 3, 64, 128), 8) == 3
    assert state_axis((256, 100), 8) == 0
    assert state_axis((1000, 30), 8) == 0
    assert state_axis((257, 99), 8) is None
    assert state_axis((8, 8), 8) is None  # too small
