"""One body on one device, on many, or on many hosts: the whole adapter.

`jit` shards the batch over a mesh and replicates everything else; the compiler sees the global batch. `pmap` runs the
body once per device on its part of the batch, and the body averages over `AXIS`. Both give the same numbers.

Arrays of batches have the layout (calls, batch, ...): axis 1 is the one that is split.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gdl_jax.core.errors import UserError

AXIS = "data"
UNOPTIMISED = {"xla_backend_optimization_level": 0}  # on CPU, compiling initialisers (threefry) takes seconds otherwise


class Devices(NamedTuple):
    """How a program meets the devices.

    Attributes:
      axis_name: what the body averages over: AXIS under pmap, None under jit.
      compile: (function, is_batch, donate, once) -> compiled function; `is_batch` says of each argument whether it is
        in batch layout; the others and the results are the same on every device. `once`: it runs once, so that
        compiling fast matters more than running fast.
      replicate: host pytree -> the same values on every device.
      columns: batch size -> (first, last), the examples of the global batch that this process must supply.
      split: pytree of host arrays (calls, columns, ...), this process's columns -> device arrays in batch layout.
    """

    axis_name: str | None
    compile: Callable[..., Any]
    replicate: Callable[[Any], Any]
    columns: Callable[[int], tuple[int, int]]
    split: Callable[[Any], Any]


def _check_divides(batch_size: int) -> None:
    if batch_size % jax.device_count():
        raise UserError(f"--batch_size={batch_size} is not a multiple of the {jax.device_count()} devices")


def _mesh() -> jax.sharding.Mesh:
    return jax.make_mesh((jax.device_count(),), (AXIS,), axis_types=(AxisType.Auto,))


def _jit_devices() -> Devices:
    mesh = _mesh()
    everywhere = NamedSharding(mesh, PartitionSpec())
    by_example = NamedSharding(mesh, PartitionSpec(None, AXIS))

    def columns(batch_size):
        _check_divides(batch_size)
        pieces = by_example.addressable_devices_indices_map((1, batch_size)).values()
        bounds = [piece[1].indices(batch_size)[:2] for piece in pieces]
        return min(first for first, _ in bounds), max(last for _, last in bounds)

    def split_one(array):
        batch_size = array.shape[1] * jax.process_count()
        first, _ = columns(batch_size)

        def read(index):
            start, stop, _ = index[1].indices(batch_size)
            return array[:, start - first : stop - first]

        return jax.make_array_from_callback((array.shape[0], batch_size, *array.shape[2:]), by_example, read)

    def replicate_one(array):
        array = np.asarray(array)
        return jax.make_array_from_callback(array.shape, everywhere, lambda index: array[index])

    def compile_(function, is_batch, donate=(), once=False):
        del is_batch  # the arguments' own sharding says it
        options = UNOPTIMISED if once and jax.default_backend() == "cpu" else None
        return jax.jit(function, donate_argnums=donate, out_shardings=everywhere, compiler_options=options)

    return Devices(
        axis_name=None,
        compile=compile_,
        replicate=lambda tree: jax.tree.map(replicate_one, tree),
        columns=columns,
        split=lambda tree: jax.tree.map(split_one, tree),
    )


def _pmap_devices() -> Devices:
    def columns(batch_size):
        _check_divides(batch_size)
        share = batch_size // jax.process_count()
        return jax.process_index() * share, (jax.process_index() + 1) * share

    def split_one(array):
        devices = jax.local_device_count()
        return array.reshape(array.shape[0], devices, array.shape[1] // devices, *array.shape[2:])

    def replicate(tree):
        # What goes through pmap comes out where pmap wants it; host arrays would be copied at every call.
        places = np.zeros(jax.local_device_count())
        return jax.pmap(lambda tree, _: tree, axis_name=AXIS, in_axes=(None, 0), out_axes=None)(tree, places)

    def compile_(function, is_batch, donate=(), once=False):
        del once  # pmap takes no compiler options
        in_axes = tuple(1 if split else None for split in is_batch)
        return jax.pmap(function, axis_name=AXIS, in_axes=in_axes, out_axes=None, donate_argnums=donate)

    return Devices(
        axis_name=AXIS,
        compile=compile_,
        replicate=replicate,
        columns=columns,
        split=lambda tree: jax.tree.map(split_one, tree),
    )


def make_devices(kind: str) -> Devices:
    """All devices of all processes, driven by `jit` or by `pmap`.

    Raises:
      UserError: another kind.
    """
    makers = {"jit": _jit_devices, "pmap": _pmap_devices}
    if kind not in makers:
        raise UserError(f"--parallel={kind}: unknown; choose one of {', '.join(makers)}")
    return makers[kind]()


def replicas(function: Callable, seeds: int, batch_axis: int | None) -> Callable:
    """`function(state, batch, key)` for `seeds` replicas at once: states and keys have a leading replica axis.

    On accelerators the replicas are batched (vmap). On CPU they run one after the other in the same program
    (lax.map): batching over parameters turns every convolution into a grouped one, which CPUs run slowly;
    `experiments.benchmarks` measures both.

    Args:
      function: what to run for each replica.
      seeds: how many replicas; 1 means no replica axis at all.
      batch_axis: the replica axis of the batch's arrays, or None if all replicas get the same batch.
    """
    if seeds == 1:
        return function
    if jax.default_backend() != "cpu":
        return jax.vmap(function, in_axes=(0, batch_axis, 0))

    def one_after_the_other(state, batch, keys):
        if batch_axis is None:
            return jax.lax.map(lambda args: function(args[0], batch, args[1]), (state, keys))
        batches = jax.tree.map(lambda x: jax.numpy.moveaxis(x, batch_axis, 0), batch)
        return jax.lax.map(lambda args: function(*args), (state, batches, keys))

    return one_after_the_other


def over_devices(tree: Any, axis: PartitionSpec) -> Any:
    """Under jit: lays arrays over all devices, as batches are laid."""
    if jax.device_count() == 1:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(_mesh(), axis))
