"""Tests of word vectors in the formats of GloVe, word2vec and fastText, plain and compressed."""

import gzip
import io
import zipfile

import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.text import glove
from gdl_jax.data.text.vector_files import read_vectors

WANTED = {"the", "ship", "été", ". . .", "ähnlich"}
VECTORS = {"the": [0.5, -1, 2], ". . .": [3, 2, 1], "été": [1e-2, 0, -4e2]}
LINES = "the 0.5 -1 2\n. . . 3 2 1\nat name@domain.com 7 7 7\n1 000 8 8 8\n\u00a0 9 9 9\nété 1e-2 0 -4e2\nthe 6 6 6\n"
GLOVE = LINES.replace("1 000", "1000").encode()
WORD2VEC = b"6 3\n" + GLOVE.replace(b"\n", b" \n").replace("\u00a0 9 9 9 \n".encode(), b"")
FORMATS = {
    "glove": GLOVE,
    "glove with a header": b"7 3\n" + GLOVE,
    "word2vec": WORD2VEC,
    "windows": b"\xef\xbb\xbf" + GLOVE.replace(b"\n", b"\r\n"),
    "no last newline": GLOVE[:-1],
    "first word with spaces": GLOVE.split(b"\n", 1)[1],
    "invalid words": b"\xff\xfe 1 1 1\n" + GLOVE,
}


def zipped(**members):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/") + ".txt", content)
    return archive.getvalue()


def with_byte(content, place, value):
    changed = bytearray(content)
    changed[place] = value
    return bytes(changed)


PACKED = {"plain": lambda content: content, "gzip": gzip.compress, "zip": lambda content: zipped(glove=content)}


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("form", FORMATS)
def test_published_formats(tmp_path, form, packed):
    (tmp_path / "vectors").write_bytes(PACKED[packed](FORMATS[form]))
    words, values = read_vectors(tmp_path / "vectors", WANTED)
    expected = VECTORS if form != "first word with spaces" else VECTORS | {"the": [6, 6, 6]}
    assert set(words) == set(expected) and values.dtype == np.float32
    np.testing.assert_allclose(values, [expected[word] for word in words], rtol=1e-6)


@pytest.mark.parametrize("size", [1, 25, 300])
def test_any_number_of_dimensions(tmp_path, size):
    expected = np.random.default_rng(0).normal(size=(9, size)).astype(np.float32)
    lines = [f"w{row} {' '.join(map(str, vector))}\n" for row, vector in enumerate(expected)]
    (tmp_path / "v.txt").write_text("".join(lines))
    words, values = read_vectors(tmp_path / "v.txt", {f"w{row}" for row in range(1, 9)})
    assert words == tuple(f"w{row}" for row in range(1, 9))
    np.testing.assert_array_equal(values, expected[1:])


def test_a_file_of_several_in_an_archive(tmp_path):
    """As glove.6B.zip has them."""
    archive = tmp_path / "glove.zip"
    archive.write_bytes(zipped(glove__50d=b"the 1 2\n", glove__100d=b"the 3 4 5\n", __MACOSX__glove=b"x"))
    for name, expected in (("50d", [1, 2]), ("100d", [3, 4, 5])):
        words, values = glove.read(f"{archive}/glove/{name}.txt", {"the"})
        assert words == ("the",) and values.tolist() == [expected]
    for wrong in (archive, archive / "glove" / "200d.txt"):
        with pytest.raises(UserError, match=r"glove/50d\.txt, glove/100d\.txt") as raised:
            glove.read(str(wrong), {"the"})
        assert str(raised.value).startswith(str(wrong))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"the 1 2\nship 1 2 3\n", "line 2: "),
        (b"the 1 2\nship 1\n", "line 2: "),
        (b"the 1 2\nship 1 x\n", "line 2: "),
        (b"the 1 2\nother 1 2\nship nan 2\n", "line 3: "),
        (b"the 1 2\nother 1 2\nship 1 1e99\n", "line 3: "),
        (b"the\n", "line 1: "),
        (b"3 2\nthe 1 2\nship 1 2\n", "line 3"),
        (b"2 2\nthe \x00\x01\x02\x03\x04\x05\n", "line 2: .*binary"),
        (gzip.compress(b"the 1 2\n" * 9999)[:-20], ""),
        (gzip.compress(b"the 1 2\n" * 9999)[:40] + b"\xff" * 99, ""),
        (zipped(a=b"the 1 2\n" * 9999)[:-60], ""),
        (with_byte(zipped(a=b"the 1 2\n" * 9999), 50, 0xAA), ""),
        (with_byte(zipped(a=b"the 1 2\n"), -63, 99), ""),  # an unknown compression method
        (with_byte(zipped(a=b"the 1 2\n"), -65, 1), ""),  # encrypted
        (zipped(), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",  # archives hold the time
)
def test_damage_is_reported_with_its_line(tmp_path, content, named):
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(UserError, match=rf"^(glove=)?{tmp_path}/v\.txt: .*{named}") as raised:
        glove.read(f"{tmp_path}/v.txt", {"the", "ship"})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("path", ["/absent/v.txt", "/", "/" + "a" * 5000, "~no_such_user/v.txt"])
def test_files_that_cannot_be_read(path):
    with pytest.raises(UserError) as raised:
        glove.read(path, {"the"})
    assert path in str(raised.value) and "\n" not in str(raised.value)
