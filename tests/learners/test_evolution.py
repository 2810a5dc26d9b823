import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from gdl_jax.core.errors import UserError
from gdl_jax.core.prng import example_keys
from gdl_jax.learners.evolution import evolution, mean_parameters
from gdl_jax.learners.evolution_strategies import STRATEGIES, Strategy, make_strategy
from tests.core.parallel_worker import environment

TARGET = {"bias": jnp.array([0.5, -0.5]), "kernel": jnp.array([[1.0, -1.0, 0.0], [0.5, 0.2, -0.7]])}
ORIGIN = jax.tree.map(jnp.zeros_like, TARGET)
BLANK = {"episode": np.zeros(6, np.int32)}
HERE = "tests.learners.test_evolution"


def distance(population, keys):
    """Returns minus the squared distance from TARGET."""
    del keys
    squares = jax.tree.map(lambda x, t: jnp.square(x - t).reshape(len(x), -1).sum(1), population, TARGET)
    return -sum(jax.tree.leaves(squares))


def noise(population, keys):
    del population
    return jax.vmap(jax.random.normal)(keys)


def make(fitness, name="cma_es", population_size=16, sigma=0.3, mean=ORIGIN, **options):
    """Returns (algorithm, learner, first state)."""
    strategy = make_strategy(name, population_size, mean, sigma)
    learner = evolution(strategy.algorithm, strategy.params, fitness, mean, **options)
    return strategy.algorithm, learner, learner.init(jax.random.key(0), BLANK)


def evolve(learner, state, generations):
    """Returns (state, metrics of each generation)."""
    keys = jax.random.split(jax.random.key(1), generations)
    return jax.jit(lambda s: jax.lax.scan(lambda s, key: learner.step(s, BLANK, key), s, keys))(state)


def flat(population):
    return np.stack([ravel_pytree(jax.tree.map(lambda x, i=i: x[i], population))[0] for i in range(16)])


def recording(calls, fitness=distance):
    """Returns `fitness` that appends its arguments to `calls`; for use outside of jit."""

    def record(population, keys):
        calls.append((jax.tree.map(np.asarray, population), keys))
        return fitness(population, keys)

    return record


@pytest.mark.slow
@pytest.mark.parametrize("name", list(STRATEGIES))
def test_every_strategy_improves(name):
    algorithm, learner, state = make(distance, name, population_size=32, sigma=0.3)
    before = learner.evaluate(state, BLANK, jax.random.key(0))["return"][0]
    state, metrics = evolve(learner, state, 150)
    after = learner.evaluate(state, BLANK, jax.random.key(0))
    assert before == pytest.approx(float(distance(jax.tree.map(lambda x: x[None], ORIGIN), None)[0]))
    assert after["return"][0] > 0.2 * before and metrics["mean_return"][-1] > metrics["mean_return"][0]
    assert after["best_return"][0] == pytest.approx(float(metrics["best_return"][-1]), abs=1e-5)
    assert jax.tree.structure(mean_parameters(algorithm, state)) == jax.tree.structure(TARGET)


@pytest.mark.slow
def test_metrics_match_the_population():
    def lucky(population, keys):
        return distance(population, keys) + 10 * noise(population, keys)

    calls = []
    algorithm, learner, state = make(recording(calls, lucky))
    for key in jax.random.split(jax.random.key(0), 3):
        centre, _ = ravel_pytree(mean_parameters(algorithm, state))
        state, metrics = learner.step(state, BLANK, key)
        population, keys = calls[-1]
        returns = np.asarray(lucky(population, keys), np.float64)
        all_returns = np.concatenate([np.asarray(lucky(p, k)) for p, k in calls])
        expected = {
            "mean_return": returns.mean(),
            "min_return": returns.min(),
            "max_return": returns.max(),
            "std_return": returns.std(),
            "best_return": all_returns.max(),
            "sigma": np.sqrt(np.square(flat(population) - np.asarray(centre)).mean()),
            "failed": 0,
        }
        assert metrics.keys() == expected.keys()
        for name, value in expected.items():
            assert metrics[name].shape == () and float(metrics[name]) == pytest.approx(value, rel=1e-5), name
    assert all_returns.argmax() < 32  # the last generation was not the luckiest
    best = np.concatenate([flat(p) for p, _ in calls])[all_returns.argmax()]
    np.testing.assert_array_equal(ravel_pytree(state.best_parameters)[0], best)
    assert float(state.best_return) == all_returns.max()


def test_weight_decay_shrinks_weights():
    def norm_after(weight_decay):
        mean = jax.tree.map(lambda x: jnp.full_like(x, 2.0), ORIGIN)
        algorithm, learner, state = make(lambda p, keys: jnp.zeros(len(keys)), mean=mean, weight_decay=weight_decay)
        state, metrics = evolve(learner, state, 100)
        assert not np.any(metrics["mean_return"])  # metrics exclude weight decay
        return np.linalg.norm(ravel_pytree(mean_parameters(algorithm, state))[0])

    start = 2.0 * np.sqrt(8)
    assert norm_after(0.01) < 0.01 * start
    assert norm_after(0.0) > 0.3 * start


def test_weight_decay_trades_off_with_returns():
    """The optimum of -sum (x - t)^2 - c mean(x^2) is t / (1 + c / n)."""
    algorithm, learner, state = make(distance, weight_decay=8.0)
    state, _ = evolve(learner, state, 150)
    half = jax.tree.map(lambda t: t / 2, TARGET)
    actual, expected = (ravel_pytree(x)[0] for x in (mean_parameters(algorithm, state), half))
    np.testing.assert_allclose(actual, expected, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cma_es", "evosax_cma_es"])
@pytest.mark.parametrize("failure", [np.nan, np.inf, -np.inf])
def test_failures_are_ranked_last_and_counted(failure, name):
    def half_fails(population, keys):
        return jnp.where(population["bias"][:, 0] > 0, failure, distance(population, keys))

    algorithm, learner, state = make(half_fails, name)
    state, metrics = evolve(learner, state, 150)
    assert all(np.isfinite(values).all() for values in metrics.values())
    assert 0 < metrics["failed"][0] < 16
    assert mean_parameters(algorithm, state)["bias"][0] < 1e-3  # as close to 0.5 as allowed
    assert state.best_parameters["bias"][0] <= 0
    np.testing.assert_allclose(mean_parameters(algorithm, state)["kernel"], TARGET["kernel"], atol=0.05)


def test_a_generation_of_failures_has_nan_metrics():
    _, learner, state = make(lambda population, keys: jnp.full(len(keys), jnp.nan))
    state, metrics = learner.step(state, BLANK, jax.random.key(0))
    assert metrics["failed"] == 16 and np.isnan(metrics["mean_return"])
    assert state.best_return == -np.inf
    np.testing.assert_array_equal(ravel_pytree(state.best_parameters)[0], 0)


@pytest.mark.parametrize(
    ("fitness", "shape"),
    [
        (lambda population, keys: distance(population, keys)[:, None], r"\(16, 1\)"),
        (lambda population, keys: distance(population, keys).mean(), r"\(\)"),
        (lambda population, keys: {"return": distance(population, keys)}, "dict"),
    ],
)
def test_returns_of_the_wrong_shape_are_refused(fitness, shape):
    _, learner, state = make(fitness)
    with pytest.raises(UserError, match=rf"^fitness: .*\(16,\).*, not {shape}"):
        jax.jit(learner.step)(state, BLANK, jax.random.key(0))


@pytest.mark.parametrize("common", [False, True])
def test_common_random_numbers(common):
    calls = []
    _, learner, state = make(recording(calls, noise), common_random_numbers=common)
    for key in jax.random.split(jax.random.key(0), 2):
        state, _ = learner.step(state, BLANK, key)
    drawn = np.stack([noise(*call) for call in calls])
    distinct = [len(np.unique(generation)) for generation in drawn]
    assert distinct == ([1, 1] if common else [16, 16])
    assert drawn[0, 0] != drawn[1, 0]


@pytest.mark.parametrize("common", [False, True])
def test_evaluates_mean_and_best_with_equal_random_numbers(common):
    algorithm, learner, state = make(distance, common_random_numbers=common)
    state, _ = evolve(learner, state, 3)
    noisy = evolution(algorithm, None, lambda p, keys: distance(p, keys) + noise(p, keys), ORIGIN)
    key = jax.random.key(7)
    values = noisy.evaluate(state, BLANK, key)
    expected = noise(None, example_keys(key, 6))
    assert len(np.unique(expected)) == 6
    for name, parameters in (("return", mean_parameters(algorithm, state)), ("best_return", state.best_parameters)):
        of_one = distance(jax.tree.map(lambda x: x[None], parameters), None)[0]
        np.testing.assert_allclose(values[name], of_one + expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(STRATEGIES))
def test_samples_are_individuals(name):
    _, learner, state = make(distance, name, sigma=0.3)
    drawn = learner.sample(state, jax.random.key(0), 1000)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(drawn)} == {1000}
    assert jax.tree.map(lambda x: x.shape[1:], drawn) == jax.tree.map(jnp.shape, ORIGIN)
    for leaf in jax.tree.leaves(drawn):
        assert np.mean(leaf) == pytest.approx(0, abs=0.03) and np.std(leaf) == pytest.approx(0.3, rel=0.05)


def test_mean_of_genetic_algorithms_is_their_last_best():
    calls = []
    algorithm, learner, state = make(recording(calls), "simple_ga")
    state, _ = learner.step(state, BLANK, jax.random.key(0))
    population, _ = calls[-1]
    best = flat(population)[np.argmax(distance(population, None))]
    np.testing.assert_array_equal(ravel_pytree(mean_parameters(algorithm, state))[0], best)


@pytest.mark.slow
def test_seeds_evolve_independently():
    _, learner, _ = make(distance)
    keys = jax.random.split(jax.random.key(0), 2)
    states = jax.vmap(lambda key: learner.init(key, BLANK))(keys)
    states, metrics = jax.vmap(learner.step, (0, None, 0))(states, BLANK, keys)
    alone, _ = learner.step(learner.init(keys[1], BLANK), BLANK, keys[1])
    np.testing.assert_allclose(states.search.mean[1], alone.search.mean, rtol=1e-5, atol=1e-6)
    assert metrics["mean_return"].shape == (2,) and metrics["mean_return"][0] != metrics["mean_return"][1]


def test_a_step_compiles_once():
    _, learner, state = make(distance)
    step = jax.jit(learner.step)
    for key in jax.random.split(jax.random.key(0), 3):
        state, _ = step(state, BLANK, key)
    assert step._cache_size() == 1


def test_schedules_and_rates_are_the_books():
    open_es = make_strategy("open_es", 4, ORIGIN, 0.1).algorithm
    sigmas = [float(open_es.std_schedule(jnp.asarray(g))) for g in (0, 1, 100, 5000)]
    np.testing.assert_allclose(sigmas, [0.1, 0.0999, 0.1 * 0.999**100, 0.02], rtol=1e-5)
    full = make_strategy("evosax_cma_es", 16, ORIGIN, 0.1).params
    separable = make_strategy("sep_cma_es", 16, ORIGIN, 0.1).params
    n = 8
    assert separable.c_1 == pytest.approx(float(full.c_1) * (n + 2) / 3, rel=1e-5)
    assert separable.c_mu == pytest.approx(min(float(full.c_mu) * (n + 2) / 3, 1 - separable.c_1), rel=1e-5)
    assert make_strategy("simple_es", 20, ORIGIN).algorithm.num_elites == 2
    assert make_strategy("cma_es", 20, ORIGIN).weight_decay == 0.01


def custom_strategy(population_size, solution, sigma_init):
    return make_strategy("open_es", population_size, solution, 2 * sigma_init)


def not_a_strategy(population_size, solution, sigma_init):
    return population_size


def test_custom_strategies_are_accepted():
    strategy = make_strategy(f"{HERE}:custom_strategy", 4, ORIGIN, 0.1)
    assert isinstance(strategy, Strategy) and float(strategy.algorithm.std_schedule(0)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("name", "population_size", "sigma", "message"),
    [
        ("cma", 8, 0.1, "strategy=cma: unknown; choose one of cma_es, .*simple_ga"),
        (f"{HERE}:not_a_strategy", 8, 0.1, "strategy=.*must return a Strategy, not int"),
        (f"{HERE}:noise", 8, 0.1, "strategy=.*: fails: "),
        ("cma_es", 1, 0.1, r"batch_size=1: "),
        ("pgpe", 7, 0.1, r"batch_size=7: .*even for pgpe"),
        ("cma_es", 8, 0.0, "sigma_init=0.0: "),
        ("cma_es", 8, float("nan"), "sigma_init=nan: "),
    ],
)
def test_bad_values_are_refused_by_flag(name, population_size, sigma, message):
    with pytest.raises(UserError, match=f"^{message}"):
        make_strategy(name, population_size, ORIGIN, sigma)


def run_worker(out, devices, *flags):
    worker = [sys.executable, "-m", "tests.learners.evolution_worker", str(out), *flags]
    return subprocess.run(worker, env=environment(devices), capture_output=True, text=True)


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "out.npz"
    run_worker(out, 1).check_returncode()
    return dict(np.load(out))


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_eight_devices_match_one(one_device, tmp_path, parallel):
    out = tmp_path / "out.npz"
    run_worker(out, 8, f"--parallel={parallel}").check_returncode()
    eight, one = dict(np.load(out)), dict(one_device)
    assert one.keys() == eight.keys()
    rows = [json.loads(line) for line in str(one.pop("rows")).splitlines()]
    rows_of_eight = [json.loads(line) for line in str(eight.pop("rows")).splitlines()]
    assert rows[-1]["train/mean_return"] > 0.5 * rows[0]["train/mean_return"]  # the mean approached the target
    for row, row_of_eight in zip(rows, rows_of_eight, strict=True):
        for name in row.keys() - {"steps_per_second", "time"}:
            assert row[name] == pytest.approx(row_of_eight[name], rel=1e-3, abs=1e-4), name
    for name, array in one.items():
        np.testing.assert_allclose(eight[name], array, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_populations_that_devices_cannot_share_are_refused(tmp_path, parallel):
    finished = run_worker(tmp_path / "out.npz", 8, f"--parallel={parallel}", "--population=12")
    assert finished.returncode == 1
    assert "error: batch_size=12: " in finished.stderr


SHARES = """
import re
import jax, jax.numpy as jnp, numpy as np
from gdl_jax.core.parallel import make_devices
from tests.learners.test_evolution import BLANK, make

devices = make_devices("jit")
_, learner, state = make(lambda population, keys: jnp.sinh(population["bias"]).sum(1))
step = devices.compile(learner.step, (False, True, False))
program = step.lower(devices.replicate(state), BLANK, jax.random.key(0)).compile().as_text()
print(sorted(set(re.findall(r"f32\\[(\\d+),2\\]\\S* (?:sinh|exponential|exponential-minus-one)\\(", program))))
"""


@pytest.mark.slow
def test_under_jit_every_device_evaluates_its_share():
    finished = subprocess.run([sys.executable, "-c", SHARES], env=environment(8), capture_output=True, text=True)
    assert finished.stdout.strip() == "['2']", finished.stderr
