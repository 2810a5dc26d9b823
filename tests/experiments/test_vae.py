"""What only the VAE can do: encode, edit and morph a user's own photos."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments import classifier, sample
from experiments.vae import EXPERIMENT
from gdl_jax.data.images import avatars
from gdl_jax.runs.main import main

FLAGS = [
    "--config=faces",
    "--avatars=60",
    "--image_size=32",
    "--encoder_filters=4,4",
    "--encoder_kernel_sizes=3,3",
    "--encoder_strides=2,2",
    "--decoder_filters=4,3",
    "--decoder_kernel_sizes=3,3",
    "--decoder_strides=2,2",
    "--z_dim=4",
    "--steps=2",
    "--likelihood_examples=0",
]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("faces")
    main(EXPERIMENT, "about", ["program", f"--workdir={path}", *FLAGS])
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i, face in enumerate(avatars.draw_factors(3, seed=1)):
        Image.fromarray(avatars.render(face, 50)).save(folder / f"friend_{i}.png")
    return folder


def test_analysis_draws_arithmetic_and_morphs(workdir):
    for name in ("attribute_arithmetic", "morphs", "latent_histograms", "samples", "reconstructions"):
        assert Image.open(workdir / "figures" / f"{name}.png").width > 300


def test_edits_are_judged_by_a_classifier_trained_apart(workdir, tmp_path):
    shape = ["--avatars=60", "--image_size=32", "--filters=4", "--kernel_sizes=3", "--strides=4", "--steps=2"]
    main(classifier.EXPERIMENT, "about", ["program", "--config=attributes", f"--workdir={tmp_path}/judge", *shape])
    flags = [*FLAGS, f"--workdir={tmp_path}/vae", f"--attribute_classifier={tmp_path}/judge"]
    main(EXPERIMENT, "about", ["program", *flags])
    results = json.loads((tmp_path / "vae" / "results.json").read_text())
    for name in ("Eyeglasses", "Red_Hair", "Curly_Hair"):
        assert 0 <= results[f"edit {name}: gained"] <= 1
        assert 0 <= results[f"edit {name}: others kept"] <= 1
    with pytest.raises(SystemExit, match="2"):  # a workdir that holds no attribute classifier
        bad = f"--attribute_classifier={workdir}"
        main(EXPERIMENT, "about", ["program", *FLAGS, f"--workdir={tmp_path}/bad", bad])


def test_photos_are_edited_and_morphed(workdir, photos, capsys):
    edits = "--edit=Eyeglasses:2,Smiling:-1"
    sample.main(["program", f"--workdir={workdir}", f"--images={photos}", edits, "--morph"])
    paths = capsys.readouterr().out.split()
    assert [path.rsplit("/", 1)[1] for path in paths] == ["edited.png", "morphs.png"]
    assert all(np.asarray(Image.open(path).convert("L")).std() > 5 for path in paths)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--edit=Eyeglasses:2"], "need --images"),
        (["--edit=Moon:2", "PHOTOS"], "--edit=Moon"),
        (["--edit=Eyeglasses:much", "PHOTOS"], "--edit=Eyeglasses:much"),
        (["--images=/nowhere"], "/nowhere"),
        (["--num=0"], "--num=0"),
    ],
)
def test_bad_requests_are_one_line(workdir, photos, capsys, flags, text):
    flags = [f"--images={photos}" if flag == "PHOTOS" else flag for flag in flags]
    with pytest.raises(SystemExit, match="2"):
        sample.main(["program", f"--workdir={workdir}", *flags])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert text in line
