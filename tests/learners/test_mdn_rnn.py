"""Learner of the memory: alignment of inputs and targets, masks, and a system that needs both a_t and a memory."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gdl_jax.learners.mdn_rnn import mdn_rnn
from gdl_jax.learners.optimizers import OPTIMIZERS
from gdl_jax.models.mdn_rnn import MDNRNN, Config, Prediction
from tests.learners.digits import first_state

B, T, Z, A = 6, 5, 2, 2


class Echo(nn.Module):
    """Network with known predictions: the next z is N(z_t + a_t, 1), and the logits are functions of its inputs."""

    config: Any

    @nn.compact
    def __call__(self, z, action, reward, carry, *, train=False):
        scale = self.param("scale", nn.initializers.ones, ())
        means = scale * (z + action)[..., None]
        done = action[..., 0] if self.config.done_head else None
        return Prediction(jnp.zeros_like(means), means, jnp.zeros_like(means), 4 * reward - 1, done), z, carry

    def zero_carry(self, batch_size):
        return jnp.zeros((batch_size, 1)), jnp.zeros((batch_size, 1))


def echo(**weights):
    return mdn_rnn(Echo(Config(z_dim=Z, action_dim=A, done_head=True)), OPTIMIZERS["sgd"](1.0), **weights)


def rows(seed, log_var=-60.0):
    rng = np.random.default_rng(seed)
    length = rng.integers(1, T + 1, B)
    inside = np.arange(T) < length[:, None]
    batch = {
        "mean": rng.normal(size=(B, T + 1, Z)),
        "log_var": np.full((B, T + 1, Z), log_var),
        "action": rng.normal(size=(B, T, A)),
        "reward": rng.choice([-0.1, 3.2], (B, T)),
        "done": np.arange(T) == length[:, None] - 1,
        "mask": inside,
    }
    return {name: array.astype(np.float32) for name, array in batch.items()}


def by_hand(batch):
    """Returns the losses {name: (B, T)} of `Echo` with z = mean, transition by transition."""
    losses = {name: np.zeros((B, T)) for name in ("mixture_loss", "reward_loss", "reward_accuracy", "done_loss")}
    for b in range(B):
        for t in range(T):
            error = batch["mean"][b, t + 1] - batch["mean"][b, t] - batch["action"][b, t]
            losses["mixture_loss"][b, t] = np.mean(0.5 * np.log(2 * np.pi) + 0.5 * error**2)
            rewarded = t > 0 and batch["reward"][b, t - 1] > 0
            target = batch["reward"][b, t] > 0 and not batch["done"][b, t]
            probability = 1 / (1 + np.exp(-(4.0 * rewarded - 1)))
            losses["reward_loss"][b, t] = -np.log(probability if target else 1 - probability)
            losses["reward_accuracy"][b, t] = (probability > 0.5) == target
            ending = 1 / (1 + np.exp(-batch["action"][b, t, 0]))
            losses["done_loss"][b, t] = -np.log(ending if batch["done"][b, t] else 1 - ending)
    losses["loss"] = losses["mixture_loss"] + 0.5 * losses["reward_loss"] + 2.0 * losses["done_loss"]
    return losses


def test_losses_match_hand_computed_transitions():
    learner, batch = echo(reward_weight=0.5, done_weight=2.0), rows(0)
    state, expected = first_state(learner, batch), by_hand(rows(0))
    assert 0 < expected["reward_accuracy"].mean() < 1
    evaluated = jax.jit(learner.evaluate)(state, batch, jax.random.key(0))
    _, metrics = jax.jit(learner.step)(state, batch, jax.random.key(0))
    assert set(evaluated) == set(expected) and set(metrics) == {*expected, "gradient_norm"}
    for name, values in expected.items():
        sums, weights = evaluated[name]
        np.testing.assert_allclose(sums, (values * batch["mask"]).sum(1), rtol=1e-4, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(weights, batch["mask"].sum(1))
        assert float(metrics[name]) == pytest.approx((values * batch["mask"]).sum() / batch["mask"].sum(), rel=1e-4)


def test_masked_transitions_are_ignored():
    learner, batch = echo(), rows(1)
    other = rows(2)
    outside = batch["mask"] == 0
    assert outside.any()
    changed = dict(batch)
    for name in ("action", "reward", "done"):
        keep = outside[..., None] if batch[name].ndim == 3 else outside
        changed[name] = np.where(keep, other[name], batch[name])
    for name in ("mean", "log_var"):
        changed[name] = np.concatenate(
            [batch[name][:, :1], np.where(outside[..., None], other[name][:, 1:], batch[name][:, 1:])], 1
        )
    state = first_state(learner, batch)
    step = jax.jit(learner.step)
    (one, _), (two, _) = (step(state, rows, jax.random.key(0)) for rows in (batch, changed))
    assert float(one.params["memory"]["scale"]) == float(two.params["memory"]["scale"]) != 1.0


def test_z_is_sampled_for_every_step_and_example():
    """With z ~ N(0, 1) at every step and actions of 0, z_{t+1} - z_t has variance 2."""
    learner = echo(reward_weight=0.0, done_weight=0.0)
    zeros = {name: np.zeros((400, *array.shape[1:]), np.float32) for name, array in rows(0).items()}
    zeros["mask"] += 1
    state = first_state(learner, zeros)
    losses = [
        np.asarray(jax.jit(learner.evaluate)(state, zeros, jax.random.key(key))["mixture_loss"][0]) / T
        for key in (0, 1)
    ]
    for loss in losses:
        assert loss.mean() == pytest.approx(0.5 * np.log(2 * np.pi) + 1.0, abs=0.06)
        assert len(np.unique(loss)) == 400
    assert np.isclose(*losses).mean() < 0.02


def test_devices_with_different_masks_match_one():
    whole, split = rows(3), {name: array.reshape(2, B // 2, *array.shape[1:]) for name, array in rows(3).items()}
    assert len(set(split["mask"].sum((1, 2)))) == 2
    state = first_state(echo(), whole)
    one, metrics = jax.jit(echo().step)(state, whole, jax.random.key(0))
    replicas = jax.vmap(echo(axis_name="d").step, (None, 0, None), axis_name="d")
    many, split_metrics = jax.jit(replicas)(state, split, jax.random.key(0))
    np.testing.assert_allclose(many.params["memory"]["scale"], one.params["memory"]["scale"], rtol=1e-5)
    for name, value in metrics.items():
        np.testing.assert_allclose(split_metrics[name], value, rtol=1e-4, err_msg=name)


def test_dreams_follow_the_predictions():
    """Without actions, `Echo` adds N(0, 1) to z at every step."""
    learner = echo()
    state = first_state(learner, rows(0))
    dreams = np.asarray(jax.jit(learner.sample, static_argnums=(2, 3))(state, jax.random.key(0), 3000, 6))
    assert dreams.shape == (3000, 6, Z)
    np.testing.assert_allclose(dreams.var(0), np.arange(1, 7)[:, None] * np.ones(Z), rtol=0.15)
    np.testing.assert_allclose(dreams.mean(0), 0, atol=0.2)


NOISE = 0.1
KNOWN = 0.5 * np.log(2 * np.pi * np.e * NOISE**2)  # nats of a dimension known up to noise: -0.88
UNKNOWN = 0.5 * np.log(2 * np.pi * np.e * (1 + NOISE**2))  # nats of an unpredictable dimension: 1.42


def system(seed, of_action, episodes=64, steps=16):
    """Returns episodes with z_{t+1} = (a_{t+shift_0}, a_{t+shift_1}), actions N(0, 1): each dimension is one action.

    A transition is rewarded if its action is positive. Shifts wrap around, so that the first or last step is
    unpredictable.
    """
    rng = np.random.default_rng(seed)
    actions = rng.normal(size=(episodes, steps + 2))
    shifted = np.stack([np.roll(actions, -shift, axis=1) for shift in of_action], -1)[:, :steps]
    mean = np.concatenate([rng.normal(size=(episodes, 1, 2)), shifted], 1)
    action = actions[:, :steps, None]
    batch = {
        "mean": mean,
        "log_var": np.full_like(mean, 2 * np.log(NOISE)),
        "action": action,
        "reward": action[..., 0],
        "done": np.zeros((episodes, steps)),
        "mask": np.ones((episodes, steps)),
    }
    return {name: array.astype(np.float32) for name, array in batch.items()}


def trained(of_action, steps=250):
    """Returns mean metrics of a small network over held-out episodes, before and after training."""
    config = Config(z_dim=2, action_dim=1, hidden_units=24, mixtures=2)
    learner = mdn_rnn(MDNRNN(config), OPTIMIZERS["adam"](1e-2))
    state = first_state(learner, system(0, of_action))
    step, evaluate = jax.jit(learner.step, donate_argnums=0), jax.jit(learner.evaluate)

    def means(state):
        losses = evaluate(state, system(999, of_action, episodes=256), jax.random.key(0))
        return {name: float(sums.sum() / weights.sum()) for name, (sums, weights) in losses.items()}

    before = means(state)
    for i in range(steps):
        state, _ = step(state, system(i, of_action), jax.random.key(i))
    return before, means(state)


@pytest.mark.slow
def test_learns_from_the_current_and_the_previous_action():
    """With a_{t-1} in place of a_t, as in the book's agents, or without a memory, one dimension stays unknown."""
    before, after = trained((0, -1))
    without_one = (KNOWN + UNKNOWN) / 2
    assert before["mixture_loss"] > UNKNOWN - 0.1
    assert KNOWN < after["mixture_loss"] < without_one - 0.5
    assert after["reward_accuracy"] > 0.95 and after["reward_loss"] < 0.2
    assert after["loss"] == pytest.approx(after["mixture_loss"] + after["reward_loss"], rel=1e-5)


@pytest.mark.slow
def test_cannot_learn_from_the_next_action():
    """With targets or actions shifted by one step, this would be learnt."""
    _, after = trained((0, 1), steps=150)
    assert after["mixture_loss"] > (KNOWN + UNKNOWN) / 2 - 0.05
