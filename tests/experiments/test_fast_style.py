"""The command `fast_style`: paintings of pictures of any size, and bad input."""

import numpy as np
import pytest
from PIL import Image

from experiments import sample
from experiments.fast_style import EXPERIMENT
from gdl_jax.core.metrics_log import read_rows
from tests.runs.programs import finished, refused, train

TINY = ("--config=tiny",)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Workdir of a finished run."""
    workdir = tmp_path_factory.mktemp("run")
    done = train(EXPERIMENT, f"--workdir={workdir}", *TINY)
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.mark.slow
def test_loss_falls_far_below_that_of_an_untrained_network(workdir):
    losses = [row["validation/loss"] for row in read_rows(workdir / "metrics.jsonl") if "validation/loss" in row]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.slow
def test_paints_pictures_of_any_size(workdir, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, (height, width) in (("odd", (37, 50)), ("wide", (24, 81))):
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(photos / f"{name}.png")
    done = finished(sample.main, f"--workdir={workdir}", f"--out={tmp_path / 'out'}", f"--images={photos}")
    assert done.returncode == 0, done.stderr
    sizes = {path.stem: Image.open(path).size for path in (tmp_path / "out").iterdir()}
    assert sizes == {"odd_painted": (50, 37), "wide_painted": (81, 24)}


@pytest.mark.parametrize(
    ("flags", "mentioned"),
    [
        (("--style=missing.jpg",), ("--style=missing.jpg",)),
        (("--style=",), ("--style",)),
        (("--style_height=1000000000",), ("--style_height",)),
        (("--content_layers=block9_conv1",), ("--content_layers=block9_conv1",)),
        (("--dataset=digits", "--avatars=100"), ("--dataset=digits",)),
        (("--image_size=30",), ("--image_size", "30x30")),
        (("--style_height=1",), ("--style_height",)),
        (("--style_shares=1,2",), ("--style_shares",)),
    ],
)
def test_bad_input_is_one_line(tmp_path, flags, mentioned):
    refused(train(EXPERIMENT, f"--workdir={tmp_path}/run", *TINY, *flags), *mentioned)
