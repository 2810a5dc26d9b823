"""Training of variational autoencoders (Kingma & Welling 2014; book 03_03 and 03_05)."""

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gdl_jax.core.learner import Learner
from gdl_jax.core.prng import example_normal
from gdl_jax.learners.autoencoder import ReconstructionLoss, decode, encode
from gdl_jax.learners.gradient import Loss, TrainState, apply_train, init_variables, update
from gdl_jax.losses.gaussian import kl_to_standard_normal, with_free_bits


def reparameterise(mean: jax.Array, log_var: jax.Array, noise: jax.Array) -> jax.Array:
    """Returns z = mean + exp(log_var / 2) * noise, a differentiable sample from q(z | x)."""
    return mean + jnp.exp(0.5 * log_var) * noise


def vae(
    encoder: nn.Module,
    decoder: nn.Module,
    optimizer: optax.GradientTransformation,
    reconstruction_loss: ReconstructionLoss,
    *,
    z_dim: int,
    reconstruction_weight: float,
    kl_weight: float = 1.0,
    free_bits: float = 0.0,
    shared_free_bits: bool = False,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Minimises reconstruction_weight * reconstruction_loss + kl_weight * KL(q(z | x) || N(0, 1)).

    Args:
      encoder: (images (B, H, W, C), train) -> mean (B, z), log_var (B, z).
      decoder: (codes (B, z), train) -> images (B, H, W, C).
      optimizer: from `optimizers.make_optimizer`.
      reconstruction_loss: (target, prediction) -> (B,).
      z_dim: dimensions of the latent space.
      reconstruction_weight: the book's r_loss_factor.
      kl_weight: beta of Higgins et al. 2017.
      free_bits: nats per dimension of the divergence that are not penalised; the logged kl_loss includes them.
      shared_free_bits: pool them over dimensions; see `losses.gaussian.with_free_bits`.
      accumulate: parts into which a batch is split to accumulate gradients; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    The learner's `sample(state, key, num)` decodes samples of N(0, 1).
    """

    def losses(images, mean, log_var, decoded):
        kl = kl_to_standard_normal(mean, log_var)
        reconstruction = reconstruction_weight * reconstruction_loss(images, decoded)
        loss = reconstruction + kl_weight * with_free_bits(kl, free_bits, shared_free_bits)
        return {"loss": loss, "reconstruction_loss": reconstruction, "kl_loss": kl.sum(axis=-1)}

    def init(key, batch):
        encoder_key, decoder_key = jax.random.split(key)
        encoder_params, encoder_stats = init_variables(encoder, encoder_key, batch["image"])
        decoder_params, decoder_stats = init_variables(decoder, decoder_key, jnp.zeros((1, z_dim)))
        params = {"encoder": encoder_params, "decoder": decoder_params}
        return TrainState(params, {"encoder": encoder_stats, "decoder": decoder_stats}, optimizer.init(params))

    def loss_function(params, stats, batch, key):
        noise_key, encoder_key, decoder_key = jax.random.split(key, 3)
        images = batch["image"]
        noise = example_normal(noise_key, (images.shape[0], z_dim), axis_name)
        (mean, log_var), encoder_stats = apply_train(encoder, params["encoder"], stats["encoder"], encoder_key, images)
        codes = reparameterise(mean, log_var, noise)
        decoded, decoder_stats = apply_train(decoder, params["decoder"], stats["decoder"], decoder_key, codes)
        metrics = {name: value.mean() for name, value in losses(images, mean, log_var, decoded).items()}
        return Loss(metrics.pop("loss"), {"encoder": encoder_stats, "decoder": decoder_stats}, metrics)

    def step(state, batch, key):
        return update(state, loss_function, batch, key, optimizer, axis_name, accumulate)

    def evaluate(state, batch, key):
        mean, log_var = encode(encoder, state, batch["image"])
        codes = reparameterise(mean, log_var, example_normal(key, mean.shape, axis_name))
        return losses(batch["image"], mean, log_var, decode(decoder, state, codes))

    def sample(state, key, num):
        return decode(decoder, state, jax.random.normal(key, (num, z_dim)))

    return Learner(init, step, evaluate, sample)
