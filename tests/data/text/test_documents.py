"""Tests of texts cut into documents and sentences."""

import pytest

from gdl_jax.data.text.documents import split_documents, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two!  Three?\nFour… Five", ["One.", "Two!", "Three?", "Four…", "Five"]),
        ('"Stop!" he said. "Why?" Nobody (not one) knew.', ['"Stop!" he said.', '"Why?"', "Nobody (not one) knew."]),
        ("It rained (hard.) She left.”\nThen he did.", ["It rained (hard.)", "She left.”", "Then he did."]),
        (
            "Mr. and Mrs. Vernon met J. R. Smith of the U.S. Army.",
            ["Mr. and Mrs. Vernon met J. R. Smith of the U.S. Army."],
        ),
        ("He paid 3.50 at 10.30. So did I. We left.", ["He paid 3.50 at 10.30.", "So did I.", "We left."]),
        (
            "A HEADING\n\nThe first. The\nsecond.\n \t\n\nThe third",
            ["A HEADING", "The first.", "The second.", "The third"],
        ),
        ("他来了。「真的？」她走了！", ["他来了。", "「真的？」", "她走了！"]),
        ("Well... and so on. Wait... What?!", ["Well... and so on.", "Wait...", "What?!"]),
        ("Élan. École.", ["Élan.", "École."]),
        (" \n\n ", []),
        ("", []),
    ],
)
def test_sentences(text, sentences):
    assert split_sentences(text) == sentences


def test_no_character_but_white_space_is_lost():
    text = 'A.B. c! "D"?) e.. Mr. F...\n\n\ng。h (i) . J;\n k'
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def test_blank_lines_separate_documents():
    text = "\n\nOne. Two\nthree.\n\nFour.\n   \n\n\nFive. six\n"
    assert split_documents(text) == [["One.", "Two three."], ["Four."], ["Five. six"]]
    assert split_documents(text, by_line=True) == [["One. Two", "three."], ["Four."], ["Five. six"]]
    assert split_documents("\n \n") == split_documents("", by_line=True) == []
