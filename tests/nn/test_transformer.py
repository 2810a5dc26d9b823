"""Tests of the positional encoding."""

import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.nn.transformer import sinusoidal_positions


def test_positions_are_encoded_as_in_the_paper():
    """The book prints the cosine with exponent (2i + 1) / d, which would give 0.5552 instead of cos(1)."""
    encoded = np.asarray(sinusoidal_positions(jnp.arange(128), 512))
    assert encoded[1, 0] == pytest.approx(np.sin(1))
    assert encoded[1, 1] == pytest.approx(np.cos(1))
    assert encoded[7, 10] == pytest.approx(np.sin(7 / 10000 ** (10 / 512)), abs=1e-5)
    assert encoded.mean() == pytest.approx(0.34388, abs=1e-5)


def test_products_of_encodings_depend_on_distances_only():
    encoded = np.asarray(sinusoidal_positions(jnp.array([[0, 3, 8], [0, 50, 55]]), 512), np.float64)
    assert encoded[0, 0] @ encoded[0, 0] == pytest.approx(256)
    for row in encoded:
        assert row[1] @ row[2] == pytest.approx(189.5967, abs=1e-2)
