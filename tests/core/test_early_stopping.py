"""Tests of early stopping with prescribed losses: the step at which runs end, and their states."""

import json
import signal

import jax
import numpy as np
import pytest

from gdl_jax.core import early_stopping, loop
from gdl_jax.core.checkpoint import Checkpoints
from gdl_jax.core.errors import UserError
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.core.parallel import make_devices
from tests.core import toy

EVERY, PATIENCE = 4, 3
# Step -> validation loss. Equal losses and NaN are no improvement: the run ends at 24, with the state of step 12.
LOSSES = {0: 5.0, 4: 3.0, 8: 4.0, 12: 2.0, 16: np.nan, 20: 2.0, 24: 2.5, 28: 1.0}
# Another seed stops at 12, with the state of step 0; its later losses have no effect.
EARLIER = {0: 1.0, 4: 3.0, 8: 4.0, 12: 2.0, 16: 0.5, 20: 0.1, 24: 0.1, 28: 0.1}


def scripted(state):
    updates = np.asarray(state["updates"])
    if updates.ndim == 0:
        return {"validation/loss": np.float64(LOSSES[int(updates)])}
    pairs = zip((LOSSES, EARLIER), updates, strict=True)
    return {"validation/loss": np.array([losses[int(step)] for losses, step in pairs])}


def train(workdir, kind="jit", evaluate=scripted, **options):
    devices = make_devices(kind)
    learner = toy.make_learner(devices.axis_name)
    default = {"steps": 40, "batch_size": 8, "log_every": EVERY, "eval_every": EVERY, "patience": PATIENCE}
    return loop.train(learner, toy.make_data(), devices, workdir, evaluate=evaluate, **(default | options))


def plain(workdir, steps, **options):
    """Returns the weights of a run without early stopping."""
    outcome = train(workdir, steps=steps, patience=0, eval_every=0, evaluate=None, **options)
    assert (outcome.step, outcome.finished, outcome.best_step) == (steps, True, None)
    return np.asarray(outcome.state["w"])


def checksums(workdir):
    newest = max((workdir / "checkpoints").iterdir(), key=lambda path: int(path.name))
    return newest.name, json.loads((newest / "meta" / "metadata").read_text())["checksums"]


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_ends_out_of_patience_with_the_best_state(tmp_path, kind):
    outcome = train(tmp_path / "run", kind)
    assert (outcome.step, outcome.finished, int(outcome.best_step), outcome.evaluated) == (24, True, 12, None)
    np.testing.assert_array_equal(outcome.state["w"], plain(tmp_path / "plain", 12, kind=kind))
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows if "validation/loss" in row] == list(range(0, 25, EVERY))


def test_ends_at_the_last_step_with_patience_left(tmp_path):
    outcome = train(tmp_path / "run", steps=20)
    assert (outcome.step, outcome.finished, int(outcome.best_step)) == (20, True, 12)
    np.testing.assert_array_equal(outcome.state["w"], plain(tmp_path / "plain", 12))


@pytest.mark.parametrize("end", [18, 22])
def test_an_irregular_evaluation_uses_up_no_patience(tmp_path, end):
    """A run that ended between two evaluations, resumed, ends where it would have ended without interruption."""

    def evaluate(state):
        return {"validation/loss": np.float64(LOSSES.get(int(np.asarray(state["updates"])), 9.0))}

    assert train(tmp_path, steps=end, evaluate=evaluate).step == end
    outcome = train(tmp_path, evaluate=evaluate)
    assert (outcome.step, int(outcome.best_step)) == (24, 12)


def test_an_irregular_evaluation_may_be_the_best(tmp_path):
    losses = LOSSES | {18: 0.5}
    outcome = train(
        tmp_path, steps=18, evaluate=lambda state: {"validation/loss": np.float64(losses[int(state["updates"])])}
    )
    assert (outcome.step, int(outcome.best_step), int(outcome.state["updates"])) == (18, 18, 18)


def test_keeps_the_initial_state_if_all_losses_are_nan(tmp_path):
    outcome = train(tmp_path / "run", evaluate=lambda state: {"validation/loss": np.float64("nan")})
    assert (outcome.step, outcome.finished, int(outcome.best_step)) == (8, True, 0)
    assert int(outcome.state["updates"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed_at", "checkpoint_every", "seeds"),
    [(0, EVERY, 1), (12, EVERY, 1), (20, EVERY, 1), (24, EVERY, 1), (20, 6, 1), (16, 6, 2)],
)
def test_resumes_bit_for_bit_after_a_kill(tmp_path, killed_at, checkpoint_every, seeds):
    options = {"checkpoint_every": checkpoint_every, "seeds": seeds}

    def killed(state, step):
        if step == killed_at:
            raise RuntimeError("killed")

    whole = train(tmp_path / "whole", **options)
    with pytest.raises(RuntimeError):
        train(tmp_path / "cut", preview=killed, **options)
    for _ in range(2):  # the second time it is complete, and does nothing
        cut = train(tmp_path / "cut", **options)
        assert (cut.step, cut.finished, cut.best_step.tolist()) == (24, True, 12 if seeds == 1 else [12, 0])
        np.testing.assert_array_equal(cut.state["w"], whole.state["w"])
        assert checksums(tmp_path / "cut") == checksums(tmp_path / "whole")
    steps = [[row["step"] for row in read_rows(tmp_path / name / "metrics.jsonl")] for name in ("whole", "cut")]
    assert steps[0] == steps[1]


@pytest.mark.slow
def test_each_seed_has_its_own_best_state(tmp_path):
    outcome = train(tmp_path / "run", seeds=2, seed=5)
    assert (outcome.step, outcome.finished, outcome.best_step.tolist()) == (24, True, [12, 0])
    for index, steps in enumerate((12, 1)):
        alone = plain(tmp_path / f"plain{index}", steps, seed=5 + index)
        same = np.allclose(outcome.state["w"][index], alone, rtol=1e-5, atol=1e-6)
        assert same == (steps == 12)  # the state of step 0 has seen no update
    updates = np.asarray(outcome.state["updates"])
    assert updates.tolist() == [12, 0]


def test_a_stopped_run_is_not_finished_and_returns_the_best_state(tmp_path):
    def preview(state, step):
        if step == 16:
            signal.raise_signal(signal.SIGTERM)

    outcome = train(tmp_path, preview=preview)
    assert (outcome.step, outcome.finished, int(outcome.best_step)) == (16, False, 12)
    assert train(tmp_path).step == 24


def test_checkpoints_contain_the_best_state_only_with_patience(tmp_path):
    outcome = train(tmp_path / "run")
    plain(tmp_path / "plain", 12)
    state = jax.tree.map(np.zeros_like, jax.device_get(outcome.state))
    for name, like in (
        ("plain", state),
        ("run", {"state": state, "best": early_stopping.initial_best(state, 1)}),
    ):
        checkpoints = Checkpoints(tmp_path / name / "checkpoints", warn=pytest.fail)
        restored = checkpoints.restore(like).state
        checkpoints.close()
        held = restored["best"].state if name == "run" else restored
        np.testing.assert_array_equal(held["w"], outcome.state["w"])
    assert int(restored["state"]["updates"]) == 24 and float(restored["best"].loss) == 2.0


@pytest.mark.parametrize(
    "options",
    [{"eval_every": 0}, {"evaluate": None}, {"evaluate": lambda state: {"test/loss": 1.0}}],
)
def test_refuses_patience_without_a_validation_loss(tmp_path, options):
    with pytest.raises(UserError, match="patience=3"):
        train(tmp_path, **options)
