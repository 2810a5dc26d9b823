"""Tests of the training loop: means, seeds, resuming, signals, non-finite metrics."""

import signal
from functools import partial

import chex
import jax
import numpy as np
import pytest

from gdl_jax.core import loop
from gdl_jax.core.errors import UserError
from gdl_jax.core.metrics_log import read_rows, seed_values
from gdl_jax.core.parallel import PARALLEL, make_devices
from gdl_jax.core.programs import make_evaluate
from tests.core import toy


def train(workdir, learner=None, data=None, **options):
    devices = make_devices("jit")
    learner = toy.make_learner() if learner is None else learner
    data = toy.make_data() if data is None else data
    return loop.train(learner, data, devices, workdir, **({"batch_size": 8, "log_every": 5} | options))


@pytest.mark.slow
def test_recovers_the_weights(tmp_path):
    outcome = train(tmp_path, steps=200)
    assert (outcome.began, outcome.step) == (0, 200)
    np.testing.assert_allclose(outcome.state["w"], toy.WEIGHTS, atol=0.05)


@pytest.mark.slow
def test_logs_exact_means(tmp_path):
    train(tmp_path / "fine", steps=20, log_every=1)
    train(tmp_path / "coarse", steps=20, log_every=10)
    fine = [row["train/loss"] for row in read_rows(tmp_path / "fine" / "metrics.jsonl")]
    coarse = [row["train/loss"] for row in read_rows(tmp_path / "coarse" / "metrics.jsonl")]
    np.testing.assert_allclose(coarse, [np.mean(fine[:10]), np.mean(fine[10:])], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2])
def test_evaluates_the_exact_mean_over_a_split(tmp_path, seeds):
    data = toy.make_data(test=21)
    outcome = train(tmp_path, data=data, steps=3, seeds=seeds)
    evaluate = make_evaluate(toy.make_learner(), data, data.test, 8, make_devices("jit"), 0, seeds)
    rows = data.test.arrays
    weights = np.asarray(outcome.state["w"]).reshape(seeds, 5)
    expected = ((rows["x"] @ weights.T - rows["y"][:, None]) ** 2).mean(0)
    np.testing.assert_allclose(evaluate(outcome.state)["loss"].reshape(-1), expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", PARALLEL)
@pytest.mark.parametrize("seeds", [1, 2])
def test_traces_update_and_evaluation_once(tmp_path, seeds, parallel):
    chex.clear_trace_counter()
    devices, data, once = make_devices(parallel), toy.make_data(), partial(chex.assert_max_traces, n=1)
    plain = toy.make_learner(devices.axis_name)
    learner = plain._replace(step=once(plain.step), evaluate=once(plain.evaluate))
    result = loop.train(learner, data, devices, tmp_path, steps=12, batch_size=8, seeds=seeds)
    make_evaluate(learner, data, data.test, 8, devices, 0, seeds)(result.state)


def test_refuses_metrics_that_are_not_one_value_per_example(tmp_path):
    learner = toy.make_learner()
    unreduced = learner._replace(evaluate=lambda state, batch, key: {"error": batch["x"] * state["w"]})
    data = toy.make_data()
    outcome = train(tmp_path, steps=1)
    evaluate = make_evaluate(unreduced, data, data.test, 8, make_devices("jit"))
    with pytest.raises(UserError, match=r"^error: .*\(8,\).*\(8, 5\)"):
        evaluate(outcome.state)


@pytest.mark.slow
@pytest.mark.parametrize("cuts", [[7], [1, 2, 30], [13, 26, 39]])
def test_resumes_bit_for_bit(tmp_path, cuts):
    whole = train(tmp_path / "whole", steps=40)
    for steps in [*cuts, 40]:
        parts = train(tmp_path / "parts", steps=steps)
    for one, other in zip(jax.tree.leaves(whole.state), jax.tree.leaves(parts.state), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_each_of_several_seeds_equals_a_run_of_that_seed(tmp_path):
    many = train(tmp_path / "many", steps=30, seed=4, seeds=3)
    for index in range(3):
        one = train(tmp_path / f"one{index}", steps=30, seed=4 + index)
        np.testing.assert_allclose(many.state["w"][index], one.state["w"], rtol=1e-5, atol=1e-6)
    row = read_rows(tmp_path / "many" / "metrics.jsonl")[-1]
    ones = [read_rows(tmp_path / f"one{index}" / "metrics.jsonl")[-1]["train/loss"] for index in range(3)]
    np.testing.assert_allclose(row["train/loss"], np.mean(ones), rtol=1e-5)
    np.testing.assert_allclose(row["train/loss_std"], np.std(ones, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(seed_values(row)["train/loss"], ones, rtol=1e-5)


@pytest.mark.slow
def test_a_nan_names_its_step_and_keeps_the_last_checkpoint(tmp_path):
    learner = toy.make_learner(poison_step=23)
    with pytest.raises(loop.NonFiniteError, match=r"loss became nan at step 23; .* step 20"):
        train(tmp_path, learner, steps=40, checkpoint_every=10, log_every=7)
    assert sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir()) == [10, 20]
    assert train(tmp_path, steps=40, checkpoint_every=10).step == 40


@pytest.mark.slow
def test_a_signal_saves_a_checkpoint_to_resume_from(tmp_path):
    def preview(state, step):
        if step == 10:
            signal.raise_signal(signal.SIGTERM)

    outcome = train(tmp_path / "a", steps=40, eval_every=10, preview=preview)
    assert outcome.step == 10
    outcome = train(tmp_path / "a", steps=40)
    np.testing.assert_array_equal(outcome.state["w"], train(tmp_path / "b", steps=40).state["w"])


def test_a_signal_during_the_last_evaluation_is_not_lost(tmp_path):
    """The run is not finished until the command is rerun, which then makes no step."""

    evaluated = []

    def preempted(state):
        evaluated.append(state)
        if len(evaluated) == 2:  # before the first step, and after the last
            signal.raise_signal(signal.SIGTERM)
        return {"test/loss": np.zeros(())}

    for finished in (False, True):
        outcome = train(tmp_path, steps=5, eval_every=5, evaluate=preempted)
        assert (outcome.step, outcome.finished) == (5, finished)


@pytest.mark.slow
def test_an_interrupted_run_has_the_log_of_an_uninterrupted_one(tmp_path):
    train(tmp_path / "whole", steps=40, log_every=10)

    def killed(state, step):
        if step == 32:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        train(tmp_path / "cut", steps=40, log_every=10, checkpoint_every=16, eval_every=32, preview=killed)
    train(tmp_path / "cut", steps=40, log_every=10, checkpoint_every=16)
    whole, cut = (read_rows(tmp_path / name / "metrics.jsonl") for name in ("whole", "cut"))
    assert [row["step"] for row in cut] == [10, 20, 30, 40]
    assert [row["train/loss"] for row in cut] == [row["train/loss"] for row in whole]


def evaluated(workdir, **options):
    """Trains with a metric that counts evaluations; returns the result and the steps of the rows that have it."""
    passes = iter(range(100))
    outcome = train(workdir, steps=4, log_every=2, evaluate=lambda state: {"test/passes": next(passes)}, **options)
    return outcome, [row["step"] for row in read_rows(workdir / "metrics.jsonl") if "test/passes" in row]


def test_evaluates_before_the_first_step_unless_only_at_the_end(tmp_path):
    assert evaluated(tmp_path / "often", eval_every=2)[1] == [0, 2, 4]
    assert evaluated(tmp_path / "once", eval_every=0)[1] == [4]


def test_a_kill_before_the_first_checkpoint_restarts_the_log(tmp_path):
    def killed(state, step):
        if step == 2:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        evaluated(tmp_path, eval_every=2, preview=killed)
    assert evaluated(tmp_path, eval_every=2)[1] == [0, 2, 4]


def test_a_signal_before_the_first_step_repeats_no_row(tmp_path):
    def preview(state, step):
        if step == 0:
            signal.raise_signal(signal.SIGTERM)

    outcome, steps = evaluated(tmp_path, eval_every=2, preview=preview)
    assert outcome.step == 0 and steps == [0]
    assert evaluated(tmp_path, eval_every=2)[1] == [0, 2, 4]


def test_writes_no_empty_rows_without_evaluations(tmp_path, capsys):
    train(tmp_path, steps=2, log_every=2, eval_every=1, evaluate=lambda state: {})
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [2]
    assert sum(line.startswith("step ") for line in capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("parallel", PARALLEL)
def test_a_new_run_starts_from_the_given_state_and_a_resumed_one_does_not(tmp_path, parallel):
    still, data, calls = toy.make_learner(learning_rate=0.0), toy.make_data(), []

    def start(state):
        calls.append(state)
        return state | {"w": state["w"] + 1.0}

    devices = make_devices(parallel)
    drawn = loop.train(still, data, devices, tmp_path / "drawn", steps=1, batch_size=8).state["w"]
    for steps in (1, 2):
        result = loop.train(still, data, devices, tmp_path / "given", steps=steps, batch_size=8, start=start)
        np.testing.assert_array_equal(result.state["w"], np.asarray(drawn) + 1.0)
    assert len(calls) == 1
