"""Evolution strategies as a learner: the state is the search distribution, a step one generation (book chapter 8).

The algorithm has evosax's interface; `learners.evolution_strategies` makes some by name.
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
    """State of the search.

    Attributes:
      search: the algorithm's own state.
      best_parameters: the individual with the highest return so far; the initial mean before the first generation.
        With noisy returns it is the luckiest rather than the best: use `mean_parameters` as the result.
      best_return: (), its return; -inf before the first generation.
    """

    search: Any
    best_parameters: Parameters
    best_return: jax.Array


def mean_parameters(algorithm: Any, state: EvolutionState) -> Parameters:
    """Returns the search's centre: the distribution's mean, or the best of a genetic algorithm's last generation."""
    get = getattr(algorithm, "get_mean", None) or algorithm.get_best_solution
    return get(state.search)


def _copies(parameters: Parameters, count: int) -> Population:
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *jnp.shape(x))), parameters)


def _flat(population: Population) -> jax.Array:
    """Returns the individuals' parameters as rows, (P, n)."""
    return jax.vmap(lambda parameters: ravel_pytree(parameters)[0])(population)


def _checked(fitness: Fitness, population: Population, keys: jax.Array) -> jax.Array:
    returns = fitness(population, keys)
    shape = getattr(returns, "shape", type(returns).__name__)
    if shape != keys.shape:
        raise UserError(f"fitness: must return shape {keys.shape} for {keys.shape[0]} individuals, not {shape}")
    return returns.astype(jnp.float32)


class _Evaluation(NamedTuple):
    """Evaluation of populations over devices.

    Every device has the whole search distribution and evaluates its share of each population, which is sliced under
    pmap and a sharding constraint under jit. An individual's random numbers don't depend on the number of devices.
    """

    fitness: Fitness
    common_random_numbers: bool
    axis_name: str | None

    def keys(self, key: jax.Array, count: int) -> jax.Array:
        """Returns one key per individual of this device, (count,)."""
        if self.common_random_numbers:
            return jnp.broadcast_to(key, (count,))
        return example_keys(key, count, self.axis_name)

    def share(self, population: Population, keys: jax.Array) -> jax.Array:
        """Returns the returns (P,) of this device's share of a population; under jit, of the whole."""
        if self.axis_name is None:
            population, keys = over_devices((population, keys), PartitionSpec(AXIS))
        return _checked(self.fitness, population, keys)

    def all(self, population: Population, key: jax.Array) -> jax.Array:
        """Returns the returns (P,) of a population that every device has as a whole."""
        size = jax.tree.leaves(population)[0].shape[0]
        devices = jax.device_count() if self.axis_name is None else lax.axis_size(self.axis_name)
        if size % devices:
            raise ConfigError("batch_size", size, f"the population must be a multiple of the {devices} devices")
        if self.axis_name is None:
            return over_devices(self.share(population, self.keys(key, size)), PartitionSpec())
        count = size // devices
        first = lax.axis_index(self.axis_name) * count
        mine = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, first, count), population)
        return lax.all_gather(self.share(mine, self.keys(key, count)), self.axis_name, tiled=True)


def _first_state(algorithm: Any, params: Any, mean: Parameters, key: jax.Array) -> EvolutionState:
    if hasattr(algorithm, "get_mean"):
        search = algorithm.init(key, mean, params)
    else:  # a genetic algorithm, whose first parents are equal and have no fitness
        size = algorithm.population_size
        search = algorithm.init(key, _copies(mean, size), jnp.full(size, jnp.inf), params)
    state = EvolutionState(search, mean, jnp.asarray(-jnp.inf))
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)), state)  # no weak types: one compilation


def _penalised_cost(returns: jax.Array, population: Population, weight_decay: float) -> jax.Array:
    """Returns the cost to minimise, (P,); NaN, evosax's sign of failure, where a return is not finite."""
    penalised = returns - weight_decay * jnp.square(_flat(population)).mean(axis=-1)
    return jnp.where(jnp.isfinite(returns), -penalised, jnp.nan)


def _with_best(
    state: EvolutionState, search: Any, population: Population, returns: jax.Array
) -> tuple[EvolutionState, jax.Array]:
    """Returns the next state and the generation's highest return."""
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
      algorithm: with evosax's interface (`init`, `ask`, `tell`; it minimises), for example from
        `evolution_strategies.make_strategy`.
      params: of the algorithm.
      fitness: (population, keys) -> returns (P,), higher is better. `population` is `mean`'s pytree with a leading axis
        of P individuals, and `keys` (P,) has one key per individual; P is a device's share of the population, or the
        number that `evaluate` needs. Non-finite returns are failures: ranked last, and excluded from means.
      mean: the initial centre, a pytree of floating-point arrays.
      weight_decay: c in "return - c * mean of squared parameters", which the algorithm maximises; the metrics are of
        returns alone. (estool's CMA-ES had the wrong sign, later corrected, and rewarded large weights.)
      common_random_numbers: use the same random numbers (such as tracks) for all individuals of a generation, which
        makes them easier to compare; in the book and the paper each has its own.
      axis_name: the pmapped axis, or None.

    Steps ignore their batch. Metrics of a step: mean_return, min_return, max_return and std_return of the generation;
    best_return so far; sigma, the root mean square distance of individuals' parameters from the centre; failed, the
    number of non-finite returns. If all fail, the metrics are not finite, which stops the loop.

    `evaluate` runs one evaluation per example of its batch, each with its own random numbers: "return" of
    `mean_parameters` and "best_return" of the best individual, with the same numbers. `sample(state, key, num)` draws
    `num` individuals from the search distribution.

    Raises:
      UserError: at the first trace, for returns of the wrong shape or a population that devices can't share evenly.
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
        keys = example_keys(key, count, axis_name)[jnp.arange(2 * count) // 2]  # the same for both individuals
        pair = jax.tree.map(lambda *x: jnp.stack(x), mean_parameters(algorithm, state), state.best_parameters)
        population = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), _copies(pair, count))  # (2 B, ...)
        returns = evaluation.share(population, keys).reshape(count, 2)
        return {"return": returns[:, 0], "best_return": returns[:, 1]}

    def sample(state, key, num):
        keys = jax.random.split(key, -(-num // algorithm.population_size))
        populations = jax.vmap(lambda k: algorithm.ask(k, state.search, params)[0])(keys)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:num], populations)

    return Learner(init, step, evaluate, sample)
