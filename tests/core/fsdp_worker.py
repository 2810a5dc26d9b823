"""Trains a linear map on 8 devices with sharded state, and resumes it under other modes; prints JSON.

python -m tests.core.fsdp_worker FOLDER
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core import loop
from gdl_jax.core.learner import Learner
from gdl_jax.core.parallel import make_devices, to_host
from gdl_jax.data.dataset import ArraySource, DataSet

WIDTH = 256


def make_learner(axis_name: str | None) -> Learner:
    """Returns a learner of a linear map to 256 numbers, trained with momentum."""

    def init(key, batch):
        w = jax.random.normal(key, (batch["x"].shape[1], WIDTH))
        return {"w": w, "momentum": jnp.zeros_like(w), "bias": jnp.zeros(WIDTH), "updates": jnp.zeros((), jnp.int32)}

    def step(state, batch, key):
        def loss_function(w):
            return jnp.mean((batch["x"] @ w + state["bias"]) ** 2)

        loss, gradient = jax.value_and_grad(loss_function)(state["w"])
        if axis_name is not None:
            loss, gradient = jax.lax.pmean((loss, gradient), axis_name)
        momentum = 0.9 * state["momentum"] + gradient
        new = {"w": state["w"] - 0.1 * momentum, "momentum": momentum, "updates": state["updates"] + 1}
        return state | new, {"loss": loss}

    return Learner(init, step, lambda state, batch, key: {}, lambda state, key, num: None)


def data() -> DataSet:
    """Returns 64 rows of noise."""
    rows = ArraySource({"x": np.random.default_rng(0).normal(size=(64, 40)).astype(np.float32)})
    return DataSet("noise", rows, rows)


def bytes_on_each_device(state) -> list[int]:
    """Returns the bytes of a state's shards on each device."""
    shards = [shard for leaf in jax.tree.leaves(state) for shard in leaf.addressable_shards]
    return [sum(s.data.nbytes for s in shards if s.device == device) for device in jax.devices()]


def main() -> None:
    """Trains 4 updates under each of several modes in one folder; then as many without interruption in another."""
    folder, report = Path(sys.argv[1]), {}
    for number, parallel in enumerate(["fsdp", "jit", "fsdp", "pmap", "fsdp"], start=1):
        devices = make_devices(parallel)
        options = {"steps": 4 * number, "batch_size": 16, "log_every": 4}
        result = loop.train(make_learner(devices.axis_name), data(), devices, folder / "switched", **options)
        if parallel == "fsdp":
            report["bytes"] = bytes_on_each_device(result.state)
            report["planned"] = devices.state_bytes(result.state)
    whole = loop.train(make_learner(None), data(), make_devices("jit"), folder / "whole", **options)
    difference = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), to_host(result.state), to_host(whole.state))
    report["difference"] = max(jax.tree.leaves(difference))
    report["whole"] = sum(leaf.nbytes for leaf in jax.tree.leaves(whole.state))
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
