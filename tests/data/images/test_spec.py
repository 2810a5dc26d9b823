"""Specs of image sets: shapes, and classes where they are known."""

import pytest
from PIL import Image

from gdl_jax.core.errors import ConfigError
from gdl_jax.data import catalogue
from gdl_jax.data.images.cifar10 import CLASSES
from gdl_jax.data.images.domains import by_domains
from gdl_jax.data.images.spec import image_data_spec, two_domains_spec
from gdl_jax.runs.config import ImageConfig
from gdl_jax.runs.images import data_spec, load_data


def layout(data):
    """Returns what a network must know of a data set of two domains."""
    rows = {name: (array.shape[1:], array.dtype) for name, array in data.example().items()}
    return rows, data.domains, data.paired, data.attributes, data.transform


def test_classes_are_those_of_the_set_or_empty():
    assert image_data_spec("cifar10", 0).classes == CLASSES
    assert image_data_spec("mnist", 0).classes == tuple("0123456789")
    for name in ("quickdraw:camel", "celeba"):
        spec = image_data_spec(name, 0)
        assert spec.classes == () and "label" not in spec.train.arrays


@pytest.mark.parametrize(
    ("name", "image_size", "shape"),
    [("digits", 0, (28, 28, 1)), ("cifar10", 16, (16, 16, 3)), ("avatars", 0, (128, 128, 3))],
)
def test_images_have_the_shape_of_the_set(name, image_size, shape):
    assert image_data_spec(name, image_size).train.arrays["image"].shape == (1, *shape)


@pytest.mark.parametrize(
    "name", ["digits:foo", "cifar10:", "quickdraw", "quickdraw:", "wrodl", "mnits", "drawings:x", "paired:", "unpaired"]
)
def test_other_names_have_no_spec(name):
    assert image_data_spec(name, 0) is None


@pytest.mark.parametrize("image_size", [0, 16])
def test_specs_of_two_domains_are_those_of_the_data(tmp_path, monkeypatch, image_size):
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path / "cache"))
    for folder in ("trainA", "trainB", "testA", "testB", "train", "test"):
        for root in ("apple2orange", "monet2photo") if folder[-1] in "AB" else ("facades/{}/label", "facades/{}/photo"):
            path = tmp_path / (f"{root}/{folder}" if folder[-1] in "AB" else root.format(folder))
            path.mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(path / "1.png")
    mine = (f"unpaired:{tmp_path}/apple2orange", f"paired:{tmp_path}/pairs")
    for split in ("train", "test"):
        (tmp_path / "pairs" / split).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "pairs" / split / "1.png")
    for name in ("drawings:edges", "drawings:labels", "apple2orange", "monet2photo", "facades", *mine):
        data = catalogue.load(name, data_dir=str(tmp_path), image_size=image_size or None, avatars=10)
        assert layout(two_domains_spec(name, image_size)) == layout(data)


def test_specs_of_sets_divided_into_domains_are_those_of_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path))
    faces = by_domains(catalogue.load("avatars", image_size=16, avatars=40), "Smiling", "-Smiling")
    digits = by_domains(catalogue.load("digits"), "3", "8")
    for data, spec in ((faces, two_domains_spec("avatars", 16)), (digits, two_domains_spec("digits", 0))):
        rows, _, paired, attributes, transform = layout(spec)
        assert (rows, paired, attributes, transform) == (layout(data)[0], *layout(data)[2:])
    assert two_domains_spec("folder:x", 0) is None


@pytest.mark.parametrize("name", ["drawings:edges", "apple2orange", "facades", "unpaired:x", "paired:x"])
def test_experiments_on_images_refuse_two_domains_before_loading_them(name):
    for function in (load_data, data_spec):
        with pytest.raises(ConfigError, match=f"^dataset={name}: "):
            function(ImageConfig(dataset=name, data_dir="absent"))
