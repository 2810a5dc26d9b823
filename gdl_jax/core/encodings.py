"""Encodings of text files: UTF-8, unless a byte-order mark names UTF-16 or UTF-32."""

import codecs
from typing import NamedTuple

_ENCODINGS = {  # by byte-order mark; UTF-32's begins with UTF-16's
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


class Encoding(NamedTuple):
    """Encoding of a text: its name, and the byte-order mark before the text; b"" if there is none."""

    name: str
    mark: bytes


def encoding_of(contents: bytes) -> Encoding:
    """Returns the encoding of a file's contents."""
    mark = next((mark for mark in _ENCODINGS if contents.startswith(mark)), b"")
    return Encoding(_ENCODINGS.get(mark, "utf-8"), mark)
