"""The covariance matrix adaptation evolution strategy, with evosax's interface.

Equation numbers are those of Hansen's tutorial, "The CMA Evolution Strategy: A Tutorial" (arXiv:1604.00772v2). As in it
and in pycma, the worse half of a population has negative weights ("active" CMA-ES). The step size is adapted as pycma
4.5 does by default: by the length of the evolution path (CSA) below TWO_POINT_DIMENSIONS dimensions, and from there on
by two points (TPA; Hansen 2008, arXiv:0805.0231) that are part of the population (Hansen, Atamna & Auger 2014, "How to
assess step-size adaptation mechanisms in randomised search"), with pycma's constants.

The covariance matrix is decomposed only every few generations: it changes by little in one (tutorial, appendix B.2).
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from evosax.algorithms.distribution_based.base import DistributionBasedAlgorithm, metrics_fn
from evosax.algorithms.distribution_based.base import Params as BaseParams
from evosax.algorithms.distribution_based.base import State as BaseState
from evosax.core.fitness_shaping import identity_fitness_shaping_fn
from evosax.types import Fitness, Population, Solution
from flax import struct
from jax import lax

from gdl_jax.core.errors import ConfigError

TWO_POINT_DIMENSIONS = 300  # as pycma's TPA_dimension
TWO_POINT_DECAY = 0.3  # pycma's: how fast rank differences are forgotten
STD_RANGE = (1e-15, 1e15)  # of the step size
LEAST_VARIANCE = 1e-20  # of the eigenvalues of C


@struct.dataclass
class State(BaseState):
    """The search distribution N(mean, std^2 C), with C = B diag(D^2) B^T as of the last decomposition, and its past.

    Attributes:
      mean, p_std, p_c: (n,), the latter two the evolution paths of step size and covariance.
      std: (), the step size sigma.
      C, B: (n, n).
      D: (n,), standard deviations along the columns of B.
      shift: (n,), the last step of the mean, over sigma; zeros before the first.
      rank_difference: (), the averaged difference between the ranks of the two points, in [-1, 1].
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
    """Numbers that may be replaced; the defaults are the tutorial's table 1 but for the two-point damping.

    Attributes:
      std_init: the first step size.
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
    """(weights (lambda,), mu_eff, c_1, c_mu), in float64: table 1 of the tutorial, and pycma's defaults."""
    ranks = np.arange(1, population_size + 1)
    raw = math.log((population_size + 1) / 2) - np.log(ranks)  # (49)
    positive, negative = np.maximum(raw, 0), np.maximum(-raw, 0)
    mu_eff = positive.sum() ** 2 / np.square(positive).sum()  # (8)
    mu_eff_negative = negative.sum() ** 2 / np.square(negative).sum()
    few = min(1.0, population_size / 6)  # pycma's, for very small populations
    c_1 = few * 2 / ((dimensions + 1.3) ** 2 + mu_eff)  # (57)
    c_mu = min(1 - c_1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((dimensions + 2) ** 2 + mu_eff))  # (58)
    scale = min(
        1 + c_1 / c_mu,  # (50): C does not decay
        1 + 2 * mu_eff_negative / (mu_eff + 2),  # (51)
        (1 - c_1 - c_mu) / (dimensions * c_mu),  # (52): C stays positive definite
    )
    weights = positive / positive.sum() - scale * negative / negative.sum()  # (53)
    return weights, float(mu_eff), float(c_1), float(c_mu)


def rank_weights(key: jax.Array, fitness: jax.Array, weights: jax.Array) -> jax.Array:
    """Each individual's weight, (lambda,), by its rank.

    Equals are ranked at random, so that on a plateau the search wanders instead of drifting: the first two individuals
    of a population may be special.

    Args:
      key: for that.
      fitness: (lambda,), lower is better.
      weights: (lambda,), from best to worst.
    """
    order = jnp.lexsort((jax.random.uniform(key, fitness.shape), fitness))
    return weights[jnp.argsort(order)]


def decompose(C: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """C mended, and its decomposition B diag(D^2) B^T: (n, n), (n, n), (n,).

    Rounding makes C a little asymmetric and, where its condition number nears 1e7, indefinite; neither is undone by the
    updates that follow, and both may grow. So the symmetric part is taken, and a multiple of the identity is added
    where the least eigenvalue is below the rounding error of the largest, which bounds the condition number by 8e6.
    """
    C = (C + C.T) / 2
    eigenvalues, B = jnp.linalg.eigh(C, symmetrize_input=False)  # ascending
    smallest = jnp.maximum(jnp.finfo(C.dtype).eps * eigenvalues[-1], LEAST_VARIANCE)
    lift = jnp.maximum(smallest - eigenvalues[0], 0)
    D = jnp.sqrt(jnp.maximum(eigenvalues + lift, smallest))
    return C + lift * jnp.eye(len(C), dtype=C.dtype), B, D


def limited(std: jax.Array, mean: jax.Array, C: jax.Array) -> jax.Array:
    """The step size, but not so small that no parameter would change any more: then all individuals were the mean."""
    deviations = jnp.sqrt(jnp.maximum(jnp.diagonal(C), LEAST_VARIANCE))
    smallest = jnp.finfo(C.dtype).eps * jnp.min(jnp.abs(mean) / deviations)
    return jnp.clip(jnp.maximum(std, smallest), *STD_RANGE)


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """a b in full precision: accelerators would round to bfloat16, which the inverse of D magnifies."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


class CMA_ES(DistributionBasedAlgorithm):
    """(mu/mu_w, lambda)-CMA-ES; a drop-in for evosax's class of this name, that converges as pycma does.

    `tell` expects the fitness in the order in which `ask` gave the population; lower is better, and what is not finite
    counts as worst. The shaped fitness is ranked here, so that `fitness_shaping_fn` may add penalties but must keep
    "lower is better": evosax's weights, its own CMA-ES's default, would be turned round.

    A decomposition is due every `decomposition_gap` generations. Under vmap every generation pays for one, since both
    branches of a conditional are then computed.

    Args:
      population_size: lambda, at least 2.
      solution: a pytree like those that are looked for.
      fitness_shaping_fn, metrics_fn: as evosax's.
      two_point: whether the step size is adapted by two points; None: as pycma decides.

    Raises:
      ConfigError: a smaller population.
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
            raise ConfigError("batch_size", population_size, "(the population) must be at least 2")
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
        """Draws C^1/2 z = B D B^T z where (39) has B D z.

        Both are N(0, C), but the former is continuous in C: eigenvectors of nearly equal eigenvalues turn with the last
        bit of C, and the search would go another way on another number of devices.
        """
        del params
        z = jax.random.normal(key, (self.population_size, self.num_dims))  # (38)
        z = _product(z, state.B)  # B^T z: no less N(0, I)
        if self.two_point:
            z = self._with_two_points(z, state)
        y = _product(z * state.D, state.B.T)  # (39)
        return state.mean + state.std * y, state  # (40)

    def _with_two_points(self, z: jax.Array, state: State) -> jax.Array:
        """The first two draws lie along the last step of the mean, one ahead and one behind, as long as a draw is."""
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
        h_std = length / started < (1.4 + 2 / (n + 1)) * self.chi_n  # appendix A: else the path waits
        gain = jnp.sqrt(params.c_c * (2 - params.c_c) * params.mu_eff)
        p_c = (1 - params.c_c) * state.p_c + h_std * gain * shift  # (45)

        squared_length = jnp.maximum(jnp.square(z).sum(axis=-1), jnp.finfo(z.dtype).eps)
        balanced = positive + negative * n / squared_length  # (46)
        missing = (1 - h_std) * params.c_c * (2 - params.c_c)  # delta(h_std) of appendix A
        decay = 1 + params.c_1 * missing - params.c_1 - params.c_mu * params.weights.sum()
        directions = jnp.concatenate([p_c[None], y])  # both updates are one product
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
        """Averaged over the past; positive where the point ahead is the better one, and steps should be longer.

        pycma's square root makes more of small differences. In the first generation there is no step yet to go along.
        """
        better = (fitness < fitness[:2, None]).sum(axis=-1)  # (2,), how many are better than the one ahead and behind
        difference = (better[1] - better[0]) / (self.population_size - 1)
        now = jnp.sign(difference) * jnp.sqrt(jnp.abs(difference))
        averaged = (1 - TWO_POINT_DECAY) * state.rank_difference + TWO_POINT_DECAY * now
        return jnp.where(jnp.any(state.shift != 0), averaged, state.rank_difference)
