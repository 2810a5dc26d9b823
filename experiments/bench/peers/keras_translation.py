"""One update of the book's CycleGAN (05_01) and of a small pix2pix in Keras 3: models with a custom `train_step`.

To be imported after the backend is chosen. Networks, losses and reuse of translations are those of `torch_translation`;
pix2pix's generator steps first, so that its one pass serves both steps. Steps are written as for backends that train in
place; JAX runs them in a scope that collects the new values of the variables.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from experiments.bench.peers.keras_gans import Both

CYCLE_WEIGHT, IDENTITY_WEIGHT, L1_WEIGHT = 10.0, 2.0, 100.0
EPSILON = 1e-5
normal = functools.partial(keras.initializers.RandomNormal, 0.0, 0.02)


def _instance_norm():
    return layers.GroupNormalization(groups=-1, epsilon=EPSILON, center=False, scale=False)


def _batch_norm():
    return layers.BatchNormalization(momentum=0.9, epsilon=EPSILON)


def book_unet() -> keras.Model:
    """Returns the book's U-Net (05_01), 1,545,411 parameters."""
    image = x = layers.Input((128, 128, 3))
    features = []
    for width in (32, 64, 128, 256):
        x = layers.Conv2D(width, 4, strides=2, padding="same")(x)
        x = layers.ReLU()(_instance_norm()(x))
        features.append(x)
    features.pop()
    for width in (128, 64, 32):
        x = layers.Conv2D(width, 4, padding="same")(layers.UpSampling2D()(x))
        x = layers.Concatenate()([layers.ReLU()(_instance_norm()(x)), features.pop()])
    x = layers.Conv2D(3, 4, padding="same", activation="tanh")(layers.UpSampling2D()(x))
    return keras.Model(image, x)


def pix2pix_unet() -> keras.Model:
    """Returns pix2pix's U-Net for 128x128 (Isola et al. 2017) with 32 filters, 10,461,507 parameters."""
    common = {"strides": 2, "padding": "same", "kernel_initializer": normal()}
    widths = (32, 64, 128, 256, 256, 256, 256)
    image = layers.Input((128, 128, 3))
    x = layers.Conv2D(widths[0], 4, use_bias=False, **common)(image)
    features = [x]
    for width in widths[1:]:
        x = layers.Conv2D(width, 4, use_bias=False, **common)(layers.LeakyReLU(negative_slope=0.2)(x))
        if len(features) < len(widths) - 1:
            x = _batch_norm()(x)
        features.append(x)
    features.pop()
    for i, width in enumerate(widths[-2::-1]):
        x = _batch_norm()(layers.Conv2DTranspose(width, 4, use_bias=False, **common)(layers.ReLU()(x)))
        if i < 3:
            x = layers.Dropout(0.5)(x)
        x = layers.Concatenate()([x, features.pop()])
    x = layers.Conv2DTranspose(3, 4, activation="tanh", **common)(layers.ReLU()(x))
    return keras.Model(image, x)


def patch_gan(channels: int, batch_norm: bool) -> keras.Model:
    """Returns the PatchGAN of 32 filters, padded as in the book: images (B, 128, 128, channels) -> (B, 16, 16, 1).

    Args:
      channels: 3 for the book's, 694,241 parameters; 6 for pix2pix's, 696,225 parameters with batch normalisation.
      batch_norm: batch instead of instance normalisation.
    """
    network = keras.Sequential([layers.Input((128, 128, channels))])
    common = {"padding": "same", "kernel_initializer": normal()}
    for i, (width, stride) in enumerate(((32, 2), (64, 2), (128, 2), (256, 1))):
        network.add(layers.Conv2D(width, 4, strides=stride, use_bias=not (i and batch_norm), **common))
        if i:
            network.add(_batch_norm() if batch_norm else _instance_norm())
        network.add(layers.LeakyReLU(negative_slope=0.2))
    network.add(layers.Conv2D(1, 4, **common))
    return network


def _l1(a, b):
    return ops.mean(ops.abs(a - b))


def _distance_to(score, target):
    return ops.mean(ops.square(score - target))


def _variables(networks: list[keras.Model]) -> list[keras.Variable]:
    return [variable for network in networks for variable in network.trainable_variables]


Loss = Callable[[], tuple[Any, Any]]  # -> (loss, list of other results)


class _Translation(keras.Model):
    """Generators and critics, each side with its optimiser.

    A backend adds `update`: (networks, optimizer, loss function) -> (loss, other results); it trains the networks.
    """

    def __init__(self, generators, critics):
        super().__init__()
        self.generators, self.critics = generators, critics
        self.built = True

    def compile(self, generator_optimizer, critic_optimizer):
        super().compile(optimizer=None)
        self.generator_optimizer, self.critic_optimizer = generator_optimizer, critic_optimizer
        generator_optimizer.build(_variables(self.generators))
        critic_optimizer.build(_variables(self.critics))

    def train_step(self, data):
        a, b, _ = keras.utils.unpack_x_y_sample_weight(data)
        return {"loss": self.step(2.0 * a - 1.0, 2.0 * b - 1.0)}


class _OnTensorFlow(_Translation):
    def update(self, networks, optimizer, loss_function: Loss):
        import tensorflow as tf

        variables = _variables(networks)
        with tf.GradientTape() as tape:
            loss, others = loss_function()
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss, others


class _OnTorch(_Translation):
    def update(self, networks, optimizer, loss_function: Loss):
        import torch

        variables = _variables(networks)
        loss, others = loss_function()
        gradients = torch.autograd.grad(loss, [variable.value for variable in variables])
        with torch.no_grad():
            optimizer.apply(gradients, variables)
        return loss.detach(), [other.detach() for other in others]


class _OnJAX(_Translation):
    def compile(self, generator_optimizer, critic_optimizer):
        super().compile(generator_optimizer, critic_optimizer)
        self.optimizer = Both(generator_optimizer, critic_optimizer)

    def train_step(self, state, data):
        groups = (
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
            self.metrics_variables,
        )
        mapping = [
            pair for group, values in zip(groups, state, strict=True) for pair in zip(group, values, strict=True)
        ]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            logs = super().train_step(data)
        return logs, tuple([scope.get_current_value(variable) for variable in group] for group in groups)

    def update(self, networks, optimizer, loss_function: Loss):
        import jax

        variables = _variables(networks)
        moved = {id(variable) for variable in variables}
        fixed = [variable for variable in self.variables if id(variable) not in moved]

        def loss_of(values):
            mapping = [*zip(variables, values, strict=True), *((variable, variable.value) for variable in fixed)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                loss, results = loss_function()
            return loss, (results, [scope.get_current_value(variable) for variable in fixed])

        values = [variable.value for variable in variables]
        (loss, (results, new)), gradients = jax.value_and_grad(loss_of, has_aux=True)(values)
        for variable, value in zip(fixed, new, strict=True):  # running averages and dropout seeds
            variable.assign(value)
        optimizer.apply(gradients, variables)
        return loss, results


_Trained = {"jax": _OnJAX, "tensorflow": _OnTensorFlow, "torch": _OnTorch}[keras.backend.backend()]


class _CycleGAN(_Trained):
    def step(self, a, b):
        def apply(network, images):
            return network(images, training=True)

        (a_to_b, b_to_a), (critic_a, critic_b) = self.generators, self.critics

        def generator_loss():
            fake_a, fake_b = apply(b_to_a, b), apply(a_to_b, a)
            loss = _distance_to(apply(critic_a, fake_a), 1.0) + _distance_to(apply(critic_b, fake_b), 1.0)
            loss += CYCLE_WEIGHT * (_l1(apply(b_to_a, fake_b), a) + _l1(apply(a_to_b, fake_a), b))
            loss += IDENTITY_WEIGHT * (_l1(apply(b_to_a, a), a) + _l1(apply(a_to_b, b), b))
            return loss, [fake_a, fake_b]

        loss, (fake_a, fake_b) = self.update(self.generators, self.generator_optimizer, generator_loss)

        def critic_loss():
            on_real = _distance_to(apply(critic_a, a), 1.0) + _distance_to(apply(critic_b, b), 1.0)
            on_fake = _distance_to(apply(critic_a, fake_a), 0.0) + _distance_to(apply(critic_b, fake_b), 0.0)
            return 0.5 * (on_real + on_fake), []

        return loss + self.update(self.critics, self.critic_optimizer, critic_loss)[0]


class _Pix2Pix(_Trained):
    def step(self, a, b):
        (generator,), (critic,) = self.generators, self.critics

        def score(images):
            return critic(ops.concatenate([a, images], axis=-1), training=True)

        def generator_loss():
            fake = generator(a, training=True)
            return ops.mean(ops.softplus(-score(fake))) + L1_WEIGHT * _l1(fake, b), [fake]

        loss, (fake,) = self.update(self.generators, self.generator_optimizer, generator_loss)

        def critic_loss():
            return 0.5 * ops.mean(ops.softplus(-score(b)) + ops.softplus(score(fake))), []

        return loss + self.update(self.critics, self.critic_optimizer, critic_loss)[0]


def _compiled(model: _Translation) -> _Translation:
    adam = functools.partial(keras.optimizers.Adam, beta_1=0.5, beta_2=0.999, epsilon=1e-7)
    model.compile(adam(2e-4), adam(2e-4))
    return model


def cyclegan() -> keras.Model:
    """Returns two U-Nets and two critics, least squares, compiled."""
    return _compiled(_CycleGAN([book_unet(), book_unet()], [patch_gan(3, False), patch_gan(3, False)]))


def pix2pix() -> keras.Model:
    """Returns a U-Net and a conditional critic, cross-entropy and L1, compiled."""
    return _compiled(_Pix2Pix([pix2pix_unet()], [patch_gan(6, True)]))


MODELS = {"cyclegan": cyclegan, "pix2pix": pix2pix}
