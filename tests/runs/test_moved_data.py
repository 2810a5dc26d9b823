"""Tests of runs whose data were moved, changed or removed."""

import shutil

import numpy as np
import pytest

from experiments import evaluate, sample
from tests.runs.programs import finished, refused, run


def save(path, seed):
    images = np.random.default_rng(seed).integers(0, 256, (40, 16, 16), np.uint8)
    np.savez(path, images=images, labels=np.arange(40) % 2)


def train(folder, file, steps):
    flags = [f"--dataset=npz:{folder / file}", f"--steps={steps}", "--batch_size=8", "--likelihood_examples=0"]
    return run(folder / "run", *flags)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a run whose data were moved from old.npz to new.npz."""
    folder = tmp_path_factory.mktemp("moved")
    save(folder / "old.npz", 0)
    assert train(folder, "old.npz", 2).returncode == 0
    (folder / "old.npz").rename(folder / "new.npz")
    return folder


@pytest.fixture
def moved(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


def tool(program, folder, *flags):
    return finished(program.main, f"--workdir={folder / 'run'}", *flags)


def test_sampling_needs_no_data(moved):
    assert tool(sample, moved, "--num=4").returncode == 0
    assert (moved / "run" / "samples" / "samples.png").exists()


def test_evaluation_accepts_the_new_path(moved):
    refused(tool(evaluate, moved), "old.npz")
    assert tool(evaluate, moved, f"--dataset=npz:{moved / 'new.npz'}").returncode == 0


def test_resumes_on_moved_data_but_not_on_other_data(moved):
    save(moved / "other.npz", 1)
    refused(train(moved, "other.npz", 4), "--workdir")
    assert train(moved, "new.npz", 4).returncode == 0


def test_evaluation_refuses_other_data(moved):
    save(moved / "other.npz", 1)
    refused(tool(evaluate, moved, f"--dataset=npz:{moved / 'other.npz'}"), "--workdir")
    refused(tool(evaluate, moved, "--dataset=digits"), "--dataset")


def test_a_damaged_description_makes_sampling_load_the_data(moved):
    (moved / "run" / "data.json").write_text('{"class": "gone:Gone"}')
    refused(tool(sample, moved), "old.npz")
    done = tool(sample, moved, "--num=4", f"--dataset=npz:{moved / 'new.npz'}")
    assert done.returncode == 0 and "data.json" in done.stderr
