import numpy as np

from gdl_jax.data.dataset import ArraySource
from gdl_jax.evaluation import neighbours


def test_finds_nearest_images_and_distances(monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS_AT_ONCE", 7)  # several blocks, the last one not full
    rng = np.random.default_rng(0)
    references = rng.integers(0, 256, (30, 4, 4, 1)).astype(np.uint8)
    images = references[[3, 29, 10]] / 255.0
    images[1] += 0.02
    found = neighbours.nearest_by_l1(images, ArraySource({"image": references}))
    np.testing.assert_array_equal(found.index, [3, 29, 10])
    np.testing.assert_allclose(found.distance, [0, 0.02, 0], atol=1e-5)
