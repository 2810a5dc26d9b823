"""Tests of batches: order of the examples, and equality of resident and streamed ones."""

import numpy as np
import pytest

from gdl_jax.core import input_pipeline
from gdl_jax.core.parallel import make_devices
from gdl_jax.data.dataset import ArraySource


@pytest.mark.parametrize("batch_size", [3, 7, 10, 25])
def test_every_epoch_has_each_row_once_for_any_batch_size(batch_size):
    count, epochs = 10, 5
    stream = np.concatenate(
        [input_pipeline.batch_indices(3, t, batch_size, count) for t in range(count * epochs // batch_size + 1)]
    )
    for epoch in range(epochs):
        assert sorted(stream[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_order_depends_only_on_seed_and_epoch():
    first = input_pipeline.batch_indices(0, 5, 8, 1000)
    np.testing.assert_array_equal(first, input_pipeline.batch_indices(0, 5, 8, 1000))
    assert not np.array_equal(first, input_pipeline.batch_indices(1, 5, 8, 1000))
    assert not np.array_equal(first, input_pipeline.batch_indices(0, 5 + 125, 8, 1000))


@pytest.mark.parametrize("seeds", [1, 3])
def test_streamed_batches_equal_resident_ones(seeds):
    rows = ArraySource({"image": np.arange(50 * 4, dtype=np.uint8).reshape(50, 2, 2), "label": np.arange(50)})
    devices = make_devices("jit")

    def indices(step):
        orders = [input_pipeline.batch_indices(seed, step, 6, 50) for seed in range(seeds)]
        return orders[0] if seeds == 1 else np.stack(orders, 1)

    resident = input_pipeline.DeviceDataset(rows, devices, steps_per_call=4)
    streamed = input_pipeline.HostStream(rows, devices, 6, steps_per_call=4)
    try:
        for first, count in [(0, 1), (1, 4), (5, 2), (7, 4)]:
            a, b = (pipeline.load(indices, first, count, 11) for pipeline in (resident, streamed))
            for k in range(count):
                one, other = resident.pick(resident.arrays, a, k), streamed.pick(streamed.arrays, b, k)
                for name in one:
                    np.testing.assert_array_equal(one[name], other[name])
                    np.testing.assert_array_equal(one[name], rows.arrays[name][indices(first + k)])
    finally:
        streamed.close()


def test_streams_large_splits(monkeypatch):
    rows = ArraySource({"x": np.zeros((10, 100), np.float32)})
    devices = make_devices("jit")
    assert isinstance(input_pipeline.make_pipeline(rows, devices, 5), input_pipeline.DeviceDataset)
    monkeypatch.setattr(input_pipeline, "RESIDENT_BYTES", 3999)
    pipeline = input_pipeline.make_pipeline(rows, devices, 5)
    assert isinstance(pipeline, input_pipeline.HostStream)
    pipeline.close()


def test_limits_the_bytes_of_a_streamed_call(monkeypatch):
    monkeypatch.setattr(input_pipeline, "STREAMED_CALL_BYTES", 4000)
    rows = ArraySource({"x": np.zeros((10, 100), np.float32)})
    pipeline = input_pipeline.HostStream(rows, make_devices("jit"), examples=4)
    assert pipeline.steps_per_call == 2
    pipeline.close()
