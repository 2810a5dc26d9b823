"""Pixels: resizing, decoding, floats."""

import io

import jax
import numpy as np
import pytest
from PIL import Image

from gdl_jax.core.errors import UserError
from gdl_jax.data.images.pixels import read_image, resize, resize_all, to_float


def test_to_float_divides_by_255_inside_a_compiled_function():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    rows = {"image": pixels, "label": np.array([3], np.int32), "attributes": np.ones((1, 2), np.int8)}
    batch = jax.jit(to_float)(rows)
    np.testing.assert_allclose(batch["image"], pixels / np.float32(255), rtol=1e-6)
    assert (batch["image"].dtype, batch["label"].dtype, batch["attributes"].dtype) == (np.float32, np.int32, np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_resize_to_half_is_antialiased(channels):
    checkers = np.indices((32, 32)).sum(0) % 2 * 255  # without antialiasing, half of it is all black or all white
    images = np.repeat(checkers[None, ..., None], channels, axis=-1).astype(np.uint8)
    small = resize_all(images, 16)
    assert small.shape == (1, 16, 16, channels) and small.dtype == np.uint8
    np.testing.assert_allclose(small, 127.5, atol=4)


def test_resize_follows_the_sides():
    ramp = np.broadcast_to(np.linspace(0, 255, 40)[:, None, None], (40, 20, 3)).astype(np.uint8)  # grows downwards
    small = resize(ramp, 10)
    np.testing.assert_allclose(small[:, :, 0], ramp.reshape(10, 4, 20, 3).mean(1)[:, :10, 0], atol=5)
    assert resize(ramp, None) is ramp


def photo(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 255 // width, y * 255 // height, x * 0 + 99], -1).astype(np.uint8))


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp"])
@pytest.mark.parametrize("size", [16, 50])
def test_read_image_squashes_to_a_square(tmp_path, suffix, size):
    photo(178, 218).save(tmp_path / f"face.{suffix}")
    image = read_image(tmp_path / f"face.{suffix}", size)
    middle = (np.arange(size) + 0.5) / size * 255
    assert image.shape == (size, size, 3) and image.dtype == np.uint8
    np.testing.assert_allclose(image[..., 0], np.broadcast_to(middle, (size, size)), atol=8)
    np.testing.assert_allclose(image[..., 1], np.broadcast_to(middle[:, None], (size, size)), atol=8)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_read_image_makes_rgb_of_other_modes(tmp_path, mode):
    Image.new("RGB", (9, 7), "white").convert(mode).save(tmp_path / "white.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "white.tif"), np.full((7, 9, 3), 255))


def test_read_image_turns_a_photo_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees clockwise
    photo(60, 40).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    expected = np.rot90(np.asarray(photo(60, 40)), -1)
    np.testing.assert_allclose(read_image(tmp_path / "phone.jpg").astype(int), expected, atol=9)


def test_damaged_images_are_user_errors_that_name_the_file(tmp_path):
    encoded = io.BytesIO()
    photo(64, 64).save(encoded, "JPEG")
    Image.fromarray(np.full((8, 8), 60_000, np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "cut.jpg").write_bytes(encoded.getvalue()[:700])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    for name in ("cut.jpg", "text.jpg", "empty.jpg", "missing.jpg", "deep.png"):
        with pytest.raises(UserError, match=name):
            read_image(tmp_path / name, 32)
    with pytest.raises(UserError, match="face 7"):
        read_image(b"no image", where="face 7")
