"""CycleGAN from the command line: flags, kills, and translations of a user's own pictures without the data."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from experiments import sample
from experiments.cyclegan import EXPERIMENT, PRESETS, outputs_of, round_trip
from gdl_jax.runs.main import main
from gdl_jax.runs.restore import restore
from tests.runs.programs import finished, refused, train

SIZE = 16
NETWORKS = ("--unet_filters=2", "--unet_depth=2", "--critic_filters=2")
QUICK = ("--batch_size=2", "--steps=4", "--log_every=2", "--eval_every=2", "--checkpoint_every=2")
BARE = {"preview": lambda run: None, "analyse": lambda run: {}}


def paint(folder, count, color):
    """Writes noisy pictures of a colour."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(sum(color))
    for number in range(count):
        pixels = (rng.uniform(0.5, 1, (SIZE, SIZE, 1)) * color).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Folder of red and of blue pictures."""
    root = tmp_path_factory.mktemp("pictures")
    for name, count in (("train", (7, 5)), ("test", (4, 3))):
        for domain, number, color in zip("AB", count, ((250, 60, 60), (60, 60, 250)), strict=True):
            paint(root / f"{name}{domain}", number, color)
    return root


def flags_of(workdir, pictures):
    data = (f"--dataset=unpaired:{pictures}", "--domains=", f"--image_size={SIZE}", "--pool_size=3")
    return ["program", f"--workdir={workdir}", "--config=tiny", *data, *NETWORKS, *QUICK]


@pytest.fixture(scope="module")
def workdir(pictures, tmp_path_factory):
    """Workdir of a short run."""
    path = tmp_path_factory.mktemp("run")
    main(EXPERIMENT, "about", flags_of(path, pictures))
    return path


@pytest.mark.slow
def test_a_run_measures_both_directions(workdir):
    results = json.loads((workdir / "results.json").read_text())
    for name in ("cycle_loss", "identity_loss", "generator_loss"):
        assert all(0 < results[f"test/{name}_{domain}"] < 4 for domain in "ab")
    assert "failure_modes" in results and "cycle_and_identity_loss" in results["protocol"]
    assert Image.open(workdir / "figures" / "translations.png").width > 300


@pytest.mark.slow
def test_a_killed_run_resumes_bit_for_bit(workdir, pictures, tmp_path, capsys):
    """The pools are part of the state: each holds translations of the updates before the kill."""

    def killed(run):
        if run.step == 4:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        main(dataclasses.replace(EXPERIMENT, **BARE | {"preview": killed}), "about", flags_of(tmp_path, pictures))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["2"]
    main(dataclasses.replace(EXPERIMENT, **BARE), "about", flags_of(tmp_path, pictures))
    assert "resuming from step 2" in capsys.readouterr().err
    of_end = [
        json.loads((path / "checkpoints" / "4" / "meta" / "metadata").read_text())["checksums"]
        for path in (workdir, tmp_path)
    ]
    assert of_end[0] and of_end[0] == of_end[1]


@pytest.fixture
def without_data(workdir, pictures):
    """The workdir, while its data are away."""
    away = pictures.with_name("away")
    pictures.rename(away)
    yield workdir
    away.rename(pictures)


def sampled(workdir, out, *flags):
    """Returns the paths that `sample` writes."""
    done = finished(sample.main, f"--workdir={workdir}", f"--out={out}", *flags)
    assert done.returncode == 0, done.stderr
    return [out / path.rpartition("/")[2] for path in done.stdout.split()]


@pytest.mark.slow
def test_pictures_of_any_size_are_translated_without_the_data(without_data, tmp_path):
    folder, rng = tmp_path / "mine", np.random.default_rng(0)
    folder.mkdir()
    for name, size in (("odd", (33, 47)), ("square", (SIZE, SIZE))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    (path,) = sampled(without_data, tmp_path / "one", f"--images={folder / 'odd.png'}", "--direction=BtoA")
    assert path.name == "odd_BtoA.png" and Image.open(path).size == (47, 33)
    written = sampled(without_data, tmp_path / "all", f"--images={folder}", "--direction=BtoA")
    assert [path.name for path in written] == ["odd_BtoA.png", "square_BtoA.png"]
    np.testing.assert_array_equal(Image.open(written[0]), Image.open(path))

    # A picture of the training size becomes what the learner's generators make of it.
    run = restore(without_data, warn=pytest.fail).run
    picture = np.asarray(Image.open(folder / "square.png"), np.float32)[None] / 255.0
    outputs = outputs_of(run, {"a": picture, "b": picture})
    (forth,) = sampled(without_data, tmp_path / "forth", f"--images={folder / 'square.png'}")
    for file, name in ((forth, "fake_b"), (written[1], "fake_a")):
        assert np.abs(np.asarray(Image.open(file)) - 255.0 * outputs[name][0]).max() <= 1.01
    assert np.abs(outputs["fake_a"] - outputs["fake_b"]).max() > 0.02
    names = (("AtoB", ("fake_b", "cycle_a", "identity_a")), ("BtoA", ("fake_a", "cycle_b", "identity_b")))
    for direction, (translated, reconstructed, identical) in names:
        expected = [picture[0], *(outputs[name][0] for name in (translated, reconstructed, identical))]
        np.testing.assert_allclose(round_trip(run, picture[0], direction), expected, atol=1e-5)
    _, drawn = sampled(without_data, tmp_path / "drawn", f"--images={folder / 'odd.png'}", "--round_trip")
    assert drawn.name == "odd_AtoB_round_trip.png" and Image.open(drawn).width > 4 * 47


@pytest.mark.slow
def test_held_out_pictures_are_translated(workdir, tmp_path):
    forth, back = (sampled(workdir, tmp_path / name, "--num=2", f"--direction={name}")[0] for name in ("AtoB", "BtoA"))
    assert forth.name == "translations_AtoB.png" and back.name == "translations_BtoA.png"
    red, blue = (np.asarray(Image.open(path).convert("RGB"))[4, 4] for path in (forth, back))  # the first original
    assert red[0] > red[2] and blue[2] > blue[0]


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--images=/nowhere", "--direction=up", "--longest_side=-1"])
def test_bad_requests_are_one_line(workdir, flag):
    refused(finished(sample.main, f"--workdir={workdir}", flag), flag)


FACES = ["--avatars=60", f"--image_size={SIZE}"]


@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        (["--domains=Sunglasses,Moon"], ["--domains=Sunglasses,Moon", "Smiling"]),
        (["--domains=Sunglasses"], ["--domains=Sunglasses", "avatars"]),
        (["--domains="], ["--domains", "avatars"]),
        (["--dataset=drawings:edges"], ["--domains=-Eyeglasses,Sunglasses", "drawings:edges"]),
        (["--unet_depth=5"], ["--unet_depth=5", "16x16"]),
        (["--unet_depth=2", "--image_size=18"], ["--unet_depth=2", "18x18"]),
        (["--generator=resnet", "--image_size=18"], ["image_size", "18x18", "4"]),
        (["--generator=resnet", "--resnet_kernel_size=4"], ["--resnet_kernel_size=4"]),
        (["--resnet_blocks=3"], ["--resnet_blocks=3", "generator"]),
        (["--features=vgg17"], ["--features=vgg17"]),
        (["--features=vgg16"], ["--features=vgg16", "10"]),
        (["--adversarial_loss=lsgan"], ["--adversarial_loss=lsgan", "cyclegan"]),
        (["--cycle_loss=l1"], ["--cycle_loss=l1", "mae"]),
        (["--cycle_weight=0", "--cycle_loss=mse"], ["--cycle_loss=mse", "cycle_weight"]),
        (["--pool_size=0", "--pool_rule=book"], ["--pool_rule=book", "pool_size"]),
        (["--pool_rule=half"], ["--pool_rule=half"]),
        (["--adversarial_weight=0", "--cycle_weight=0", "--identity_weight=0"], ["--adversarial_weight=0"]),
        (["--jitter=0.5"], ["--jitter=0.5"]),
        (["--direction=AB"], ["--direction=AB"]),
        (["--constant_fraction=0.5"], ["--constant_fraction=0.5", "schedule"]),
        (["--judged_samples=3"], ["--judged_samples=3"]),
        (["--dataset=unpaired:/nowhere", "--domains="], ["/nowhere"]),
    ],
    ids=lambda x: x[0] if isinstance(x, list) and x[0].startswith("--") else "",
)
def test_bad_flags_are_one_line(tmp_path, flags, texts):
    faces = [] if flags[0].startswith("--dataset=unpaired") else FACES
    refused(train(EXPERIMENT, "--config=tiny", *QUICK, *faces, f"--workdir={tmp_path}/run", *flags), *texts)
    assert not (tmp_path / "run" / "flags.json").exists()


def test_presets_have_the_book_s_hyperparameters():
    apples, monet = PRESETS["apples"], PRESETS["monet"]
    assert (apples.cycle_weight, apples.identity_weight, apples.pool_rule, apples.pool_size) == (10, 2, "book", 50)
    assert (apples.batch_size, apples.generator_learning_rate, apples.generator_optimizer) == (1, 2e-4, "adam_0.5")
    assert (monet.identity_weight, monet.generator, monet.resnet_filters, monet.critic_filters) == (5, "resnet", 32, 64)
