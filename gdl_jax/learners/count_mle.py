"""Maximum-likelihood fits by counting: the state is the counts, and one pass over the data is the exact fit."""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from gdl_jax.core.learner import Batch, Learner
from gdl_jax.models.naive_bayes import CountedModel


@flax.struct.dataclass
class CountState:
    """State of the fit.

    Attributes:
      counts: as returned by `CountedModel.count`, summed over all rows so far.
    """

    counts: jax.Array


def count_mle(
    model: CountedModel,
    *,
    encode: Callable[[Batch], jax.Array],
    decode: Callable[[jax.Array], jax.Array],
    axis_name: str | None = None,
) -> Learner:
    """Fits a CountedModel by maximum likelihood: each step adds the counts of its batch.

    An epoch contains every row once, so the fit is exact after k * N rows (steps * batch_size) for every integer k.
    With smoothing, which counts relative to the rows, k should be 1. "loss" is the mean of -log p, in nats; in training
    it is that of the batch after counting it, which is finite without smoothing too.

    Args:
      model: from `naive_bayes.make_model`.
      encode: batch -> features (B, F) int32.
      decode: features (num, F) -> samples.
      axis_name: the pmapped axis, or None.

    `sample(state, key, num)` draws `num` rows.
    """

    def init(key, batch):
        del key
        counts = jax.eval_shape(lambda b: model.count(encode(b)), batch)
        return CountState(jnp.zeros(counts.shape, counts.dtype))

    def step(state, batch, key):
        del key
        features = encode(batch)
        new = model.count(features)
        if axis_name is not None:
            new = lax.psum(new, axis_name)
        state = CountState(state.counts + new)
        loss = -model.log_likelihood(state.counts, features).mean()
        return state, {"loss": loss if axis_name is None else lax.pmean(loss, axis_name)}

    def evaluate(state, batch, key):
        del key
        return {"loss": -model.log_likelihood(state.counts, encode(batch))}

    def sample(state, key, num):
        return decode(model.sample(state.counts, key, num))

    return Learner(init, step, evaluate, sample)
