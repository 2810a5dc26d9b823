"""Drawings of avatars: outlines and label maps that show the same face."""

import numpy as np
import pytest
from PIL import ImageColor

from gdl_jax.core.errors import UserError
from gdl_jax.data import catalogue
from gdl_jax.data.images import avatar_drawings, avatars
from gdl_jax.data.images.avatar_drawings import COLORS, draw_labels, outline

FACES = avatars.draw_factors(400, seed=0)
PLAIN = {"accessories_type": "DEFAULT", "facial_hair_type": "DEFAULT", "top_type": "NO_HAIR"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path))
    return tmp_path


def parts(image):
    """Returns {part: number of its pixels} of a label map; every pixel must be white or have a part's colour."""
    counts = {part: int((image == ImageColor.getrgb(color)).all(-1).sum()) for part, color in COLORS.items()}
    assert sum(counts.values()) + (image == 255).all(-1).sum() == image.shape[0] * image.shape[1]
    return counts


@pytest.mark.parametrize("size", [24, 64])
def test_label_maps_have_flat_colours_of_the_parts_that_are_there(size):
    tops = {face["top_type"]: face for face in FACES}
    for top, face in tops.items():
        counts = parts(draw_labels(face, size))
        assert min(counts["skin"], counts["clothes"]) > 0.01 * size**2, top
        assert (counts["glasses"] > 0) == (face["accessories_type"] != "DEFAULT"), top
        assert (counts["hat"] > 0.02 * size**2) == (top in avatars.HAIRSTYLES["Wearing_Hat"][1]), top
        if avatars.shows_hair(face):
            assert counts["hair"] > 0.02 * size**2, top


def test_label_maps_do_not_depend_on_colours():
    other = {"skin_color": "PALE", "hair_color": "PASTEL_PINK", "clothe_color": "RED"}
    for face in FACES[:4]:
        np.testing.assert_array_equal(draw_labels(face, 48), draw_labels(face | other, 48))
    bald = parts(draw_labels(FACES[0] | PLAIN, 48))
    bearded = parts(draw_labels(FACES[0] | PLAIN | {"facial_hair_type": "BEARD_MEDIUM"}, 48))
    assert bearded["hair"] > bald["hair"] + 50


def test_a_label_map_lies_on_its_avatar():
    face = FACES[0] | PLAIN | {"skin_color": "PALE", "clothe_color": "RED"}
    labels, image = draw_labels(face, 64), avatars.render(face, 64).astype(int)
    skin, clothes = ((labels == ImageColor.getrgb(COLORS[part])).all(-1) for part in ("skin", "clothes"))
    for mask in (skin, clothes):
        middle = np.median(image[mask], axis=0)
        assert (np.abs(image[mask] - middle).max(-1) < 30).mean() > 0.8
    background = np.abs(image - avatars.BACKGROUND).max(-1) == 0
    assert ((labels == 255).all(-1) & background).sum() > 0.97 * background.sum()


def test_an_outline_is_a_thin_dark_line_on_white():
    square = np.full((1, 20, 20, 3), 200, np.uint8)
    square[:, 5:15, 5:15] = (200, 20, 200)  # an edge in one channel only
    drawing = outline(square)[0]
    assert drawing.shape == (20, 20, 3) and drawing.dtype == np.uint8
    dark = (drawing < 100).all(-1)
    assert dark[10].sum() == 2 and dark[:, 10].sum() == 2  # one pixel at each side
    assert set(np.flatnonzero(dark[10])) <= {4, 5, 14, 15}
    assert (drawing[8:12, 8:12] == 255).all() and (drawing[:3] == 255).all()
    assert (outline(np.full((1, 8, 8, 1), 7, np.uint8)) == 255).all()


def test_stronger_edges_are_darker():
    steps = np.repeat(np.array([0, 20, 60, 180], np.uint8), 8)[None, None, :, None]
    line = outline(np.broadcast_to(steps, (1, 16, 32, 1)))[0, 8, :, 0]
    darkest = [int(line[place - 2 : place + 2].min()) for place in (8, 16, 24)]
    assert 255 > darkest[0] > darkest[1] > darkest[2]


def test_many_images_are_drawn_as_one_by_one(monkeypatch):
    images = np.stack([avatars.render(face, 24) for face in FACES[:5]])
    alone = np.concatenate([outline(image[None]) for image in images])
    monkeypatch.setattr(avatar_drawings, "BLOCK", 2)
    np.testing.assert_array_equal(outline(images), alone)
    share = (alone < 128).all(-1).mean()
    assert 0.02 < share < 0.3 and (alone > 250).all(-1).mean() > 0.6


@pytest.mark.parametrize("kind", ["edges", "labels"])
def test_pairs_are_avatars_and_their_drawings(kind, monkeypatch):
    data = catalogue.load(f"drawings:{kind}", image_size=32, avatars=20, seed=3)
    plain = avatars.load(20, 32, 3)
    assert data.paired and data.domains[1] == "avatars" and data.attributes == avatars.ATTRIBUTES
    assert [len(source) for source in (data.train, data.validation, data.test)] == [16, 2, 2]
    faces = avatars.draw_factors(20, 3)
    for split, first in (("train", 0), ("validation", 16), ("test", 18)):
        whole = getattr(plain, split)
        rows = getattr(data, split).take(np.array([1]))
        np.testing.assert_array_equal(rows["b"][0], whole.arrays["image"][1])
        np.testing.assert_array_equal(rows["attributes"][0], avatars.attributes_of(faces[first + 1]))
        drawn = outline(rows["b"])[0] if kind == "edges" else draw_labels(faces[first + 1], 32)
        np.testing.assert_array_equal(rows["a"][0], drawn)
    for name in ("outline", "draw_labels"):
        monkeypatch.setattr(avatar_drawings, name, lambda *_: pytest.fail("drawn again"))
    again = avatar_drawings.load(kind, 20, 32, 3)
    np.testing.assert_array_equal(again.test.take(np.arange(2))["a"], data.test.take(np.arange(2))["a"])


@pytest.mark.parametrize("name", ["drawings", "drawings:", "drawings:pencil"])
def test_other_drawings_are_unknown(name):
    with pytest.raises(UserError, match="drawings:edges"):
        catalogue.load(name)
    with pytest.raises(UserError, match="drawings:edges"):
        avatar_drawings.load("pencil", 10, 8)
