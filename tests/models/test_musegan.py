"""MuseGAN: the book's counts, and what each noise vector and each parameter may change."""

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
    """Normal parameters, and statistics with variances near 1; drawn by NumPy, for speed."""
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
    # 2: the book's. 4: 6,933,284 in all, from an older run of the book's, whose temporal networks have 169,120.
    [(2, 6_576_612, 28_992), (4, 6_904_292, 28_992)],
)
def test_the_generator_has_the_book_s_parameters(bars, trainable, running):
    config = musegan.Config()
    inputs = jax.eval_shape(lambda: noise(config, BOOK.tracks))
    shapes = jax.eval_shape(
        lambda z: Generator(config, BOOK._replace(bars=bars)).init(jax.random.key(0), z, train=False), inputs
    )
    assert (count(shapes["params"]), count(shapes["batch_stats"])) == (trainable, running)
    temporal = {2: 103_584, 4: 169_120}[bars]
    for name, total in {"chords": temporal, "melody": 4 * temporal, "bar": 4 * 1_521_921}.items():
        assert count([shapes["params"][name], shapes["batch_stats"][name]]) == total


def test_the_critic_has_the_book_s_parameters():
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
    """(noise, train) -> pieces of one generator."""
    generator = Generator(TINY, SHAPE)
    given = variables(generator, noise())

    @partial(jax.jit, static_argnums=2)
    def play(given, z, train):
        return generator.apply(given, z, train=train, mutable=["batch_stats"])[0]

    return partial(play, given)


@pytest.mark.slow
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", Noise._fields)
def test_a_noise_vector_changes_its_own_tracks_in_every_bar(generate, name, train):
    """Melody and groove of a track only that track, chords and style all of them; which the book's training does not
    do: there the last track's are all tracks'."""
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


def test_bars_of_a_track_are_not_alike(generate):
    """The book's training gives both the last one's chords and melody."""
    made = np.asarray(generate(noise(), False))
    for bar in range(1, SHAPE.bars):
        assert (np.abs(made[:, bar] - made[:, 0]).max(axis=(0, 1, 2)) > 1e-3).all()


@pytest.mark.slow
def test_each_track_s_parameters_learn_from_that_track_alone():
    generator = Generator(TINY, SHAPE)
    z = noise()
    given = variables(generator, z)

    @jax.jit
    def gradients(params, stats, track):
        def loss(params):
            made = generator.apply({"params": params, "batch_stats": stats}, z, train=False)
            return jnp.sum(jnp.square(made[..., track]))

        return jax.grad(loss)(params)

    for track in range(SHAPE.tracks):
        of_track = gradients(given["params"], given["batch_stats"], track)
        for name in ("melody", "bar"):
            for gradient in map(np.asarray, jax.tree.leaves(of_track[name])):
                assert len(gradient) == SHAPE.tracks
                assert np.abs(gradient[track]).max() > 0
                assert not np.delete(gradient, track, axis=0).any()
        assert all(np.asarray(gradient).any() for gradient in jax.tree.leaves(of_track["chords"]))


def test_the_bars_of_a_track_are_made_by_one_generator():
    """Where chords and melody are the same in two bars, so is what is played in them."""
    module = musegan.BarGenerator(TINY, SHAPE)
    z = np.random.default_rng(0).normal(size=(BATCH, SHAPE.bars, 4 * TINY.z_dim)).astype(np.float32)
    z[:, 2] = z[:, 0]
    bars = np.asarray(jax.jit(lambda v, z: module.apply(v, z, train=False))(variables(module, z), z))
    np.testing.assert_allclose(bars[:, 2], bars[:, 0], rtol=1e-5)
    assert np.abs(bars[:, 1] - bars[:, 0]).max() > 1e-3


@pytest.mark.slow
def test_half_a_batch_on_each_of_two_devices_is_normalised_as_a_whole():
    z = noise()
    whole = Generator(TINY, SHAPE)
    halves = whole.clone(axis_name="devices")
    given = variables(whole, z)

    @jax.jit
    def both(given, z):
        played, updated = whole.apply(given, z, train=True, mutable=["batch_stats"])
        run = jax.vmap(lambda z: halves.apply(given, z, train=True, mutable=["batch_stats"]), axis_name="devices")
        played_apart, updated_apart = run(jax.tree.map(lambda x: x[:, None], z))
        return (played, updated), (played_apart[:, 0], jax.tree.map(lambda x: x[0], updated_apart))

    chex.assert_trees_all_close(*both(given, z), rtol=1e-3, atol=1e-4)


def test_a_temporal_network_by_hand():
    """Two valid transposed convolutions, from one place to 2 and from those to all bars."""
    module = musegan.TemporalNetwork(TINY, bars=4)
    z = np.random.default_rng(0).normal(size=(BATCH, TINY.z_dim)).astype(np.float32)
    given = variables(module, z)
    params, stats = jax.tree.map(np.asarray, (given["params"], given["batch_stats"]))

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
        jax.jit(lambda v, z: module.apply(v, z, train=False))(given, z), expected, rtol=1e-4, atol=1e-5
    )


def test_the_critic_hears_every_cell_of_its_piece_and_of_the_bars_before():
    critic = Critic(CONDITIONED)
    x, previous = pieces(SHAPE.bars), pieces(CONDITIONED.condition_bars, seed=1)
    given = variables(critic, x, previous)
    slopes = jax.jit(jax.grad(lambda x, before, given: critic.apply(given, x, before, train=False).sum(), (0, 1)))
    assert all(np.all(np.asarray(slope) != 0) for slope in slopes(x, previous, given))


@pytest.mark.slow
def test_a_conditioned_generator_hears_the_bars_before():
    generator = Generator(CONDITIONED, SHAPE)
    z, previous, others = noise(CONDITIONED), pieces(2), pieces(2, seed=1)
    given = variables(generator, z, previous)
    play = jax.jit(lambda given, previous: generator.apply(given, z, previous, train=False))
    assert (np.abs(play(given, previous) - play(given, others)).max(axis=(0, 2, 3)) > 1e-3).all()
    assert set(given["params"]) == {"chords", "melody", "encoder", "bar"}
    assert len(given["params"]["encoder"]["Dense_0"]["bias"]) == SHAPE.tracks


def test_sounding_is_the_highest_positive_value():
    roll = np.full((2, 3, 4, 2), -0.5, np.float32)  # (bars, steps, pitches, tracks)
    roll[0, 0, 1:3, 0] = 0.2, 0.9
    roll[1, 2, 3, 1] = 0.1
    expected = np.full_like(roll, -1.0)
    expected[0, 0, 2, 0] = expected[1, 2, 3, 1] = 1.0
    np.testing.assert_array_equal(sounding(jnp.asarray(roll)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 5])
def test_pieces_are_continued_from_what_was_generated(count):
    """Against a loop; each round gets the last `count` bars of all so far and the round's own noise."""
    rounds = 3
    noises = Noise(*(jnp.stack([getattr(noise(seed=s), name) for s in range(rounds)]) for name in Noise._fields))

    def generate(z, previous):
        level = z.style[:, :1, None, None, None] + jnp.cumsum(previous, axis=1)[:, -1:]
        return jnp.tanh(jnp.concatenate([level, -level, level[:, :, ::-1]], axis=1))

    heard = pieces(count)
    for i in range(rounds):
        new = sounding(generate(jax.tree.map(lambda x, i=i: x[i], noises), heard[:, -count:]))
        heard = np.concatenate([heard, new], axis=1)
    made = jax.jit(lambda noises, start: continue_pieces(generate, noises, start))(noises, pieces(count))
    np.testing.assert_array_equal(made, heard[:, count:])


def test_pieces_that_cannot_be_made_are_refused():
    with pytest.raises(ConfigError, match="bar_filters=8,8,4"):
        variables(Generator(TINY, SHAPE._replace(steps=6)), noise())
    with pytest.raises(UserError, match="20"):
        variables(Generator(TINY, SHAPE._replace(pitches=20)), noise())


@pytest.mark.slow
def test_kernels_of_one_deviation_but_for_dense_layers_of_the_generator():
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
    assert not np.allclose(bars[0], bars[1])  # each track starts from its own
