import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import style_transfer
from experiments.bench import style_time
from experiments.style import objective
from gdl_jax.core.flops import count_multiplications

CONFIG = dataclasses.replace(style_transfer.PRESETS["tiny"], image_height=32)


def test_multiplications_are_those_of_the_traced_convolutions():
    features = objective.make_features(CONFIG)
    shape = (1, 32, 48, 3)

    def gradient(image):
        return jax.grad(lambda image: features(image)["block2_conv2"].sum())(image)

    cost = count_multiplications(jax.make_jaxpr(gradient)(jnp.zeros(shape)).jaxpr)
    assert style_time.multiplications(CONFIG, 32, 48) == pytest.approx(cost.multiplications, rel=1e-6)


@pytest.mark.slow
def test_pytorch_computes_the_same_loss():
    pytest.importorskip("torch")
    ours, theirs = style_time.measure(CONFIG, evaluations=1, windows=2)  # raises if the losses differ
    assert len(ours) == len(theirs) == 2
    assert np.all(np.array([ours, theirs]) > 0)
