"""Adversarial learner, on players with closed-form updates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from gdl_jax.core.errors import UserError
from gdl_jax.learners.adversarial import Penalty, adversarial, clip_weights, make_adversarial_loss, noise_inputs
from gdl_jax.learners.adversarial_updates import Term
from gdl_jax.losses.adversarial import BCE, WASSERSTEIN, AdversarialLoss
from gdl_jax.models import dcgan
from gdl_jax.nn.layers import BatchNorm
from tests.learners.digits import digits, first_state, fit, mean_of

DIM, BATCH = 3, 8
WEIGHT = np.array([0.3, -0.2, 0.5], np.float32)
IMAGES = np.random.default_rng(0).normal(size=(BATCH, DIM)).astype(np.float32)
KEY = jax.random.key(0)


class Shift(nn.Module):
    """z -> z + shift."""

    @nn.compact
    def __call__(self, z, *, train=False):
        return z + self.param("shift", nn.initializers.zeros, (z.shape[-1],))


class NormalisedShift(nn.Module):
    """z -> z + shift after batch normalisation with momentum 0.5."""

    @nn.compact
    def __call__(self, z, *, train=False):
        return Shift()(BatchNorm(momentum=0.5)(z, use_running_average=not train), train=train)


class Linear(nn.Module):
    """x -> w . x + b."""

    @nn.compact
    def __call__(self, x, *, train=False):
        weight = self.param("weight", lambda key: jnp.asarray(WEIGHT)[:, None])
        return (x @ weight)[:, 0] + self.param("bias", nn.initializers.zeros, ())


def make(loss=WASSERSTEIN, generator=None, rate=0.1, **options):
    sgd = optax.sgd(rate)
    return adversarial(
        generator or Shift(),
        Linear(),
        sgd,
        sgd,
        loss,
        inputs=noise_inputs(DIM),
        real=lambda batch: batch["image"],
        **options,
    )


def step(learner, images=IMAGES, state=None):
    batch = {"image": np.repeat(images, learner.batches_per_step, axis=0)}
    state = first_state(learner, batch) if state is None else state
    return jax.jit(learner.step)(state, batch, KEY)


def weight(state):
    return np.asarray(state.critic.params["weight"])[:, 0]


def test_critic_then_generator_descend_their_gradients():
    state, metrics = step(make())
    # d/dw (E[w.G(z)] - E[w.x]) = E[G(z)] - E[x], so the critic's step reveals the generated mean
    fakes = IMAGES.mean(0) - (weight(state) - WEIGHT) / 0.1
    assert abs(fakes).max() < 2  # a mean of 8 samples of N(0, 1)
    np.testing.assert_allclose(metrics["critic_loss"], WEIGHT @ (fakes - IMAGES.mean(0)), rtol=1e-4)
    np.testing.assert_allclose(metrics["critic_gradient_norm"], np.linalg.norm(fakes - IMAGES.mean(0)), rtol=1e-4)
    # d/dshift -E[w.(z + shift)] = -w, with the updated critic
    np.testing.assert_allclose(state.generator.params["shift"], 0.1 * weight(state), rtol=1e-5)
    np.testing.assert_allclose(metrics["generator_gradient_norm"], np.linalg.norm(weight(state)), rtol=1e-5)


def test_penalty_of_a_linear_critic_is_the_closed_form():
    plain, _ = step(make())
    penalised, metrics = step(make(penalty=Penalty(10.0)))
    norm = np.linalg.norm(WEIGHT)
    np.testing.assert_allclose(metrics["critic_input_gradient_norm"], norm, rtol=1e-5)
    np.testing.assert_allclose(metrics["gradient_penalty"], (norm - 1) ** 2, rtol=1e-5)
    # d/dw 10 (|w| - 1)^2 = 20 (|w| - 1) w / |w|
    expected = weight(plain) - 0.1 * 20 * (norm - 1) * WEIGHT / norm
    np.testing.assert_allclose(weight(penalised), expected, rtol=1e-4)


def test_penalty_is_at_interpolates_or_at_real_images():
    class Quadratic(nn.Module):
        """|x|^2 / 2, with the gradient x."""

        @nn.compact
        def __call__(self, x, *, train=False):
            return 0.5 * jnp.square(x).sum(axis=1) + 0 * self.param("unused", nn.initializers.zeros, ())

    def norms(at):
        learner = adversarial(
            Shift(),
            Quadratic(),
            optax.sgd(0.1),
            optax.sgd(0.1),
            WASSERSTEIN,
            inputs=lambda batch, keys: (jnp.zeros((len(keys), DIM)),),
            real=lambda batch: batch["image"],
            penalty=Penalty(1.0, 0.0, at),
        )
        ones = np.full((4000, DIM), 1 / np.sqrt(DIM), np.float32)
        return step(learner, ones)[1]

    at_real, between = norms("real"), norms("interpolates")
    np.testing.assert_allclose(at_real["gradient_penalty"], 1.0, rtol=1e-5)
    # from 0 to a unit vector: alpha is uniform, E[alpha] = 1/2, E[alpha^2] = 1/3
    np.testing.assert_allclose(between["critic_input_gradient_norm"], 0.5, rtol=0.03)
    np.testing.assert_allclose(between["gradient_penalty"], 1 / 3, rtol=0.05)


@pytest.mark.parametrize("biases", [True, False])
def test_clipping_limits_the_weights(biases):
    params = {"kernel": jnp.array([[-3.0, 0.2]]), "bias": jnp.array([5.0])}
    clipped = clip_weights(0.5, biases)(params)
    np.testing.assert_allclose(clipped["kernel"], [[-0.5, 0.2]])
    np.testing.assert_allclose(clipped["bias"], [0.5 if biases else 5.0])
    state, _ = step(make(rate=10.0, n_critic=2, constrain=clip_weights(0.01)))
    assert np.abs(weight(state)).max() == np.float32(0.01)


def test_critic_updates_use_a_batch_each():
    learner = make(n_critic=4)
    assert learner.batches_per_step == 4
    images = np.arange(4, dtype=np.float32)[None, :, None] * np.ones(
        (BATCH, 1, DIM), np.float32
    )  # update u gets images of u
    batch = {"image": images.reshape(-1, DIM)}
    state, metrics = jax.jit(learner.step)(first_state(learner, batch), batch, KEY)
    shared, _ = step(learner, np.full((BATCH, DIM), 1.5, np.float32))  # all get the mean of the four
    np.testing.assert_allclose(weight(state), weight(shared), rtol=1e-4)
    assert np.isfinite(metrics["critic_loss"])


def test_separate_updates_step_on_real_then_on_generated_images():
    """Closed form for a linear critic; the second step includes the penalty, and clipping follows both."""
    fakes = np.random.default_rng(1).normal(size=(BATCH, DIM)).astype(np.float32)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def make_with(constrain):
        return adversarial(
            Shift(),
            Linear(),
            optax.sgd(0.1),
            optax.sgd(0.1),
            BCE,
            inputs=lambda batch, keys: (jnp.asarray(fakes),),
            real=lambda batch: batch["image"],
            penalty=Penalty(2.0, 0.0),
            separate_updates=True,
            constrain=constrain,
        )

    state, metrics = step(make_with(lambda params: params))
    after_real = WEIGHT + 0.1 * (sigmoid(-IMAGES @ WEIGHT)[:, None] * IMAGES).mean(0)
    bias = 0.1 * sigmoid(-IMAGES @ WEIGHT).mean()
    norm = np.linalg.norm(after_real)
    gradient = (sigmoid(fakes @ after_real + bias)[:, None] * fakes).mean(0)
    after_both = after_real - 0.1 * (gradient + 2 * 2 * after_real)
    np.testing.assert_allclose(weight(state), after_both, rtol=1e-4)
    np.testing.assert_allclose(metrics["critic_input_gradient_norm"], norm, rtol=1e-5)
    limit = float(np.abs(after_real).max()) - 0.01  # exceeded after the first step only
    assert np.abs(after_both).max() < limit
    np.testing.assert_allclose(weight(step(make_with(clip_weights(limit)))[0]), after_both, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("batch_statistics", [True, False])
def test_generator_averages_are_updated_once_per_step(batch_statistics):
    few, many = (
        step(make(generator=NormalisedShift(), n_critic=n, batch_statistics=batch_statistics))[0] for n in (1, 4)
    )
    for one, other in zip(
        jax.tree.leaves(few.generator.batch_stats), jax.tree.leaves(many.generator.batch_stats), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert not np.allclose(few.generator.batch_stats["BatchNorm_0"]["mean"], 0)


def test_batch_statistics_option_normalises_the_critics_images():
    def mean_fake(batch_statistics):
        learner = make(generator=NormalisedShift(), batch_statistics=batch_statistics)
        state, _ = step(learner)
        return IMAGES.mean(0) - (weight(state) - WEIGHT) / 0.1

    np.testing.assert_allclose(mean_fake(True), 0, atol=1e-5)  # a batch normalised by itself has mean 0
    assert np.abs(mean_fake(False)).max() > 0.05


def test_samples_come_from_the_moving_average():
    learner = make(generator=NormalisedShift(), ema_decay=0.2)
    batch = {"image": IMAGES}
    first = first_state(learner, batch)
    one = jax.jit(learner.step)(first, batch, KEY)[0]
    two = jax.jit(learner.step)(one, batch, jax.random.key(1))[0]
    three = jax.jit(learner.step)(two, batch, jax.random.key(2))[0]

    def average(of):
        expected = of(first.generator)
        for state, decay in ((one, 1 / 10), (two, 2 / 11), (three, 0.2)):  # (1 + t) / (10 + t), then 0.2
            expected = decay * expected + (1 - decay) * of(state.generator)
        return expected

    averaged = three.averaged
    shift, mean = averaged["params"]["Shift_0"]["shift"], averaged["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_allclose(shift, average(lambda g: g.params["Shift_0"]["shift"]), rtol=1e-4)
    np.testing.assert_allclose(mean, average(lambda g: g.batch_stats["BatchNorm_0"]["mean"]), rtol=1e-4)
    variance = averaged["batch_stats"]["BatchNorm_0"]["var"]
    samples = np.asarray(learner.sample(three, KEY, 10_000))
    norm = averaged["params"]["BatchNorm_0"]
    scale = norm["scale"] / np.sqrt(variance + 1e-3)
    expected = shift + norm["bias"] - mean * scale
    assert np.all(np.abs(samples.mean(0) - expected) < 4 * scale / np.sqrt(len(samples)))


def test_trees_of_images_and_scores_with_generator_terms():
    """Two directions of a translation: patch scores, a paired term, and a term that grows with the steps."""

    class Both(nn.Module):
        @nn.compact
        def __call__(self, a, b, *, train=False):
            return {"shown": {"b": Shift(name="a_to_b")(a, train=train), "a": Shift(name="b_to_a")(b, train=train)}}

    class Patches(nn.Module):
        @nn.compact
        def __call__(self, images, *, train=False):
            scale = self.param("scale", nn.initializers.ones, ())
            return {name: scale * image for name, image in images.items()}  # (B, DIM): a score per element

    rng = np.random.default_rng(0)
    batch = {name: rng.normal(size=(BATCH, DIM)).astype(np.float32) for name in "ab"}
    learner = adversarial(
        Both(),
        Patches(),
        optax.sgd(0.1),
        optax.sgd(0.0),
        WASSERSTEIN,
        inputs=lambda batch, keys: (batch["a"], batch["b"]),
        real=lambda batch: {"a": batch["a"], "b": batch["b"]},
        shown=lambda outputs: outputs["shown"],
        generator_terms=lambda batch, outputs: {
            "paired": Term(jnp.square(outputs["shown"]["b"] - batch["b"]).sum(axis=1), 3.0),
            "late": Term(outputs["shown"]["a"].sum(axis=1), batch["step"]),
        },
        penalty=Penalty(1.0),
    )
    state = first_state(learner, batch)
    one, metrics = jax.jit(learner.step)(state, batch, KEY)
    means = {name: values.mean(0) for name, values in batch.items()}
    np.testing.assert_allclose(metrics["critic_loss_real"], -means["a"].mean() - means["b"].mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["critic_input_gradient_norm"], np.sqrt(2 * DIM) / DIM, rtol=1e-4)
    np.testing.assert_allclose(metrics["paired"], np.square(batch["a"] - batch["b"]).sum(1).mean(), rtol=1e-4)
    # d/dshift: -1 / DIM from the critic, 6 (a + shift - b) from the paired term, 0 from the late term at step 0
    shifts = one.generator.params
    np.testing.assert_allclose(shifts["a_to_b"]["shift"], -0.1 * (-1 / DIM + 6 * (means["a"] - means["b"])), rtol=1e-4)
    np.testing.assert_allclose(shifts["b_to_a"]["shift"], 0.1 / DIM * np.ones(DIM), rtol=1e-4)
    two, _ = jax.jit(learner.step)(one, batch, KEY)
    moved = np.asarray(two.generator.params["b_to_a"]["shift"] - shifts["b_to_a"]["shift"])
    np.testing.assert_allclose(moved, 0.1 / DIM - 0.1, rtol=1e-4)
    assert two.step == 2
    held_out = learner.evaluate(two, batch, KEY)
    assert {values.shape for values in held_out.values()} == {(BATCH,)}


def test_held_out_losses_are_one_value_per_example():
    learner = make(BCE)
    state = first_state(learner, {"image": IMAGES})
    means = mean_of(learner, state, {"image": IMAGES})
    np.testing.assert_allclose(means["critic_loss_real"], np.logaddexp(0, -IMAGES @ WEIGHT).mean(), rtol=1e-5)
    np.testing.assert_allclose(means["real_accuracy"], (IMAGES @ WEIGHT > 0).mean())
    assert set(mean_of(make(), state, {"image": IMAGES})).isdisjoint({"real_accuracy", "fake_accuracy"})


@pytest.mark.slow
def test_wgan_gp_learns_mean_and_deviation_of_the_data():
    rng = np.random.default_rng(0)
    data = {"image": (rng.normal(size=(1024, DIM)) * 0.5 + [1.0, -1.0, 2.0]).astype(np.float32)}

    class Affine(nn.Module):
        @nn.compact
        def __call__(self, z, *, train=False):
            return nn.Dense(z.shape[-1])(z)

    class Small(nn.Module):
        @nn.compact
        def __call__(self, x, *, train=False):
            return nn.Dense(1)(nn.leaky_relu(nn.Dense(32)(nn.leaky_relu(nn.Dense(32)(x)))))[:, 0]

    adam = optax.adam(5e-3, b1=0.5)
    learner = adversarial(
        Affine(),
        Small(),
        adam,
        adam,
        WASSERSTEIN,
        inputs=noise_inputs(DIM),
        real=lambda batch: batch["image"],
        penalty=Penalty(1.0),
    )
    state, metrics = fit(learner, data, steps=800)
    samples = np.asarray(learner.sample(state, KEY, 2000))
    np.testing.assert_allclose(samples.mean(0), [1, -1, 2], atol=0.3)
    np.testing.assert_allclose(np.sqrt(np.trace(np.cov(samples.T)) / DIM), 0.5, atol=0.2)
    assert 0.7 < float(metrics["critic_input_gradient_norm"]) < 1.3


@pytest.mark.slow
def test_a_small_gan_learns_digits():
    config = dcgan.Config(
        z_dim=8,
        first_filters=16,
        generator_filters=(16, 1),
        generator_kernel_sizes=(5, 5),
        generator_strides=(2, 2),
        critic_filters=(8, 16),
        critic_kernel_sizes=(5, 5),
        critic_strides=(2, 2),
        critic_dropout_rate=0.0,
        spectral_norm=True,
    )
    train, _ = digits()
    adam = optax.adam(1e-3, b1=0.5)
    learner = adversarial(
        dcgan.Generator(config, (28, 28, 1)),
        dcgan.Critic(config),
        adam,
        adam,
        make_adversarial_loss("hinge"),
        inputs=noise_inputs(8),
        real=lambda batch: 2 * batch["image"] - 1,
    )
    state, _ = fit(learner, train, steps=300)
    samples = (np.asarray(learner.sample(state, KEY, 200)) + 1) / 2

    def distance_of_means(images):
        return float(np.abs(images.mean(0) - train["image"].mean(0)).mean())

    untrained = (np.asarray(learner.sample(first_state(learner, train), KEY, 200)) + 1) / 2
    assert distance_of_means(samples) < 0.3 * distance_of_means(untrained)
    assert samples.std(0).mean() > 0.3 * train["image"].std(0).mean()  # samples differ from one another


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("bec", "choose one of bce"),
        ("tests.learners.test_adversarial:MEAN", r"real: .* must return an array of shape \(2,\), not \(\)"),
        ("tests.learners.test_adversarial:TWO", "fake: .* fails"),
        ("math:sin", "must be an AdversarialLoss"),
    ],
)
def test_unusable_losses_are_refused_in_one_line(loss, message):
    with pytest.raises(UserError, match=rf"^adversarial_loss={loss}: .*{message}"):
        make_adversarial_loss(loss)


MEAN = AdversarialLoss(jnp.mean, jnp.mean, jnp.mean)
TWO = AdversarialLoss(jnp.negative, jnp.add, jnp.negative)
