"""Learner of both directions of a translation, against the paper's equations in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from gdl_jax.learners.translation import Terms, translation
from gdl_jax.losses.adversarial import CYCLEGAN
from gdl_jax.losses.reconstruction import mse
from gdl_jax.models.cyclegan import Critics, Translators

RATE_G, RATE_C = 0.05, 0.2
WEIGHTS = {"adversarial": 0.7, "cycle": 3.0, "identity": 2.0}
KEY = jax.random.key(0)
normal = nn.initializers.normal(0.5)


class Affine(nn.Module):
    """Generator of one direction: x -> w x + c."""

    @nn.compact
    def __call__(self, x, *, train):
        return self.param("w", normal, ()) * x + self.param("c", normal, ())


class Patches(nn.Module):
    """Critic of one domain: x -> v x + u for each pixel, (B, H, W, 1) -> (B, H, W)."""

    @nn.compact
    def __call__(self, x, *, train):
        return (self.param("v", normal, ()) * x + self.param("u", normal, ()))[..., 0]


def make(terms=None, generator_rate=RATE_G, critic_rate=RATE_C, **options):
    terms = Terms(**WEIGHTS) if terms is None else terms
    sgd = optax.sgd(generator_rate), optax.sgd(critic_rate)
    generator = Translators(Affine(), identity=terms.identity > 0)
    return translation(generator, Critics(Patches()), *sgd, CYCLEGAN, terms=terms, **{"pool_size": 0} | options)


def images(seed, count=2):
    rng = np.random.default_rng(seed)
    a, b = (rng.uniform(size=(count, 2, 3, 1)).astype(np.float32) for _ in range(2))
    return {"a": a, "b": b}


def first_state(learner, batch):
    return learner.init(jax.random.key(0, impl="unsafe_rbg"), batch)


def parameters(state):
    """Returns the parameters in float64, {name: [of AtoB or A, of BtoA or B]}."""
    trees = state.generator.params["network"], state.critic.params["network"]
    return [{name: np.asarray(leaf, np.float64) for name, leaf in tree.items()} for tree in trees]


def outputs_of(generator, batch):
    """Returns the translations of images in [0, 1], all in [-1, 1]."""
    (to_b, to_a), (a, b) = zip(generator["w"], generator["c"], strict=True), (2.0 * batch[d] - 1.0 for d in "ab")

    def apply(direction, x):
        return direction[0] * x + direction[1]

    fake_a, fake_b = apply(to_a, b), apply(to_b, a)
    outputs = {"fake_a": fake_a, "fake_b": fake_b, "cycle_a": apply(to_a, fake_b), "cycle_b": apply(to_b, fake_a)}
    return outputs | {"identity_a": apply(to_a, a), "identity_b": apply(to_b, b), "a": a, "b": b}


def scores_of(critic, domain, x):
    index = "ab".index(domain)
    return critic["v"][index] * x + critic["u"][index]


def expected_metrics(generator, critic, batch, fakes=None):
    """Returns the terms of both losses (Zhu et al. 2017, section 3 and 4; without weights)."""
    outputs = outputs_of(generator, batch)
    fakes = outputs if fakes is None else fakes
    terms = {
        f"{kind}_loss_{domain}": np.abs(outputs[f"{kind}_{domain}"] - outputs[domain]).mean()
        for kind in ("cycle", "identity")
        for domain in "ab"
    }
    return terms | {
        "generator_loss": sum(((scores_of(critic, d, outputs[f"fake_{d}"]) - 1) ** 2).mean() for d in "ab"),
        "critic_loss_real": sum(0.5 * ((scores_of(critic, d, outputs[d]) - 1) ** 2).mean() for d in "ab"),
        "critic_loss_fake": sum(0.5 * (scores_of(critic, d, fakes[f"fake_{d}"]) ** 2).mean() for d in "ab"),
    }


def generators_loss(metrics, adversarial=0.7, cycle=3.0, identity=2.0):
    cycles, identities = (sum(metrics[f"{kind}_loss_{d}"] for d in "ab") for kind in ("cycle", "identity"))
    return adversarial * metrics["generator_loss"] + cycle * cycles + identity * identities


def descended(loss, params, rate, step=1e-6):
    """Returns parameters after one step down the gradient, by central differences."""
    after = {}
    for name, values in params.items():
        gradient = np.zeros(2)
        for i in range(2):
            moved = [params | {name: values + sign * step * np.eye(2)[i]} for sign in (1, -1)]
            gradient[i] = (loss(moved[0]) - loss(moved[1])) / (2 * step)
        after[name] = values - rate * gradient
    return after


def assert_same(actual, expected, rtol=1e-4):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=rtol, atol=1e-6, err_msg=name)


def expected_update(generator, critic, batch, fakes=None, weights=WEIGHTS):
    """Returns both players after one update; each steps against the other as it was before."""
    new_generator = descended(
        lambda params: generators_loss(expected_metrics(params, critic, batch), **weights), generator, RATE_G
    )
    fakes = outputs_of(generator, batch) if fakes is None else fakes

    def critic_loss(params):
        metrics = expected_metrics(generator, params, batch, fakes)
        return metrics["critic_loss_real"] + metrics["critic_loss_fake"]

    return new_generator, descended(critic_loss, critic, RATE_C)


def test_an_update_follows_the_equations():
    learner, batch = make(), images(0)
    state = first_state(learner, batch)
    generator, critic = parameters(state)
    after, metrics = jax.jit(learner.step)(state, batch, KEY)
    new_generator, new_critic = parameters(after)
    of_generator, of_critic = expected_update(generator, critic, batch)
    assert_same(new_generator, of_generator)
    assert_same(new_critic, of_critic)
    expected = expected_metrics(generator, critic, batch)
    expected["critic_loss"] = expected["critic_loss_real"] + expected["critic_loss_fake"]
    outputs = outputs_of(generator, batch)
    right = [
        (scores_of(critic, d, outputs[name]) > 0.5) == real for d in "ab" for name, real in ((d, 1), (f"fake_{d}", 0))
    ]
    expected["real_accuracy"], expected["fake_accuracy"] = np.mean(right[::2]), np.mean(right[1::2])
    for player, old, new, rate in (
        ("generator", generator, new_generator, RATE_G),
        ("critic", critic, new_critic, RATE_C),
    ):
        expected[f"{player}_gradient_norm"] = np.sqrt(
            sum(np.square((old[name] - new[name]) / rate).sum() for name in old)
        )
    assert_same(metrics, expected, 1e-3)
    assert after.step == 1 and after.pools == {} and after.averaged == {}


@pytest.mark.parametrize("weights", [{"cycle": 0.0}, {"identity": 0.0}, {"adversarial": 0.0}], ids=str)
def test_terms_without_weight_are_left_out(weights):
    weights = WEIGHTS | weights
    learner, batch = make(Terms(**weights)), images(1)
    state = first_state(learner, batch)
    after, metrics = jax.jit(learner.step)(state, batch, KEY)
    assert_same(parameters(after)[0], expected_update(*parameters(state), batch, weights=weights)[0])
    for kind in ("cycle", "identity"):
        assert (f"{kind}_loss_a" in metrics) == (f"{kind}_loss_b" in metrics) == (weights[kind] > 0)
    assert "generator_loss" in metrics


def test_custom_pixel_losses_replace_the_absolute_error():
    def largest(x, y):
        return jnp.abs(x - y).reshape(len(x), -1).max(axis=1)

    learner, batch = make(Terms(cycle_loss=mse, identity_loss=largest)), images(2)
    state = first_state(learner, batch)
    _, metrics = jax.jit(learner.step)(state, batch, KEY)
    outputs = outputs_of(parameters(state)[0], batch)
    for d in "ab":
        cycle = np.square(outputs[f"cycle_{d}"] - outputs[d]).mean()
        identity = np.abs(outputs[f"identity_{d}"] - outputs[d]).max(axis=(1, 2, 3)).mean()
        np.testing.assert_allclose(metrics[f"cycle_loss_{d}"], cycle, rtol=1e-4)
        np.testing.assert_allclose(metrics[f"identity_loss_{d}"], identity, rtol=1e-4)


def test_critics_are_trained_on_images_from_their_pools():
    """The book's rule with one image returns the newest; with more, the pools hold earlier translations."""
    batches = [images(seed, 1) for seed in range(6)]
    learner = make(pool_size=2, pool_rule="book", generator_rate=0.5)
    state, history, older = first_state(learner, batches[0]), [], 0
    step = jax.jit(learner.step)
    for number, batch in enumerate(batches):
        generator, critic = parameters(state)
        made = outputs_of(generator, batch)
        history.append(made)
        state, metrics = step(state, batch, jax.random.key(number))
        stored = [of_update["fake_a"] for of_update in history[-2:]]
        places = sorted(float(image.sum()) for image in state.pools["a"].images[: len(stored)])
        np.testing.assert_allclose(places, sorted(float(image.sum()) for image in stored), rtol=1e-4, atol=1e-5)
        # The critic's step reveals which of the stored images it was trained on.
        choices = [
            expected_metrics(generator, critic, batch, {"fake_a": a["fake_a"], "fake_b": b["fake_b"]})[
                "critic_loss_fake"
            ]
            for a in history[-2:]
            for b in history[-2:]
        ]
        assert np.isclose(choices, float(metrics["critic_loss_fake"]), rtol=1e-4).any()
        older += not np.isclose(choices[-1], float(metrics["critic_loss_fake"]), rtol=1e-4)
    assert older  # some update's critics saw an image of an earlier one
    assert state.pools["a"].count == 6 and set(state.pools) == {"a", "b"}
    assert not np.allclose(state.pools["a"].images, state.pools["b"].images)


@pytest.mark.parametrize(
    "options", [{"pool_size": 1, "pool_rule": "book"}, {"pool_size": 50}, {"accumulate": 2}], ids=str
)
def test_pools_of_new_images_and_accumulation_change_no_update(options):
    """A pool that is not full returns new images, and so does the book's of one image."""
    batch = images(3, 1 if options.get("pool_size") == 1 else 2)
    (plain, _), (other, _) = (
        jax.jit(learner.step)(first_state(learner, batch), batch, KEY) for learner in (make(), make(**options))
    )
    for one, same in zip(parameters(plain), parameters(other), strict=True):
        assert_same(same, one)


def test_evaluation_counts_every_image_once():
    """Domain B has three images, of which two are repeated; A has five."""
    learner = make()
    batch = images(4, 5)
    batch["b"] = batch["b"][[0, 1, 2, 0, 1]]
    marked = batch | {"a_first": np.ones(5, np.float32), "b_first": np.array([1, 1, 1, 0, 0], np.float32)}
    state = first_state(learner, marked)
    generator, critic = parameters(state)
    outputs = outputs_of(generator, batch)
    expected = {"generator_loss_a": ((scores_of(critic, "a", outputs["fake_a"][:3]) - 1) ** 2).mean()}
    expected["generator_loss_b"] = ((scores_of(critic, "b", outputs["fake_b"]) - 1) ** 2).mean()
    for domain, count in (("a", 5), ("b", 3)):
        for kind in ("cycle", "identity"):
            error = np.abs(outputs[f"{kind}_{domain}"] - outputs[domain])[:count]
            expected[f"{kind}_loss_{domain}"] = error.mean()
    evaluate = jax.jit(learner.evaluate)
    pairs = evaluate(state, marked, KEY)
    assert all(part.shape == (5,) for pair in pairs.values() for part in pair)
    assert_same({name: total.sum() / weights.sum() for name, (total, weights) in pairs.items()}, expected)
    without_marks = evaluate(state, batch, KEY)
    assert all((weights == 1).all() for _, weights in without_marks.values())


def test_samples_and_evaluation_use_the_moving_average():
    learner, batch = make(ema_decay=0.5), images(5)
    first = first_state(learner, batch)
    state, _ = jax.jit(learner.step)(first, batch, KEY)
    before, after = parameters(first)[0], parameters(state)[0]
    average = {name: 0.1 * before[name] + 0.9 * after[name] for name in before}  # (1 + 0) / (10 + 0)
    assert_same({name: np.asarray(leaf) for name, leaf in state.averaged["params"]["network"].items()}, average)
    expected = outputs_of(average, {domain: batch[domain][:1] for domain in "ab"})
    sampled = learner.sample(state, KEY, 1, batch)
    assert set(sampled) == set(expected) - {"a", "b"}
    for name, values in sampled.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-5)
    total, weights = learner.evaluate(state, batch, KEY)["cycle_loss_a"]
    whole = outputs_of(average, batch)
    np.testing.assert_allclose(total.sum() / weights.sum(), np.abs(whole["cycle_a"] - whole["a"]).mean(), rtol=1e-4)


def test_devices_agree_with_one_on_the_whole_batch():
    """A mapped axis with a name has the collectives of pmap; the pools are full after the first update."""
    batch = images(6, 4)
    parts = {name: array.reshape(2, 2, *array.shape[1:]) for name, array in batch.items()}
    whole, device = (make(pool_size=3, axis_name=axis_name) for axis_name in (None, "data"))
    over_devices = jax.jit(jax.vmap(device.step, (None, 0, None), axis_name="data", out_axes=0))
    first = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)  # noqa: E731
    one = two = first_state(whole, batch)
    step = jax.jit(whole.step)
    for number in range(2):
        one, metrics = step(one, batch, jax.random.key(number))
        two, of_devices = over_devices(two, parts, jax.random.key(number))
        assert_same({name: values[1] for name, values in of_devices.items()}, metrics, 1e-3)
        two = first(two)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), two, one)
