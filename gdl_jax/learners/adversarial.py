"""Generator against critic: GAN, WGAN, WGAN-GP (book chapter 4), and whatever else plays their game.

What the networks see is decided by functions, so that one learner serves noise, class labels and images to be
translated: `inputs` makes the generator's inputs from a batch and a key for each example, `shown` is what of the
generator's outputs the critic sees, `real` is the same of a batch, `conditions` is what the critic gets beside it, and
`generator_terms` are whatever else the generator minimises (a paired L1, a cycle's loss). Images and scores may be
trees of arrays: two directions of a translation are one generator module and one critic module of two parts each. To
all of these functions, batch["step"] is the number of the generator's update, from 0.

Batch normalisation, pass by pass. A critic's update: the images it is shown come from the generator with running
averages (the book's GAN and WGAN, which call `predict`) or, with `batch_statistics`, with those of the batch (its
WGAN-GP, where they are made inside the training graph); either way the generator's averages stay as they are. The
generator's update: its batch's statistics, which go into the averages; the critic is in training mode (dropout on), and
its averages stay. Samples and evaluation: running averages, no dropout.

A moving average of the generator, where there is one, makes the samples; the players, and the losses of `evaluate`, are
the generator that is trained. The average takes the batch-norm averages along, since those of other parameters don't
fit, and starts fast: its decay is at most (1 + t) / (10 + t).
"""

import numbers
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
from gdl_jax.core.lookup import check_function, resolve
from gdl_jax.core.prng import example_keys
from gdl_jax.learners.gradient import TrainState, apply_eval, apply_train, init_variables, update
from gdl_jax.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss, example_norm, gradient_penalty, interpolate


@struct.dataclass
class AdversarialState:
    """Both players, and the number of updates of the generator.

    `averaged` is {"params", "batch_stats"}: the generator's as an exponential moving average; {} without one.
    """

    generator: TrainState
    critic: TrainState
    averaged: Any
    step: jax.Array


def make_adversarial_loss(name: str) -> AdversarialLoss:
    """The loss that --adversarial_loss names.

    Raises:
      UserError: there is none of that name, its functions don't take scores (B,) to (B,), or its boundary is no number.
    """
    loss = resolve("adversarial_loss", name, ADVERSARIAL_LOSSES)
    if not isinstance(loss, AdversarialLoss):
        wanted = "an AdversarialLoss, as gdl_jax/losses/adversarial.py has them"
        raise UserError(f"--adversarial_loss={name}: must be {wanted}, not {type(loss).__name__}")
    if not isinstance(loss.boundary, numbers.Real | None):
        raise UserError(f"--adversarial_loss={name}: boundary: must be None or a number, not {loss.boundary!r}")
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
    """A generator's outputs in evaluation mode, by its moving average where it has one."""
    averaged = state.averaged or {"params": state.generator.params, "batch_stats": state.generator.batch_stats}
    return apply_eval(generator, averaged["params"], averaged["batch_stats"], *inputs)


def _per_example(values: Any) -> jax.Array:
    """Means over all axes but the first, added up over the arrays of a tree: (B, ...) -> (B,)."""
    return sum(leaf.reshape(len(leaf), -1).mean(axis=1) for leaf in jax.tree.leaves(values))


def adversarial(
    generator: nn.Module,
    critic: nn.Module,
    generator_optimizer: optax.GradientTransformation,
    critic_optimizer: optax.GradientTransformation,
    loss: AdversarialLoss,
    *,
    inputs: Callable[[Batch, jax.Array], tuple[Any, ...]],
    real: Callable[[Batch], Any],
    shown: Callable[[Any], Any] = lambda outputs: outputs,
    conditions: Callable[[Batch], tuple[Any, ...]] = lambda batch: (),
    generator_terms: Callable[[Batch, Any], Mapping[str, jax.Array]] = lambda batch, outputs: {},
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
      generator: (*inputs, train) -> outputs, images (B, ...) or a tree of arrays.
      critic: (images, *conditions, train) -> scores (B,) or (B, ...), or a tree of such arrays.
      generator_optimizer, critic_optimizer: from `optimizers.make_optimizer`.
      loss: what both minimise, of every score; a mean over an image's scores, and a sum over a tree's.
      inputs: (batch, keys (B,)) -> the generator's inputs; what it draws, it draws from each example's key.
      real: batch -> images, like what is shown of the generator's.
      shown: the generator's outputs -> what of them the critic sees.
      conditions: batch -> what the critic gets beside an image; by default nothing.
      generator_terms: (batch, outputs) -> {name: values (B,), weighted}, added to the generator's loss, and logged.
      n_critic: critic updates for each of the generator.
      penalty: on the norm of the critic's gradient with respect to the image, or None.
      constrain: applied to the critic's parameters after each of its updates (for example `clip_weights`).
      separate_updates: the critic takes a step on real images and then one on generated ones (the book's GAN and WGAN)
        instead of one on both; a penalty goes with the second, and `constrain` comes after it.
      batch_statistics: of the generator when it makes images for the critic; see above.
      ema_decay: of the generator's moving average; 0: none.
      axis_name: the pmapped axis, or None.

    Metrics: "critic_loss" is the sum of "critic_loss_real" and "critic_loss_fake" without the penalty, each a mean over
    the critic's updates; "generator_loss" is without `generator_terms`; accuracies say how many scores are on their
    side of the loss's boundary; "critic_input_gradient_norm", at the points that are penalised, and "gradient_penalty"
    (unweighted) come with a penalty. A step's batch holds n_critic batches.

    The learner's `sample(state, key, num, batch={})` makes `num` outputs; `batch` holds what `inputs` reads of one.
    """

    def accuracy(kind, scores):
        """{"real_accuracy" or "fake_accuracy": share of scores that are right, (B,)}; {} without a boundary."""
        if loss.boundary is None:
            return {}
        right = [leaf > loss.boundary if kind == "real" else leaf <= loss.boundary for leaf in jax.tree.leaves(scores)]
        return {f"{kind}_accuracy": _per_example(jax.tree.map(jnp.float32, right)) / len(right)}

    def losses_of(function, scores):
        return _per_example(jax.tree.map(function, scores))

    def keys_of(batch, key):
        return example_keys(key, _examples(batch), axis_name)

    def init(key, batch):
        generator_key, critic_key, keys_key = jax.random.split(key, 3)
        batch = dict(batch, step=jnp.zeros((), jnp.int32))
        given = inputs(batch, example_keys(keys_key, _examples(batch)))
        generator_params, generator_stats = init_variables(generator, generator_key, *given)
        critic_params, critic_stats = init_variables(critic, critic_key, real(batch), *conditions(batch))
        averaged = {"params": generator_params, "batch_stats": generator_stats}
        return AdversarialState(
            TrainState(generator_params, generator_stats, generator_optimizer.init(generator_params)),
            TrainState(critic_params, critic_stats, critic_optimizer.init(critic_params)),
            jax.tree.map(jnp.array, averaged) if ema_decay else {},
            batch["step"],
        )

    def fakes_for_critic(state, batch, key):
        noise_key, dropout_key = jax.random.split(key)
        given = inputs(batch, keys_of(batch, noise_key))
        if not batch_statistics:
            return shown(apply_eval(generator, state.params, state.batch_stats, *given))
        return shown(apply_train(generator, state.params, state.batch_stats, dropout_key, *given)[0])

    def critic_step(critic_state, generator_state, batch, key):
        fake_key, alpha_key, *dropout_keys = jax.random.split(key, 5)
        images, beside = real(batch), conditions(batch)
        fakes = fakes_for_critic(generator_state, batch, fake_key)

        def score_real(params, stats):
            scores, stats = apply_train(critic, params, stats, dropout_keys[0], images, *beside)
            losses = losses_of(loss.real, scores)
            return losses.mean(), stats, {"critic_loss_real": losses} | accuracy("real", scores)

        def score_fake(params, stats):
            scores, stats = apply_train(critic, params, stats, dropout_keys[1], fakes, *beside)
            losses = losses_of(loss.fake, scores)
            return losses.mean(), stats, {"critic_loss_fake": losses} | accuracy("fake", scores)

        def score_gradient(params, stats):
            points = images
            if penalty.at == "interpolates":
                points = interpolate(images, fakes, jax.vmap(jax.random.uniform)(keys_of(batch, alpha_key)))

            def total_score(x):
                scores, _ = apply_train(critic, params, stats, dropout_keys[2], x, *beside)
                return _per_example(scores).sum()

            norm = example_norm(jax.grad(total_score)(points))
            penalised = gradient_penalty(norm, penalty.center)
            metrics = {"gradient_penalty": penalised, "critic_input_gradient_norm": norm}
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
            return critic_state, metrics

        on_fakes = (score_fake, score_gradient) if penalty else (score_fake,)
        if separate_updates:
            critic_state, of_real = one_update(critic_state, score_real)
            critic_state, of_fake = one_update(critic_state, *on_fakes)
            norm = 0.5 * (of_real["critic_gradient_norm"] + of_fake["critic_gradient_norm"])
            metrics = of_real | of_fake | {"critic_gradient_norm": norm}
        else:
            critic_state, metrics = one_update(critic_state, score_real, *on_fakes)
        return critic_state.replace(params=constrain(critic_state.params)), metrics

    def generator_step(generator_state, critic_state, batch, key):
        noise_key, generator_key, critic_key = jax.random.split(key, 3)
        given = inputs(batch, keys_of(batch, noise_key))

        def loss_function(params):
            outputs, stats = apply_train(generator, params, generator_state.batch_stats, generator_key, *given)
            fakes, beside = shown(outputs), conditions(batch)
            scores, _ = apply_train(critic, critic_state.params, critic_state.batch_stats, critic_key, fakes, *beside)
            fooling = losses_of(loss.generator, scores).mean()
            terms = {name: values.mean() for name, values in generator_terms(batch, outputs).items()}
            return fooling + sum(terms.values()), (stats, {"generator_loss": fooling} | terms)

        generator_state, metrics = update(generator_state, loss_function, generator_optimizer, axis_name)
        del metrics["loss"]
        metrics["generator_gradient_norm"] = metrics.pop("gradient_norm")
        return generator_state, metrics

    def step(state, batch, key):
        critic_key, generator_key = jax.random.split(key)
        # Example e of the loop's batch is in critic update e mod n_critic, so that every device has a share of each.
        batches = jax.tree.map(lambda x: x.reshape(-1, n_critic, *x.shape[1:]).swapaxes(0, 1), dict(batch))

        def body(critic_state, batch_and_key):
            batch, key = batch_and_key
            return critic_step(critic_state, state.generator, batch | {"step": state.step}, key)

        critic_state, history = lax.scan(body, state.critic, (batches, jax.random.split(critic_key, n_critic)))
        metrics = {name: values.mean() for name, values in history.items()}
        last = jax.tree.map(lambda x: x[-1], batches) | {"step": state.step}
        generator_state, more = generator_step(state.generator, critic_state, last, generator_key)
        averaged = state.averaged
        if ema_decay:
            decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
            now = {"params": generator_state.params, "batch_stats": generator_state.batch_stats}
            averaged = optax.incremental_update(now, averaged, 1.0 - decay)
        metrics |= more | {"critic_loss": metrics["critic_loss_real"] + metrics["critic_loss_fake"]}
        return AdversarialState(generator_state, critic_state, averaged, state.step + 1), metrics

    def evaluate(state, batch, key):
        batch = dict(batch, step=state.step)
        beside = conditions(batch)
        given = inputs(batch, keys_of(batch, key))
        outputs = apply_eval(generator, state.generator.params, state.generator.batch_stats, *given)
        real_scores, fake_scores = (
            apply_eval(critic, state.critic.params, state.critic.batch_stats, images, *beside)
            for images in (real(batch), shown(outputs))
        )
        of_real, of_fake = losses_of(loss.real, real_scores), losses_of(loss.fake, fake_scores)
        return {
            "critic_loss": of_real + of_fake,
            "critic_loss_real": of_real,
            "critic_loss_fake": of_fake,
            "generator_loss": losses_of(loss.generator, fake_scores),
            **generator_terms(batch, outputs),
            **accuracy("real", real_scores),
            **accuracy("fake", fake_scores),
        }

    def sample(state, key, num, batch: Mapping[str, Any] | None = None):
        batch = dict(batch or {}, step=state.step)
        return generate(generator, state, *inputs(batch, example_keys(key, num)))

    return Learner(init, step, evaluate, sample, batches=n_critic)


def _examples(batch: Batch) -> int:
    """How many examples a batch has."""
    return len(next(leaf for name, leaf in batch.items() if name != "step"))
