"""Pixels: decoding of image files, resizing, conversion to floats."""

import io
import struct
import zlib

import jax
import numpy as np
import pytest
from PIL import Image

from gdl_jax.core.errors import UserError
from gdl_jax.data.images.pixels import read_header, read_image, resize, resize_all, to_float

WHITE, RED = (255, 255, 255), (200, 60, 30)


def test_to_float_divides_by_255_when_compiled():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    rows = {"image": pixels, "label": np.array([3], np.int32), "attributes": np.ones((1, 2), np.int8)}
    batch = jax.jit(to_float)(rows)
    np.testing.assert_allclose(batch["image"], pixels / np.float32(255), rtol=1e-6)
    assert (batch["image"].dtype, batch["label"].dtype, batch["attributes"].dtype) == (np.float32, np.int32, np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_to_half_is_antialiased(channels):
    checkers = np.indices((32, 32)).sum(0) % 2 * 255  # without antialiasing, half of it is all black or all white
    images = np.repeat(checkers[None, ..., None], channels, axis=-1).astype(np.uint8)
    small = resize_all(images, 16)
    assert small.shape == (1, 16, 16, channels) and small.dtype == np.uint8
    np.testing.assert_allclose(small, 127.5, atol=4)


def test_resizing_keeps_the_axes():
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


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LAB", "YCbCr"])
def test_other_modes_become_rgb(tmp_path, mode):
    white = Image.new("LAB", (9, 7), (255, 128, 128)) if mode == "LAB" else Image.new("RGB", (9, 7), "white")
    white.convert(mode).save(tmp_path / "white.tif")
    np.testing.assert_allclose(read_image(tmp_path / "white.tif").astype(int), np.full((7, 9, 3), 255), atol=1)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def square_on_transparent(mode: str, hidden: np.ndarray) -> Image.Image:
    """A red square on transparent pixels whose colours are `hidden`."""
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[..., :3] = hidden
    pixels[8:24, 8:24] = (*RED, 255)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("size", [None, 10])
def test_transparent_pixels_become_white_whatever_they_hide(mode, size):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    images = [read_image(encoded(square_on_transparent(mode, hidden)), size) for hidden in (0, noise)]
    np.testing.assert_array_equal(*images)
    assert tuple(images[0][0, 0]) == WHITE
    middle = images[0][images[0].shape[0] // 2, images[0].shape[0] // 2]
    np.testing.assert_allclose(middle, RED if mode == "RGBA" else [98] * 3, atol=1)


def test_half_transparent_pixels_are_composed_on_white():
    half = Image.new("RGBA", (4, 4), (200, 60, 30, 128))
    expected = np.array([200, 60, 30]) * 128 / 255 + 255 * 127 / 255
    np.testing.assert_allclose(read_image(encoded(half))[0, 0], expected, atol=1)
    np.testing.assert_allclose(read_image(encoded(half, "TIFF"))[0, 0], expected, atol=1)
    np.testing.assert_allclose(read_image(encoded(half, "WEBP", lossless=True))[0, 0], expected, atol=1)


def test_opaque_images_with_an_alpha_channel_are_unchanged():
    opaque = photo(20, 10)
    np.testing.assert_array_equal(read_image(encoded(opaque.convert("RGBA"))), np.asarray(opaque))


@pytest.mark.parametrize("key", [1, b"\xff\x00"])
def test_transparent_palette_colours_become_white(key):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, *RED])
    image.putpixel((0, 0), 0)
    pixels = read_image(encoded(image, transparency=key))
    assert tuple(pixels[1, 1]) == WHITE and tuple(pixels[0, 0]) == (0, 0, 0)
    pixels = read_image(encoded(image, "GIF", transparency=1))
    assert tuple(pixels[1, 1]) == WHITE


@pytest.mark.parametrize(("mode", "key"), [("L", 7), ("RGB", (7, 8, 9)), ("1", 1), ("I;16", 7000)])
def test_a_transparent_colour_becomes_white(mode, key):
    image = Image.new(mode, (4, 4), key)
    assert tuple(read_image(encoded(image, transparency=key))[0, 0]) == WHITE


def png(depth: int, color: int, pixel: tuple[int, ...], *chunks: tuple[bytes, bytes], width: int = 1, height: int = 1):
    """A PNG of one pixel; Pillow writes no PNG with 16 bits a colour."""
    rows = b"\0" + struct.pack(f">{len(pixel)}H" if depth == 16 else f"{len(pixel)}B", *pixel)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def test_16_bits_a_channel_with_transparency():
    grey_alpha, rgba, rgb = 4, 6, 2
    assert tuple(read_image(png(16, rgba, (0, 0, 0, 0)))[0, 0]) == WHITE
    assert tuple(read_image(png(16, grey_alpha, (0, 0)))[0, 0]) == WHITE
    assert tuple(read_image(png(16, rgba, (0x1234, 0x5678, 0x9ABC, 0xFFFF)))[0, 0]) == (0x12, 0x56, 0x9A)
    key = (b"tRNS", struct.pack(">3H", 0x1200, 0x3400, 0x5600))
    assert tuple(read_image(png(16, rgb, (0x1200, 0x3400, 0x5600), key))[0, 0]) == WHITE


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled(kind):
    values = np.linspace(0, 65535, 24).astype(np.uint16).reshape(4, 6)
    pixels = read_image(encoded(Image.fromarray(values), kind))
    np.testing.assert_array_equal(pixels, np.repeat(np.round(values / 257)[..., None], 3, -1))
    assert read_image(encoded(Image.fromarray(values), kind), 2).shape == (2, 2, 3)


def test_inverted_grey_of_a_tiff_is_put_right():
    pixels = read_image(encoded(Image.new("I;16", (2, 2), 60_000), "TIFF", tiffinfo={262: 0}))
    np.testing.assert_array_equal(pixels, round((65535 - 60_000) / 257))


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_the_first_of_several_frames_is_read(kind):
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, "blue")]
    pixels = read_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True))
    np.testing.assert_allclose(pixels[0, 0], RED, atol=1)


def as_stored(orientation: int, upright: np.ndarray) -> np.ndarray:
    """The pixels as a camera stores them with an EXIF orientation (EXIF 2.3, section 4.6.4)."""
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    return np.ascontiguousarray(stored[orientation](upright))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_photos_are_turned_upright(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = np.asarray(photo(60, 40))
    stored = Image.fromarray(as_stored(orientation, upright))
    options = {"tiffinfo": {0x0112: orientation}} if kind == "TIFF" else {"exif": exif}
    options |= {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    pixels = read_image(encoded(stored, kind, **options))
    np.testing.assert_allclose(pixels.astype(int), upright, atol=9)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0garbage",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\2\0\0\0\4six\0\0\0\0\0",  # the orientation is a text
        b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\x63\0\0\0\0\0\0",  # the orientation is 99
    ],
)
def test_damaged_exif_data_are_ignored(exif):
    pixels = read_image(encoded(photo(60, 40), "JPEG", exif=exif, quality=95))
    np.testing.assert_allclose(pixels.astype(int), np.asarray(photo(60, 40)), atol=9)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_very_large_photos_are_read(tmp_path, kind):
    Image.new("L", (20_000, 10_000), 77).save(tmp_path / "large", kind, compress_level=1)
    np.testing.assert_allclose(read_image(tmp_path / "large", 32), np.full((32, 32, 3), 77), atol=1)


def test_an_absurd_size_is_named_without_decoding(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png(8, 0, (0,), width=200_000, height=100_000))
    with pytest.raises(UserError, match=r"bomb\.png: .*200,000 x 100,000"):
        read_image(tmp_path / "bomb.png", 32)


def test_unreadable_images_are_named(tmp_path):
    jpeg = encoded(photo(64, 64), "JPEG")
    contents = {
        "cut.jpg": jpeg[:700],
        "header.jpg": jpeg[:20],
        "cut.png": encoded(photo(64, 64))[:100],
        "cut.gif": encoded(photo(64, 64), "GIF")[:900],
        "cut.tif": encoded(photo(64, 64), "TIFF")[:900],
        "text.jpg": b"no image",
        "empty.jpg": b"",
        "float.tif": encoded(Image.new("F", (4, 4)), "TIFF"),
        "deep.tif": encoded(Image.new("I", (4, 4)), "TIFF"),
    }
    for name, written in contents.items():
        (tmp_path / name).write_bytes(written)
    (tmp_path / "folder.jpg").mkdir()
    for name in (*contents, "folder.jpg", "missing.jpg"):
        with pytest.raises(UserError, match=name) as raised:
            read_image(tmp_path / name, 32)
        assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="face 7"):
        read_image(b"no image", where="face 7")


@pytest.mark.parametrize(("mode", "grey"), [("1", True), ("L", True), ("LA", True), ("I;16", True), ("RGB", False)])
def test_headers_have_the_size_and_say_if_there_are_colours(tmp_path, mode, grey):
    Image.new(mode, (5, 3)).save(tmp_path / "x.png")
    assert read_header(tmp_path / "x.png") == (5, 3, grey)


def test_headers_have_the_size_of_the_upright_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    Image.new("RGB", (40, 30)).save(tmp_path / "x.jpg", exif=exif)
    assert read_header(tmp_path / "x.jpg")[:2] == read_image(tmp_path / "x.jpg").shape[1::-1] == (30, 40)


@pytest.mark.parametrize("contents", [None, b"", b"nonsense"])
def test_headers_of_damaged_files_are_errors_that_name_the_file(tmp_path, contents):
    if contents is not None:
        (tmp_path / "x.png").write_bytes(contents)
    with pytest.raises(UserError, match=r"x\.png"):
        read_header(tmp_path / "x.png")
