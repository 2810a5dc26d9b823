"""Edge filters against SciPy."""

import numpy as np
import pytest
from scipy.signal import correlate2d

from gdl_jax.nn.edges import edge_maps


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 5)])
def test_matches_scipys_centred_correlation(stride, kernel):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(16, 13)).astype(np.float32)
    filters = rng.normal(size=(2, *kernel)).astype(np.float32)
    expected = [correlate2d(image, weights, mode="same")[::stride, ::stride] for weights in filters]
    np.testing.assert_allclose(edge_maps(image, filters, stride), expected, atol=1e-5)


def test_a_vertical_edge_is_found():
    image = np.zeros((8, 8), np.float32)
    image[:, 4:] = 1
    response = edge_maps(image, np.array([[[-1, 0, 1]] * 3], np.float32), 1)[0]
    assert np.flatnonzero(response[4, :7]).tolist() == [3, 4]  # both sides of the edge; column 7 sees the border
