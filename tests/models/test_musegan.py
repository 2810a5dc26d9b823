"""MuseGAN: the book's parameter counts, and the effect of each noise vector and parameter."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.parallel import UNOPTIMISED
from gdl_jax.models import musegan
from gdl_jax.models.musegan import Critic, Generator, Noise, Shape, continue_pieces, sounding

BOOK = Shape(bars=2, steps=16, pitches=84, tracks=4)
TINY = musegan.Config(
    z_dim=4,
    temporal_filters=8,
    bar_filters=(8, 8, 4),
    octave_filters=4,
    critic_filters=6,
    critic_step_filters=(6, 8),
    critic_step_kernel_sizes=(2, 3),
    critic_units=8,
)
SHAPE = Shape(bars=3, steps=8, pitches=24, tracks=3)
CONDITIONED = dataclasses.replace(TINY, condition_bars=2, condition_filters=3)
BATCH = 2


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def variables(module, *inputs):
    """Returns normal parameters, and statistics with variances near 1; drawn by NumPy, for speed."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        values = rng.normal(size=leaf.shape).astype(np.float32)
        return jnp.asarray(np.exp(0.3 * values) if path[-1].key == "var" else 0.7 * values)

    shapes = jax.eval_shape(lambda *inputs: module.init(jax.random.key(0), *inputs, train=False), *inputs)
    return jax.tree.map_with_path(draw, shapes)


def noise(config=TINY, tracks=SHAPE.tracks, seed=0):
    return musegan.draw_noise(config, tracks, jax.random.split(jax.random.key(seed), BATCH))


def pieces(bars, seed=0):
    return np.sign(np.random.default_rng(seed).normal(size=(BATCH, bars, *SHAPE[1:]))).astype(np.float32)


@pytest.mark.parametrize(
    ("bars", "trainable", "running"),
    # 2: the book's. 4: 6,933,284 in total, from an older run of the book's code, with temporal networks of 169,120.
    [(2, 6_576_612, 28_992), (4, 6_904_292, 28_992)],
)
def test_generator_has_the_books_parameter_counts(bars, trainable, running):
    config = musegan.Config()
    inputs = jax.eval_shape(lambda: noise(config, BOOK.tracks))
    shapes = jax.eval_shape(
        lambda z: Generator(config, BOOK._replace(bars=bars)).init(jax.random.key(0), z, train=False), inputs
    )
    assert (count(shapes["params"]), count(shapes["batch_stats"])) == (trainable, running)
    temporal = {2: 103_584, 4: 169_120}[bars]
    for name, total in {"chords": temporal, "melody": 4 * temporal, "bar": 4 * 1_521_921}.items():
        assert count([shapes["params"][name], shapes["batch_stats"][name]]) == total


def test_critic_has_the_books_parameter_count():
    inputs = jax.ShapeDtypeStruct((1, *BOOK), jnp.float32)
    shapes = jax.eval_shape(lambda x: Critic(musegan.Config()).init(jax.random.key(0), x, train=False), inputs)
    assert count(shapes) == 1_446_401


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [(Shape(1, 8, 12, 1), jnp.float32), (Shape(2, 16, 36, 2), jnp.bfloat16), (Shape(5, 4, 24, 3), jnp.float32)],
)
def test_any_number_of_bars_steps_octaves_and_tracks(shape, dtype):
    generator, critic = Generator(TINY, shape, dtype), Critic(TINY, dtype)
    z = noise(tracks=shape.tracks)
    of_generator, of_critic = variables(generator, z), variables(critic, np.zeros((BATCH, *shape), np.float32))

    @jax.jit
    def play(of_generator, of_critic, z):
        made = generator.apply(of_generator, z, train=False)
        return made, critic.apply(of_critic, made, train=False)

    made, scores = play(of_generator, of_critic, z)
    assert made.shape == (BATCH, *shape) and scores.shape == (BATCH,)
    assert made.dtype == scores.dtype == jnp.float32
    assert np.abs(made).max() <= 1 and np.abs(made).max() > 0.5  # it ends in tanh


@pytest.fixture(scope="module")
def generate():
    """Returns one generator as a function (noise, train) -> pieces."""
    generator = Generator(TINY, SHAPE)
    weights = variables(generator, noise())

    @partial(jax.jit, static_argnums=2)
    def play(weights, z, train):
        return generator.apply(weights, z, train=train, mutable=["batch_stats"])[0]

    return partial(play, weights)


@pytest.mark.slow
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", Noise._fields)
def test_noise_vectors_change_their_own_tracks_in_every_bar(generate, name, train):
    """Melody and groove of a track change that track, chords and style all; in the book's code all get the last's."""
    before, other = noise(), noise(seed=1)
    for track in range(SHAPE.tracks):
        value = getattr(before, name)
        if name in ("melody", "groove"):
            changed = value.at[:, track].set(getattr(other, name)[:, track])
            tracks = [track]
        else:
            changed, tracks = getattr(other, name), list(range(SHAPE.tracks))
        one, two = (np.asarray(generate(before._replace(**{name: v}), train)) for v in (value, changed))
        differs = np.abs(one - two).max(axis=(0, 2, 3))  # (bars, tracks)
        assert (differs[:, tracks] > 1e-3).all()
        assert np.delete(differs, tracks, axis=1).max(initial=0) < 1e-6


def test_bars_of_a_track_differ(generate):
    """In the book's code, all bars get the last bar's chords and melody."""
    made = np.asarray(generate(noise(), False))
    for bar in range(1, SHAPE.bars):
        assert (np.abs(made[:, bar] - made[:, 0]).max(axis=(0, 1, 2)) > 1e-3).all()


@pytest.mark.slow
def test_gradients_of_a_track_are_of_its_own_parameters():
    generator = Generator(TINY, SHAPE)
    z = noise()
    weights = variables(generator, z)

    @jax.jit
    def gradients(params, stats, track):
        def loss(params):
            made = generator.apply({"params": params, "batch_stats": stats}, z, train=False)
            return jnp.sum(jnp.square(made[..., track]))

        return jax.grad(loss)(params)

    for track in range(SHAPE.tracks):
        of_track = gradients(weights["params"], weights["batch_stats"], track)
        for name in ("melody", "bar"):
            for gradient in map(np.asarray, jax.tree.leaves(of_track[name])):
                assert len(gradient) == SHAPE.tracks
                assert np.abs(gradient[track]).max() > 0
                assert not np.delete(gradient, track, axis=0).any()
        assert all(np.asarray(gradient).any() for gradient in jax.tree.leaves(of_track["chords"]))


def test_bars_of_a_track_share_one_generator():
    """Bars with the same vectors are the same."""
    module = musegan.BarGenerator(TINY, SHAPE)
    z = np.random.default_rng(0).normal(size=(BATCH, SHAPE.bars, 4 * TINY.z_dim)).astype(np.float32)
    z[:, 2] = z[:, 0]
    bars = np.asarray(jax.jit(lambda v, z: module.apply(v, z, train=False))(variables(module, z), z))
    np.testing.assert_allclose(bars[:, 2], bars[:, 0], rtol=1e-5)
    assert np.abs(bars[:, 1] - bars[:, 0]).max() > 1e-3


@pytest.mark.slow
def test_batch_norm_over_devices_matches_the_whole_batch():
    z = noise()
    whole = Generator(TINY, SHAPE)
    halves = whole.clone(axis_name="devices")
    weights = variables(whole, z)

    @jax.jit
    def both(weights, z):
        pieces_whole, stats_whole = whole.apply(weights, z, train=True, mutable=["batch_stats"])
        run = jax.vmap(lambda z: halves.apply(weights, z, train=True, mutable=["batch_stats"]), axis_name="devices")
        pieces_split, stats_split = run(jax.tree.map(lambda x: x[:, None], z))
        return (pieces_whole, stats_whole), (pieces_split[:, 0], jax.tree.map(lambda x: x[0], stats_split))

    chex.assert_trees_all_close(*both(weights, z), rtol=1e-3, atol=1e-4)


def test_temporal_network_matches_a_numpy_restatement():
    """Two VALID transposed convolutions, from one position to 2, then to all bars."""
    module = musegan.TemporalNetwork(TINY, bars=4)
    z = np.random.default_rng(0).normal(size=(BATCH, TINY.z_dim)).astype(np.float32)
    weights = variables(module, z)
    params, stats = jax.tree.map(np.asarray, (weights["params"], weights["batch_stats"]))

    def layer(x, number):
        kernel, bias = (params[f"AxisConvTranspose_{number}"][name] for name in ("kernel", "bias"))
        y = np.zeros((BATCH, x.shape[1] + len(kernel) - 1, kernel.shape[2])) + bias
        for i, k in np.ndindex(x.shape[1], len(kernel)):
            y[:, i + k] += x[:, i] @ kernel[k]
        (norm,), (running,) = (tree[f"_Normalised_{number}"].values() for tree in (params, stats))
        y = (y - running["mean"]) / np.sqrt(running["var"] + 1e-3) * norm["scale"] + norm["bias"]
        return np.maximum(y, 0)

    expected = layer(layer(z[:, None], 0), 1)
    assert expected.shape == (BATCH, 4, TINY.z_dim)
    np.testing.assert_allclose(
        jax.jit(lambda v, z: module.apply(v, z, train=False))(weights, z), expected, rtol=1e-4, atol=1e-5
    )


def test_critic_depends_on_every_cell_of_all_bars():
    critic = Critic(CONDITIONED)
    x, previous = pieces(SHAPE.bars), pieces(CONDITIONED.condition_bars, seed=1)
    weights = variables(critic, x, previous)
    slopes = jax.jit(jax.grad(lambda x, before, weights: critic.apply(weights, x, before, train=False).sum(), (0, 1)))
    assert all(np.all(np.asarray(slope) != 0) for slope in slopes(x, previous, weights))


@pytest.mark.slow
def test_conditioned_generator_depends_on_previous_bars():
    generator = Generator(CONDITIONED, SHAPE)
    z, previous, others = noise(CONDITIONED), pieces(2), pieces(2, seed=1)
    weights = variables(generator, z, previous)
    play = jax.jit(lambda weights, previous: generator.apply(weights, z, previous, train=False))
    assert (np.abs(play(weights, previous) - play(weights, others)).max(axis=(0, 2, 3)) > 1e-3).all()
    assert set(weights["params"]) == {"chords", "melody", "encoder", "bar"}
    assert len(weights["params"]["encoder"]["Dense_0"]["bias"]) == SHAPE.tracks


def test_sounding_is_the_highest_positive_value():
    roll = np.full((2, 3, 4, 2), -0.5, np.float32)  # (bars, steps, pitches, tracks)
    roll[0, 0, 1:3, 0] = 0.2, 0.9
    roll[1, 2, 3, 1] = 0.1
    expected = np.full_like(roll, -1.0)
    expected[0, 0, 2, 0] = expected[1, 2, 3, 1] = 1.0
    np.testing.assert_array_equal(sounding(jnp.asarray(roll)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 5])
def test_continued_pieces_are_conditioned_on_generated_bars(count):
    """Against a loop; each round is conditioned on the last `count` bars and uses its own noise."""
    rounds = 3
    noises = Noise(*(jnp.stack([getattr(noise(seed=s), name) for s in range(rounds)]) for name in Noise._fields))

    def generate(z, previous):
        level = z.style[:, :1, None, None, None] + jnp.cumsum(previous, axis=1)[:, -1:]
        return jnp.tanh(jnp.concatenate([level, -level, level[:, :, ::-1]], axis=1))

    bars = pieces(count)
    for i in range(rounds):
        new = sounding(generate(jax.tree.map(lambda x, i=i: x[i], noises), bars[:, -count:]))
        bars = np.concatenate([bars, new], axis=1)
    made = jax.jit(lambda noises, start: continue_pieces(generate, noises, start))(noises, pieces(count))
    np.testing.assert_array_equal(made, bars[:, count:])


def test_impossible_shapes_are_refused():
    with pytest.raises(ConfigError, match="bar_filters=8,8,4"):
        variables(Generator(TINY, SHAPE._replace(steps=6)), noise())
    with pytest.raises(UserError, match="20"):
        variables(Generator(TINY, SHAPE._replace(pitches=20)), noise())


@pytest.mark.slow
def test_initial_deviations_of_kernels():
    wide = {"temporal_filters": 64, "bar_filters": (64, 64, 64), "octave_filters": 64, "critic_filters": 32}
    config = dataclasses.replace(TINY, initial_deviation=0.05, z_dim=32, **wide)
    shape = Shape(2, 8, 84, 2)
    z = noise(config, shape.tracks)
    quickly = partial(jax.jit, compiler_options=UNOPTIMISED)
    params = quickly(lambda key, z: Generator(config, shape).init(key, z, train=False)["params"])(jax.random.key(0), z)
    x = np.zeros((1, *shape), np.float32)
    init_critic = quickly(lambda key, x: Critic(config).init(key, x, train=False)["params"])
    params |= {"critic": init_critic(jax.random.key(1), x)}
    for path, leaf in jax.tree.leaves_with_path(params):
        names = [entry.key for entry in path]
        if names[-1] == "kernel" and leaf.size > 3000:
            glorot = np.sqrt(2 / sum(leaf.shape[-2:]))
            expected = glorot if names[:2] == ["bar", "Dense_0"] else 0.05
            assert np.std(leaf) == pytest.approx(expected, rel=0.05), names
    bars = params["bar"]["Dense_0"]["kernel"]
    assert not np.allclose(bars[0], bars[1])  # each track has its own initial values
