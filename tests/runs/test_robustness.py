"""Tests of kills, preemption, bad flags and bad files."""

import json
import random
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
from PIL import Image

from experiments import evaluate, registry, sample
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.runs.main import main
from gdl_jax.runs.records import newest_step
from tests.runs.programs import checkpoint, command, finished, refused, run, wait_for


def saved(workdir):
    """Returns the step of the newest checkpoint; 0 if there is none."""
    return newest_step(workdir) or 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "loss", "steps", "kills"), [("vae", "train/loss", 400, 3), ("wgan_gp", "train/critic_loss", 80, 2)]
)
def test_resumes_bit_for_bit_after_several_kills(tmp_path, experiment, loss, steps, kills):
    flags = (f"--steps={steps}", f"--log_every={steps // 20}", f"--checkpoint_every={steps // 10}")
    assert run(tmp_path / "whole", *flags, experiment=experiment).returncode == 0
    moments = random.Random(0)
    for _ in range(kills):
        before = saved(tmp_path / "killed")
        process = subprocess.Popen(
            command(tmp_path / "killed", *flags, experiment=experiment), stderr=subprocess.DEVNULL
        )
        wait_for(lambda before=before: saved(tmp_path / "killed") > before, process)
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        process.wait()
    done = run(tmp_path / "killed", *flags, experiment=experiment)
    assert done.returncode == 0, done.stderr
    assert "resuming from step" in done.stderr
    assert checkpoint(tmp_path / "killed") == checkpoint(tmp_path / "whole")
    whole, killed = (read_rows(tmp_path / name / "metrics.jsonl") for name in ("whole", "killed"))
    assert [(row["step"], row.get(loss)) for row in whole] == [(row["step"], row.get(loss)) for row in killed]


@pytest.mark.slow
def test_preemption_saves_exits_with_0_and_can_be_resumed(tmp_path):
    process = subprocess.Popen(command(tmp_path, "--steps=100000", "--seeds=2"), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: read_rows(tmp_path / "metrics.jsonl"), process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "stopped and saved at step" in errors
    saved = int(checkpoint(tmp_path)[0])
    done = run(tmp_path, f"--steps={saved + 1}", "--seeds=2")
    assert done.returncode == 0, done.stderr
    assert f"resuming from step {saved}" in done.stderr


@pytest.mark.slow
def test_a_nan_stops_the_run_and_names_the_step(tmp_path):
    done = run(tmp_path, "--steps=200", "--learning_rate=1e30")
    assert done.returncode != 0
    assert "at step" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_bad_flag_ends_a_process_with_one_line(tmp_path):
    refused(subprocess.run(command(tmp_path, "--zdim=3"), capture_output=True, text=True), "zdim")


@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        (["--zdim=3"], ["zdim"]),
        (["--z_dim=three"], ["z_dim"]),
        (["--config=digit"], ["config"]),
        (["--dataset=mnits"], ["--dataset=mnits"]),
        (["--dataset=mnist", "--data_dir=/nowhere"], ["/nowhere"]),
        (["--dataset=npz:/nowhere.npz"], ["/nowhere.npz"]),
        (["--dataset=folder:/nowhere"], ["/nowhere"]),
        (["--reconstruction_loss=mes"], ["--reconstruction_loss=mes", "mse"]),
        (["--parallel=mpi"], ["--parallel=mpi"]),
        (["--batch_size=0"], ["--batch_size=0"]),
        (["--steps=-1"], ["--steps=-1"]),
        (["--seeds=0"], ["--seeds=0"]),
        (["--precision=f8"], ["--precision=f8"]),
        (["--learning_rate=-1"], ["--learning_rate=-1"]),
        (["surplus"], ["surplus"]),
        (["--z_dim=0"], ["--z_dim=0", "at least 1"]),
        (["--kl_weight=-1"], ["--kl_weight=-1"]),
        (["--likelihood_samples=0"], ["--likelihood_samples=0"]),
        (["--reconstruction_loss=jax.numpy:subtract"], ["--reconstruction_loss=jax.numpy:subtract", "shape (2,)"]),
        (["--activation=jax.numpy:concatenate"], ["--activation=jax.numpy:concatenate"]),
        (["--optimizer=math:sin"], ["--optimizer=math:sin", "optax.GradientTransformation"]),
    ],
)
def test_refuses_bad_flags_in_one_line_and_writes_nothing(tmp_path, flags, texts):
    refused(run(tmp_path / "run", *flags), *texts)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.slow
def test_refuses_a_changed_hyperparameter_by_name(tmp_path):
    assert run(tmp_path, "--steps=2").returncode == 0
    before = checkpoint(tmp_path)
    refused(run(tmp_path, "--steps=4", "--z_dim=3"), "z_dim was 2")
    refused(run(tmp_path, "--steps=1"), "--steps=1")
    assert checkpoint(tmp_path) == before


@pytest.mark.slow
def test_recomputes_damaged_results(tmp_path):
    assert run(tmp_path, "--steps=2").returncode == 0
    results = (tmp_path / "results.json").read_text()
    (tmp_path / "results.json").write_text(results[:20])
    assert "already complete" not in run(tmp_path, "--steps=2").stderr
    assert json.loads((tmp_path / "results.json").read_text()) == json.loads(results)
    assert "already complete" in run(tmp_path, "--steps=2").stderr


@pytest.mark.slow
def test_a_refused_command_does_not_block_the_next(tmp_path):
    refused(run(tmp_path, "--steps=2", "--decoder_strides=2,4"), "--decoder_strides=2,4")
    assert run(tmp_path, "--steps=2").returncode == 0


@pytest.mark.slow
def test_records_what_changed_on_resume(tmp_path):
    assert run(tmp_path, "--steps=2", "--seeds=2").returncode == 0
    assert run(tmp_path, "--steps=3", "--seeds=2").returncode == 0
    written = json.loads((tmp_path / "flags.json").read_text())
    assert written["flags"]["steps"] == 3
    assert len(written["resumed"]) == 1
    before = json.loads((tmp_path / "results.json").read_text())
    assert len(before["test/loss"]["values"]) == 2
    evaluate.main(["program", f"--workdir={tmp_path}"])
    after = json.loads((tmp_path / "results.json").read_text())
    np.testing.assert_allclose(after["test/loss"]["values"], before["test/loss"]["values"], rtol=1e-4)


@pytest.mark.slow
def test_reports_a_truncated_checkpoint_and_uses_the_previous_one(tmp_path):
    assert run(tmp_path, "--steps=20", "--checkpoint_every=10").returncode == 0
    newest = tmp_path / "checkpoints" / "20"
    for path in (newest / "state").rglob("*"):  # which files contain an array depends on timing
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = run(tmp_path, "--steps=20", "--checkpoint_every=10")
    assert done.returncode == 0, done.stderr
    assert str(newest) in done.stderr
    assert "resuming from step 10" in done.stderr


def test_names_a_corrupt_image(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(40):
        Image.fromarray(np.full((28, 28, 3), i, np.uint8)).save(folder / f"{i:02}.png")
    for path in folder.iterdir():
        if path.name != "00.png":
            path.write_bytes(path.read_bytes()[:50])
    done = run(tmp_path / "run", f"--dataset=folder:{folder}", "--image_size=28", "--decoder_filters=4,3", "--steps=5")
    refused(done, str(folder))


@pytest.mark.slow
def test_a_full_disk_is_one_line(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small file system: {mounted.stderr.decode().strip()}")
    try:
        done = run(tmp_path / "run", "--steps=20", "--checkpoint_every=5", "--verbosity=fatal")
        refused(done, str(tmp_path))  # and none of orbax's messages
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=False)


@pytest.mark.slow
def test_restores_the_hook_for_unraisable_errors(tmp_path):
    before = sys.unraisablehook
    assert run(tmp_path, "--steps=1").returncode == 0
    assert sys.unraisablehook is before


@pytest.mark.slow
def test_verbosity_selects_the_log_messages_of_libraries(tmp_path):
    program = """
from absl import logging
from gdl_jax.runs import command

def main(_):
    for level in ("info", "warning", "error"):
        getattr(logging, level)("an absl " + level)

command.run(main, "about", command.new_flags(), ["program", FLAG])
"""
    shown = {}
    for flag in ("--verbosity=warning", "--verbosity=error", "--verbosity=info"):
        code = program.replace("FLAG", repr(flag))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        shown[flag] = [level for level in ("info", "warning", "error") if f"an absl {level}" in done.stderr]
    levels = [["warning", "error"], ["error"], ["info", "warning", "error"]]
    assert list(shown.values()) == levels


@pytest.mark.slow
def test_refuses_the_workdir_of_another_experiment(tmp_path):
    assert run(tmp_path, "--steps=1").returncode == 0
    other = partial(main, registry.find("autoencoder"), "about")
    refused(finished(other, f"--workdir={tmp_path}"), "--workdir", "vae")


def test_tools_refuse_a_directory_without_a_run(tmp_path):
    for tool in (sample, evaluate):
        refused(finished(tool.main, f"--workdir={tmp_path}"), str(tmp_path))


def test_refuses_an_unwritable_workdir_in_one_line(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    refused(run(blocked / "run", "--steps=1"), str(blocked))
    assert list(tmp_path.iterdir()) == [blocked]


@pytest.mark.slow
def test_trains_in_bfloat16_and_writes_a_profile(tmp_path):
    done = run(tmp_path, "--steps=20", "--log_every=10", "--precision=bf16", "--profile")
    assert done.returncode == 0, done.stderr
    first, last = (row["train/loss"] for row in read_rows(tmp_path / "metrics.jsonl") if "train/loss" in row)
    assert last < first
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
