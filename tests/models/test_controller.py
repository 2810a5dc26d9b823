import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from gdl_jax.core.errors import ConfigError
from gdl_jax.models.controller import Config, Controller, driving_controls

Z, HIDDEN, CELL = 32, 256, 256


def inputs(count=5):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(count, size)).astype(np.float32) for size in (Z, HIDDEN, CELL)]


@pytest.mark.parametrize(("name", "count"), [("z_h", 867), ("z", 99), ("z_h_c", 1635)])
def test_parameter_count(name, count):
    variables = Controller(Config(controller_inputs=name)).init(jax.random.key(0), *inputs())
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == count


def test_initial_parameters_are_zero_and_drive_straight():
    module = Controller(Config())
    variables = module.init(jax.random.key(0), *inputs())
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(variables))
    np.testing.assert_array_equal(driving_controls(module.apply(variables, *inputs())), [[0, 0.5, 0.5]] * 5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "used"), [("z_h", 2), ("z", 1), ("z_h_c", 3)])
def test_actions_of_a_population_match_the_equation(name, used):
    module, arrays = Controller(Config(controller_inputs=name)), inputs()
    flat, unravel = ravel_pytree(module.init(jax.random.key(0), *arrays)["params"])
    population = np.random.default_rng(1).normal(size=(4, flat.size)).astype(np.float32) * 0.1
    actions = jax.vmap(lambda vector: module.apply({"params": unravel(vector)}, *arrays))(population)
    x = np.concatenate(arrays[:used], axis=1)
    for vector, action in zip(population, np.asarray(actions), strict=True):
        params = unravel(vector)["action"]
        expected = np.tanh(x @ np.asarray(params["kernel"]) + np.asarray(params["bias"]))
        np.testing.assert_allclose(action, expected, atol=1e-5)
    assert np.std(actions) > 0.1


def test_controls_are_in_the_cars_ranges():
    actions = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [0.2, -0.5, 0.5]], np.float32)
    np.testing.assert_allclose(driving_controls(jnp.asarray(actions)), [[-1, 0, 0], [1, 1, 1], [0.2, 0.25, 0.75]])
    assert driving_controls(jnp.zeros((2, 7, 3))).shape == (2, 7, 3)


@pytest.mark.parametrize("name", ["h", "z_h_c"])
def test_unknown_and_missing_inputs_are_refused(name):
    z, hidden, _ = inputs()
    with pytest.raises(ConfigError) as error:
        Controller(Config(controller_inputs=name)).init(jax.random.key(0), z, hidden)
    assert (error.value.field, error.value.value) == ("controller_inputs", name)
