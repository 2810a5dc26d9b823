"""pix2pix from the command line: flags, directions, dropout, and translations of a user's own pictures."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import sample
from experiments.pix2pix import EXPERIMENT, PRESETS, networks
from experiments.translation import setup
from gdl_jax.runs.main import main
from tests.runs.programs import finished, refused, train

FACES = "--avatars=60"
SMALL = ("--config=tiny", "--image_size=16", "--critic_filters=2")
RESNET = ("--generator=resnet", "--resnet_filters=2", "--resnet_blocks=1", "--resnet_dropout_rate=0.5")
QUICK = ("--batch_size=2", "--steps=4", "--log_every=2", "--eval_every=2", "--checkpoint_every=2")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Workdir of a short run whose generator has dropout."""
    path = tmp_path_factory.mktemp("run")
    main(EXPERIMENT, "about", ["program", f"--workdir={path}", FACES, *SMALL, *RESNET, *QUICK])
    return path


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """Folder of two drawings of odd sizes."""
    folder, rng = tmp_path_factory.mktemp("drawings"), np.random.default_rng(0)
    for name, size in (("long", (33, 47)), ("small", (9, 20))):
        Image.fromarray(255 * rng.integers(0, 2, size, dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


def sampled(workdir, out, *flags):
    """Returns the pictures that `sample` writes, {name: pixels}."""
    done = finished(sample.main, f"--workdir={workdir}", f"--out={out}", *flags)
    assert done.returncode == 0, done.stderr
    paths = [out / path.rpartition("/")[2] for path in done.stdout.split()]
    return {path.name: np.asarray(Image.open(path), int) for path in paths}


@pytest.mark.slow
def test_a_run_measures_the_error_of_its_translations(workdir):
    results = json.loads((workdir / "results.json").read_text())
    assert 0 < results["test/l1_loss"] < 2 and "l1_loss" in results["protocol"]
    assert Image.open(workdir / "figures" / "translations.png").width > 300


@pytest.mark.slow
def test_drawings_of_any_size_are_translated_with_or_without_dropout(workdir, drawings, tmp_path):
    plain, again, noisy, other = (
        sampled(workdir, tmp_path / str(number), f"--images={drawings}", *flags)
        for number, flags in enumerate(([], ["--seed=1"], ["--dropout"], ["--dropout", "--seed=1"]))
    )
    assert {name: pixels.shape for name, pixels in plain.items()} == {
        "long_AtoB.png": (33, 47, 3),
        "small_AtoB.png": (9, 20, 3),
    }
    for name, pixels in plain.items():
        np.testing.assert_array_equal(pixels, again[name])  # dropout is the only noise
        assert np.abs(pixels - noisy[name]).max() > 1 and np.abs(noisy[name] - other[name]).max() > 1


@pytest.mark.slow
def test_held_out_drawings_are_translated(workdir, tmp_path):
    plain, noisy = (
        sampled(workdir, tmp_path / str(number), "--num=2", *flags) for number, flags in enumerate(([], ["--dropout"]))
    )
    assert set(plain) == set(noisy) == {"translations.png"}
    assert not np.array_equal(plain["translations.png"], noisy["translations.png"])


@pytest.mark.slow
def test_the_other_direction_is_refused(workdir, drawings):
    for flags in ([], [f"--images={drawings}"]):
        refused(finished(sample.main, f"--workdir={workdir}", "--direction=BtoA", *flags), "--direction=BtoA")


@pytest.mark.slow
def test_a_network_trained_without_dropout_translates_without(tmp_path):
    flags = (FACES, *SMALL, "--unet_dropout_rate=0", "--batch_size=2", "--steps=1", "--eval_every=0")
    main(EXPERIMENT, "about", ["program", f"--workdir={tmp_path / 'run'}", *flags])
    refused(finished(sample.main, f"--workdir={tmp_path / 'run'}", "--dropout"), "--dropout")


@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        (["--dataset=avatars"], ["--domains", "avatars"]),
        (["--dataset=avatars", "--domains=-Eyeglasses,Sunglasses"], ["--dataset=avatars", "pairs"]),
        (["--domains=Sunglasses,Smiling"], ["--domains=Sunglasses,Smiling", "drawings:edges"]),
        (["--dataset=drawings:oil", "--avatars=200"], ["--dataset=drawings:oil"]),
        (["--dataset=paired:/nowhere", "--avatars=200"], ["/nowhere"]),
        (["--l1_weight=0", "--adversarial_weight=0"], ["--l1_weight=0", "adversarial_weight"]),
        (["--l1_weight=-1"], ["--l1_weight=-1"]),
        (["--unet_depth=5"], ["--unet_depth=5", "16x16"]),
        (["--unet_dropout_rate=1"], ["--unet_dropout_rate=1"]),
        (["--generator=resnet", "--image_size=18"], ["image_size", "18x18"]),
        (["--features=vgg17"], ["--features=vgg17"]),
        (["--attribute_classifier=/nowhere"], ["--attribute_classifier=/nowhere"]),
        (["--critic_norm=layer"], ["--critic_norm=layer", "instance"]),
    ],
    ids=lambda x: x[-1] if isinstance(x, list) and x[0].startswith("--") else "",
)
def test_bad_flags_are_one_line(tmp_path, flags, texts):
    refused(train(EXPERIMENT, FACES, *SMALL, *QUICK, f"--workdir={tmp_path}/run", *flags), *texts)
    assert not (tmp_path / "run" / "flags.json").exists()


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_the_direction_exchanges_inputs_and_targets(direction):
    config = dataclasses.replace(PRESETS["tiny"], avatars=20, image_size=16, direction=direction)
    data = EXPERIMENT.load(config)
    row = data.test.take(np.arange(2))
    face = row["a" if direction == "BtoA" else "b"]
    assert data.paired and data.domains[direction == "AtoB"] == "avatars"
    assert (face == face[..., :1]).all() is np.False_  # faces have colours, outlines are grey
    other = row["b" if direction == "BtoA" else "a"]
    assert (other == other[..., :1]).all()


def test_the_critic_sees_the_drawing_only_if_it_is_conditional():
    for conditional, inputs in ((True, 2), (False, 1)):
        config = dataclasses.replace(PRESETS["tiny"], conditional=conditional)
        critic = networks(config, setup.spec(config))["critic"]
        assert len(critic.inputs) == inputs
        shapes = jax.eval_shape(
            lambda *x, critic=critic: critic.module.init(jax.random.key(0), *x, train=False), *critic.inputs
        )
        assert shapes["params"]["conv_0"]["kernel"].shape[2] == 3 * inputs
