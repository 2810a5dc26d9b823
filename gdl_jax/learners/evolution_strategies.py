"""Evolution strategies by name, with the hyperparameters of the book's code (estool) where evosax has them.

evosax is imported on first use: its import takes over a second.
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import optax

from gdl_jax.core.errors import ConfigError, UserError, first_line
from gdl_jax.core.extras import extra
from gdl_jax.core.lookup import resolve

SIGMA_DECAY, SIGMA_LIMIT = 0.999, 0.02  # of sigma schedules: factor per generation, and lower limit
LEARNING_RATE = 0.01
ELITE_RATIO = 0.1


class Strategy(NamedTuple):
    """Arguments of `evolution`: an algorithm with evosax's interface, its parameters, and the book's weight decay."""

    algorithm: Any
    params: Any
    weight_decay: float


def _evosax() -> ModuleType:
    with extra("worlds"):
        from evosax import algorithms
    return algorithms


def _cma_es(population_size: int, solution: Any, sigma_init: float, two_point: bool | None = None) -> Strategy:
    """Returns our CMA-ES: two-point adaptation in many dimensions and few decompositions, as the book's pycma."""
    from gdl_jax.learners.cma_es import CMA_ES

    algorithm = CMA_ES(population_size, solution, two_point=two_point)
    return Strategy(algorithm, algorithm.default_params.replace(std_init=sigma_init), 0.01)


def _evosax_cma_es(population_size: int, solution: Any, sigma_init: float) -> Strategy:
    algorithm = _evosax().CMA_ES(population_size, solution)
    return Strategy(algorithm, algorithm.default_params.replace(std_init=sigma_init), 0.01)


def _sep_cma_es(population_size: int, solution: Any, sigma_init: float) -> Strategy:
    """Returns sep-CMA-ES with (n + 2) / 3 times CMA-ES's learning rates (Ros & Hansen 2008); evosax has CMA-ES's."""
    algorithm = _evosax().Sep_CMA_ES(population_size, solution)
    params = algorithm.default_params
    faster = (algorithm.num_dims + 2) / 3
    c_1 = min(float(params.c_1) * faster, 1.0)
    c_mu = min(float(params.c_mu) * faster, 1.0 - c_1)
    return Strategy(algorithm, params.replace(std_init=sigma_init, c_1=c_1, c_mu=c_mu), 0.01)


def _adam() -> optax.GradientTransformation:
    return optax.adam(LEARNING_RATE, b1=0.99)


def _sigma_schedule(sigma_init: float) -> optax.Schedule:
    limit = min(SIGMA_LIMIT, sigma_init)
    return optax.exponential_decay(sigma_init, transition_steps=1, decay_rate=SIGMA_DECAY, end_value=limit)


def _open_es(population_size: int, solution: Any, sigma_init: float) -> Strategy:
    """Returns OpenES: antithetic samples, ranked fitness, Adam (Salimans et al. 2017)."""
    schedule = _sigma_schedule(sigma_init)
    algorithm = _evosax().Open_ES(population_size, solution, optimizer=_adam(), std_schedule=schedule)
    return Strategy(algorithm, algorithm.default_params, 0.005)


def _pgpe(population_size: int, solution: Any, sigma_init: float) -> Strategy:
    """Returns estool's PEPG: antithetic samples, ranked fitness, Adam; each sigma changes by at most a fifth.

    The learning rate of sigma is evosax's: estool divides ranks by their standard deviation first.
    """
    algorithm = _evosax().PGPE(population_size, solution, optimizer=_adam())
    return Strategy(algorithm, algorithm.default_params.replace(std_init=sigma_init, std_max_change=0.2), 0.005)


def _simple_es(population_size: int, solution: Any, sigma_init: float) -> Strategy:
    """Returns estool's SES: the mean becomes the elite's mean, and sigma moves a fifth of the way to the elite's."""
    algorithm = _evosax().SimpleES(population_size, solution)
    algorithm.elite_ratio = ELITE_RATIO
    return Strategy(algorithm, algorithm.default_params.replace(std_init=sigma_init, c_std=0.2), 0.005)


def _simple_ga(population_size: int, solution: Any, sigma_init: float) -> Strategy:
    """Returns a genetic algorithm: parents from the elite, uniform crossover, Gaussian mutation."""
    algorithm = _evosax().SimpleGA(population_size, solution, std_schedule=_sigma_schedule(sigma_init))
    algorithm.elite_ratio = ELITE_RATIO
    return Strategy(algorithm, algorithm.default_params.replace(crossover_rate=0.5), 0.005)


STRATEGIES: dict[str, Callable[[int, Any, float], Strategy]] = {
    "cma_es": _cma_es,
    "cma_es_two_point": partial(_cma_es, two_point=True),  # for comparing controllers of different sizes
    "evosax_cma_es": _evosax_cma_es,
    "sep_cma_es": _sep_cma_es,
    "open_es": _open_es,
    "pgpe": _pgpe,
    "simple_es": _simple_es,
    "simple_ga": _simple_ga,
}
MIRRORED = ("open_es", "pgpe")


def make_strategy(name: str, population_size: int, solution: Any, sigma_init: float = 0.1) -> Strategy:
    """Returns the strategy of that name, or of package.module:function with the other arguments.

    Args:
      name: a key of STRATEGIES, or package.module:function.
      population_size: individuals per generation, at least 2; even for MIRRORED strategies.
      solution: a pytree like the individuals.
      sigma_init: standard deviation of every parameter in the first generation; above 0.

    Raises:
      ConfigError: no such strategy, the function doesn't return one, or a number is out of range.
    """
    if population_size < 2:
        raise ConfigError("batch_size", population_size, "the population must be at least 2")
    if name in MIRRORED and population_size % 2:
        raise ConfigError("batch_size", population_size, f"the population must be even for {name}")
    if not sigma_init > 0:
        raise ConfigError("sigma_init", sigma_init, "must be positive")
    make = resolve("strategy", name, STRATEGIES)
    if name in STRATEGIES:
        return make(population_size, solution, sigma_init)
    try:
        strategy = make(population_size, solution, sigma_init)
    except UserError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise ConfigError("strategy", name, f"fails: {first_line(error)}") from error
    if not isinstance(strategy, Strategy):
        raise ConfigError("strategy", name, f"must return a Strategy, not {type(strategy).__name__}")
    return strategy
