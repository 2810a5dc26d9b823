"""Evolution strategies by name, with the numbers of the book's code (estool's) where evosax's algorithms have them.

evosax is imported when one is asked for: its import takes over a second.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import optax

from gdl_jax.core.errors import ConfigError, UserError, first_line
from gdl_jax.core.lookup import resolve

SIGMA_DECAY, SIGMA_LIMIT = 0.999, 0.02  # of those whose sigma follows a schedule, per generation
LEARNING_RATE = 0.01
ELITE_RATIO = 0.1


class Strategy(NamedTuple):
    """What `evolution` needs: an algorithm with evosax's interface, its parameters, and the book's weight decay."""

    algorithm: Any
    params: Any
    weight_decay: float


def _cma_es(population_size: int, solution: Any, sigma_init: float, two_point: bool | None = None) -> Strategy:
    """Ours: two-point step sizes in many dimensions and few decompositions, as in pycma, which the book's code uses."""
    from gdl_jax.learners.cma_es import CMA_ES

    algorithm = CMA_ES(population_size, solution, two_point=two_point)
    return Strategy(algorithm, algorithm.default_params.replace(std_init=sigma_init), 0.01)


def _evosax_cma_es(population_size: int, solution: Any, sigma_init: float) -> Strategy:
    from evosax.algorithms import CMA_ES

    algorithm = CMA_ES(population_size, solution)
    return Strategy(algorithm, algorithm.default_params.replace(std_init=sigma_init), 0.01)


def _sep_cma_es(population_size: int, solution: Any, sigma_init: float) -> Strategy:
    """A diagonal covariance learns (n + 2) / 3 times as fast (Ros & Hansen 2008); evosax keeps the full one's rates."""
    from evosax.algorithms import Sep_CMA_ES

    algorithm = Sep_CMA_ES(population_size, solution)
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
    """Antithetic, ranked, with Adam (Salimans et al. 2017)."""
    from evosax.algorithms import Open_ES

    schedule = _sigma_schedule(sigma_init)
    algorithm = Open_ES(population_size, solution, optimizer=_adam(), std_schedule=schedule)
    return Strategy(algorithm, algorithm.default_params, 0.005)


def _pgpe(population_size: int, solution: Any, sigma_init: float) -> Strategy:
    """estool's PEPG: antithetic, ranked, with Adam, and a sigma per parameter that changes by a fifth at most.

    The rate of sigma is evosax's: estool divides ranks by their standard deviation first.
    """
    from evosax.algorithms import PGPE

    algorithm = PGPE(population_size, solution, optimizer=_adam())
    return Strategy(algorithm, algorithm.default_params.replace(std_init=sigma_init, std_max_change=0.2), 0.005)


def _simple_es(population_size: int, solution: Any, sigma_init: float) -> Strategy:
    """estool's SES: the mean is that of the elite, and sigma goes a fifth of the way to the elite's."""
    from evosax.algorithms import SimpleES

    algorithm = SimpleES(population_size, solution)
    algorithm.elite_ratio = ELITE_RATIO
    return Strategy(algorithm, algorithm.default_params.replace(std_init=sigma_init, c_std=0.2), 0.005)


def _simple_ga(population_size: int, solution: Any, sigma_init: float) -> Strategy:
    """Parents from the elite, each parameter from either of them, and Gaussian mutation."""
    from evosax.algorithms import SimpleGA

    algorithm = SimpleGA(population_size, solution, std_schedule=_sigma_schedule(sigma_init))
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
    """Returns the strategy of that name, or package.module:function of the same arguments.

    Args:
      name: a key of STRATEGIES, or a path.
      population_size: individuals a generation, at least 2; even for those whose individuals are mirrored.
      solution: a pytree like those that are looked for.
      sigma_init: standard deviation of every parameter in the first generation.

    Raises:
      ConfigError: no such strategy, something else of that name, or numbers that can't be.
    """
    if population_size < 2:
        raise ConfigError("batch_size", population_size, "(the population) must be at least 2")
    if name in MIRRORED and population_size % 2:
        raise ConfigError("batch_size", population_size, f"(the population) must be even for {name}")
    if not sigma_init > 0:
        raise ConfigError("sigma_init", sigma_init, "must be positive")
    make = resolve("strategy", name, STRATEGIES)
    if name in STRATEGIES:
        return make(population_size, solution, sigma_init)
    try:
        strategy = make(population_size, solution, sigma_init)
    except UserError:
        raise
    except Exception as error:  # it is the user's, and may raise anything
        raise ConfigError("strategy", name, f"fails: {first_line(error)}") from error
    if not isinstance(strategy, Strategy):
        raise ConfigError("strategy", name, f"must return a Strategy, not {type(strategy).__name__}")
    return strategy
