"""The book's GAN (04_01) and WGAN-GP (04_03) in Keras 3: models with a custom `train_step`.

To be imported after the backend is chosen. TensorFlow and PyTorch train in place and share their steps; `_tools` has
their differences. JAX's `train_step` is a pure function of the variables' values. In place, the images generated for
the WGAN-GP's critic also update the generator's running averages.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import keras
from keras import ops

from experiments.bench.peers import timing

Z_DIM = 100
PENALTY_WEIGHT = 10.0


def _penalty(gradients):
    """Returns the mean over examples of (|| gradient || - 1)^2."""
    norm = ops.sqrt(ops.sum(ops.square(gradients), axis=(1, 2, 3)) + 1e-12)
    return ops.mean(ops.square(norm - 1.0))


class _Adversarial(keras.Model):
    """A generator and a critic, each with its optimiser; one step takes `batches` batches."""

    batches = 1

    def __init__(self, generator, critic):
        super().__init__()
        self.generator = generator
        self.critic = critic
        self.seeds = keras.random.SeedGenerator(0)
        self.built = True

    def compile(self, generator_optimizer, critic_optimizer):
        super().compile(optimizer=None)
        self.generator_optimizer = generator_optimizer
        self.critic_optimizer = critic_optimizer
        generator_optimizer.build(self.generator.trainable_variables)
        critic_optimizer.build(self.critic.trainable_variables)


class _Tools(NamedTuple):
    """Gradients in a backend that trains in place.

    Attributes:
      update: (network, optimizer, () -> loss) -> loss; updates the network's variables.
      input_gradients: (function, x) -> differentiable gradient of the sum of function(x).
      untracked: context manager that disables gradient tracking.
    """

    update: Callable[[Any, Any, Callable[[], Any]], Any]
    input_gradients: Callable[[Callable[[Any], Any], Any], Any]
    untracked: Callable[[], contextlib.AbstractContextManager]


def _tensorflow_tools() -> _Tools:
    import tensorflow as tf

    def update(network, optimizer, loss_function):
        with tf.GradientTape() as tape:
            loss = loss_function()
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def input_gradients(function, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)

    return _Tools(update, input_gradients, contextlib.nullcontext)


def _torch_tools() -> _Tools:
    import torch

    def update(network, optimizer, loss_function):
        loss = loss_function()
        variables = network.trainable_variables
        gradients = torch.autograd.grad(loss, [variable.value for variable in variables])
        with torch.no_grad():
            optimizer.apply(gradients, variables)
        return loss.detach()

    def input_gradients(function, x):
        x = x.requires_grad_()
        return torch.autograd.grad(function(x).sum(), x, create_graph=True)[0]

    return _Tools(update, input_gradients, torch.no_grad)


@functools.cache
def _tools() -> _Tools:
    return {"tensorflow": _tensorflow_tools, "torch": _torch_tools}[keras.backend.backend()]()


class _InPlace(_Adversarial):
    """The step for backends that update variables in place."""

    def train_step(self, data):
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        critic_loss = self.train_critic(2.0 * images - 1.0)
        noise = self.noise(ops.shape(images)[0] // self.batches)

        def loss():
            return self.generator_loss(self.critic(self.generator(noise, training=True), training=True))

        generator_loss = _tools().update(self.generator, self.generator_optimizer, loss)
        return {"critic_loss": critic_loss, "generator_loss": generator_loss}

    def noise(self, count):
        return keras.random.normal((count, Z_DIM), seed=self.seeds)

    def fakes(self, count, training):
        with _tools().untracked():
            return self.generator(self.noise(count), training=training)

    def update_critic(self, loss):
        return _tools().update(self.critic, self.critic_optimizer, loss)


class _GANInPlace(_InPlace):
    def generator_loss(self, scores):
        return ops.mean(ops.softplus(-scores))

    def train_critic(self, real):
        fakes = self.fakes(ops.shape(real)[0], training=False)
        on_real = self.update_critic(lambda: ops.mean(ops.softplus(-self.critic(real, training=True))))
        on_fakes = self.update_critic(lambda: ops.mean(ops.softplus(self.critic(fakes, training=True))))
        return on_real + on_fakes


class _WGANGPInPlace(_InPlace):
    batches = timing.BATCHES["wgan_gp"]

    def generator_loss(self, scores):
        return -ops.mean(scores)

    def train_critic(self, real):
        return sum(self.train_critic_once(images) for images in ops.split(real, self.batches)) / self.batches

    def train_critic_once(self, real):
        count = ops.shape(real)[0]
        fakes = self.fakes(count, training=True)
        alpha = keras.random.uniform((count, 1, 1, 1), seed=self.seeds)
        points = alpha * real + (1.0 - alpha) * fakes

        def score(images):
            return self.critic(images, training=True)

        def loss():
            penalty = _penalty(_tools().input_gradients(score, points))
            return ops.mean(score(fakes)) - ops.mean(score(real)) + PENALTY_WEIGHT * penalty

        return self.update_critic(loss)


class _Player(NamedTuple):
    """Values of one network's variables and of its optimiser's, in Keras's order."""

    trainable: list[jax.Array]
    others: list[jax.Array]  # running averages and dropout seeds
    slots: list[jax.Array]  # of the optimiser


class Both:
    """Two optimisers as a single one, for `fit`."""

    built = True

    def __init__(self, *optimizers):
        self._optimizers = optimizers

    @property
    def variables(self):
        return [variable for optimizer in self._optimizers for variable in optimizer.variables]


def _descend(player, optimizer, loss_function):
    """Returns (updated player, loss, aux); `loss_function`: trainable -> (loss, (new others, aux))."""
    (loss, (others, aux)), gradients = jax.value_and_grad(loss_function, has_aux=True)(player.trainable)
    trainable, slots = optimizer.stateless_apply(player.slots, gradients, player.trainable)
    return _Player(trainable, others, slots), loss, aux


class _Stateless(_Adversarial):
    """The step as a pure function, for the JAX backend."""

    def compile(self, generator_optimizer, critic_optimizer):
        super().compile(generator_optimizer, critic_optimizer)
        self.optimizer = Both(generator_optimizer, critic_optimizer)

    def train_step(self, state, data):
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        trainable, (seed, *others), slots, metrics = state
        i, j = len(self.generator.trainable_variables), len(self.generator.non_trainable_variables)
        k = len(self.generator_optimizer.variables)
        generator = _Player(trainable[:i], others[:j], slots[:k])
        critic = _Player(trainable[i:], others[j:], slots[k:])
        seed, critic_key, noise_key = jax.random.split(seed, 3)
        critic, critic_loss = self.train_critic(generator, critic, 2.0 * images - 1.0, critic_key)
        noise = jax.random.normal(noise_key, (len(images) // self.batches, Z_DIM))

        def loss(trainable):
            fakes, others = self.generator.stateless_call(trainable, generator.others, noise, training=True)
            scores, critic_others = self.critic.stateless_call(critic.trainable, critic.others, fakes, training=True)
            return self.generator_loss(scores), (others, critic_others)

        generator, generator_loss, critic_others = _descend(generator, self.generator_optimizer, loss)
        logs = {"critic_loss": critic_loss, "generator_loss": generator_loss}
        others = [seed, *generator.others, *critic_others]
        return logs, (generator.trainable + critic.trainable, others, generator.slots + critic.slots, metrics)

    def fakes(self, generator, count, key, training):
        noise = jax.random.normal(key, (count, Z_DIM))
        return self.generator.stateless_call(generator.trainable, generator.others, noise, training=training)[0]


class _GANStateless(_Stateless):
    def generator_loss(self, scores):
        return ops.mean(ops.softplus(-scores))

    def train_critic(self, generator, critic, real, key):
        fakes = self.fakes(generator, len(real), key, training=False)
        critic, on_real = self.train_critic_on(critic, real, -1.0)
        critic, on_fakes = self.train_critic_on(critic, fakes, 1.0)
        return critic, on_real + on_fakes

    def train_critic_on(self, critic, images, sign):
        def loss(trainable):
            scores, others = self.critic.stateless_call(trainable, critic.others, images, training=True)
            return ops.mean(ops.softplus(sign * scores)), (others, None)

        return _descend(critic, self.critic_optimizer, loss)[:2]


class _WGANGPStateless(_Stateless):
    batches = timing.BATCHES["wgan_gp"]

    def generator_loss(self, scores):
        return -ops.mean(scores)

    def train_critic(self, generator, critic, real, key):
        losses = []
        for images, update_key in zip(ops.split(real, self.batches), jax.random.split(key, self.batches), strict=True):
            critic, loss = self.train_critic_once(generator, critic, images, update_key)
            losses.append(loss)
        return critic, sum(losses) / self.batches

    def train_critic_once(self, generator, critic, real, key):
        noise_key, alpha_key = jax.random.split(key)
        fakes = self.fakes(generator, len(real), noise_key, training=True)
        alpha = jax.random.uniform(alpha_key, (len(real), 1, 1, 1))
        points = alpha * real + (1.0 - alpha) * fakes

        def loss(trainable):
            def score(images):
                return self.critic.stateless_call(trainable, critic.others, images, training=True)[0]

            penalty = _penalty(jax.grad(lambda images: ops.sum(score(images)))(points))
            return ops.mean(score(fakes)) - ops.mean(score(real)) + PENALTY_WEIGHT * penalty, (critic.others, None)

        return _descend(critic, self.critic_optimizer, loss)[:2]


IN_PLACE = {"gan": _GANInPlace, "wgan_gp": _WGANGPInPlace}
STATELESS = {"gan": _GANStateless, "wgan_gp": _WGANGPStateless}
MODELS = STATELESS if keras.backend.backend() == "jax" else IN_PLACE
