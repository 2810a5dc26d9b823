"""A user's own pictures, translated by small functions at their own size."""

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.translation.pictures import TranslateOptions, padded, translate_files, translate_picture
from gdl_jax.core.errors import ConfigError, UserError

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


def negative(images, keys):
    """A translation that turns colours round, of images in [-1, 1]."""
    del keys
    return -images


def saved(path, height, width, mode="RGB"):
    pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def read(path):
    return np.asarray(Image.open(path))


@pytest.mark.parametrize(
    ("size", "stride"), [((33, 47), 4), ((32, 16), 16), ((5, 300), 8), ((1, 1), 64), ((17, 64), 256)]
)
def test_pictures_are_padded_by_their_mirror_image(size, stride):
    image = RNG.uniform(size=(*size, 3))
    result = padded(image, stride)
    for side, before in zip(result.shape[:2], size, strict=True):
        assert side % stride == 0 and side >= 2 * stride and side - max(before, 2 * stride) < stride
    np.testing.assert_array_equal(result[: size[0], : size[1]], image)
    if result.shape[0] > size[0]:
        np.testing.assert_array_equal(result[size[0], : size[1]], image[-1])


def test_translations_have_the_picture_s_size_and_place():
    image = RNG.uniform(size=(33, 47, 3)).astype(np.float32)
    seen = []

    def translate(images, keys):
        seen.append(images.shape)
        return negative(images, keys)

    np.testing.assert_allclose(translate_picture(translate, image, 8, KEY), 1.0 - image, atol=1e-6)
    assert seen == [(1, 40, 48, 3)]


def test_every_picture_of_files_and_folders_is_translated(tmp_path):
    folder, out = tmp_path / "folder", tmp_path / "out"
    out.mkdir()
    (folder / "inner").mkdir(parents=True)
    pictures = [
        saved(folder / "cat.png", 20, 31),
        saved(folder / "inner" / "cat.png", 18, 18),
        saved(tmp_path / "dog.png", 33, 47),
        saved(tmp_path / "cat.bmp", 16, 17),
    ]
    (folder / "notes.txt").write_text("no picture")
    options = TranslateOptions(images=(str(folder), *map(str, pictures[2:])), direction="BtoA")
    written = translate_files(negative, 4, options, 3, KEY, out)
    assert len(set(written)) == 4 and {path.name for path in written} >= {"dog_BtoA.png", "cat_BtoA.png"}
    assert sorted(out.iterdir()) == sorted(written)
    for path, picture in zip(written, pictures, strict=True):
        difference = read(path).astype(int) - (255 - read(picture).astype(int))
        assert np.abs(difference).max() <= 1, path


def test_large_pictures_can_be_shrunk_and_grey_networks_used(tmp_path):
    picture = str(saved(tmp_path / "wide.png", 30, 60))
    (path,) = translate_files(negative, 4, TranslateOptions(images=(picture,), longest_side=40), 3, KEY, tmp_path)
    assert Image.open(path).size == (40, 20)
    (path,) = translate_files(negative, 4, TranslateOptions(images=(picture,), longest_side=100), 1, KEY, tmp_path)
    grey = 255 - read(picture).mean(axis=-1)
    assert np.abs(read(path)[..., 0] - grey).max() <= 1 and Image.open(path).size == (60, 30)
    (path,) = translate_files(
        negative, 4, TranslateOptions(images=(str(saved(tmp_path / "grey.png", 16, 20, "L")),)), 3, KEY, tmp_path
    )
    assert Image.open(path).size == (20, 16)


def test_missing_and_unreadable_pictures_are_refused(tmp_path):
    with pytest.raises(ConfigError) as error:
        TranslateOptions(images=(str(tmp_path / "nowhere.png"),))
    assert error.value.field == "images"
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"broken\.png"):
        translate_files(negative, 4, TranslateOptions(images=(str(tmp_path / "broken.png"),)), 3, KEY, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty"):
        translate_files(negative, 4, TranslateOptions(images=(str(tmp_path / "empty"),)), 3, KEY, tmp_path)
    with pytest.raises(ConfigError):
        TranslateOptions(direction="sideways")
