import numpy as np
import pytest
from PIL import Image

from gdl_jax.core.errors import ConfigError
from gdl_jax.data.images import photographs


def save(path, height, width, color="teal"):
    Image.new("RGB", (width, height), color).save(path)
    return str(path)


@pytest.mark.parametrize("name", photographs.BUNDLED)
def test_bundled_pictures_are_installed_with_the_package(name):
    picture = photographs.read_picture("content", name)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and min(picture.shape[:2]) >= 200


def test_pictures_keep_their_aspects(tmp_path):
    content, style = save(tmp_path / "photo.png", 90, 60), save(tmp_path / "painting.png", 50, 200)
    data = photographs.load(content, (style, "brick"), height=30, style_scale=2.0, copies=2)
    rows = data.train.take(np.arange(2))
    assert {name: array.shape for name, array in rows.items()} == {
        "content": (2, 30, 20, 3),
        "style_0": (2, 60, 240, 3),
        "style_1": (2, 60, 60, 3),
    }
    assert data.name == "photo in the style of painting and brick"
    batch = data.transform(rows)
    np.testing.assert_allclose(batch["content"][0, 0, 0], np.array([0, 128, 128]) / 255, atol=1e-6)


def test_digest_depends_on_the_contents_alone(tmp_path):
    paths = [
        save(tmp_path / name, 8, 8, color) for name, color in (("a.png", "red"), ("b.png", "red"), ("c.png", "blue"))
    ]
    first, copy, other = (photographs.load(path, ("brick",), height=8).digest for path in paths)
    assert first == copy != other


def test_unusable_pictures_are_refused_by_field(tmp_path):
    content = save(tmp_path / "photo.png", 40, 30)
    broken = tmp_path / "broken.png"
    broken.write_bytes((tmp_path / "photo.png").read_bytes()[:50])
    other, black = save(tmp_path / "other.png", 30, 40), save(tmp_path / "black.png", 40, 30, "black")
    for field, name, mentioned in (
        ("content", str(tmp_path / "missing.png"), "missing.png"),
        ("content", str(tmp_path), "folder"),
        ("style", str(broken), "broken.png"),
        ("mask", other, "40x30"),
        ("mask", black, "black.png"),
    ):
        with pytest.raises(ConfigError, match=mentioned) as error:
            photographs.load(**{"content": content, "styles": (content,)} | _argument(field, name))
        assert error.value.field == field
        assert "\n" not in str(error.value)


def _argument(field, name):
    return {"styles": (name,)} if field == "style" else {field: name}
