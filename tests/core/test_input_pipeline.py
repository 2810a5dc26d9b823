import numpy as np
import pytest

from gdl_jax.core import input_pipeline
from gdl_jax.core.parallel import make_devices
from gdl_jax.data.dataset import ArraySource


@pytest.mark.parametrize("batch_size", [3, 7, 10, 25])
def test_every_epoch_sees_each_row_once_whatever_the_batch_size(batch_size):
    count, epochs = 10, 5
    stream = np.concatenate(
        [input_pipeline.batch_indices(3, t, batch_size, count) for t in range(count * epochs // batch_size + 1)]
    )
    for epoch in range(epochs):
        assert sorted(stream[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_order_depends_on_seed_and_epoch_and_on_nothing_else():
    first = input_pipeline.batch_indices(0, 5, 8, 1000)
    np.testing.assert_array_equal(first, input_pipeline.batch_indices(0, 5, 8, 1000))
    assert not np.array_equal(first, input_pipeline.batch_indices(1, 5, 8, 1000))
    assert not np.array_equal(first, input_pipeline.batch_indices(0, 5 + 125, 8, 1000))


@pytest.mark.parametrize("replicas", [1, 3])
def test_streamed_batches_are_the_resident_ones(replicas, monkeypatch):
    rows = ArraySource({"image": np.arange(50 * 4, dtype=np.uint8).reshape(50, 2, 2), "label": np.arange(50)})
    devices = make_devices("jit")

    def indices(step):
        orders = [input_pipeline.batch_indices(r, step, 6, 50) for r in range(replicas)]
        return orders[0] if replicas == 1 else np.stack(orders, 1)

    resident = input_pipeline.DeviceDataset(rows, devices, steps_per_call=4)
    streamed = input_pipeline.HostStream(rows, devices, 6, steps_per_call=4)
    try:
        for first, count in [(0, 1), (1, 4), (5, 2), (7, 4)]:
            a, b = (feed.load(indices, first, count, 11) for feed in (resident, streamed))
            for k in range(count):
                one, other = resident.pick(resident.arrays, a, k), streamed.pick(streamed.arrays, b, k)
                for name in one:
                    np.testing.assert_array_equal(one[name], other[name])
                    np.testing.assert_array_equal(one[name], rows.arrays[name][indices(first + k)])
    finally:
        streamed.close()


def test_large_splits_are_streamed(monkeypatch):
    rows = ArraySource({"x": np.zeros((10, 100), np.float32)})
    devices = make_devices("jit")
    assert isinstance(input_pipeline.make_pipeline(rows, devices, 5), input_pipeline.DeviceDataset)
    monkeypatch.setattr(input_pipeline, "RESIDENT_BYTES", 3999)
    feed = input_pipeline.make_pipeline(rows, devices, 5)
    assert isinstance(feed, input_pipeline.HostStream)
    feed.close()


def test_a_streamed_call_stays_within_its_bytes(monkeypatch):
    monkeypatch.setattr(input_pipeline, "STREAMED_CALL_BYTES", 4000)
    feed = input_pipeline.HostStream(
        ArraySource({"x": np.zeros((10, 100), np.float32)}), make_devices("jit"), examples=4
    )
    assert feed.steps_per_call == 2
    feed.close()
