"""Learner of answers in passages: its loss against NumPy, tokens that cannot be answers, and training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from gdl_jax.data.text.bert_rows import features
from gdl_jax.learners.answers import answer_finder, possible
from gdl_jax.learners.optimizers import OPTIMIZERS
from gdl_jax.models.bert import Config
from gdl_jax.models.bert_heads import AnswerFinder, inputs_of

CONFIG = Config(
    layers=1, heads=2, width=16, hidden_units=16, positions=12, dropout_rate=0.0, attention_dropout_rate=0.0
)
VOCABULARY, LENGTH = 20, 12
MODULE = AnswerFinder(CONFIG, VOCABULARY)


def batch_of(count, seed=0):
    """Returns windows whose answer is the token after the question's, up to the next token 5; some have no answer."""
    rng = np.random.default_rng(seed)
    rows = {name: np.zeros((count, LENGTH), np.int32) for name in ("tokens", "segments")}
    rows |= {name: np.zeros(count, np.int32) for name in ("length", "start", "end", "first")}
    for row in range(count):
        length = int(rng.integers(9, LENGTH + 1))
        passage = 6 + rng.permutation(VOCABULARY - 6)[: length - 4]
        start = int(rng.integers(0, len(passage)))
        answered = bool(rng.integers(0, 4))
        asked = passage[start] if answered else 5
        rows["tokens"][row, :length] = [2, asked, 3, *passage, 3]
        rows["segments"][row, 3:length] = 1
        rows["length"][row], rows["first"][row] = length, 3
        if answered:
            rows["start"][row] = rows["end"][row] = 3 + start
    return features({name: jnp.asarray(array) for name, array in rows.items()})


@pytest.fixture(scope="module")
def learner():
    return answer_finder(MODULE, OPTIMIZERS["adam"](3e-3))


@pytest.fixture(scope="module")
def state(learner):
    return jax.jit(learner.init)(jax.random.key(0), batch_of(4))


def test_the_loss_is_over_the_passage_and_the_first_token(learner, state):
    batch = batch_of(6)
    found = jax.jit(learner.evaluate)(state, batch, jax.random.key(0))
    logits = np.asarray(MODULE.apply({"params": state.params["network"]}, *inputs_of(batch), train=False), np.float64)
    for row in range(6):
        places = [0, *range(3, int(batch["length"][row]) - 1)]
        right, loss = [], 0.0
        for which, name in enumerate(("start", "end")):
            target = places.index(int(batch[name][row]))
            scores = log_softmax(logits[row, which, places])
            loss -= scores[target] / 2
            right.append(scores.argmax() == target)
        assert float(found["loss"][row]) == pytest.approx(loss, rel=1e-4)
        assert float(found["accuracy"][row]) == all(right)


def test_possible_tokens_by_hand():
    batch = {"tokens": np.zeros((2, 8), np.int32), "first": np.array([3, 4]), "length": np.array([7, 8])}
    np.testing.assert_array_equal(possible(batch), [[1, 0, 0, 1, 1, 1, 0, 0], [1, 0, 0, 0, 1, 1, 1, 0]])


def test_parts_of_a_batch_have_the_whole_batchs_gradient(state):
    batch, optimizer = batch_of(8), OPTIMIZERS["sgd"](0.1)
    whole, parts = (
        jax.jit(answer_finder(MODULE, optimizer, accumulate=n).step)(
            state.replace(opt_state=optimizer.init(state.params)), batch, jax.random.key(0)
        )
        for n in (1, 4)
    )
    assert float(whole[1]["loss"]) == pytest.approx(float(parts[1]["loss"]), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), whole[0].params, parts[0].params)


@pytest.mark.slow
def test_learns_to_find_answers(learner, state):
    step, held_out = jax.jit(learner.step), batch_of(200, seed=999)
    for number in range(400):
        state, metrics = step(state, batch_of(32, seed=number), jax.random.key(number))
    found = jax.jit(learner.evaluate)(state, held_out, jax.random.key(0))
    share = float((held_out["start"] == 0).mean())
    assert found["accuracy"].mean() > share + 0.3
    assert all(np.isfinite(value) for value in metrics.values())
    logits = learner.sample(state, jax.random.key(0), 200, held_out)
    assert logits.shape == (200, 2, LENGTH)
