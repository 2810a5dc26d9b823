"""Learners whose training examples are changed at random."""

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.learner import Learner
from gdl_jax.learners.augmented import augmented

BATCH = {"x": np.zeros((6, 2), np.float32), "y": np.arange(6.0)}
KEY = jax.random.key(0)


def learner():
    """A learner whose functions return what they are given."""
    return Learner(
        init=lambda key, batch: batch,
        step=lambda state, batch, key: (batch, {"noise": jax.random.uniform(key)}),
        evaluate=lambda state, batch, key: batch,
        sample=lambda state, key, num: num,
        batches_per_step=3,
    )


def with_noise(batch, keys):
    return batch | {"x": batch["x"] + jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys)}


def test_updates_see_changed_examples_and_the_rest_does_not():
    plain, changed = learner(), augmented(learner(), with_noise)
    batch, metrics = changed.step(None, BATCH, KEY)
    assert len(np.unique(batch["x"])) == 12  # the noise of each example is its own
    np.testing.assert_array_equal(batch["y"], BATCH["y"])
    assert float(metrics["noise"]) not in np.asarray(batch["x"])
    np.testing.assert_array_equal(changed.evaluate(None, BATCH, KEY)["x"], BATCH["x"])
    np.testing.assert_array_equal(changed.init(KEY, BATCH)["x"], BATCH["x"])
    assert changed.sample(None, KEY, 5) == 5 and changed.batches_per_step == plain.batches_per_step


def test_changes_are_a_function_of_the_key():
    step = augmented(learner(), with_noise).step
    once, again, other = (step(None, BATCH, jax.random.key(seed))[0]["x"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert not np.isclose(once, other).any()


def test_changes_do_not_depend_on_the_number_of_devices():
    whole = augmented(learner(), with_noise).step(None, BATCH, KEY)[0]
    parts = {name: jnp.asarray(array).reshape(3, 2, *array.shape[1:]) for name, array in BATCH.items()}
    step = augmented(learner(), with_noise, "data").step
    split, _ = jax.vmap(lambda part: step(None, part, KEY), axis_name="data")(parts)
    np.testing.assert_array_equal(split["x"].reshape(6, 2), whole["x"])
