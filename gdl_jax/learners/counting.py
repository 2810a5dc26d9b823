"""Learning by counting: the state is how often each value was seen, and one pass over the data is the fit."""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from gdl_jax.core.learner import Batch, Learner
from gdl_jax.models.naive_bayes import CountedModel


@flax.struct.dataclass
class CountState:
    """counts: as `CountedModel.count` gives them, summed over all rows seen so far."""

    counts: jax.Array


def counting(
    model: CountedModel,
    *,
    encode: Callable[[Batch], jax.Array],
    decode: Callable[[jax.Array], jax.Array],
    axis_name: str | None = None,
) -> Learner:
    """Fits a CountedModel: a step adds the counts of its batch.

    The loop's epochs see every row once, so steps * batch_size = k * N rows is the exact fit for any k; with smoothing,
    which is weighed against the rows seen, k should be 1. "loss" is the mean of -log p in nats: in training of the
    batch under the model that has just counted it, so that it is finite without smoothing too.

    Args:
      model: from `naive_bayes.make_model`.
      encode: batch -> features (B, F) int32.
      decode: features (num, F) -> what `sample` returns.
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
