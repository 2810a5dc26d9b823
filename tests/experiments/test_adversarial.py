"""What chapter 4's experiments share: bad input, conditions, joined splits, and the judge."""

import dataclasses
import json

import numpy as np
import pytest

from experiments import adversarial, classifier, evaluate, gan, wgan_gp
from experiments.run import main

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
    "--judged_samples=40",
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
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, flags, texts):
    line = refused(capsys, f"--workdir={tmp_path}/run", *flags)
    assert all(text in line for text in texts), line
    assert not (tmp_path / "run" / "flags.json").exists()


@pytest.fixture(scope="module")
def judge_workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("judge") / "run"
    flags = ["--steps=60", "--filters=8,8", "--kernel_sizes=3,3", "--strides=2,2", "--dense_units=16", "--eval_every=0"]
    main(classifier.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags])
    return workdir


def test_a_conditional_gan_of_several_seeds_is_judged_in_training_and_after(tmp_path, judge_workdir, capsys):
    more = ["--conditional", "--seeds=2", "--ema_decay=0.9", f"--features={judge_workdir}"]
    main(wgan_gp.EXPERIMENT, "about", ["program", f"--workdir={tmp_path}", *TINY, *more])
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    logged = next(row for row in rows if "samples/fid" in row)
    assert logged["step"] == 2 and logged["samples/fid_std"] > 0
    before = json.loads((tmp_path / "results.json").read_text())
    assert len(before["samples/fid"]["values"]) == 2
    assert "40 generated and 40 test images" in before["samples judged by"]
    evaluate.main(["program", f"--workdir={tmp_path}"])
    after = json.loads((tmp_path / "results.json").read_text())
    np.testing.assert_allclose(after["samples/fid"]["values"], before["samples/fid"]["values"], rtol=1e-3)
    assert "samples judged by" in capsys.readouterr().out


def test_real_images_score_better_than_noise(judge_workdir):
    config = dataclasses.replace(gan.PRESETS["digits"], features=str(judge_workdir), judged_samples=200)
    data = adversarial.load(config)
    judge = adversarial.make_judge(config, data)
    rows = data.train.take(np.arange(200))
    real = np.asarray(data.transform(rows)["image"])
    noise = np.random.default_rng(0).uniform(size=real.shape).astype(np.float32)
    good, bad = (judge.of_images(images) for images in (real, noise))
    assert good["samples/fid"] < 0.2 * bad["samples/fid"]
    assert good["samples/kid"] < 0.2 * bad["samples/kid"]
    assert good["samples/coverage"] > 0.5 > bad["samples/coverage"]
    assert good["samples/modes_covered"] == 10 > bad["samples/modes_covered"]


def test_joined_splits_leave_nothing_to_hold_out(tmp_path):
    flags = ["--join_splits", "--only_class=3"]
    main(gan.EXPERIMENT, "about", ["program", f"--workdir={tmp_path}", *TINY, *flags])
    results = json.loads((tmp_path / "results.json").read_text())
    assert not any(name.startswith("test/") for name in results)
    assert "L1 distance to the nearest training image, samples" in results
