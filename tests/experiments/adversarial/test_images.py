"""What chapter 4's experiments share: bad input, conditions, joined splits, and the judge."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from scipy import stats

from experiments import classifier, evaluate, gan, wgan, wgan_gp
from experiments.adversarial import images as adversarial
from gdl_jax.data.dataset import Subset
from gdl_jax.runs.experiment import Run
from gdl_jax.runs.main import main

TINY = [
    "--steps=2",
    "--batch_size=8",
    "--log_every=1",
    "--eval_every=2",
    "--generator_filters=4,1",
    "--generator_kernel_sizes=3,3",
    "--generator_strides=2,2",
    "--critic_filters=4,4",
    "--critic_kernel_sizes=3,3",
    "--critic_strides=2,2",
]


def refused(capsys, *flags):
    with pytest.raises(SystemExit, match="2"):
        main(gan.EXPERIMENT, "about", ["program", *TINY, *flags])
    (line,) = (text for text in capsys.readouterr().err.splitlines() if text.startswith("error: "))
    return line


def mean(scores):
    return scores.mean()


@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        (["--generator_strides=2,4"], ["--generator_strides=2,4", "28x28"]),
        (["--image_size=30"], ["--generator_strides", "30x30"]),
        (["--dataset=avatars", "--avatars=30", "--image_size=28"], ["--generator_filters=4,1", "3"]),
        (["--train_examples=7"], ["--batch_size=8", "7"]),
        (["--adversarial_loss=bec"], ["--adversarial_loss=bec", "wasserstein"]),
        (["--adversarial_loss=tests.experiments.test_adversarial:mean"], ["must be an AdversarialLoss"]),
        (["--only_class=13"], ["--only_class=13"]),
        (["--n_critic=0"], ["--n_critic=0"]),
        (["--ema_decay=1"], ["--ema_decay=1"]),
        (["--critic_learning_rate=0"], ["--critic_learning_rate=0"]),
        (["--features=/nowhere"], ["/nowhere"]),
        (["--gradient_penalty_at=middle"], ["--gradient_penalty_at=middle"]),
        (["--gradient_penalty_at=real"], ["--gradient_penalty_at=real", "no effect without --gradient_penalty"]),
        (["--gradient_penalty_center=0"], ["--gradient_penalty_center=0", "no effect without --gradient_penalty"]),
        (["--clip_biases=false"], ["--clip_biases=False", "no effect without --clip"]),
        (["--judged_samples=40"], ["--judged_samples=40", "no effect without --features"]),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, flags, texts):
    line = refused(capsys, f"--workdir={tmp_path}/run", *flags)
    assert all(text in line for text in texts), line
    assert not (tmp_path / "run" / "flags.json").exists()


@pytest.fixture(scope="module")
def judge_workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("judge") / "run"
    flags = ["--steps=500", "--filters=16,16", "--kernel_sizes=3,3", "--strides=2,2", "--dense_units=32"]
    flags += ["--learning_rate=3e-3", "--eval_every=0"]
    main(classifier.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags])
    return workdir


def test_a_conditional_gan_of_several_seeds_is_judged_in_training_and_after(tmp_path, judge_workdir, capsys):
    more = ["--conditional", "--seeds=2", "--ema_decay=0.9", f"--features={judge_workdir}", "--judged_samples=40"]
    main(wgan_gp.EXPERIMENT, "about", ["program", f"--workdir={tmp_path}", *TINY, *more])
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    logged = [row for row in rows if "samples/fid" in row][-1]
    assert logged["step"] == 2 and logged["samples/fid_std"] > 0
    before = json.loads((tmp_path / "results.json").read_text())
    assert len(before["samples/fid"]["values"]) == 2
    assert "40 generated and 40 test images" in before["samples judged by"]
    evaluate.main(["program", f"--workdir={tmp_path}"])
    after = json.loads((tmp_path / "results.json").read_text())
    np.testing.assert_allclose(after["samples/fid"]["values"], before["samples/fid"]["values"], rtol=1e-3)
    assert "samples judged by" in capsys.readouterr().out


@pytest.fixture(scope="module")
def judged(judge_workdir):
    """(config, data, judge) of the preset."""
    config = dataclasses.replace(gan.PRESETS["digits"], features=str(judge_workdir))
    data = adversarial.load(config)
    return config, data, adversarial.make_judge(config, data)


def test_real_images_score_better_than_noise(judged):
    _, data, judge = judged
    real = np.asarray(data.transform(data.train.take(np.arange(400)))["image"])
    noise = np.random.default_rng(0).uniform(size=real.shape).astype(np.float32)
    good, bad = (judge.of_samples(images) for images in (real, noise))
    assert good["samples/fid"] < 0.2 * bad["samples/fid"]
    assert good["samples/kid"] < 0.2 * bad["samples/kid"]
    assert good["samples/coverage"] > 0.5 > bad["samples/coverage"]
    assert good["samples/modes_covered"] == good["samples/modes_of_real_images"] == 10 > bad["samples/modes_covered"]
    assert good["samples/kl_to_real"] < 0.1 < bad["samples/kl_to_real"]


def test_samples_are_compared_with_all_held_out_images_where_those_are_few(judged):
    _, data, judge = judged
    assert f"1,000 generated and {len(data.test)} test images" in judge.protocol
    assert '"real images": 1,000 training images' in judge.protocol
    noise = np.random.default_rng(0).uniform(size=(100, 28, 28, 1)).astype(np.float32)
    assert judge.reference["real images/fid"] < 0.2 * judge.of_samples(noise)["samples/fid"]
    assert judge.reference["real images/modes_covered"] == 10


def test_joined_splits_are_compared_with_training_images_and_other_ones(judged):
    config, _, _ = judged
    config = dataclasses.replace(config, join_splits=True, judged_samples=100)
    judge = adversarial.make_judge(config, adversarial.load(config))
    assert "100 train images (nothing is held out)" in judge.protocol
    assert '"real images": 100 other training images' in judge.protocol
    assert judge.reference["real images/fid"] > 1e-3  # not the same ones


def test_modes_are_those_of_the_real_images(judged):
    config, _, _ = judged
    config = dataclasses.replace(config, only_class="3", judged_samples=100)
    data = adversarial.load(config)
    judge = adversarial.make_judge(config, data)
    threes = np.asarray(data.transform(data.train.take(np.arange(100)))["image"])
    numbers = judge.of_samples(threes)
    assert numbers["samples/modes_covered"] >= 0.5 * numbers["samples/modes_of_real_images"]
    assert numbers["samples/kl_to_real"] < 0.3 < numbers["samples/kl_to_uniform"]


def test_joined_splits_leave_nothing_to_hold_out(tmp_path):
    flags = ["--join_splits", "--only_class=3"]
    main(gan.EXPERIMENT, "about", ["program", f"--workdir={tmp_path}", *TINY, *flags])
    results = json.loads((tmp_path / "results.json").read_text())
    assert not any(name.startswith("test/") for name in results)
    assert "L1 distance to the nearest training image, samples" in results
    assert results["failure modes"].endswith("modes not counted (no classifier given by --features)")


def test_labels_are_those_of_training_images(tmp_path):
    config = dataclasses.replace(gan.PRESETS["digits"], conditional=True, only_class="3")
    run = Run(config, adversarial.load(config), None, None, jax.random.key(0), 0, tmp_path)
    (labels,) = adversarial._conditions(run, run.key, 50).values()
    assert labels.shape == (50,) and set(labels.tolist()) == {3}


def test_labels_are_as_frequent_as_in_training(tmp_path):
    config = dataclasses.replace(gan.PRESETS["digits"], conditional=True)
    data = adversarial.load(config)
    twos = np.flatnonzero(data.train.take(np.arange(len(data.train)))["label"] == 2)
    index = np.concatenate([twos, np.arange(len(twos))])
    run = Run(
        config, dataclasses.replace(data, train=Subset(data.train, index)), None, None, jax.random.key(0), 0, None
    )
    (labels,) = adversarial._conditions(run, run.key, 1000).values()
    assert np.mean(np.asarray(labels) == 2) > 0.5


@pytest.mark.parametrize("biases", [True, False])
def test_weights_at_the_limit_are_told_beside_those_at_the_start(tmp_path, biases):
    config = dataclasses.replace(wgan.PRESETS["digits"], clip_biases=biases)
    half = {"kernel": np.array([[0.0096, -0.01, 0.0094, 0.0]]), "bias": np.full(4, 0.01)}
    state = SimpleNamespace(critic=SimpleNamespace(params=half))
    run = Run(config, adversarial.load(config), None, state, jax.random.key(0), 0, tmp_path)
    now, at_start = adversarial._at_the_limit(run).values()
    assert now == (0.75 if biases else 0.5)
    assert at_start == pytest.approx(2 * stats.norm.sf(0.95 * 0.01 / 0.02), abs=0.01)  # of N(0, 0.02^2), both tails
