"""Tests of the world models' stages: out of order, interrupted, with damaged, moved or unsuitable inputs."""

import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments import evaluate, sample, world_models
from experiments.worlds import controller as world_controller
from experiments.worlds import encode as world_encode
from experiments.worlds import mdn_rnn as world_memory
from experiments.worlds import rollouts as world_rollouts
from experiments.worlds import vae as world_vae
from experiments.worlds.agent import load_memory
from gdl_jax.data.shards import has_shard, read_shard
from gdl_jax.runs.main import main
from gdl_jax.runs.records import has_ended
from gdl_jax.runs.restore import restore
from tests.core.parallel_worker import environment
from tests.experiments import small_worlds as worlds
from tests.runs.programs import finished, refused

pytestmark = pytest.mark.slow

TRAINED = {  # stage -> its experiment
    "vae": world_vae.EXPERIMENT,
    "memory": world_memory.EXPERIMENT,
    "controller": world_controller.EXPERIMENT,
}


def stage(name, root, *more, flags=()):
    """Returns a program that runs one stage of a tiny world; it ignores its argv."""
    return lambda argv=(): worlds.stage(name, root, *more, flags=flags)


def train(name, world, *flags):
    """Returns a program that runs a stage's experiment by itself on the parts of a world; it ignores its argv."""
    experiment = TRAINED[name]
    return lambda argv=(): main(experiment, "about", ["program", *worlds.FLAGS[experiment.name](world), *flags])


def encode(**places):
    """Returns a program that runs stage encode with these folders; it ignores its argv."""
    flags = [f"--{name}={place}" for name, place in places.items()]
    return lambda argv=(): world_encode.main(["program", *flags])


@pytest.mark.parametrize(
    ("name", "missing"),
    [("vae", "rollouts"), ("encode", "vae"), ("memory", "latents"), ("controller", "vae"), ("evaluate", "controller")],
)
def test_stages_out_of_order_are_refused(name, missing, tmp_path):
    if name == "evaluate":
        pytest.importorskip("Box2D", reason="evaluation needs gymnasium[box2d]")
    refused(finished(stage(name, tmp_path)), missing)


def test_flags_of_a_stage_need_its_name(tmp_path):
    refused(finished(world_models.main, "--", "--episodes=3"), "--stage")


def test_a_second_round_needs_the_first_controller(tmp_path):
    done = finished(stage("rollouts", tmp_path, flags=["--rounds=2", "--dream"]))
    refused(done, "--rounds=2", str(tmp_path / "dream"))
    refused(finished(stage("vae", tmp_path, flags=["--rounds=2"])), "--stage=vae")


def test_the_paper_s_memory_cannot_dream(tmp_path):
    refused(finished(world_models.main, "--config=paper", "--dream", f"--workdir={tmp_path}"), "--dream")


def test_rollouts_of_several_lengths_are_not_encoded(world, tmp_path):
    stage("rollouts", tmp_path, "--episodes=10", "--steps=9")()
    both = f"{world / 'rollouts'},{tmp_path / 'rollouts'}"
    refused(finished(encode(vision=world / "vae", rollouts=both)), "--rollouts", "9 steps", "8 steps")


def test_rollouts_in_the_home_directory_of_an_unknown_user_are_refused():
    refused(finished(encode(rollouts="a,~no_such_user/b")), "--rollouts=~no_such_user/b")


def test_rollouts_of_several_kinds_are_not_encoded(world, tmp_path):
    stage("rollouts", tmp_path, "--episodes=10", "--frames=book")()
    both = f"{world / 'rollouts'},{tmp_path / 'rollouts'}"
    done = finished(encode(vision=world / "vae", out=tmp_path / "latents", rollouts=both))
    refused(done, "--rollouts", "book", "gymnasium")
    fewer = {"vision": world / "vae", "out": world / "latents", "rollouts": tmp_path / "rollouts"}
    refused(finished(encode(**fewer)), f"--out={world / 'latents'}")


def test_rounds_run_in_order_and_share_the_vision():
    first = ["rollouts", "vae", "encode", "memory", "controller"]
    assert world_models.plan("all", 1) == [*((1, stage) for stage in first), (1, "evaluate")]
    second = [stage for stage in first if stage != "vae"]
    expected = [*((1, stage) for stage in first), *((2, stage) for stage in second), (2, "evaluate")]
    assert world_models.plan("all", 2) == expected
    assert world_models.plan("memory", 3) == [(3, "memory")]


def test_a_second_round_trains_on_all_rollouts(world, tmp_path):
    """The second round's latents are codes of both rounds' rollouts."""
    tmp_path = tmp_path / 'a folder, "quoted"'
    tmp_path.mkdir()
    for name in ("rollouts", "vae"):
        (tmp_path / name).symlink_to(world / name)
    train("controller", world, f"--workdir={tmp_path / 'dream'}", "--dream", "--steps=2")()
    second = ["--rounds=2", "--dream"]
    stage("rollouts", tmp_path, "--episodes=10", flags=second)()
    stage("encode", tmp_path, flags=second)()
    shards = [read_shard(tmp_path / "rollouts", 0), read_shard(tmp_path / "rollouts", 1)]
    shards.append(read_shard(tmp_path / "rollouts_dream_2", 0))
    for number, rollouts in enumerate(shards):
        np.testing.assert_array_equal(read_shard(tmp_path / "latents_dream_2", number)["action"], rollouts["action"])
    assert not has_shard(tmp_path / "latents_dream_2", 3)
    assert not np.array_equal(shards[0]["action"][0], shards[2]["action"][0])


def test_killed_rollouts_resume_bit_for_bit(tmp_path, monkeypatch, capsys):
    stage("rollouts", tmp_path / "whole", "--episodes=30")()
    written = world_rollouts.write_shard

    def killed_at_the_second(root, number, *more, **of):
        if number == 1:
            raise KeyboardInterrupt
        written(root, number, *more, **of)

    monkeypatch.setattr(world_rollouts, "write_shard", killed_at_the_second)
    with pytest.raises(SystemExit, match="130"):
        stage("rollouts", tmp_path / "killed", "--episodes=30")()
    assert capsys.readouterr().err.strip().splitlines()[-1] == "interrupted"
    monkeypatch.undo()
    assert has_shard(tmp_path / "killed" / "rollouts", 0)
    stage("rollouts", tmp_path / "killed", "--episodes=30")()
    for number in range(3):
        whole, killed = (read_shard(tmp_path / name / "rollouts", number) for name in ("whole", "killed"))
        for name, array in whole.items():
            np.testing.assert_array_equal(array, killed[name])


def test_rollouts_of_different_flags_are_not_mixed(world):
    refused(finished(stage("rollouts", world, "--policy=brownian")), f"--out={world / 'rollouts'}", "policy")


@pytest.mark.parametrize("flag", ["--policy=none", "--frames=none", "--episodes=7", "--hold=0"])
def test_bad_flags_of_rollouts_are_refused(flag, tmp_path):
    refused(finished(world_rollouts.main, f"--out={tmp_path}", "--shard_episodes=4", flag), flag.partition("=")[0])


def copied(world, root, *parts):
    """Copies parts of a world to a folder that a test may damage."""
    for part in parts:
        shutil.copytree(world / part, root / part)
    return root


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def one_bit_flipped(path):
    contents = bytearray(path.read_bytes())
    contents[-3] ^= 1
    path.write_bytes(contents)


@pytest.mark.parametrize("damage", [cut_short, one_bit_flipped])
def test_every_reader_of_a_damaged_shard_names_it(damage, world, tmp_path):
    copied(world, tmp_path, "rollouts", "vae", "latents")
    damage(tmp_path / "rollouts" / "00001.frames.npy")
    refused(finished(train("vae", tmp_path, f"--workdir={tmp_path / 'new'}")), "00001.frames.npy: damaged")
    places = {"out": tmp_path / "more", "rollouts": tmp_path / "rollouts", "vision": tmp_path / "vae"}
    refused(finished(encode(**places)), "00001.frames.npy: damaged")
    damage(tmp_path / "latents" / "00001.mean.npy")
    refused(finished(train("memory", tmp_path, f"--workdir={tmp_path / 'new'}")), "00001.mean.npy: damaged")


@pytest.mark.parametrize("damage", [cut_short, one_bit_flipped])
def test_a_damaged_shard_does_not_count_as_done(damage, world, tmp_path):
    copied(world, tmp_path, "rollouts", "vae", "latents")
    damage(tmp_path / "latents" / "00000.mean.npy")
    refused(finished(stage("encode", tmp_path)), "00000.mean.npy: damaged")
    damage(tmp_path / "rollouts" / "00001.frames.npy")
    refused(finished(stage("rollouts", tmp_path)), "00001.frames.npy: damaged")
    (tmp_path / "rollouts" / "00001.json").unlink()
    stage("rollouts", tmp_path)()
    for name, array in read_shard(tmp_path / "rollouts", 1).items():
        np.testing.assert_array_equal(array, read_shard(world / "rollouts", 1)[name])


@pytest.mark.parametrize(("part", "learner"), [("latents", "memory"), ("rollouts", "vae"), ("rollouts", "encode")])
def test_incomplete_shards_are_refused(part, learner, world, tmp_path):
    copied(world, tmp_path, "rollouts", "latents", *(["vae"] if learner != "vae" else []))
    (tmp_path / part / "00001.json").unlink()
    refused(finished(stage(learner, tmp_path)), f"{part}: has 1 of 2 shards")


def test_an_interrupted_and_evaluated_run_has_not_ended(world, tmp_path):
    copied(world, tmp_path, "memory")
    workdir = tmp_path / "memory"
    assert has_ended(workdir)
    (workdir / "results.json").unlink()
    evaluate.main(["program", f"--workdir={workdir}"])
    assert (workdir / "results.json").exists() and not has_ended(workdir)


def test_codes_of_an_older_vision_are_refused(world, tmp_path):
    copied(world, tmp_path, "rollouts", "vae", "latents")
    stage("vae", tmp_path, *worlds.QUICK, "--steps=6")()
    refused(finished(stage("memory", tmp_path)), str(tmp_path / "latents"), "vae")


def test_a_moved_world_resumes(world, driver, tmp_path, capsys):
    """The paths of the parts may change, their contents may not."""
    copied(world, tmp_path, "rollouts", "vae", "latents", "memory")
    shutil.copytree(driver, tmp_path / "controller")

    def resume(name, steps):
        stage(name, tmp_path, *worlds.QUICK, f"--steps={steps}")()

    resume("memory", 4)
    capsys.readouterr()
    resume("controller", 4)
    assert "resuming from step 2" in capsys.readouterr().err
    for name, flag, place in (("memory", "dataset", "latents:{}/latents"), ("controller", "vision", "{}/vae")):
        flags = json.loads((tmp_path / name / "flags.json").read_text())["flags"]
        assert flags[flag] == place.format(tmp_path)
    resume("memory", 6)
    refused(finished(lambda argv: resume("controller", 6)), f"--workdir={tmp_path / 'controller'}")


def test_samples_of_a_controller_are_a_few_films(driver, tmp_path, capsys):
    sample.main(["program", f"--workdir={driver}", f"--out={tmp_path}"])
    assert len(capsys.readouterr().out.split()) == 8  # drives and dreams
    refused(finished(evaluate.main, f"--workdir={driver}", "--split=train"), "--split=train", "test")


def test_codes_of_another_vision_are_not_mixed(world, tmp_path):
    train("vae", world, f"--workdir={tmp_path / 'vae'}", *worlds.QUICK, "--steps=2")()
    places = {"rollouts": world / "rollouts", "vision": tmp_path / "vae", "out": world / "latents"}
    refused(finished(encode(**places)), f"--out={world / 'latents'}", "another vision")


def test_a_memory_of_other_codes_is_refused(world):
    refused(finished(train("memory", world, "--z_dim=5")), "--z_dim=5")


def test_a_vision_of_another_kind_is_refused(world):
    refused(finished(train("controller", world, f"--vision={world / 'memory'}")), "--vision", "world_memory")


def test_an_interrupted_search_resumes_bit_for_bit(world, tmp_path):
    def search(name, steps):
        train("controller", world, f"--workdir={tmp_path / name}", "--dream", f"--steps={steps}")()
        return restore(tmp_path / name, warn=None).state

    early = search("stopped", 2)
    stopped, whole = search("stopped", 4), search("whole", 4)
    for one, other in zip(jax.tree.leaves(stopped), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(early.search.mean, whole.search.mean)
    assert (tmp_path / "whole" / "figures" / "dream.gif").exists()


SEARCH = """
import dataclasses
import sys
from experiments.worlds import controller
from gdl_jax.runs.main import main
root, parallels, *flags = sys.argv[1:]
for parallel in parallels.split(","):
    more = [f"--workdir={root}/{parallel}", f"--parallel={parallel}"]
    main(dataclasses.replace(controller.EXPERIMENT, analyse=lambda run: {}), "about", ["program", *flags, *more])
"""


def searched(world, root, devices, *parallels):
    """Yields log and final state of a search on some number of devices, for each kind of parallelism."""
    flags = (*worlds.parts(world), "--batch_size=8", "--max_steps=60", "--sigma_init=1", "--steps=2")
    flags += ("--log_every=1", "--eval_every=0")
    command = [sys.executable, "-c", SEARCH, str(root), ",".join(parallels), *flags]
    subprocess.run(command, env=environment(devices), check=True)
    for parallel in parallels:
        rows = [json.loads(line) for line in (root / parallel / "metrics.jsonl").open()]
        yield rows, restore(root / parallel, warn=None).state


def test_a_population_on_eight_devices_is_one_population(world, tmp_path):
    ((rows, state),) = searched(world, tmp_path / "one", 1, "jit")
    assert all(row["train/std_return"] > 1 for row in rows if "train/std_return" in row)  # the controller matters
    for other_rows, other in searched(world, tmp_path / "eight", 8, "jit"):
        for row, other_row in zip(rows, other_rows, strict=True):
            for name in row.keys() - {"steps_per_second"}:
                np.testing.assert_allclose(row[name], other_row[name], rtol=1e-3, err_msg=name)
        for one, eight in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(one, eight, rtol=2e-3, atol=2e-4)


def test_parts_that_do_not_fit_are_refused(world, tmp_path):
    train("vae", world, f"--workdir={tmp_path / 'vae'}", *worlds.QUICK, "--steps=2")()
    refused(finished(train("controller", world, f"--vision={tmp_path / 'vae'}")), "--memory", "another vision")


def test_unfinished_parts_are_reported(world, tmp_path, capsys):
    shutil.copytree(world / "memory", tmp_path / "memory")
    load_memory(str(tmp_path / "memory"))
    assert not capsys.readouterr().err
    (tmp_path / "memory" / "results.json").unlink()
    path = tmp_path / "memory" / "flags.json"
    contents = json.loads(path.read_text())
    made, contents["flags"]["steps"] = contents["flags"]["steps"], 99
    path.write_text(json.dumps(contents))
    load_memory(str(tmp_path / "memory"))
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / "memory") in line and f"step {made} of 99" in line


def test_frames_of_another_kind_are_refused(world):
    refused(finished(train("controller", world, "--frames=book")), "--frames=book", "gymnasium")


@pytest.mark.parametrize(
    "flag",
    [
        "--precision=bf16",
        "--train_examples=5",
        "--action_dim=4",
        "--batch_size=1",
        "--temperature=0.0",
        "--dataset=doom",
    ],
)
def test_unsupported_flags_of_a_controller_are_refused(world, flag):
    refused(finished(train("controller", world, flag)), flag)


def test_rollouts_of_different_drivers_are_not_mixed(world, driver, tmp_path):
    """Some actions are random, the others are the driver's; rollouts of another driver are refused."""
    shutil.copytree(driver, tmp_path / "controller")
    driven = (f"--driver={tmp_path / 'controller'}", "--hold=2")
    stage("rollouts", tmp_path, "--episodes=10", *driven)()
    stage("rollouts", tmp_path / "by_chance", "--episodes=10", "--hold=2")()
    shard = read_shard(tmp_path / "rollouts", 0)
    by_chance = read_shard(tmp_path / "by_chance" / "rollouts", 0)
    same = (np.abs(shard["action"] - by_chance["action"]) < 1e-6).all(axis=2)
    assert (same[:, ::2] == same[:, 1::2]).all()
    shares = same.mean(axis=1)
    assert shares.min() < 0.5 < shares.max()
    train("controller", world, f"--workdir={tmp_path / 'controller'}", "--steps=4")()
    refused(finished(stage("rollouts", tmp_path, *driven)), "driver")


def test_a_driver_of_another_kind_is_refused(world, tmp_path):
    refused(finished(stage("rollouts", tmp_path, f"--driver={world / 'memory'}")), "--driver", "world_memory")


def test_cars_may_start_anywhere(tmp_path):
    """On the same tracks and with the same actions, frames differ from those of the first tile."""
    stage("rollouts", tmp_path / "first", "--episodes=10")()
    stage("rollouts", tmp_path / "any", "--episodes=10", "--start_anywhere")()
    first, anywhere = (read_shard(tmp_path / name / "rollouts", 0) for name in ("first", "any"))
    np.testing.assert_array_equal(first["action"], anywhere["action"])
    assert (first["frames"][:, 0] != anywhere["frames"][:, 0]).any(axis=(1, 2, 3)).all()


def test_older_rollouts_with_fewer_flags_resume(tmp_path):
    stage("rollouts", tmp_path, "--episodes=10")()
    (path,) = (tmp_path / "rollouts").glob("*.json")
    contents = json.loads(path.read_text())
    del contents["of"]
    for name in ("driver", "start_anywhere"):
        del contents["notes"][name]
    text = json.dumps(contents)
    assert "driver" not in text and "start_anywhere" not in text
    path.write_text(text)
    stage("rollouts", tmp_path)()
    assert has_shard(tmp_path / "rollouts", 1)
