"""Generator against critic: GAN, WGAN, WGAN-GP (book chapter 4), and whatever else plays their game.

What a network sees is decided by three functions, so that one learner serves noise, class labels and images to be
translated: `inputs` makes the generator's inputs from a batch and a key for each example, `conditions` is what the
critic gets beside an image, `real` is the image.

Batch normalisation, pass by pass. A critic's update: the images it is shown come from the generator with running
averages (the book's GAN and WGAN, which call `predict`) or, with `batch_statistics`, with those of the batch (its
WGAN-GP, where they are made inside the training graph); either way the generator's averages stay as they are. The
generator's update: its batch's statistics, which go into the averages; the critic is in training mode (dropout on), and
its averages stay. Samples and evaluation: running averages, no dropout.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jax import lax

from gdl_jax.core.errors import UserError
from gdl_jax.core.learner import Batch, Learner
from gdl_jax.core.named import check_function, resolve
from gdl_jax.core.prng import example_keys
from gdl_jax.learners.gradient import TrainState, apply_eval, apply_train, init_variables, update
from gdl_jax.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss, example_norm, gradient_penalty, interpolate


@struct.dataclass
class AdversarialState:
    """Both players; `averaged` are the generator's parameters as an exponential moving average, or () without one."""

    generator: TrainState
    critic: TrainState
    averaged: Any


def make_adversarial_loss(name: str) -> AdversarialLoss:
    """The loss that --adversarial_loss names.

    Raises:
      UserError: there is none of that name, or its functions don't take scores (B,) to (B,).
    """
    loss = resolve("adversarial_loss", name, ADVERSARIAL_LOSSES)
    if not isinstance(loss, AdversarialLoss):
        raise UserError(f"--adversarial_loss={name}: must be an AdversarialLoss, not {type(loss).__name__}")
    scores = jax.ShapeDtypeStruct((2,), jnp.float32)
    for part in ("real", "fake", "generator"):
        check_function(f"--adversarial_loss={name}: {part}", getattr(loss, part), (scores,), (2,))
    return loss


class Penalty(NamedTuple):
    """weight * (|| grad D || - center)^2, at points between real and generated images, or at real ones only.

    Between them with center 1: WGAN-GP (Gulrajani et al. 2017; the book's weight is 10). At real images with center 0:
    R1 (Mescheder et al. 2018), whose gamma is twice the weight.
    """

    weight: float
    center: float = 1.0
    at: str = "interpolates"


def clip_weights(limit: float, biases: bool = True) -> Callable[[Any], Any]:
    """params -> params within [-limit, limit] (Arjovsky et al. 2017, algorithm 1); with or without biases and scales.

    The book clips every weight (04_02).
    """

    def clip(params):
        return jax.tree.map(lambda w: w.clip(-limit, limit) if biases or w.ndim > 1 else w, params)

    return clip


def noise_inputs(z_dim: int, labels: bool = False) -> Callable[[Batch, jax.Array], tuple[jax.Array, ...]]:
    """For generators of N(0, 1) noise (B, z_dim), perhaps with the batch's labels (B,)."""

    def inputs(batch, keys):
        z = jax.vmap(lambda key: jax.random.normal(key, (z_dim,)))(keys)
        return (z, batch["label"]) if labels else (z,)

    return inputs


def generate(generator: nn.Module, state: AdversarialState, *inputs: jax.Array) -> jax.Array:
    """Images of a generator's inputs in evaluation mode, by its averaged parameters where it has them."""
    params = state.averaged or state.generator.params
    return apply_eval(generator, params, state.generator.batch_stats, *inputs)


def adversarial(
    generator: nn.Module,
    critic: nn.Module,
    generator_optimizer: optax.GradientTransformation,
    critic_optimizer: optax.GradientTransformation,
    loss: AdversarialLoss,
    *,
    inputs: Callable[[Batch, jax.Array], tuple[Any, ...]],
    real: Callable[[Batch], jax.Array],
    conditions: Callable[[Batch], tuple[jax.Array, ...]] = lambda batch: (),
    n_critic: int = 1,
    penalty: Penalty | None = None,
    constrain: Callable[[Any], Any] = lambda params: params,
    separate_updates: bool = False,
    batch_statistics: bool = True,
    ema_decay: float = 0.0,
    axis_name: str | None = None,
) -> Learner:
    """`n_critic` updates of the critic, each on a batch of its own, then one of the generator.

    Args:
      generator: (*inputs, train) -> images (B, ...).
      critic: (images (B, ...), *conditions, train) -> scores (B,).
      generator_optimizer, critic_optimizer: from `optimizers.make_optimizer`.
      loss: what both minimise.
      inputs: (batch, keys (B,)) -> the generator's inputs; what it draws, it draws from each example's key.
      real: batch -> images in the range of the generator's.
      conditions: batch -> what the critic gets beside an image; by default nothing.
      n_critic: critic updates for each of the generator.
      penalty: on the norm of the critic's gradient with respect to the image, or None.
      constrain: applied to the critic's parameters after each of its updates (for example `clip_weights`).
      separate_updates: the critic learns from real images in one update and from generated ones in the next (the book's
        GAN and WGAN) instead of from both at once; a penalty goes with the second.
      batch_statistics: of the generator when it makes images for the critic; see above.
      ema_decay: of the average of the generator's parameters that samples are made with; 0: none.
      axis_name: the pmapped axis, or None.

    Metrics: "critic_loss" is the sum of "critic_loss_real" and "critic_loss_fake" without the penalty, each a mean over
    the critic's updates; accuracies say how many scores are on their side of the loss's boundary;
    "interpolate_gradient_norm" and "gradient_penalty" (unweighted) come with a penalty. A step's batch holds n_critic
    batches.

    The learner's `sample(state, key, num, batch={})` makes `num` images; `batch` holds what `inputs` reads of one.
    """

    def accuracy(kind, scores):
        """{"real_accuracy" or "fake_accuracy": 1.0 where the critic is right}, (B,); {} where scores say nothing."""
        if loss.boundary is None:
            return {}
        right = scores > loss.boundary if kind == "real" else scores <= loss.boundary
        return {f"{kind}_accuracy": right.astype(jnp.float32)}

    def init(key, batch):
        generator_key, critic_key, keys_key = jax.random.split(key, 3)
        images = real(batch)
        given = inputs(batch, example_keys(keys_key, len(images)))
        generator_params, generator_stats = init_variables(generator, generator_key, *given)
        critic_params, critic_stats = init_variables(critic, critic_key, images, *conditions(batch))
        return AdversarialState(
            TrainState(generator_params, generator_stats, generator_optimizer.init(generator_params)),
            TrainState(critic_params, critic_stats, critic_optimizer.init(critic_params)),
            jax.tree.map(jnp.array, generator_params) if ema_decay else (),
        )

    def fakes_for_critic(state, batch, key):
        noise_key, dropout_key = jax.random.split(key)
        given = inputs(batch, example_keys(noise_key, len(real(batch)), axis_name))
        if not batch_statistics:
            return apply_eval(generator, state.params, state.batch_stats, *given)
        return apply_train(generator, state.params, state.batch_stats, dropout_key, *given)[0]

    def critic_step(critic_state, generator_state, batch, key):
        fake_key, alpha_key, *dropout_keys = jax.random.split(key, 5)
        images, beside = real(batch), conditions(batch)
        fakes = fakes_for_critic(generator_state, batch, fake_key)

        def score_real(params, stats):
            scores, stats = apply_train(critic, params, stats, dropout_keys[0], images, *beside)
            losses = loss.real(scores)
            return losses.mean(), stats, {"critic_loss_real": losses} | accuracy("real", scores)

        def score_fake(params, stats):
            scores, stats = apply_train(critic, params, stats, dropout_keys[1], fakes, *beside)
            losses = loss.fake(scores)
            return losses.mean(), stats, {"critic_loss_fake": losses} | accuracy("fake", scores)

        def score_gradient(params, stats):
            points = images
            if penalty.at == "interpolates":
                alpha = jax.vmap(jax.random.uniform)(example_keys(alpha_key, len(images), axis_name))
                points = interpolate(images, fakes, alpha)
            gradients = jax.grad(lambda x: apply_train(critic, params, stats, dropout_keys[2], x, *beside)[0].sum())
            norm = example_norm(gradients(points))
            penalised = gradient_penalty(norm, penalty.center)
            metrics = {"gradient_penalty": penalised, "interpolate_gradient_norm": norm}
            return penalty.weight * penalised.mean(), stats, metrics

        def one_update(critic_state, *terms):
            def loss_function(params):
                total, stats, metrics = 0.0, critic_state.batch_stats, {}
                for term in terms:
                    value, stats, more = term(params, stats)
                    total, metrics = total + value, metrics | {name: values.mean() for name, values in more.items()}
                return total, (stats, metrics)

            critic_state, metrics = update(critic_state, loss_function, critic_optimizer, axis_name)
            metrics["critic_gradient_norm"] = metrics.pop("gradient_norm")
            del metrics["loss"]  # of a part only where updates are separate
            return critic_state.replace(params=constrain(critic_state.params)), metrics

        on_fakes = (score_fake, score_gradient) if penalty else (score_fake,)
        if not separate_updates:
            return one_update(critic_state, score_real, *on_fakes)
        critic_state, of_real = one_update(critic_state, score_real)
        critic_state, of_fake = one_update(critic_state, *on_fakes)
        norm = 0.5 * (of_real["critic_gradient_norm"] + of_fake["critic_gradient_norm"])
        return critic_state, of_real | of_fake | {"critic_gradient_norm": norm}

    def generator_step(generator_state, critic_state, batch, key):
        noise_key, generator_key, critic_key = jax.random.split(key, 3)
        given = inputs(batch, example_keys(noise_key, len(real(batch)), axis_name))

        def loss_function(params):
            fakes, stats = apply_train(generator, params, generator_state.batch_stats, generator_key, *given)
            beside = conditions(batch)
            scores, _ = apply_train(critic, critic_state.params, critic_state.batch_stats, critic_key, fakes, *beside)
            return loss.generator(scores).mean(), (stats, {})

        generator_state, metrics = update(generator_state, loss_function, generator_optimizer, axis_name)
        named = {"generator_loss": metrics["loss"], "generator_gradient_norm": metrics["gradient_norm"]}
        return generator_state, named

    def step(state, batch, key):
        critic_key, generator_key = jax.random.split(key)
        # Example e of the loop's batch is in critic update e mod n_critic, so that every device has a share of each.
        batches = jax.tree.map(lambda x: x.reshape(-1, n_critic, *x.shape[1:]).swapaxes(0, 1), dict(batch))

        def body(critic_state, update_batch_and_key):
            return critic_step(critic_state, state.generator, *update_batch_and_key)

        critic_state, history = lax.scan(body, state.critic, (batches, jax.random.split(critic_key, n_critic)))
        metrics = {name: values.mean() for name, values in history.items()}
        last = jax.tree.map(lambda x: x[-1], batches)
        generator_state, more = generator_step(state.generator, critic_state, last, generator_key)
        averaged = state.averaged
        if ema_decay:
            averaged = optax.incremental_update(generator_state.params, averaged, 1.0 - ema_decay)
        metrics |= more | {"critic_loss": metrics["critic_loss_real"] + metrics["critic_loss_fake"]}
        return AdversarialState(generator_state, critic_state, averaged), metrics

    def evaluate(state, batch, key):
        images, beside = real(batch), conditions(batch)
        given = inputs(batch, example_keys(key, len(images), axis_name))
        fakes = apply_eval(generator, state.generator.params, state.generator.batch_stats, *given)
        real_scores, fake_scores = (
            apply_eval(critic, state.critic.params, state.critic.batch_stats, shown, *beside)
            for shown in (images, fakes)
        )
        return {
            "critic_loss": loss.real(real_scores) + loss.fake(fake_scores),
            "critic_loss_real": loss.real(real_scores),
            "critic_loss_fake": loss.fake(fake_scores),
            "generator_loss": loss.generator(fake_scores),
            **accuracy("real", real_scores),
            **accuracy("fake", fake_scores),
        }

    def sample(state, key, num, batch: Mapping[str, jax.Array] | None = None):
        return generate(generator, state, *inputs(batch or {}, example_keys(key, num)))

    return Learner(init, step, evaluate, sample, batches=n_critic)
