"""Avatars: sampled factors, attributes that are true of the picture, and reproducibility from the seed."""

import numpy as np
import py_avataaars_no_png as avataaars
import pytest
from matplotlib.colors import to_rgb

from gdl_jax.data.images import avatars

FACES = avatars.draw_factors(3000, seed=0)
ATTRIBUTES = np.array([avatars.attributes_of(face) for face in FACES])
SIZE = 48


def column(name):
    return ATTRIBUTES[:, avatars.ATTRIBUTES.index(name)]


def changed_pixels(face, **factors):
    """Returns the number of pixels that differ when some factors are changed."""
    before, after = avatars.render(face, SIZE), avatars.render(face | factors, SIZE)
    return int((before != after).any(-1).sum())


def one_face_of_each_hairstyle():
    tops = {}
    for face in FACES:
        tops.setdefault(face["top_type"], face)
    assert len(tops) == len(avatars.LEVELS["top_type"])
    return list(tops.values())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path))
    return tmp_path


def all_rows(data):
    splits = [source.take(np.arange(len(source))) for source in (data.train, data.validation, data.test)]
    return {name: np.concatenate([split[name] for split in splits]) for name in splits[0]}


def test_levels_are_as_frequent_as_their_probabilities():
    for factor, levels in avatars.LEVELS.items():
        assert sum(levels.values()) == pytest.approx(1)
        for level, probability in levels.items():
            share = np.mean([face[factor] == level for face in FACES])
            assert abs(share - probability) < 5 * np.sqrt(probability / len(FACES)), (factor, level)


def test_attributes_are_neither_rare_nor_ubiquitous():
    shares = dict(zip(avatars.ATTRIBUTES, ATTRIBUTES.mean(0), strict=True))
    assert all(0.07 < share < 0.6 for share in shares.values()), shares


@pytest.mark.parametrize("face", one_face_of_each_hairstyle(), ids=lambda face: face["top_type"])
def test_a_hair_colour_is_an_attribute_if_hair_is_visible(face):
    shaved = face | {"facial_hair_type": "DEFAULT"}
    other = {"hair_color": "RED" if face["hair_color"] != "RED" else "BLACK"}
    values = dict(zip(avatars.ATTRIBUTES, avatars.attributes_of(face), strict=True))
    of_color = [values[name] for name in avatars.HAIR_COLORS]
    assert (changed_pixels(shaved, **other) > 30) == bool(sum(of_color))
    assert (changed_pixels(shaved, **other) == 0) == (sum(of_color) == 0)
    assert sum(values[name] for name in avatars.HAIRSTYLES) == 1


def test_the_hair_has_the_colour_of_its_attribute():
    values = {name: avataaars.HairColor[level].main_value for name, level in avatars.HAIR_COLORS.items()}
    palette = np.array([to_rgb(value) for value in values.values()]) * 255
    with_hair = [face for face in FACES if avatars.shows_hair(face)]
    for face in [next(f for f in with_hair if f["hair_color"] == level) for level in avatars.LEVELS["hair_color"]]:
        above_the_brows = avatars.render(face, SIZE)[: SIZE * 2 // 5].astype(float)
        of_color = (np.abs(above_the_brows[..., None, :] - palette).max(-1) < 4).sum((0, 1))
        attributes = dict(zip(avatars.ATTRIBUTES, avatars.attributes_of(face), strict=True))
        assert [attributes[name] for name in values] == [int(n == of_color.max()) for n in of_color]
        assert of_color.max() > 20


@pytest.mark.parametrize(
    ("factor", "plain", "names"),
    [
        ("accessories_type", "DEFAULT", ("Eyeglasses",)),
        ("facial_hair_type", "DEFAULT", ("Beard", "Moustache")),
    ],
)
def test_removing_an_accessory_changes_the_picture_if_present(factor, plain, names):
    for face, has in zip(FACES[:30], sum(column(name) for name in names)[:30], strict=True):
        assert (changed_pixels(face, **{factor: plain}) > 5) == has


def test_other_attributes_follow_from_the_factors():
    def of(factor, *levels):
        return np.array([face[factor] in levels for face in FACES])

    np.testing.assert_array_equal(column("Sunglasses"), of("accessories_type", "SUNGLASSES", "WAYFARERS"))
    np.testing.assert_array_equal(column("Smiling"), of("mouth_type", "SMILE"))
    np.testing.assert_array_equal(column("Hoodie"), of("clothe_type", "HOODIE"))
    np.testing.assert_array_equal(column("Bald"), of("top_type", "NO_HAIR"))
    assert (column("Sunglasses") <= column("Eyeglasses")).all()


def test_faces_are_distinct_and_independent_of_the_count(cache):
    few, many = (avatars.load(count, 16, seed=3) for count in (12, 40))
    assert [len(source) for source in (many.train, many.validation, many.test)] == [32, 4, 4]
    few, many = all_rows(few), all_rows(many)
    for name in few:
        np.testing.assert_array_equal(few[name], many[name][:12])
    assert len({image.tobytes() for image in many["image"]}) == 40
    other = all_rows(avatars.load(12, 16, seed=4))
    assert (other["attributes"] != few["attributes"]).any()


def test_rows_are_uint8_and_batches_float(cache):
    data = avatars.load(10, 16)
    rows = data.train.take(np.arange(8))
    assert rows["image"].shape == (8, 16, 16, 3) and rows["image"].dtype == np.uint8
    np.testing.assert_array_equal(rows["image"][0], avatars.render(FACES[0], 16))
    np.testing.assert_array_equal(rows["attributes"], ATTRIBUTES[:8])
    assert data.attributes == avatars.ATTRIBUTES
    batch = data.transform(rows)
    np.testing.assert_allclose(batch["image"], rows["image"] / 255.0, rtol=1e-6)


def test_a_set_is_rendered_once(cache, monkeypatch):
    first = all_rows(avatars.load(10, 16))
    monkeypatch.setattr(avatars, "render", None)
    np.testing.assert_array_equal(all_rows(avatars.load(10, 16))["image"], first["image"])


@pytest.mark.slow
def test_other_processes_render_the_same(cache):
    """This many faces are divided among processes if there are several processors."""
    count = 2 * avatars.FACES_PER_WORKER
    alone = np.stack([avatars.render(face, 8) for face in FACES[:count]])
    np.testing.assert_array_equal(all_rows(avatars.load(count, 8))["image"], alone)


def test_the_face_fills_the_square():
    image = avatars.render({"top_type": "LONG_HAIR_STRAIGHT"}, 64)
    drawn = (image != avatars.BACKGROUND).any(-1)
    assert drawn.mean() > 0.4
    assert drawn[-1].mean() > 0.5 and not drawn[0].any()
    np.testing.assert_array_equal(image[0, 0], avatars.BACKGROUND)
