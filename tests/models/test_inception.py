"""Inception-v3 and its weight files against Keras: recorded outputs, recomputed where Keras is installed.

The weights are random: no Keras file is needed.
"""

import os
import shutil
from functools import cache

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.models.inception import InceptionV3, load_weights

IMAGES = np.random.default_rng(1).uniform(size=(2, 107, 75, 3)).astype(np.float32)  # the last feature maps are 2x1
# The convolutions in the order of keras.applications.InceptionV3(...).layers (3.15.1), numbered in creation order.
KERAS_ORDER = """
    0 1 2 3 4 8 6 9 5 7 10 11 15 13 16 12 14 17 18 22 20 23 19 21 24 25 27 28 26 29 34 35 31 36 32 37 30 33 38 39 44 45
    41 46 42 47 40 43 48 49 54 55 51 56 52 57 50 53 58 59 64 65 61 66 62 67 60 63 68 69 72 73 70 74 71 75 80 77 81 78 79
    82 83 76 84 89 86 90 87 88 91 92 85 93"""
KERAS_ORDER = [int(number) for number in KERAS_ORDER.split()]
# Outputs of Keras 3.15.1 on TensorFlow for IMAGES and `weights`: the first features and logits of each image.
KERAS_FEATURES = [[0.10388, 0.178613, 1.032355, 0.4519], [0.117814, 0.13545, 1.118367, 0.454514]]
KERAS_LOGITS = [[-0.05823, -1.079607, -0.889108, -0.306995], [-0.089017, -1.078835, -0.86967, -0.299322]]


@cache
def init_shapes():
    return jax.eval_shape(InceptionV3().init, jax.random.key(0), jnp.zeros((1, 75, 75, 3)))


@pytest.fixture(scope="module")
def weights():
    """Returns [kernel, bias, mean, var] of each convolution by number, and [kernel, bias] of the classifier."""
    rng = np.random.default_rng(0)
    shapes = init_shapes()["params"]

    def normal(shape, scale):
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    convolutions = []
    for number in range(94):
        shape = shapes[f"convolution_{number}"]["conv"]["kernel"].shape
        kernel = normal(shape, (2 / np.prod(shape[:3])) ** 0.5)
        bias, mean = normal(shape[3:], 0.3), normal(shape[3:], 0.3)
        convolutions.append([kernel, bias, mean, 0.5 + normal(shape[3:], 1) ** 2])
    return convolutions, [normal((2048, 1000), 2048**-0.5), normal(1000, 1)]


def write_keras_2(path, weights, top):
    """Writes a file like the published ones: names count from 1 in creation order, layers are in Keras's order."""
    convolutions, dense = weights
    layers = {"input_1": {}}
    for number in KERAS_ORDER:
        kernel, *norm = convolutions[number]
        name, norm_name = f"conv2d_{number + 1}", f"batch_normalization_{number + 1}"
        layers[name] = {f"{name}/kernel:0": kernel}
        names = ("beta:0", "moving_mean:0", "moving_variance:0")
        layers[norm_name] = {f"{norm_name}/{name}": array for name, array in zip(names, norm, strict=True)}
        layers[f"activation_{number + 1}"] = {}
    if top:
        layers["predictions"] = dict(zip(("predictions_1/kernel:0", "predictions_1/bias:0"), dense, strict=True))
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([name.encode() for name in layers])
        for name, arrays in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array([name.encode() for name in arrays])
            for array_name, array in arrays.items():
                group[array_name] = array


def write_keras_3(path, weights, top):
    """Writes a file like .weights.h5: layers of a type are numbered in Keras's order; the first has no number."""
    convolutions, dense = weights
    with h5py.File(path, "w") as file:
        file.create_group("layers/activation/vars")
        for position, number in enumerate(KERAS_ORDER):
            suffix = f"_{position}" if position else ""
            kernel, *norm = convolutions[number]
            file[f"layers/conv2d{suffix}/vars/0"] = kernel
            for i, array in enumerate(norm):
                file[f"layers/batch_normalization{suffix}/vars/{i}"] = array
        for i, array in enumerate(dense if top else []):
            file[f"layers/dense/vars/{i}"] = array


@pytest.fixture(scope="module")
def keras_2_file(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "inception.h5"
    write_keras_2(path, weights, top=True)
    return path


@pytest.mark.slow
def test_parameter_counts_are_the_documented_ones():
    total = sum(leaf.size for leaf in jax.tree.leaves(init_shapes()))
    assert total == 23_851_784
    assert total - sum(leaf.size for leaf in jax.tree.leaves(init_shapes()["params"]["predictions"])) == 21_802_784


@pytest.mark.slow
def test_features_and_logits_match_keras(keras_2_file):
    variables = load_weights(keras_2_file)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, init_shapes())
    features, logits = jax.jit(InceptionV3().apply)(variables, IMAGES)
    assert features.shape == (2, 2048)
    assert logits.shape == (2, 1000)
    np.testing.assert_allclose(features[:, :4], KERAS_FEATURES, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(logits[:, :4], KERAS_LOGITS, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_keras_2, write_keras_3])
def test_loads_every_array_without_the_classifier(tmp_path, weights, write):
    write(tmp_path / "notop.h5", weights, top=False)
    variables = load_weights(tmp_path / "notop.h5")
    params, statistics = variables["params"], variables["batch_stats"]
    assert params.keys() == statistics.keys() == {f"convolution_{number}" for number in range(94)}
    for number, (kernel, bias, mean, var) in enumerate(weights[0]):
        name = f"convolution_{number}"
        np.testing.assert_array_equal(params[name]["conv"]["kernel"], kernel)
        np.testing.assert_array_equal(params[name]["bias"], bias)
        np.testing.assert_array_equal(statistics[name]["mean"], mean)
        np.testing.assert_array_equal(statistics[name]["var"], var)
    features, logits = jax.eval_shape(InceptionV3().apply, variables, IMAGES)
    assert features.shape == (2, 2048)
    assert logits is None


@pytest.mark.slow
def test_damaged_and_other_files_are_refused_in_one_line(tmp_path, keras_2_file):
    def changed(name):
        path = tmp_path / f"{name}.h5"
        shutil.copy(keras_2_file, path)
        return path, h5py.File(path, "r+")

    def refusal(path):
        with pytest.raises(UserError) as error:
            load_weights(path)
        message = str(error.value)
        assert str(path) in message
        assert "\n" not in message
        return message

    truncated = tmp_path / "truncated.h5"
    truncated.write_bytes(keras_2_file.read_bytes()[:50_000_000])
    refusal(truncated)
    text = tmp_path / "text.h5"
    text.write_text("not HDF5\n" * 100)
    refusal(text)
    refusal(tmp_path / "missing.h5")
    refusal(tmp_path)
    path, file = changed("shape")
    with file:
        del file["conv2d_7/conv2d_7/kernel:0"]
        file["conv2d_7/conv2d_7/kernel:0"] = np.zeros((3, 3, 192, 48), np.float32)
    message = refusal(path)
    assert all(text in message for text in ("conv2d_7", "(3, 3, 192, 48)", "(1, 1, 192, 48)"))
    path, file = changed("array")
    with file:
        del file["batch_normalization_9/batch_normalization_9/beta:0"]
    assert "beta:0" in refusal(path)
    path, file = changed("layer")
    with file:
        file.attrs["layer_names"] = file.attrs["layer_names"][:-4]
    assert "93" in refusal(path)
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["kernel"] = np.zeros((3, 3, 3, 32), np.float32)
    refusal(other)


def test_matches_installed_keras(tmp_path, weights, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "jax"))
    keras = pytest.importorskip("keras")
    network = keras.applications.InceptionV3(
        include_top=True, weights=None, input_shape=IMAGES.shape[1:], classifier_activation=None
    )

    def in_creation_order(kind):  # the layers' names are numbered in this order
        layers = [layer for layer in network.layers if isinstance(layer, kind)]
        return sorted(layers, key=lambda layer: (len(layer.name), layer.name))

    norms = in_creation_order(keras.layers.BatchNormalization)
    for convolution, norm, (kernel, *statistics) in zip(
        in_creation_order(keras.layers.Conv2D), norms, weights[0], strict=True
    ):
        convolution.set_weights([kernel])
        norm.set_weights(statistics)
    network.layers[-1].set_weights(weights[1])
    both = keras.Model(network.input, [network.layers[-2].output, network.output])
    expected = both.predict(2 * IMAGES - 1, verbose=0)
    np.testing.assert_allclose(expected[0][:, :4], KERAS_FEATURES, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(expected[1][:, :4], KERAS_LOGITS, rtol=1e-3, atol=1e-4)
    apply = jax.jit(InceptionV3().apply)
    for name in ("keras.weights.h5", "keras.h5"):
        (network.save_weights if name == "keras.weights.h5" else network.save)(tmp_path / name)
        for ours, theirs in zip(apply(load_weights(tmp_path / name), IMAGES), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5 * np.abs(theirs).max())
