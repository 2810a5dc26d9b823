"""Training of autoencoders and denoising autoencoders (book chapter 3)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gdl_jax.core.learner import Learner
from gdl_jax.core.lookup import resolve_function
from gdl_jax.core.prng import example_normal
from gdl_jax.learners.gradient import Loss, TrainState, apply_eval, apply_train, init_variables, update
from gdl_jax.losses.reconstruction import RECONSTRUCTION_LOSSES

ReconstructionLoss = Callable[[jax.Array, jax.Array], jax.Array]


def make_reconstruction_loss(name: str, field: str = "reconstruction_loss") -> ReconstructionLoss:
    """Returns the loss of that name or package.module:function, (target, prediction), each (B, H, W, C), -> (B,).

    Args:
      name: of the loss.
      field: hyperparameter that has the name, for the error message.

    Raises:
      UserError: no function has that name, or it is not such a function.
    """
    images = jax.ShapeDtypeStruct((2, 8, 8, 1), jnp.float32)
    return resolve_function(field, name, RECONSTRUCTION_LOSSES, (images, images), (2,))


def autoencoder(
    encoder: nn.Module,
    decoder: nn.Module,
    optimizer: optax.GradientTransformation,
    reconstruction_loss: ReconstructionLoss,
    *,
    noise: float = 0.0,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Minimises the mean of reconstruction_loss(image, decoder(encoder(image))).

    Args:
      encoder: (images (B, H, W, C), train) -> codes (B, z).
      decoder: (codes (B, z), train) -> images (B, H, W, C).
      optimizer: from `optimizers.make_optimizer`.
      reconstruction_loss: (target, prediction) -> (B,).
      noise: standard deviation of Gaussian noise added to the encoder's input, in training and evaluation; the target
        has no noise (denoising autoencoder; Vincent et al. 2008, with Gaussian corruption).
      accumulate: parts into which a batch is split to accumulate gradients; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    `sample(state, key, num, low, high)` decodes codes drawn uniformly from the box [low, high], both (z,).
    """

    def corrupt(images, key):
        return images + noise * example_normal(key, images.shape, axis_name) if noise else images

    def init(key, batch):
        encoder_key, decoder_key = jax.random.split(key)
        encoder_params, encoder_stats = init_variables(encoder, encoder_key, batch["image"])
        codes = jax.eval_shape(lambda x: apply_eval(encoder, encoder_params, encoder_stats, x), batch["image"])
        decoder_params, decoder_stats = init_variables(decoder, decoder_key, jnp.zeros(codes.shape))
        params = {"encoder": encoder_params, "decoder": decoder_params}
        return TrainState(params, {"encoder": encoder_stats, "decoder": decoder_stats}, optimizer.init(params))

    def loss_function(params, stats, batch, key):
        noise_key, encoder_key, decoder_key = jax.random.split(key, 3)
        inputs = corrupt(batch["image"], noise_key)
        codes, encoder_stats = apply_train(encoder, params["encoder"], stats["encoder"], encoder_key, inputs)
        images, decoder_stats = apply_train(decoder, params["decoder"], stats["decoder"], decoder_key, codes)
        loss = reconstruction_loss(batch["image"], images).mean()
        return Loss(loss, {"encoder": encoder_stats, "decoder": decoder_stats}, {})

    def step(state, batch, key):
        return update(state, loss_function, batch, key, optimizer, axis_name, accumulate)

    def evaluate(state, batch, key):
        codes = encode(encoder, state, corrupt(batch["image"], key))
        return {"loss": reconstruction_loss(batch["image"], decode(decoder, state, codes))}

    def sample(state, key, num, low, high):
        codes = jax.random.uniform(key, (num, low.shape[-1]), minval=low, maxval=high)
        return decode(decoder, state, codes)

    return Learner(init, step, evaluate, sample)


def encode(encoder: nn.Module, state: TrainState, images: jax.Array) -> Any:
    """Returns the encoder's output for images (B, H, W, C), in evaluation mode."""
    return apply_eval(encoder, state.params["encoder"], state.batch_stats["encoder"], images)


def decode(decoder: nn.Module, state: TrainState, codes: jax.Array) -> jax.Array:
    """Returns the images (B, H, W, C) of codes (B, z), in evaluation mode."""
    return apply_eval(decoder, state.params["decoder"], state.batch_stats["decoder"], codes)
