"""Data parallelism: one program for one device, many devices, or many hosts.

`jit` shards the batch over a mesh and replicates everything else; the compiler sees the global batch. `fsdp` shards
the state as well: parameters, optimiser state and moving averages, each large array along one axis (fully sharded data
parallelism; Rajbhandari et al. 2020, ZeRO stage 3); the compiler decides when to gather them. `pmap` runs the program
once per device on its part of the batch, and the program averages over `AXIS`. All give the same numbers.

Batch arrays have the layout (steps, batch, ...) and are split along axis 1.
"""

import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gdl_jax.core.errors import ConfigError, UserError, first_line

AXIS = "data"
UNOPTIMISED = {"xla_backend_optimization_level": 0}  # on CPU, compiling initialisers (threefry) takes seconds otherwise
MIN_SHARDED_SIZE = 1024  # elements; smaller arrays of a state are replicated: gathering costs more than it saves


class Devices(NamedTuple):
    """Interface between programs and devices.

    Attributes:
      axis_name: axis over which the program averages: AXIS under pmap, None otherwise.
      compile: (function, is_batch, is_state, donate, once) -> compiled function. `is_batch` has one bool per argument:
        whether it is in batch layout. `is_state` has one bool per result (a tuple), or is one bool (a single result):
        whether it is a learner's state. Other arguments and results are the same on every device. `once`: the
        function runs only once, so that fast compilation matters more than fast execution.
      replicate: host pytree -> the same values on every device.
      place_state: host pytree -> a learner's state, in the layout of the results of compiled functions.
      local_slice: batch size -> slice of the global batch that this process must supply.
      shard: pytree of host arrays (steps, this process's examples, ...) -> device arrays in batch layout.
      state_bytes: a state, or its shapes -> its bytes on each device.
    """

    axis_name: str | None
    compile: Callable[..., Any]
    replicate: Callable[[Any], Any]
    place_state: Callable[[Any], Any]
    local_slice: Callable[[int], slice]
    shard: Callable[[Any], Any]
    state_bytes: Callable[[Any], int]


def _check_divides(batch_size: int) -> None:
    if batch_size % jax.device_count():
        raise ConfigError("batch_size", batch_size, f"must be a multiple of the {jax.device_count()} devices")


def _mesh() -> jax.sharding.Mesh:
    return jax.make_mesh((jax.device_count(),), (AXIS,), axis_types=(AxisType.Auto,))


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _on_device(array: Any, sharding: NamedSharding) -> jax.Array:
    array = np.asarray(array)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def state_axis(shape: tuple[int, ...], devices: int) -> int | None:
    """Returns the axis along which `fsdp` shards an array of a state: the longest that divides evenly.

    None if the array is small or has no such axis: it is replicated.
    """
    if math.prod(shape) < MIN_SHARDED_SIZE:
        return None
    axes = [axis for axis, length in enumerate(shape) if length % devices == 0]
    return max(axes, key=lambda axis: shape[axis], default=None)


def _batches_over(mesh: jax.sharding.Mesh) -> tuple[Callable[[int], slice], Callable[[Any], Any]]:
    """Returns `local_slice` and `shard` for batches over a mesh."""
    by_example = NamedSharding(mesh, PartitionSpec(None, AXIS))

    def local_slice(batch_size):
        _check_divides(batch_size)
        pieces = by_example.addressable_devices_indices_map((1, batch_size)).values()
        bounds = [piece[1].indices(batch_size)[:2] for piece in pieces if piece is not None]
        return slice(min(first for first, _ in bounds), max(last for _, last in bounds))

    def shard_one(array):
        batch_size = array.shape[1] * jax.process_count()
        first = local_slice(batch_size).start

        def read(index):
            start, stop, _ = index[1].indices(batch_size)
            return array[:, start - first : stop - first]

        return jax.make_array_from_callback((array.shape[0], batch_size, *array.shape[2:]), by_example, read)

    return local_slice, lambda tree: jax.tree.map(shard_one, tree)


def _compiler_options(once: bool) -> dict[str, int] | None:
    return UNOPTIMISED if once and jax.default_backend() == "cpu" else None


def _jit_devices() -> Devices:
    mesh = _mesh()
    everywhere = NamedSharding(mesh, PartitionSpec())
    local_slice, shard = _batches_over(mesh)

    def compile_(function, is_batch, is_state=False, donate=(), once=False):
        del is_batch, is_state  # the arguments have their sharding already; all results are replicated
        options = _compiler_options(once)
        return jax.jit(function, donate_argnums=donate, out_shardings=everywhere, compiler_options=options)

    def replicate(tree):
        return jax.tree.map(lambda array: _on_device(array, everywhere), tree)

    return Devices(None, compile_, replicate, replicate, local_slice, shard, _bytes)


def _fsdp_devices() -> Devices:
    mesh = _mesh()
    everywhere = NamedSharding(mesh, PartitionSpec())
    local_slice, shard = _batches_over(mesh)

    def sharding_of(array):
        axis = state_axis(array.shape, mesh.size)
        return everywhere if axis is None else NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS))

    def compile_(function, is_batch, is_state=False, donate=(), once=False):
        del is_batch

        def laid_out(of_state, result):
            if not of_state:
                return result
            return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, sharding_of(leaf)), result)

        def call(*arguments):
            return jax.tree.map(laid_out, is_state, function(*arguments))

        out = jax.tree.map(lambda of_state: None if of_state else everywhere, is_state)
        return jax.jit(call, donate_argnums=donate, out_shardings=out, compiler_options=_compiler_options(once))

    def state_bytes(tree):
        leaves = jax.tree.leaves(tree)
        pieces = [1 if state_axis(leaf.shape, mesh.size) is None else mesh.size for leaf in leaves]
        return sum(_bytes(leaf) // count for leaf, count in zip(leaves, pieces, strict=True))

    return Devices(
        axis_name=None,
        compile=compile_,
        replicate=lambda tree: jax.tree.map(lambda array: _on_device(array, everywhere), tree),
        place_state=lambda tree: jax.tree.map(lambda array: _on_device(array, sharding_of(array)), tree),
        local_slice=local_slice,
        shard=shard,
        state_bytes=state_bytes,
    )


def _pmap_devices() -> Devices:
    def local_slice(batch_size):
        _check_divides(batch_size)
        share = batch_size // jax.process_count()
        return slice(jax.process_index() * share, (jax.process_index() + 1) * share)

    def shard_one(array):
        devices = jax.local_device_count()
        return array.reshape(array.shape[0], devices, array.shape[1] // devices, *array.shape[2:])

    def replicate(tree):
        # The outputs of pmap lie where pmap expects its inputs; host arrays would be copied at every call.
        places = np.zeros(jax.local_device_count())
        return jax.pmap(lambda tree, _: tree, axis_name=AXIS, in_axes=(None, 0), out_axes=None)(tree, places)

    def compile_(function, is_batch, is_state=False, donate=(), once=False):
        del is_state, once  # all results are replicated; pmap takes no compiler options
        in_axes = tuple(1 if split else None for split in is_batch)
        return jax.pmap(function, axis_name=AXIS, in_axes=in_axes, out_axes=None, donate_argnums=donate)

    return Devices(
        axis_name=AXIS,
        compile=compile_,
        replicate=replicate,
        place_state=replicate,
        local_slice=local_slice,
        shard=lambda tree: jax.tree.map(shard_one, tree),
        state_bytes=_bytes,
    )


_MAKERS = {"jit": _jit_devices, "fsdp": _fsdp_devices, "pmap": _pmap_devices}
PARALLEL = tuple(_MAKERS)


def make_devices(kind: str) -> Devices:
    """Returns all devices of all processes, used in one of the modes of PARALLEL.

    Raises:
      ConfigError: unknown mode.
      UserError: JAX has no device on the platform asked for.
    """
    if kind not in _MAKERS:
        raise ConfigError("parallel", kind, f"unknown; choose one of {', '.join(PARALLEL)}")
    try:
        jax.device_count()
    except Exception as error:  # of several kinds, by platform
        platforms = os.environ.get("JAX_PLATFORMS")
        asked = f"JAX_PLATFORMS={platforms}: " if platforms else ""
        raise UserError(f"{asked}JAX finds no device: {first_line(error)}") from error
    return _MAKERS[kind]()


def to_host(tree: Any) -> Any:
    """Returns NumPy copies of arrays that may be sharded over devices.

    If the shards are on devices of several processes, all of these must call this function; each gets whole arrays.
    """

    def one(leaf):
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable and not leaf.is_fully_replicated:
            return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))
        return np.array(leaf)

    return jax.tree.map(one, tree)


def over_seeds(function: Callable, seeds: int, batch_axis: int | None) -> Callable:
    """Returns `function(state, batch, key)` mapped over seeds: states and keys have a leading seed axis.

    On accelerators the seeds are batched (vmap). On CPU they run sequentially in the same program (lax.map): batching
    over parameters turns every convolution into a grouped one, which is slow on CPU; `experiments.benchmarks` measures
    both.

    Args:
      function: function for one seed.
      seeds: number of seeds; with 1 there is no seed axis.
      batch_axis: seed axis of the batch's arrays; None if all seeds share one batch.
    """
    if seeds == 1:
        return function
    if jax.default_backend() != "cpu":
        return jax.vmap(function, in_axes=(0, batch_axis, 0))

    def sequential(state, batch, keys):
        if batch_axis is None:
            return jax.lax.map(lambda args: function(args[0], batch, args[1]), (state, keys))
        batches = jax.tree.map(lambda x: jax.numpy.moveaxis(x, batch_axis, 0), batch)
        return jax.lax.map(lambda args: function(*args), (state, batches, keys))

    return sequential


def over_devices(tree: Any, axis: PartitionSpec) -> Any:
    """Shards arrays over all devices by a PartitionSpec, under jit and fsdp; returns them unchanged on one device."""
    if jax.device_count() == 1:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(_mesh(), axis))
