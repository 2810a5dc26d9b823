"""Tests of states that start from given weights."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.learners.averaging import AveragedState
from gdl_jax.learners.fine_tuning import training_only, with_params
from gdl_jax.learners.gradient import TrainState

OLD = {"network": {"body": {"w": jnp.zeros((2, 3))}, "head": {"w": jnp.ones(3)}}}
NEW = {"network": {"body": {"w": np.arange(6.0).reshape(2, 3)}}}


def state(params):
    return TrainState(params, {}, optax.adam(1e-3).init(params))


def test_given_parameters_replace_the_initial_ones_and_the_others_stay():
    before = state(OLD)
    after = with_params(before, NEW)
    np.testing.assert_array_equal(after.params["network"]["body"]["w"], NEW["network"]["body"]["w"])
    assert after.params["network"]["body"]["w"].dtype == np.float32
    np.testing.assert_array_equal(after.params["network"]["head"]["w"], 1.0)
    jax.tree.map(np.testing.assert_array_equal, after.opt_state, before.opt_state)


def test_the_average_starts_from_them_too():
    averaged = with_params(AveragedState(state(OLD), OLD, {}, jnp.zeros((), jnp.int32)), NEW)
    for params in (averaged.params, averaged.trained.params):
        np.testing.assert_array_equal(params["network"]["body"]["w"], NEW["network"]["body"]["w"])


def test_all_seeds_start_from_them():
    stacked = jax.tree.map(lambda x: jnp.stack([x, x]), state(OLD))
    found = with_params(stacked, NEW).params["network"]["body"]["w"]
    np.testing.assert_array_equal(found, np.stack([NEW["network"]["body"]["w"]] * 2))


@pytest.mark.parametrize(
    "wrong", [{"network": {"tail": {"w": np.zeros(3)}}}, {"network": {"head": {"w": np.zeros(4)}}}]
)
def test_other_names_and_shapes_are_errors(wrong):
    with pytest.raises(ValueError, match=r"tail|broadcast"):
        with_params(state(OLD), wrong)


def test_only_named_modules_are_trained():
    params = {"network": {"body": {"w": jnp.ones((2, 3))}, "head": {"w": jnp.ones(3), "bias": jnp.ones(3)}}}
    gradient = jax.tree.map(lambda x: jnp.full_like(x, 2.0), params)
    optimizer = training_only(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.5)), ("head",))
    updates, _ = jax.jit(optimizer.update)(gradient, optimizer.init(params), params)
    np.testing.assert_array_equal(updates["network"]["body"]["w"], 0.0)
    for name in ("w", "bias"):  # the gradient's norm is that of six numbers
        np.testing.assert_allclose(updates["network"]["head"][name], -0.5 / np.sqrt(6), rtol=1e-6)


def test_weight_decay_spares_frozen_modules():
    params = {"body": {"kernel": jnp.ones((2, 3))}, "head": {"kernel": jnp.ones((3, 3))}}
    gradient = jax.tree.map(jnp.zeros_like, params)
    optimizer = training_only(optax.adamw(0.1, weight_decay=0.5), {"head"})
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    np.testing.assert_array_equal(updates["body"]["kernel"], 0.0)
    np.testing.assert_allclose(updates["head"]["kernel"], -0.05, rtol=1e-6)
