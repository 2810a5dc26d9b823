"""CMA-ES against NumPy restatements of its equations, and against pycma."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from evosax.algorithms import CMA_ES as EvosaxCMA_ES
from jax import lax

from gdl_jax.core.errors import UserError
from gdl_jax.learners.cma_es import CMA_ES, STD_RANGE, TWO_POINT_DIMENSIONS, decompose, rank_weights, recombination

SOLUTION = {"bias": jnp.zeros(2), "kernel": jnp.zeros((2, 3))}  # n = 8
N, POPULATION = 8, 10


def sphere(x):
    return (x**2).sum(-1)


def ellipsoid(x):
    return (x**2 * (10 ** (6 * np.arange(x.shape[-1]) / (x.shape[-1] - 1))).astype(x.dtype)).sum(-1)


def rosenbrock(x):
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def generation(algorithm, function, params):
    """Returns a body for lax.scan, in evosax's style."""

    def body(state, key):
        ask_key, tell_key = jax.random.split(key)
        population, state = algorithm.ask(ask_key, state, params)
        fitness = function(jax.vmap(lambda x: jax.flatten_util.ravel_pytree(x)[0])(population))
        state, _ = algorithm.tell(tell_key, population, fitness, state, params)
        return state, fitness.min()

    return body


def search(algorithm, function, params, mean, generations, seed=0):
    """Returns (state, best value of each generation) of a compiled search."""

    def run(key):
        state = algorithm.init(key, mean, params)
        return lax.scan(generation(algorithm, function, params), state, jax.random.split(key, generations))

    return jax.jit(run)(jax.random.key(seed))


@functools.cache
def mid_search(two_point):
    """Returns an algorithm, its parameters, and its state after five generations."""
    algorithm = CMA_ES(POPULATION, SOLUTION, two_point=two_point)
    params = algorithm.default_params.replace(std_init=0.5)
    state, _ = search(algorithm, ellipsoid, params, jax.tree.map(jnp.ones_like, SOLUTION), 5)
    return algorithm, params, state


def updated(algorithm, params, state, fitness, key=0):
    """Returns the next population (lambda, n), and the state after an update with the given fitness."""
    population, asked = algorithm.ask(jax.random.key(key), state, params)
    flat = jax.vmap(lambda x: jax.flatten_util.ravel_pytree(x)[0])(population)
    new, _ = algorithm.tell(jax.random.key(1), population, jnp.asarray(fitness, jnp.float32), asked, params)
    return np.asarray(flat, np.float64), new


def tutorial_update(state, population, fitness, two_point):
    """Returns the state's attributes after one generation, in float64, by the tutorial's figure 6 and table 1."""
    old = {
        name: np.asarray(getattr(state, name), np.float64) for name in ("mean", "std", "p_std", "p_c", "C", "B", "D")
    }
    lam, n = population.shape
    g = int(state.generation_counter) + 1
    raw = [math.log((lam + 1) / 2) - math.log(i) for i in range(1, lam + 1)]
    plus, minus = [w for w in raw if w >= 0], [w for w in raw if w < 0]
    mu_eff, mu_eff_minus = sum(plus) ** 2 / sum(w * w for w in plus), sum(minus) ** 2 / sum(w * w for w in minus)
    c_s, c_c = (mu_eff + 2) / (n + mu_eff + 5), (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)
    c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)
    c_m = min(1 - c_1, 2 * (1 / 4 + mu_eff + 1 / mu_eff - 2) / ((n + 2) ** 2 + 2 * mu_eff / 2))
    alpha = min(1 + c_1 / c_m, 1 + 2 * mu_eff_minus / (mu_eff + 2), (1 - c_1 - c_m) / (n * c_m))
    weights = [w / sum(plus) for w in plus] + [-alpha * w / sum(minus) for w in minus]
    chi = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))

    order = np.argsort(fitness)
    y = (population[order] - old["mean"]) / old["std"]
    inverse_root = np.linalg.inv(scipy.linalg.sqrtm(old["B"] @ np.diag(old["D"] ** 2) @ old["B"].T).real)
    y_w = sum(w * y_i for w, y_i in zip(weights, y, strict=True) if w > 0)
    p_s = (1 - c_s) * old["p_std"] + math.sqrt(c_s * (2 - c_s) * mu_eff) * inverse_root @ y_w
    h = np.linalg.norm(p_s) / math.sqrt(1 - (1 - c_s) ** (2 * g)) < (1.4 + 2 / (n + 1)) * chi
    p_c = (1 - c_c) * old["p_c"] + h * math.sqrt(c_c * (2 - c_c) * mu_eff) * y_w
    C = (1 + c_1 * (1 - h) * c_c * (2 - c_c) - c_1 - c_m * sum(weights)) * old["C"] + c_1 * np.outer(p_c, p_c)
    for w, y_i in zip(weights, y, strict=True):
        C = C + c_m * w * (1 if w >= 0 else n / np.sum((inverse_root @ y_i) ** 2)) * np.outer(y_i, y_i)
    if two_point:  # pycma's: update2 of its CMAAdaptSigmaTPA
        rank = np.argsort(order)
        z = (rank[1] - rank[0]) / (lam - 1)
        s = 0.7 * float(state.rank_difference) + 0.3 * np.sign(z) * abs(z) ** 0.5
        std = old["std"] * math.exp(s / (0.7 + 2 * math.log(n) + 2 * math.log(max(1, lam - n))))
    else:
        d_s = 1 + 2 * max(0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_s
        std = old["std"] * math.exp(c_s / d_s * (np.linalg.norm(p_s) / chi - 1))
    return {"mean": old["mean"] + old["std"] * y_w, "p_std": p_s, "p_c": p_c, "C": C, "std": std}


@pytest.mark.slow
@pytest.mark.parametrize("stalled", [False, True], ids=["moving", "stalled"])
@pytest.mark.parametrize("two_point", [False, True], ids=["csa", "tpa"])
def test_one_generation_matches_the_tutorial(two_point, stalled):
    algorithm, params, state = mid_search(two_point)
    if stalled:  # a long path stalls the covariance path
        state = state.replace(p_std=state.p_std * 20 / jnp.linalg.norm(state.p_std))
    fitness = np.random.default_rng(0).permutation(POPULATION).astype(float)
    population, new = updated(algorithm, params, state, fitness)
    expected = tutorial_update(state, population, fitness, two_point)
    for name, value in expected.items():
        actual = np.asarray(getattr(new, name))
        np.testing.assert_allclose(actual, value, rtol=2e-4, atol=2e-5 * np.abs(value).max(), err_msg=name)
    moved = np.linalg.norm(np.asarray(new.p_c) - (1 - params.c_c) * np.asarray(state.p_c)) > 1e-3
    assert moved != stalled
    np.testing.assert_allclose(new.B * new.D**2 @ new.B.T, new.C, atol=1e-5 * np.abs(new.C).max())


@pytest.mark.parametrize(("dimensions", "population"), [(2, 4), (5, 7), (10, 10), (10, 200), (867, 64), (40, 5)])
def test_weights_rates_and_gap_match_pycma(dimensions, population):
    cma = pytest.importorskip("cma")
    pycma = cma.CMAEvolutionStrategy(np.zeros(dimensions), 1.0, {"popsize": population, "verbose": -9})
    weights, mu_eff, c_1, c_mu = recombination(population, dimensions)
    np.testing.assert_allclose(weights, pycma.sp.weights, rtol=1e-12, atol=1e-15)
    rates = pycma.sm.parameters()
    np.testing.assert_allclose([mu_eff, c_1, c_mu], [pycma.sp.weights.mueff, rates["c1"], rates["cmu"]], rtol=1e-12)
    algorithm = CMA_ES(population, jnp.zeros(dimensions))
    assert algorithm.default_params.c_c == pytest.approx(pycma.sp.cc, rel=1e-12)
    assert algorithm.decomposition_gap == max(1, math.ceil(pycma.sm.lazy_update_gap))


def test_step_size_adaptation_is_chosen_as_in_pycma():
    cma = pytest.importorskip("cma")
    assert cma.evolution_strategy.TPA_dimension == TWO_POINT_DIMENSIONS
    for dimensions in (TWO_POINT_DIMENSIONS - 1, TWO_POINT_DIMENSIONS):
        pycma = cma.CMAEvolutionStrategy(np.zeros(dimensions), 1.0, {"popsize": 64, "verbose": -9})
        algorithm = CMA_ES(64, jnp.zeros(dimensions))
        two_point = isinstance(pycma.adapt_sigma, cma.sigma_adaptation.CMAAdaptSigmaTPA)
        assert algorithm.two_point == two_point
        if two_point:
            assert algorithm.default_params.d_std == pytest.approx(pycma.adapt_sigma.sp.damp, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "dimensions", "start", "two_point", "target"),
    [
        pytest.param(sphere, 10, 1.0, False, 1e-8, id="sphere-csa"),
        pytest.param(sphere, 10, 1.0, True, 1e-8, id="sphere-tpa"),
        pytest.param(ellipsoid, 6, 1.0, False, 1e-8, id="ellipsoid-csa"),
        pytest.param(ellipsoid, 6, 1.0, True, 1e-8, id="ellipsoid-tpa"),
        pytest.param(rosenbrock, 5, 0.0, False, 1e-6, id="rosenbrock-csa"),
    ],
)
def test_needs_no_more_generations_than_pycma(function, dimensions, start, two_point, target):
    cma = pytest.importorskip("cma")
    kinds = cma.sigma_adaptation
    kind = kinds.CMAAdaptSigmaTPA if two_point else kinds.CMAAdaptSigmaCSA

    def pycma(seed):
        options = {"popsize": 12, "seed": seed, "verbose": -9, "AdaptSigma": kind}
        strategy = cma.CMAEvolutionStrategy(np.full(dimensions, start), 0.3, options)
        for count in range(1, 1001):
            population = strategy.ask()
            values = function(np.asarray(population))
            if values.min() < target:
                return count
            strategy.tell(population, values.tolist())
        return math.inf

    algorithm = CMA_ES(12, jnp.zeros(dimensions), two_point=two_point)
    params = algorithm.default_params.replace(std_init=0.3)
    _, best = jax.vmap(lambda s: search(algorithm, function, params, jnp.full(dimensions, start), 600, s))(
        jnp.arange(15)
    )
    reached = np.asarray(best) < target
    ours = np.where(reached.any(1), reached.argmax(1) + 1, np.inf)
    assert np.median(ours) <= 1.2 * np.median([pycma(seed) for seed in range(1, 8)])


def test_two_points_lie_along_the_last_step():
    algorithm, params, state = mid_search(two_point=True)
    old = np.asarray(state.mean, np.float64)
    _, state = updated(algorithm, params, state, np.arange(POPULATION))
    step = np.asarray(state.mean, np.float64) - old
    draws = jax.vmap(lambda key: algorithm.ask(key, state, params)[0])(jax.random.split(jax.random.key(0), 500))
    flat = jax.vmap(jax.vmap(lambda x: jax.flatten_util.ravel_pytree(x)[0]))(draws)
    y = np.asarray(flat - state.mean, np.float64) / float(state.std)
    np.testing.assert_allclose(y[:, 0], -y[:, 1], atol=1e-4)
    cosine = y[:, 0] @ step / np.linalg.norm(y[:, 0], axis=1) / np.linalg.norm(step)
    np.testing.assert_allclose(cosine, 1, atol=1e-4)
    whitened = np.linalg.solve(np.asarray(state.B * state.D, np.float64), y[:, 0].T)
    np.testing.assert_allclose((whitened**2).sum(0).mean(), N, rtol=0.1)  # chi-squared with n degrees of freedom
    independent = np.linalg.solve(np.asarray(state.B * state.D, np.float64), y[:, 2].T)
    np.testing.assert_allclose(np.cov(independent), np.eye(N), atol=0.25)


@pytest.mark.parametrize(("ahead", "behind", "sign"), [(0, 9, 1), (9, 0, -1), (3, 5, 1)])
def test_step_size_follows_the_better_point(ahead, behind, sign):
    algorithm, params, state = mid_search(two_point=True)
    state = state.replace(rank_difference=jnp.zeros(()))
    rest = [rank for rank in range(POPULATION) if rank not in (ahead, behind)]
    _, new = updated(algorithm, params, state, [ahead, behind, *rest])
    assert np.sign(np.log(new.std / state.std)) == sign


def test_first_generation_has_no_two_points():
    algorithm = CMA_ES(POPULATION, SOLUTION, two_point=True)
    params = algorithm.default_params
    state = algorithm.init(jax.random.key(0), SOLUTION, params)
    population, new = updated(algorithm, params, state, np.arange(POPULATION))
    assert np.abs(population[0] + population[1]).max() > 0.1
    assert new.std == state.std and new.rank_difference == 0


@pytest.mark.slow
def test_decompositions_are_rare_and_exact():
    algorithm = CMA_ES(12, jnp.zeros(300))
    params = algorithm.default_params
    assert algorithm.decomposition_gap == 5
    state = algorithm.init(jax.random.key(0), jnp.ones(300), params)
    body = jax.jit(generation(algorithm, ellipsoid, params))
    for count in range(1, 11):
        before = state
        state, _ = body(state, jax.random.key(count))
        assert np.array_equal(state.B, before.B) == (count % 5 != 0)
        if count % 5 == 0:
            np.testing.assert_allclose(state.B * state.D**2 @ state.B.T, state.C, atol=1e-5)


def test_decompose_corrects_the_matrix():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    matrix = basis * np.array([4.0, 1.0, 0.25, -1e-3, -2.0]) @ basis.T
    skew = rng.normal(size=(5, 5))
    C, B, D = decompose(jnp.asarray(matrix + skew - skew.T, jnp.float32))
    np.testing.assert_allclose(C, matrix + 2 * np.eye(5), atol=1e-5)
    np.testing.assert_allclose(np.sort(D**2), [4 * np.finfo(np.float32).eps, 2 - 1e-3, 2.25, 3, 6], rtol=1e-3)
    np.testing.assert_allclose(B * D**2 @ B.T, C, atol=1e-5)


def test_decompose_keeps_a_valid_matrix():
    matrix = np.diag(np.array([1e-4, 1.0, 10.0], np.float32))
    C, _, D = decompose(jnp.asarray(matrix))
    np.testing.assert_array_equal(C, matrix)
    np.testing.assert_allclose(D**2, np.diag(matrix), rtol=1e-5)


def test_ties_are_broken_at_random():
    weights = np.arange(5.0)
    fitness = jnp.array([2.0, 1.0, 2.0, jnp.inf, 2.0])  # the equal ones have ranks 2, 3 and 4
    keys = jax.random.split(jax.random.key(0), 3000)
    assigned = np.asarray(jax.vmap(lambda key: rank_weights(key, fitness, jnp.asarray(weights)))(keys))
    assert (assigned[:, 1] == 0).all() and (assigned[:, 3] == 4).all()
    orders, counts = np.unique(assigned[:, [0, 2, 4]], axis=0, return_counts=True)
    np.testing.assert_array_equal(orders, list(itertools.permutations([1.0, 2.0, 3.0])))
    np.testing.assert_allclose(counts / 500, 1, atol=0.2)


@pytest.mark.slow
def test_no_drift_on_a_plateau():
    """After k independent steps the mean is sqrt(k) steps away; with drift along the last step it would be k."""
    algorithm = CMA_ES(20, jnp.zeros(40), two_point=True)
    params = algorithm.default_params.replace(c_1=0.0, c_mu=0.0)  # constant C
    ends = jax.vmap(lambda seed: search(algorithm, lambda x: x[..., 0] * 0, params, jnp.zeros(40), 100, seed)[0].mean)
    squares = np.square(ends(jnp.arange(20))).sum(axis=1)
    assert np.mean(squares) == pytest.approx(100 * 40 / params.mu_eff, rel=0.35)


@pytest.mark.parametrize("failure", [np.nan, np.inf, -np.inf])
def test_non_finite_fitness_ranks_last(failure):
    algorithm, params, state = mid_search(two_point=False)
    fitness = np.arange(POPULATION, dtype=float)
    _, expected = updated(algorithm, params, state, np.where(fitness == 4, 1e9, fitness))
    _, new = updated(algorithm, params, state, np.where(fitness == 4, failure, fitness))
    for name in ("mean", "std", "C", "p_c"):
        np.testing.assert_array_equal(getattr(new, name), getattr(expected, name))


@pytest.mark.slow
@pytest.mark.parametrize("two_point", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: x[..., 0] * 0, id="flat"),
        pytest.param(lambda x: x[..., 0] * jnp.nan, id="all fail"),
        pytest.param(lambda x: x[..., 0], id="unbounded"),
        pytest.param(sphere, id="underflow"),
        pytest.param(lambda x: sphere(x - 2), id="rounding"),
    ],
)
def test_thousands_of_generations_stay_finite(function, two_point):
    algorithm = CMA_ES(6, jnp.zeros(3), two_point=two_point)
    state, _ = search(algorithm, function, algorithm.default_params, jnp.ones(3), 3000)
    for name in ("mean", "std", "p_std", "p_c", "C", "B", "D", "shift", "rank_difference"):
        assert np.isfinite(getattr(state, name)).all(), name
    assert STD_RANGE[0] * 0.99 <= state.std <= STD_RANGE[1] * 1.01
    population, _ = algorithm.ask(jax.random.key(0), state, algorithm.default_params)
    assert len(np.unique(population, axis=0)) > 1


@pytest.mark.slow
def test_is_a_drop_in_for_evosax():
    """Has the same calls, states and metrics, and works in a Python loop, scanned and vmapped."""
    ours, theirs = CMA_ES(POPULATION, SOLUTION), EvosaxCMA_ES(POPULATION, SOLUTION)
    key, shapes = jax.random.key(0), []
    for algorithm in (ours, theirs):
        params = algorithm.default_params.replace(std_init=0.5)
        state = algorithm.init(key, SOLUTION, params)
        population, state = algorithm.ask(key, state, params)
        state, metrics = algorithm.tell(key, population, jnp.arange(float(POPULATION)), state, params)
        results = {"population": population, "metrics": metrics, "mean": algorithm.get_mean(state)}
        shapes.append(jax.tree.map(jnp.shape, results | {"best": (state.best_solution, state.best_fitness)}))
        assert state.best_fitness == 0 and state.generation_counter == 1
    assert shapes[0] == shapes[1]

    params = ours.default_params.replace(std_init=0.5)
    body, keys = generation(ours, sphere, params), jax.random.split(key, 30)
    state = first = ours.init(key, jax.tree.map(jnp.ones_like, SOLUTION), params)
    for k in keys:
        state, _ = body(state, k)
    scanned, best = lax.scan(body, first, keys)
    mapped, mapped_best = jax.vmap(lambda ks: lax.scan(body, first, ks))(jnp.stack([keys, keys[::-1]]))
    np.testing.assert_allclose(scanned.mean, state.mean, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(mapped.mean[0], state.mean, rtol=1e-3, atol=1e-5)
    assert best[-1] < 0.2 * best[0] and mapped_best[1, -1] < 0.2 * mapped_best[1, 0]
    assert not np.allclose(mapped.mean[0], mapped.mean[1])


def test_shaped_fitness_is_ranked():
    """Weight decay by fitness shaping, as in evosax; lower is better."""
    algorithm = CMA_ES(12, jnp.zeros(4), fitness_shaping_fn=lambda x, fitness, *_: fitness + jnp.square(x).sum(-1))
    state, _ = search(algorithm, lambda x: x[..., 0] * 0, algorithm.default_params, jnp.full(4, 3.0), 100)
    assert np.linalg.norm(state.mean) < 1e-3


def test_a_population_of_one_is_refused():
    with pytest.raises(UserError, match="batch_size=1: "):
        CMA_ES(1, jnp.zeros(3))
