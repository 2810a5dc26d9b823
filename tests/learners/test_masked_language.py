"""Tests of the learner of BERT's pre-training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import log_softmax

from gdl_jax.learners.masked_language import INPUTS, masked_language
from gdl_jax.models.bert import Config, Pretraining

VOCABULARY, EXAMPLES, LENGTH, PREDICTIONS = 13, 4, 10, 3
CONFIG = Config(
    layers=1, width=8, heads=2, hidden_units=8, positions=LENGTH, dropout_rate=0.0, attention_dropout_rate=0.0
)
MODULE = Pretraining(CONFIG, VOCABULARY)
COUNTS = np.array([1, 3, 2, 3])  # predictions of each example


def make_batch():
    rng = np.random.default_rng(0)
    lengths = np.array([4, 10, 7, 9])
    chosen = np.arange(PREDICTIONS) < COUNTS[:, None]
    batch = {
        "tokens": rng.integers(0, VOCABULARY, (EXAMPLES, LENGTH)),
        "segments": rng.integers(0, 2, (EXAMPLES, LENGTH)),
        "mask": np.arange(LENGTH) < lengths[:, None],
        "positions": np.where(chosen, np.arange(1, PREDICTIONS + 1), 0),
        "targets": np.where(chosen, rng.integers(0, VOCABULARY, (EXAMPLES, PREDICTIONS)), 0),
        "weights": chosen.astype(np.float32),
        "is_next": np.array([1, 0, 0, 1]),
    }
    return jax.tree.map(jnp.asarray, batch)


BATCH = make_batch()


def learner(**changes):
    made = masked_language(MODULE, optax.sgd(0.1), **changes)
    return made._replace(init=jax.jit(made.init), step=jax.jit(made.step), evaluate=jax.jit(made.evaluate))


@pytest.fixture(scope="module")
def state():
    state = learner().init(jax.random.key(0), BATCH)
    keys = iter(jax.random.split(jax.random.key(2), len(jax.tree.leaves(state.params))))
    return state.replace(params=jax.tree.map(lambda x: x + jax.random.normal(next(keys), x.shape), state.params))


def by_numpy(state):
    """Returns the metrics of the batch, prediction by prediction."""
    found = MODULE.apply({"params": state.params["network"]}, *(BATCH[name] for name in INPUTS), train=False)
    words, following = (log_softmax(np.asarray(logits, np.float64), axis=-1) for logits in found)
    losses, right = [], []
    for example, count in enumerate(COUNTS):
        for place in range(count):
            target = int(BATCH["targets"][example, place])
            losses.append(-words[example, place, target])
            right.append(words[example, place].argmax() == target)
    labels = np.array([0, 1, 1, 0])  # 0: the passage follows
    of_next = -following[np.arange(EXAMPLES), labels]
    wanted = {"word_loss": np.mean(losses), "word_accuracy": np.mean(right), "next_loss": of_next.mean()}
    return wanted | {"next_accuracy": (following.argmax(-1) == labels).mean()}


def mean(value):
    return float(value[0].sum() / value[1].sum() if isinstance(value, tuple) else value.mean())


def test_metrics_are_means_over_predictions_and_over_examples(state):
    wanted = by_numpy(state)
    _, metrics = learner().step(state, BATCH, jax.random.key(1))
    evaluated = learner().evaluate(state, BATCH, None)
    for name, value in wanted.items():
        assert float(metrics[name]) == pytest.approx(value, rel=1e-4), name
        assert mean(evaluated[name]) == pytest.approx(value, rel=1e-4), name
    assert float(metrics["loss"]) == pytest.approx(wanted["word_loss"] + wanted["next_loss"], rel=1e-4)


def test_the_evaluated_loss_is_the_sum_where_examples_have_equally_many_predictions(state):
    few = {name: values[1::2] for name, values in BATCH.items()}  # three each
    found = learner().evaluate(state, few, None)
    assert mean(found["loss"]) == pytest.approx(mean(found["word_loss"]) + mean(found["next_loss"]), rel=1e-5)


def test_places_without_a_prediction_change_nothing(state):
    here = BATCH["weights"] > 0
    other = BATCH | {
        "positions": jnp.where(here, BATCH["positions"], 2),
        "targets": jnp.where(here, BATCH["targets"], 5),
    }
    step = learner().step
    results = [step(state, batch, jax.random.key(1)) for batch in (BATCH, other)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *results)


@pytest.mark.parametrize("parts", ["accumulated", "devices"])
def test_parts_of_a_batch_give_the_gradient_of_the_whole(state, parts):
    """Parts have different numbers of predictions. A mapped axis with a name has the collectives of pmap."""
    wanted = learner().step(state, BATCH, jax.random.key(1))
    if parts == "accumulated":
        found = learner(accumulate=2).step(state, BATCH, jax.random.key(1))
    else:
        halves = {name: values.reshape(2, -1, *values.shape[1:]) for name, values in BATCH.items()}
        step = jax.jit(jax.vmap(learner(axis_name="data").step, (None, 0, None), axis_name="data"))
        found = jax.tree.map(lambda leaf: leaf[1], step(state, halves, jax.random.key(1)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, wanted)


def test_samples_are_probabilities_of_the_tokens_at_positions(state):
    found = learner().sample(state, jax.random.key(0), EXAMPLES, BATCH)
    network = {"params": state.params["network"]}
    words = MODULE.apply(network, *(BATCH[name] for name in INPUTS), train=False).words
    np.testing.assert_allclose(found, np.exp(log_softmax(words, axis=-1)), atol=1e-6)
