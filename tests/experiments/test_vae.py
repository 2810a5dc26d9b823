"""Tests of the VAE: encoding, edits and morphs of a user's own photos."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments import classifier, evaluate, sample
from experiments.vae import EXPERIMENT
from gdl_jax.data.images import avatars
from gdl_jax.runs.main import main

FACES = ["--config=tiny", "--dataset=avatars", "--avatars=60", "--image_size=32"]
QUICK = ["--steps=2", "--log_every=2", "--eval_every=2", "--checkpoint_every=2"]
FLAGS = [*FACES, *QUICK, "--decoder_filters=8,3", "--z_dim=4", "--likelihood_examples=0"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("faces")
    main(EXPERIMENT, "about", ["program", f"--workdir={path}", *FLAGS])
    return path


@pytest.fixture(scope="module")
def attribute_classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier")
    flags = [*FACES, *QUICK, "--target=attributes", "--image_size=24"]
    main(classifier.EXPERIMENT, "about", ["program", f"--workdir={path}", *flags])
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i, face in enumerate(avatars.draw_factors(3, seed=1)):
        Image.fromarray(avatars.render(face, 50)).save(folder / f"friend_{i}.png")
    return folder


def results_of(workdir):
    return json.loads((workdir / "results.json").read_text())


@pytest.mark.slow
def test_the_tiny_preset_beats_the_mean_digit(tmp_path):
    """The held-out loss falls below that of the mean training image with a KL divergence of 0."""
    main(EXPERIMENT, "about", ["program", f"--workdir={tmp_path}", "--config=tiny"])
    data = EXPERIMENT.load(EXPERIMENT.presets["tiny"])
    train, test = (split.take(np.arange(len(split)))["image"] / 255.0 for split in (data.train, data.test))
    alike = EXPERIMENT.presets["tiny"].reconstruction_weight * np.square(test - train.mean(axis=0)).mean()
    results = results_of(tmp_path)
    assert results["test/loss"] < alike
    assert np.isfinite(results["log_likelihood_bound"])
    assert "log_likelihood_bound" in results["protocol"]


@pytest.mark.slow
def test_analysis_draws_arithmetic_and_morphs(workdir):
    for name in ("attribute_arithmetic", "morphs", "latent_histograms", "samples", "reconstructions"):
        assert Image.open(workdir / "figures" / f"{name}.png").width > 300


@pytest.mark.slow
def test_edits_are_evaluated_by_an_independent_classifier(workdir, attribute_classifier, capsys):
    before = results_of(workdir)
    assert not any(name.startswith("edit/") for name in before)
    evaluate.main(["program", f"--workdir={workdir}", f"--attribute_classifier={attribute_classifier}"])
    results = results_of(workdir)
    for name in ("eyeglasses", "red_hair", "curly_hair"):
        assert 0 <= results[f"edit/{name}_gained"] <= 1
        assert 0 <= results[f"edit/{name}_others_kept"] <= 1
        assert 0 <= results[f"attribute_classifier/accuracy_{name}"] <= 1
    assert "edit" in results["protocol"]
    with pytest.raises(SystemExit, match="2"):  # a workdir that holds no attribute classifier
        evaluate.main(["program", f"--workdir={workdir}", f"--attribute_classifier={workdir}"])
    assert f"--attribute_classifier={workdir}" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_photos_are_edited_and_morphed(workdir, photos, capsys):
    edits = "--edit=Eyeglasses:2,Smiling:-1"
    sample.main(["program", f"--workdir={workdir}", f"--images={photos}", edits, "--morph"])
    paths = capsys.readouterr().out.split()
    assert [path.rsplit("/", 1)[1] for path in paths] == ["edited.png", "morphs.png"]
    assert all(np.asarray(Image.open(path).convert("L")).std() > 5 for path in paths)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--edit=Eyeglasses:2"], "--edit=Eyeglasses:2"),
        (["--morph"], "--morph"),
        (["--edit=Moon:2", "PHOTOS"], "--edit=Moon"),
        (["--edit=Eyeglasses:much", "PHOTOS"], "--edit=Eyeglasses:much"),
        (["--edit=Eyeglasses:inf", "PHOTOS"], "--edit=Eyeglasses:inf"),
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
