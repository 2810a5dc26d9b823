"""Summary of a run before training: layers, parameter counts, cost of an update, memory."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from flax import linen as nn

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.flops import count_multiplications
from gdl_jax.core.parallel import make_devices
from gdl_jax.data.dataset import DataSet
from gdl_jax.runs.experiment import Experiment, Network


class Count(NamedTuple):
    """Number of all values, and of those trained by gradient."""

    total: int
    trainable: int


def _size(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _variables(network: Network) -> Mapping[str, Any]:
    key = jax.random.key(0)
    return jax.eval_shape(
        lambda *inputs: network.module.init({"params": key, "dropout": key}, *inputs, train=False), *network.inputs
    )


def count_network(network: Network) -> Count:
    """Counts the values of one network, from shapes alone."""
    variables = _variables(network)
    return Count(_size(variables), _size(variables.get("params", {})))


def count_parameters(networks: Mapping[str, Network]) -> Count:
    """Counts the values of all networks together."""
    counts = [count_network(network) for network in networks.values()]
    return Count(sum(count.total for count in counts), sum(count.trainable for count in counts))


def layer_rows(network: Network) -> list[tuple[str, str, str, int]]:
    """Returns (path, type, output shape, count) of each layer, in execution order."""
    rows = []
    sizes: dict[str, int] = {}
    for collection in _variables(network).values():
        for path, leaf in jax.tree_util.tree_leaves_with_path(collection):
            owner = "/".join(str(entry.key) for entry in path[:-1])
            sizes[owner] = sizes.get(owner, 0) + math.prod(leaf.shape)

    def record(next_call, args, kwargs, context):
        out = next_call(*args, **kwargs)
        path = "/".join(context.module.path)
        if context.method_name == "__call__" and path:
            shapes = ", ".join(str(("B", *leaf.shape[1:])).replace("'", "") for leaf in jax.tree.leaves(out))
            rows.append((path, type(context.module).__name__, shapes, sizes.get(path, 0)))
        return out

    def run(*inputs):
        key = jax.random.key(0)
        with nn.intercept_methods(record):
            return network.module.init({"params": key, "dropout": key}, *inputs, train=False)

    jax.eval_shape(run, *network.inputs)
    return rows


def table(name: str, network: Network) -> str:
    """Returns one network's layers and counts, as text."""
    rows = [(path, layer, shape, f"{count:,}") for path, layer, shape, count in layer_rows(network)]
    header = ("layer", "type", "output", "parameters")
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(4)]

    def line(row):
        return "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)), row[3].rjust(widths[3])]
        )

    count = count_network(network)
    rule = "-" * (sum(widths) + 6)
    lines = [name, rule, line(header), rule, *map(line, rows), rule]
    lines.append(f"{name}: {count.total:,} parameters, {count.trainable:,} trainable")
    return "\n".join(lines) + "\n"


def summary(experiment: Experiment, config: Any) -> str:
    """Returns the tables of all networks and the totals; the last line is `total parameters: N`."""
    networks = experiment.networks(config, spec_or_data(experiment, config))
    count = count_parameters(networks)
    text = "\n".join(table(name, network) for name, network in networks.items())
    return f"{text}\ntrainable parameters: {count.trainable}\ntotal parameters: {count.total}\n"


def spec_or_data(experiment: Experiment, config: Any) -> DataSet:
    """Returns a data set of one row with the shapes of the config's; the real data if the shapes depend on them.

    Raises:
      UserError: the data are needed but can't be loaded.
    """
    spec = experiment.spec(config)
    if spec is not None:
        return spec
    why = "the networks of this config depend on the data, for example on the number of classes"
    try:
        return experiment.load(config)
    except ConfigError as error:
        raise ConfigError(error.field, error.value, f"{error.reason} ({why})") from error
    except UserError as error:
        raise UserError(f"{error} ({why})") from error


def trace_step(experiment: Experiment, config: Any) -> tuple[jax.stages.Traced, Mapping[str, Any], Any]:
    """Returns one traced update on one device, ready to be lowered, and the shapes of its batch and its state."""
    data = spec_or_data(experiment, config)
    learner = experiment.build(config, data, None)
    row = data.example()
    examples = config.batch_size * learner.batches_per_step
    rows = {name: jax.ShapeDtypeStruct((examples, *array.shape[1:]), array.dtype) for name, array in row.items()}
    batch = jax.eval_shape(data.transform, rows)
    key = jax.random.key(0)
    state = jax.eval_shape(learner.init, key, batch)
    return jax.jit(learner.step, donate_argnums=0).trace(state, batch, key), batch, state


def dry_run(experiment: Experiment, config: Any) -> str:
    """Returns a description of a run: layer tables, FLOPs of one update, and memory."""
    devices = make_devices(config.parallel)
    devices.local_slice(config.batch_size)  # raises if the devices can't share the batch
    traced, batch, state = trace_step(experiment, config)
    cost, memory = count_multiplications(traced.jaxpr.jaxpr), traced.lower().compile().memory_analysis()
    lines = [summary(experiment, config).rstrip(), ""]
    lines += [f"batch {name}: {leaf.dtype}{list(leaf.shape)}" for name, leaf in batch.items()]
    flops = f"{'' if cost.exact else 'at least '}{2 * cost.multiplications:.4g}"
    lines.append(f"FLOPs per step: {flops} (matrix products and convolutions; all devices, one seed)")
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    each = f"{devices.state_bytes(state):,} bytes on each of {jax.device_count()} devices, by {config.parallel}"
    of_one = "" if config.seeds == 1 else f" of one of {config.seeds} seeds"
    lines.append(f"state{of_one}: {size / 2**20:.1f} MiB; {each}")
    if memory is not None:
        lines.append(f"temporary memory if run on one device: {memory.temp_size_in_bytes / 2**20:.1f} MiB")
    return "\n".join(lines) + "\n"
