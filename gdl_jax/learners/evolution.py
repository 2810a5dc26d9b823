"""Evolution strategies as a learner: its state is the search distribution, its step one generation (book chapter 8).

Any algorithm with evosax's interface will do; `learners.strategies` knows some by name.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import PartitionSpec

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.learner import Learner, Metrics
from gdl_jax.core.parallel import AXIS, over_devices
from gdl_jax.core.prng import example_keys

Parameters = Any  # a pytree of arrays: one individual
Population = Any  # the same pytree, with an axis of individuals in front
Fitness = Callable[[Population, jax.Array], jax.Array]


@struct.dataclass
class EvolutionState:
    """Where the search is.

    Attributes:
      search: the algorithm's own state.
      best_parameters: the individual with the highest return of all that were tried; the first mean before any was.
        Where returns are noisy it is the luckiest rather than the best: `mean_parameters` is what to drive with.
      best_return: (), what it got; minus infinity before the first generation.
    """

    search: Any
    best_parameters: Parameters
    best_return: jax.Array


def mean_parameters(algorithm: Any, state: EvolutionState) -> Parameters:
    """The centre of the search: the mean of the distribution, or of a genetic algorithm its last generation's best."""
    get = getattr(algorithm, "get_mean", None) or algorithm.get_best_solution
    return get(state.search)


def _copies(parameters: Parameters, count: int) -> Population:
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *jnp.shape(x))), parameters)


def _flat(population: Population) -> jax.Array:
    """(P, n)."""
    return jax.vmap(lambda parameters: ravel_pytree(parameters)[0])(population)


def _checked(fitness: Fitness, population: Population, keys: jax.Array) -> jax.Array:
    returns = fitness(population, keys)
    got = getattr(returns, "shape", type(returns).__name__)
    if got != keys.shape:
        raise UserError(f"fitness: of {keys.shape[0]} individuals it must return shape {keys.shape}, not {got}")
    return returns.astype(jnp.float32)


class _Evaluation(NamedTuple):
    """How individuals are evaluated on the devices.

    Every device has the whole distribution and evaluates its share of each population: under pmap the share is cut out
    by hand, under jit by a sharding constraint. Which random numbers an individual meets doesn't depend on the layout.
    """

    fitness: Fitness
    common_random_numbers: bool
    axis_name: str | None

    def keys(self, key: jax.Array, count: int) -> jax.Array:
        """(count,), one for each of this device's individuals."""
        if self.common_random_numbers:
            return jnp.broadcast_to(key, (count,))
        return example_keys(key, count, self.axis_name)

    def share(self, population: Population, keys: jax.Array) -> jax.Array:
        """Returns (P,) of what this device has to evaluate; under jit, of all."""
        if self.axis_name is None:
            population, keys = over_devices((population, keys), PartitionSpec(AXIS))
        return _checked(self.fitness, population, keys)

    def all(self, population: Population, key: jax.Array) -> jax.Array:
        """Returns (P,) of a whole population, which every device has."""
        size = jax.tree.leaves(population)[0].shape[0]
        devices = jax.device_count() if self.axis_name is None else lax.axis_size(self.axis_name)
        if size % devices:
            raise ConfigError("batch_size", size, f"(the population) is not a multiple of the {devices} devices")
        if self.axis_name is None:
            return over_devices(self.share(population, self.keys(key, size)), PartitionSpec())
        count = size // devices
        first = lax.axis_index(self.axis_name) * count
        mine = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, first, count), population)
        return lax.all_gather(self.share(mine, self.keys(key, count)), self.axis_name, tiled=True)


def _first_state(algorithm: Any, params: Any, mean: Parameters, key: jax.Array) -> EvolutionState:
    if hasattr(algorithm, "get_mean"):
        search = algorithm.init(key, mean, params)
    else:  # a genetic algorithm, whose first parents are all the same and have no fitness yet
        size = algorithm.population_size
        search = algorithm.init(key, _copies(mean, size), jnp.full(size, jnp.inf), params)
    state = EvolutionState(search, mean, -jnp.inf)
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)), state)  # no weak types: one compilation


def _penalised_cost(returns: jax.Array, population: Population, weight_decay: float) -> jax.Array:
    """What an algorithm minimises: (P,), NaN (evosax's sign of failure) where a return is not finite."""
    penalised = returns - weight_decay * jnp.square(_flat(population)).mean(axis=-1)
    return jnp.where(jnp.isfinite(returns), -penalised, jnp.nan)


def _with_best(
    state: EvolutionState, search: Any, population: Population, returns: jax.Array
) -> tuple[EvolutionState, jax.Array]:
    """The next state, and the highest return of the generation."""
    highest = jnp.where(jnp.isfinite(returns), returns, -jnp.inf)
    winner = jnp.argmax(highest)
    improved = highest[winner] > state.best_return
    best = jax.tree.map(lambda new, old: jnp.where(improved, new[winner], old), population, state.best_parameters)
    return EvolutionState(search, best, jnp.maximum(highest[winner], state.best_return)), highest[winner]


def _generation_metrics(returns: jax.Array, highest: jax.Array, flat: jax.Array, centre: jax.Array) -> Metrics:
    finite = jnp.isfinite(returns)
    return {
        "mean_return": jnp.mean(returns, where=finite),
        "min_return": jnp.min(returns, where=finite, initial=jnp.inf),
        "max_return": highest,
        "std_return": jnp.std(returns, where=finite),
        "sigma": jnp.sqrt(jnp.square(flat - centre).mean()),
        "failed": (~finite).sum().astype(jnp.float32),
    }


def evolution(
    algorithm: Any,
    params: Any,
    fitness: Fitness,
    mean: Parameters,
    *,
    weight_decay: float = 0.01,
    common_random_numbers: bool = False,
    axis_name: str | None = None,
) -> Learner:
    """Maximises the expected return over parameters.

    Args:
      algorithm: with evosax's interface (`init`, `ask`, `tell`; it minimises), e.g. from
        `evolution_strategies.make_strategy`.
      params: the algorithm's.
      fitness: (population, keys) -> returns (P,), higher is better. `population` is `mean`'s pytree with an axis of P
        individuals in front, and `keys` (P,) has one key for each; P is a share of the population, or whatever
        `evaluate` asks for. What is not finite counts as a failure: it is ranked last, and is in no mean.
      mean: the first centre, a pytree of floating-point arrays.
      weight_decay: c in "return - c * mean of squared parameters", which the algorithm gets to see; the metrics are
        of returns alone. (estool's CMA-ES rewards large weights instead: a wrong sign, mended upstream later.)
      common_random_numbers: whether all individuals of a generation meet the same random numbers (the same tracks),
        which makes them easier to compare; the book's and the paper's have their own.
      axis_name: the pmapped axis, or None.

    The batch of a step is not looked at. Metrics of a step: mean_return, min_return, max_return and std_return of the
    generation; best_return of all; sigma, the root mean square over individuals and parameters of the distance from
    the centre; failed, how many returns were not finite. If all failed, they are not finite, which stops the loop.

    `evaluate` takes a batch of B examples for B evaluations with random numbers of their own: "return" of
    `mean_parameters`, "best_return" of the best individual under the same numbers. `sample(state, key, num)` draws
    `num` individuals as the next populations would have them.

    Raises:
      UserError: at the first trace: returns of the wrong shape, or a population that the devices can't share evenly.
    """
    evaluation = _Evaluation(fitness, common_random_numbers, axis_name)

    def init(key, batch):
        del batch
        return _first_state(algorithm, params, mean, key)

    def step(state, batch, key):
        del batch
        ask_key, fitness_key, tell_key = jax.random.split(key, 3)
        population, search = algorithm.ask(ask_key, state.search, params)
        if axis_name is None:
            population = over_devices(population, PartitionSpec())
        returns = evaluation.all(population, fitness_key)
        cost = _penalised_cost(returns, population, weight_decay)
        search, _ = algorithm.tell(tell_key, population, cost, search, params)
        centre, _ = ravel_pytree(mean_parameters(algorithm, state))
        state, highest = _with_best(state, search, population, returns)
        metrics = _generation_metrics(returns, highest, _flat(population), centre)
        return state, metrics | {"best_return": state.best_return}

    def evaluate(state, batch, key):
        count = jax.tree.leaves(batch)[0].shape[0]
        keys = example_keys(key, count, axis_name)[jnp.arange(2 * count) // 2]  # each example's for both
        pair = jax.tree.map(lambda *x: jnp.stack(x), mean_parameters(algorithm, state), state.best_parameters)
        population = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), _copies(pair, count))  # (2 B, ...)
        returns = evaluation.share(population, keys).reshape(count, 2)
        return {"return": returns[:, 0], "best_return": returns[:, 1]}

    def sample(state, key, num):
        keys = jax.random.split(key, -(-num // algorithm.population_size))
        populations = jax.vmap(lambda k: algorithm.ask(k, state.search, params)[0])(keys)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:num], populations)

    return Learner(init, step, evaluate, sample)
