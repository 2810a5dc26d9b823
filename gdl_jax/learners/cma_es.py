"""Covariance matrix adaptation evolution strategy (CMA-ES), with evosax's interface.

Equation numbers are those of Hansen's tutorial, "The CMA Evolution Strategy: A Tutorial" (arXiv:1604.00772v2). As there
and in pycma, the worse half of a population has negative weights ("active" CMA-ES). The step size is adapted as by
default in pycma 4.5, with its constants: below TWO_POINT_DIMENSIONS dimensions by the length of the evolution path
(CSA), otherwise by two-point adaptation (TPA; Hansen 2008, arXiv:0805.0231) with both points in the population (Hansen,
Atamna & Auger 2014, "How to assess step-size adaptation mechanisms in randomised search").

The covariance matrix is decomposed only every few generations, between which it changes little (appendix B.2).
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.extras import extra

with extra("worlds"):
    from evosax.algorithms.distribution_based.base import DistributionBasedAlgorithm, metrics_fn
    from evosax.algorithms.distribution_based.base import Params as BaseParams
    from evosax.algorithms.distribution_based.base import State as BaseState
    from evosax.core.fitness_shaping import identity_fitness_shaping_fn
    from evosax.types import Fitness, Population, Solution

TWO_POINT_DIMENSIONS = 300  # pycma's TPA_dimension
TWO_POINT_DECAY = 0.3  # pycma's weight of the newest rank difference in their average
STD_RANGE = (1e-15, 1e15)  # of the step size
LEAST_VARIANCE = 1e-20  # of the eigenvalues of C


@struct.dataclass
class State(BaseState):
    """State of the search: the distribution N(mean, std^2 C) and its history.

    Attributes:
      mean: (n,).
      std: (), the step size sigma.
      p_std, p_c: (n,), evolution paths of step size and covariance.
      C: (n, n).
      B, D: (n, n) and (n,), the last decomposition C = B diag(D^2) B^T.
      shift: (n,), the last step of the mean divided by sigma; zeros before the first.
      rank_difference: (), moving average of the two points' difference in rank, in [-1, 1].
    """

    std: jax.Array
    p_std: jax.Array
    p_c: jax.Array
    C: jax.Array
    B: jax.Array
    D: jax.Array
    shift: jax.Array
    rank_difference: jax.Array


@struct.dataclass
class Params(BaseParams):
    """Parameters of the search; the defaults are the tutorial's table 1, except the two-point damping.

    Attributes:
      std_init: initial step size.
      weights: (lambda,), of the ranks from best to worst; the positive ones sum to 1.
      mu_eff: variance-effective number of parents.
      c_std, d_std: rate of the step-size path; damping of the step size.
      c_c, c_1, c_mu: rates of the covariance path, of the rank-one and of the rank-mu update.
    """

    std_init: float
    weights: jax.Array
    mu_eff: float
    c_std: float
    d_std: float
    c_c: float
    c_1: float
    c_mu: float


def recombination(population_size: int, dimensions: int) -> tuple[np.ndarray, float, float, float]:
    """Returns (weights (lambda,), mu_eff, c_1, c_mu) in float64, as in the tutorial's table 1 and pycma's defaults."""
    ranks = np.arange(1, population_size + 1)
    raw = math.log((population_size + 1) / 2) - np.log(ranks)  # (49)
    positive, negative = np.maximum(raw, 0), np.maximum(-raw, 0)
    mu_eff = positive.sum() ** 2 / np.square(positive).sum()  # (8)
    mu_eff_negative = negative.sum() ** 2 / np.square(negative).sum()
    small = min(1.0, population_size / 6)  # pycma's factor for very small populations
    c_1 = small * 2 / ((dimensions + 1.3) ** 2 + mu_eff)  # (57)
    c_mu = min(1 - c_1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((dimensions + 2) ** 2 + mu_eff))  # (58)
    scale = min(
        1 + c_1 / c_mu,  # (50): C does not decay
        1 + 2 * mu_eff_negative / (mu_eff + 2),  # (51)
        (1 - c_1 - c_mu) / (dimensions * c_mu),  # (52): C stays positive definite
    )
    weights = positive / positive.sum() - scale * negative / negative.sum()  # (53)
    return weights, float(mu_eff), float(c_1), float(c_mu)


def rank_weights(key: jax.Array, fitness: jax.Array, weights: jax.Array) -> jax.Array:
    """Returns each individual's weight, (lambda,), by its rank.

    Ties are broken at random, so that the search doesn't drift on a plateau: the first two individuals may be special.

    Args:
      key: for ties.
      fitness: (lambda,), lower is better.
      weights: (lambda,), from best to worst.
    """
    order = jnp.lexsort((jax.random.uniform(key, fitness.shape), fitness))
    return weights[jnp.argsort(order)]


def decompose(C: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns C corrected for rounding errors, and its decomposition B diag(D^2) B^T: (n, n), (n, n), (n,).

    Rounding makes C slightly asymmetric and, at condition numbers near 1e7, indefinite; later updates don't correct
    this, and it may grow. The result is the symmetric part, plus a multiple of the identity where the smallest
    eigenvalue is below the rounding error of the largest, which bounds the condition number by 8e6.
    """
    C = (C + C.T) / 2
    eigenvalues, B = jnp.linalg.eigh(C, symmetrize_input=False)  # ascending
    smallest = jnp.maximum(jnp.finfo(C.dtype).eps * eigenvalues[-1], LEAST_VARIANCE)
    lift = jnp.maximum(smallest - eigenvalues[0], 0)
    D = jnp.sqrt(jnp.maximum(eigenvalues + lift, smallest))
    return C + lift * jnp.eye(len(C), dtype=C.dtype), B, D


def limited(std: jax.Array, mean: jax.Array, C: jax.Array) -> jax.Array:
    """Returns the step size, clipped to STD_RANGE and from below where rounding would make all individuals the mean."""
    deviations = jnp.sqrt(jnp.maximum(jnp.diagonal(C), LEAST_VARIANCE))
    smallest = jnp.finfo(C.dtype).eps * jnp.min(jnp.abs(mean) / deviations)
    return jnp.clip(jnp.maximum(std, smallest), *STD_RANGE)


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns a b in full precision; accelerators round to bfloat16 by default, and dividing by D amplifies errors."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


class CMA_ES(DistributionBasedAlgorithm):
    """(mu/mu_w, lambda)-CMA-ES; a drop-in replacement of evosax's class of this name that converges like pycma.

    `tell` expects the fitness in the population's order; lower is better, and non-finite values rank last. The shaped
    fitness is ranked here: `fitness_shaping_fn` may add penalties but must keep "lower is better", unlike the weights
    that evosax's own CMA-ES uses by default.

    C is decomposed every `decomposition_gap` generations. Under vmap it is decomposed in every generation, because
    conditionals compute both branches.

    Args:
      population_size: lambda, at least 2.
      solution: a pytree like the individuals.
      fitness_shaping_fn, metrics_fn: as evosax's.
      two_point: use two-point step-size adaptation; None: if there are TWO_POINT_DIMENSIONS or more, as in pycma.

    Raises:
      ConfigError: the population is smaller.
    """

    def __init__(
        self,
        population_size: int,
        solution: Solution,
        fitness_shaping_fn: Callable = identity_fitness_shaping_fn,
        metrics_fn: Callable = metrics_fn,
        two_point: bool | None = None,
    ):
        if population_size < 2:
            raise ConfigError("batch_size", population_size, "the population must be at least 2")
        super().__init__(population_size, solution, fitness_shaping_fn, metrics_fn)
        n = self.num_dims
        self.two_point = n >= TWO_POINT_DIMENSIONS if two_point is None else two_point
        self.chi_n = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))  # E ||N(0, I)||, appendix A
        params = self._default_params
        self.decomposition_gap = math.ceil(1 / ((params.c_1 + params.c_mu) * n * 10))  # appendix B.2; pycma rounds up

    @property
    def _default_params(self) -> Params:
        n, size = self.num_dims, self.population_size
        weights, mu_eff, c_1, c_mu = recombination(size, n)
        c_std = (mu_eff + 2) / (n + mu_eff + 5)  # (55)
        if self.two_point:
            d_std = 0.7 + 2 * math.log(n) + 2 * math.log(max(1, size - n))  # pycma's
        else:
            d_std = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_std  # (55)
        c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)  # (56)
        return Params(1.0, jnp.asarray(weights, jnp.float32), mu_eff, c_std, d_std, c_c, c_1, c_mu)

    def _init(self, key: jax.Array, params: Params) -> State:
        del key
        n = self.num_dims
        zeros = jnp.zeros(n)
        return State(
            best_solution=jnp.full(n, jnp.nan),
            best_fitness=jnp.asarray(jnp.inf),
            generation_counter=jnp.zeros((), jnp.int32),
            mean=jnp.full(n, jnp.nan),  # `init` sets it
            std=jnp.asarray(params.std_init, jnp.float32),
            p_std=zeros,
            p_c=zeros,
            C=jnp.eye(n),
            B=jnp.eye(n),
            D=jnp.ones(n),
            shift=zeros,
            rank_difference=jnp.zeros(()),
        )

    def _ask(self, key: jax.Array, state: State, params: Params) -> tuple[Population, State]:
        """Samples C^1/2 z = B D B^T z instead of B D z as in (39).

        Both are N(0, C), but only the former is continuous in C: eigenvectors of nearly equal eigenvalues depend on the
        last bit of C, so that the search would differ with the number of devices.
        """
        del params
        z = jax.random.normal(key, (self.population_size, self.num_dims))  # (38)
        z = _product(z, state.B)  # B^T z, also N(0, I)
        if self.two_point:
            z = self._with_two_points(z, state)
        y = _product(z * state.D, state.B.T)  # (39)
        return state.mean + state.std * y, state  # (40)

    def _with_two_points(self, z: jax.Array, state: State) -> jax.Array:
        """Returns z with two rows along the mean's last step, ahead and behind, both with the first row's length."""
        step = _product(state.shift, state.B) / state.D
        length = jnp.linalg.norm(step)
        ahead = jnp.linalg.norm(z[0]) / jnp.where(length > 0, length, 1) * step
        return z.at[:2].set(jnp.where(length > 0, jnp.stack([ahead, -ahead]), z[:2]))

    def _tell(self, key: jax.Array, population: Population, fitness: Fitness, state: State, params: Params) -> State:
        n, generation = self.num_dims, state.generation_counter + 1
        fitness = jnp.where(jnp.isfinite(fitness), fitness, jnp.inf)
        weights = rank_weights(key, fitness, params.weights)
        positive, negative = jnp.maximum(weights, 0), jnp.minimum(weights, 0)
        y = (population - state.mean) / state.std  # (lambda, n), ~ N(0, C)
        z = _product(y, state.B) / state.D  # (lambda, n), ~ N(0, I)

        shift = _product(positive, y)  # (41)
        mean = state.mean + state.std * shift  # (42), c_m = 1

        isotropic_shift = _product(state.B, _product(positive, z))  # C^-1/2 shift
        gain = jnp.sqrt(params.c_std * (2 - params.c_std) * params.mu_eff)
        p_std = (1 - params.c_std) * state.p_std + gain * isotropic_shift  # (43)
        length = jnp.linalg.norm(p_std)

        started = jnp.sqrt(1 - (1 - params.c_std) ** (2 * generation))
        h_std = length / started < (1.4 + 2 / (n + 1)) * self.chi_n  # appendix A: otherwise p_c is not updated
        gain = jnp.sqrt(params.c_c * (2 - params.c_c) * params.mu_eff)
        p_c = (1 - params.c_c) * state.p_c + h_std * gain * shift  # (45)

        squared_length = jnp.maximum(jnp.square(z).sum(axis=-1), jnp.finfo(z.dtype).eps)
        balanced = positive + negative * n / squared_length  # (46)
        missing = (1 - h_std) * params.c_c * (2 - params.c_c)  # delta(h_std) of appendix A
        decay = 1 + params.c_1 * missing - params.c_1 - params.c_mu * params.weights.sum()
        directions = jnp.concatenate([p_c[None], y])  # rank-one and rank-mu update in one product
        rates = jnp.concatenate([jnp.full(1, params.c_1), params.c_mu * balanced])
        C = decay * state.C + _product((directions * rates[:, None]).T, directions)  # (47)

        if self.two_point:
            rank_difference = self._updated_rank_difference(fitness, state)
            change = rank_difference / params.d_std
        else:
            rank_difference = state.rank_difference
            change = params.c_std / params.d_std * (length / self.chi_n - 1)  # (44)

        if self.decomposition_gap == 1:
            C, B, D = decompose(C)
        else:
            due = generation % self.decomposition_gap == 0
            C, B, D = lax.cond(due, decompose, lambda C: (C, state.B, state.D), C)
        return state.replace(
            mean=mean,
            std=limited(state.std * jnp.exp(change), mean, C),
            p_std=p_std,
            p_c=p_c,
            C=C,
            B=B,
            D=D,
            shift=shift,
            rank_difference=rank_difference,
        )

    def _updated_rank_difference(self, fitness: jax.Array, state: State) -> jax.Array:
        """Returns the new moving average; positive where the point ahead is better, so that steps should be longer.

        The square root, pycma's, amplifies small differences. The first generation has no previous step, and keeps the
        average.
        """
        better = (fitness < fitness[:2, None]).sum(axis=-1)  # (2,), numbers of individuals better than either point
        difference = (better[1] - better[0]) / (self.population_size - 1)
        scaled = jnp.sign(difference) * jnp.sqrt(jnp.abs(difference))
        averaged = (1 - TWO_POINT_DECAY) * state.rank_difference + TWO_POINT_DECAY * scaled
        return jnp.where(jnp.any(state.shift != 0), averaged, state.rank_difference)
