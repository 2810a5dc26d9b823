"""Fingerprints of user-supplied images: a run refuses to resume on other contents."""

import numpy as np
import pytest
from PIL import Image

from gdl_jax.core.errors import ConfigError
from gdl_jax.data import catalogue
from gdl_jax.runs.records import check_same_data

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8)


def write_npz(root, images):
    np.savez(root / "a.npz", images=images)
    return {"name": f"npz:{root}/a.npz"}


def write_folder(root, images):
    for number, image in enumerate(images):
        Image.fromarray(image).save(root / f"{number}.png")
    return {"name": f"folder:{root}"}


def write_drawings(root, images):
    np.save(root / "full_numpy_bitmap_camel.npy", images.reshape(-1, 784))
    return {"name": "quickdraw:camel", "data_dir": str(root)}


@pytest.mark.parametrize("write", [write_npz, write_folder, write_drawings])
def test_runs_refuse_changed_images_but_not_a_changed_path(tmp_path, write):
    (tmp_path / "a").mkdir()
    began = {"data_digest": catalogue.load(**write(tmp_path / "a", IMAGES)).digest}
    (tmp_path / "b").mkdir()
    check_same_data(tmp_path, began, catalogue.load(**write(tmp_path / "b", IMAGES)))
    changed = catalogue.load(**write(tmp_path / "a", 255 - IMAGES))
    with pytest.raises(ConfigError, match=f"^workdir={tmp_path}: "):
        check_same_data(tmp_path, began, changed)
    for older in ({"data_digest": ""}, {}, None):  # runs from before images had digests are not checked
        check_same_data(tmp_path, older, changed)
