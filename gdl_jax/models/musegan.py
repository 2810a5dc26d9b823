"""MuseGAN (book chapter 7, 07_04; Dong et al. 2018): bars of several tracks from chords, style, melody and groove.

A piece is (bars, steps, pitches, tracks) of -1 and 1: in each step of a bar, each track has at most one pitch at 1.
All tracks share one noise vector for chords and one for style; each track has its own for melody and for groove. A
temporal network turns chords and each melody into one vector per bar; style and groove are the same in every bar. Each
track has its own bar generator, whose input is these four vectors.

The book's code trains something else by mistake: its loops over tracks and bars bind their slices late, so that all
tracks get the last one's melody and groove, and both bars of a piece are the same. It also lacks the tanh that its text
describes. This file follows the text in both. Batch normalisation is over all bars of a track at once (the book's: bar
by bar, into shared averages).

With condition_bars, as the book suggests for pieces of any length, each track's generator also gets an encoding of the
previous bars by an encoder of its own, and the critic sees the previous bars followed by the piece.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gdl_jax.core.config_flags import AtLeast, Below, Needs
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.nn.axis_conv import AxisConv, AxisConvTranspose, AxisRepeat
from gdl_jax.nn.layers import BatchNorm, Dense, Initializer, leaky_relu

OCTAVE = 12
BARS, STEPS, PITCHES = 1, 2, 3  # axes of a batch of pieces (B, bars, steps, pitches, tracks)


@dataclass(frozen=True, kw_only=True)
class Config:
    # dimensions of each noise vector, N(0, 1): chords, style, and each track's melody and groove
    z_dim: Annotated[int, AtLeast(1)] = 32
    temporal_filters: Annotated[int, AtLeast(1)] = 1024  # channels between the two layers of a temporal network
    # channels of the bar generator's layers along steps; each but the first doubles the number of steps
    bar_filters: Annotated[tuple[int, ...], AtLeast(1)] = (512, 512, 256, 256)
    # channels of the bar generator's octave layer; the last layer turns octaves into pitches
    octave_filters: Annotated[int, AtLeast(1)] = 256
    # momentum of the generator's batch normalisation
    batch_norm_momentum: Annotated[float, AtLeast(0), Below(1)] = 0.9
    # channels of the critic's convolutions along bars and along pitches
    critic_filters: Annotated[int, AtLeast(1)] = 128
    # channels of the critic's convolutions along steps, each of stride 2
    critic_step_filters: Annotated[tuple[int, ...], AtLeast(1)] = (128, 128, 256, 512)
    # kernel size of each of the critic's convolutions along steps
    critic_step_kernel_sizes: Annotated[tuple[int, ...], AtLeast(1)] = (2, 2, 4, 3)
    critic_units: Annotated[int, AtLeast(1)] = 1024  # units of the critic's dense layer
    # standard deviation of initial kernels, except in the generator's dense layers (Glorot-uniform)
    initial_deviation: Annotated[float, AtLeast(0)] = 0.02
    # number of previous bars on which both networks are conditioned; 0: none, as in the book
    condition_bars: Annotated[int, AtLeast(0)] = 0
    # channels of the previous bars' encoders
    condition_filters: Annotated[int, AtLeast(1), Needs("condition_bars")] = 16


class Shape(NamedTuple):
    """Numbers of bars, steps per bar, pitches and tracks of generated pieces."""

    bars: int
    steps: int
    pitches: int
    tracks: int


def _normal(config: Config) -> Initializer:
    # Narrow networks need more than the book's 0.02: a layer scales gradients by the deviation times sqrt(width).
    return nn.initializers.normal(config.initial_deviation)


class Noise(NamedTuple):
    """Inputs of a generator: chords (B, z), style (B, z), melody (B, tracks, z), groove (B, tracks, z)."""

    chords: jax.Array
    style: jax.Array
    melody: jax.Array
    groove: jax.Array


def draw_noise(config: Config, tracks: int, keys: jax.Array) -> Noise:
    """Samples N(0, 1), one example per key (B,)."""
    shapes = Noise((config.z_dim,), (config.z_dim,), (tracks, config.z_dim), (tracks, config.z_dim))

    def draw(key):
        return Noise(*map(jax.random.normal, jax.random.split(key, len(shapes)), shapes))

    return jax.vmap(draw)(keys)


def _for_each_track(module: nn.Module, tracks: int, in_axis: int | None, out_axis: int, train: bool) -> Callable:
    """Returns the module as a function of arrays, mapped over tracks; axis 0 of its variables is the track."""

    def apply(module, x):
        return module(x, train=train)  # nn.vmap takes no keyword arguments

    own = {"params": 0, "batch_stats": 0}
    mapped = nn.vmap(apply, own, split_rngs={"params": True}, in_axes=in_axis, out_axes=out_axis, axis_size=tracks)
    return lambda x: mapped(module, x)


def _bar_kernels(bars: int) -> tuple[int, int]:
    """Returns lengths of two kernels that map one position to `bars` positions and back; the book's: 2, bars - 1."""
    first = min(2, bars)
    return first, bars + 1 - first


class _Normalised(nn.Module):
    """Batch normalisation and ReLU."""

    config: Config
    axis_name: str | None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        norm = BatchNorm(self.config.batch_norm_momentum, axis_name=self.axis_name)
        return nn.relu(norm(x, use_running_average=not train))


class TemporalNetwork(nn.Module):
    """Temporal network from noise (B, z) to one vector per bar (B, bars, z)."""

    config: Config
    bars: int
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, *, train: bool) -> jax.Array:
        config = self.config
        chex.assert_shape(z, (None, config.z_dim))
        x = z[:, None]  # (B, 1, z)
        filters = (config.temporal_filters, config.z_dim)
        for features, size in zip(filters, _bar_kernels(self.bars), strict=True):
            layer = AxisConvTranspose(features, size, BARS, kernel_init=_normal(config), dtype=self.dtype)
            x = _Normalised(config, self.axis_name)(layer(x), train=train)  # (B, 2, filters), then (B, bars, z)
        return x


class BarGenerator(nn.Module):
    """Bar generator from vectors (B, bars, D) to one track before its tanh, (B, bars, steps, pitches)."""

    config: Config
    shape: Shape
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, *, train: bool) -> jax.Array:
        config, (bars, steps, pitches, _) = self.config, self.shape
        chex.assert_shape(z, (None, bars, None))
        first, *others = config.bar_filters
        steps_at_first = steps // 2 ** len(others)

        def normalised(x):
            return _Normalised(config, self.axis_name)(x, train=train)

        def repeat(features, times, axis):
            return AxisRepeat(features, times, axis, kernel_init=_normal(config), dtype=self.dtype)

        x = z.reshape(-1, z.shape[-1])  # (B * bars, D)
        x = normalised(Dense(steps_at_first * first, dtype=self.dtype)(x))
        x = x.reshape(-1, bars, steps_at_first, 1, first)
        for features in others:
            x = normalised(repeat(features, 2, STEPS)(x))  # (B, bars, 2 * steps so far, 1, features)
        x = normalised(repeat(config.octave_filters, pitches // OCTAVE, PITCHES)(x))  # (B, bars, steps, octaves, ...)
        return repeat(1, OCTAVE, PITCHES)(x)[..., 0]  # (B, bars, steps, pitches)


class Encoder(nn.Module):
    """Encoder of all tracks' previous bars (B, bars, steps, pitches, tracks) for one track's generator, (B, z)."""

    config: Config
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        del train
        chex.assert_rank(x, 5)
        config, filters = self.config, self.config.condition_filters
        for size in (OCTAVE, x.shape[PITCHES] // OCTAVE):
            layer = AxisConv(filters, size, PITCHES, strides=size, kernel_init=_normal(config), dtype=self.dtype)
            x = leaky_relu(layer(x))  # (B, bars, steps, octaves, filters), then (B, bars, steps, 1, filters)
        return Dense(config.z_dim, dtype=self.dtype)(x.reshape(len(x), -1))


class Generator(nn.Module):
    """Generator from noise to pieces (B, bars, steps, pitches, tracks) of `shape` in (-1, 1).

    With condition_bars, the previous bars are an input too: (B, condition_bars, steps, pitches, tracks) of -1 and 1.
    """

    config: Config
    shape: Shape
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, noise: Noise, previous: jax.Array | None = None, *, train: bool) -> jax.Array:
        config, (bars, _, _, tracks) = self.config, self.shape
        _check_shape(config, self.shape)
        chex.assert_shape([noise.chords, noise.style], (None, config.z_dim))
        chex.assert_shape([noise.melody, noise.groove], (None, tracks, config.z_dim))
        common = {"dtype": self.dtype, "axis_name": self.axis_name}

        def each(module, in_axis, out_axis):
            return _for_each_track(module, tracks, in_axis, out_axis, train)

        chords = TemporalNetwork(config, bars, **common, name="chords")(noise.chords, train=train)  # (B, bars, z)
        melodies = TemporalNetwork(config, bars, **common, name="melody")
        melody = each(melodies, in_axis=1, out_axis=1)(noise.melody)  # (B, tracks, bars, z)
        vectors = [chords[:, None], noise.style[:, None, None], melody, noise.groove[:, :, None]]
        if previous is not None:
            chex.assert_shape(previous, (None, config.condition_bars, *self.shape[1:]))
            encoders = Encoder(config, self.dtype, name="encoder")
            vectors.append(each(encoders, in_axis=None, out_axis=1)(previous)[:, :, None])  # (B, tracks, 1, z)
        lengths = [(len(noise.style), tracks, bars, vector.shape[-1]) for vector in vectors]
        x = jnp.concatenate(list(map(jnp.broadcast_to, vectors, lengths)), axis=-1)  # (B, tracks, bars, 4 z or 5 z)
        generators = BarGenerator(config, self.shape, **common, name="bar")
        x = each(generators, in_axis=1, out_axis=-1)(x)  # (B, bars, steps, pitches, tracks)
        return jnp.tanh(x.astype(jnp.float32))


def _check_shape(config: Config, shape: Shape) -> None:
    if not config.bar_filters:
        raise ConfigError("bar_filters", config.bar_filters, "must have at least one number")
    doublings = 2 ** (len(config.bar_filters) - 1)
    if shape.steps % doublings:
        reason = f"doublings need a multiple of {doublings} steps; the data have {shape.steps}"
        raise ConfigError("bar_filters", config.bar_filters, reason)
    if shape.pitches % OCTAVE:
        raise UserError(f"MuseGAN generates whole octaves of {OCTAVE} pitches; the data have {shape.pitches} pitches")


def _step_convolutions(config: Config) -> Iterator[tuple[int, int]]:
    """Returns (channels, kernel size) of the critic's convolutions along steps."""
    filters, sizes = config.critic_step_filters, config.critic_step_kernel_sizes
    if len(filters) != len(sizes):
        reason = f"must have as many numbers as critic_step_filters, {len(filters)}"
        raise ConfigError("critic_step_kernel_sizes", sizes, reason)
    return zip(filters, sizes, strict=True)


class Critic(nn.Module):
    """Critic from pieces (B, bars, steps, pitches, tracks) in [-1, 1], and previous bars if any, to scores (B,)."""

    config: Config
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, previous: jax.Array | None = None, *, train: bool) -> jax.Array:
        del train
        chex.assert_rank(x, 5)
        config = self.config
        if previous is not None:
            chex.assert_shape(previous, (len(x), config.condition_bars, *x.shape[2:]))
            x = jnp.concatenate([previous, x], axis=BARS)

        def convolved(x, features, size, axis, stride, padding="SAME"):
            layer = AxisConv(features, size, axis, _normal(config), self.dtype, strides=stride, padding=padding)
            return leaky_relu(layer(x))

        for size in _bar_kernels(x.shape[BARS]):
            x = convolved(x, config.critic_filters, size, BARS, 1, "VALID")  # finally (B, 1, steps, pitches, filters)
        for size in (OCTAVE, x.shape[PITCHES] // OCTAVE):
            x = convolved(x, config.critic_filters, size, PITCHES, size)  # finally (B, 1, steps, 1, filters)
        for features, size in _step_convolutions(config):
            x = convolved(x, features, size, STEPS, 2)  # (B, 1, steps / 2, 1, features)
        x = x.reshape(len(x), -1)
        x = leaky_relu(Dense(config.critic_units, kernel_init=_normal(config), dtype=self.dtype)(x))
        # In float32: bfloat16 is too coarse for differences of scores.
        return Dense(1, kernel_init=_normal(config), dtype=jnp.float32)(x.astype(jnp.float32))[:, 0]


def pitches_of(roll: jax.Array) -> jax.Array:
    """Returns each track's pitch in each step: the argmax where its value is positive, and -1, silence, elsewhere.

    This is the nearest roll with at most one pitch per step and track. (The book's always plays the argmax.)

    Args:
      roll: (..., pitches, tracks), as generated or of -1 and 1.

    Returns:
      (..., tracks) int32.
    """
    return jnp.where(roll.max(axis=-2) > 0, roll.argmax(axis=-2), -1)


def sounding(roll: jax.Array) -> jax.Array:
    """Returns a generated roll (..., pitches, tracks) as -1 and 1: 1 at its `pitches_of`."""
    return 2 * jax.nn.one_hot(pitches_of(roll), roll.shape[-2], axis=-2) - 1


def continue_pieces(generate: Callable[[Noise, jax.Array], jax.Array], noises: Noise, previous: jax.Array) -> jax.Array:
    """Generates pieces of any length, with the generated bars as the previous bars of the next round.

    Args:
      generate: (noise, previous) -> pieces (B, bars, steps, pitches, tracks), by a generator with condition_bars.
      noises: `Noise` of all rounds, stacked along a first axis.
      previous: the first bars, (B, condition_bars, steps, pitches, tracks) of -1 and 1; not part of the result.

    Returns:
      (B, rounds * bars, steps, pitches, tracks) of -1 and 1.
    """
    count = previous.shape[BARS]

    def one_round(previous, noise):
        new = sounding(generate(noise, previous))
        return jnp.concatenate([previous, new], axis=BARS)[:, -count:], new

    _, rounds = lax.scan(one_round, previous, noises)  # (rounds, B, bars, ...)
    rounds = jnp.moveaxis(rounds, 0, BARS)
    return rounds.reshape(len(previous), -1, *previous.shape[2:])
