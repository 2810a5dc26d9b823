"""Tests of cleaning, tokens, windows and splits of texts, and of the book's counts for Aesop's fables."""

import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.text import tokens as text
from gdl_jax.data.text.characters import extending
from gdl_jax.data.text.tokens import SEPARATOR, UNKNOWN, clean, join, load, split_stories, stream, tokenise
from gdl_jax.data.text.vocabulary import Vocabulary
from tests.data.text.marked_words import WORDS


def rows(source):
    return source.take(np.arange(len(source)))["tokens"]


def words(data, source):
    """Returns all tokens of a split, each once, as words."""
    windows = rows(source)
    return data.vocabulary.decode([*windows[0], *windows[1:, -1]])


@pytest.fixture
def stories(tmp_path):
    """Returns (name of a text, its stories as words): 30 stories with no word in common."""
    made = [[f"s{story}w{word}" for word in range(40 + story)] for story in range(30)]
    (tmp_path / "stories.txt").write_text("\n\n\n\n\n\n".join(map(" ".join, made)), encoding="utf-8")
    return f"text:{tmp_path}/stories.txt", made


def lady_susan():
    """Returns the letters of the bundled novel."""
    path = Path(find_spec("music21").origin).parent / "languageExcerpts" / "trainingData" / "en.txt"
    whole = path.read_text(encoding="utf-8-sig")
    first = whole.index("I\n\nLADY SUSAN VERNON TO MR. VERNON\n")
    return split_stories(whole[first : whole.index("End of The Project Gutenberg", first)])


def test_cleaning_joins_lines_and_ends_headings():
    story = '\n\nTHE FOX\n\n\nA fox, who was\nhungry--\nasked:  "Who\'s there?"\n  Nobody.'
    assert clean(story) == 'the fox. a fox, who was hungry-- asked:. "who\'s there?". nobody.'
    assert (
        " ".join(tokenise(story, "word"))
        == 'the fox . a fox , who was hungry - - asked : . " who\'s there ? " . nobody .'
    )
    assert "".join(tokenise(story, "character")) == clean(story)
    assert "".join(tokenise(" and so ", "character")) == " and so "


def test_a_text_never_contains_the_separator():
    assert SEPARATOR not in tokenise("a | b|c", "word") + tokenise("a | b|c", "character")
    assert tokenise("don’t «ärger» 東京…", "word") == ["don't", "«", "ärger", "»", "東京", "…"]


@pytest.mark.parametrize("script", WORDS)
def test_marks_and_joiners_do_not_cut_words(script):
    words = WORDS[script].lower().split()
    assert tokenise(WORDS[script], "word") == words
    assert tokenise(f"«{words[0]}», {words[1]}!", "word") == ["«", words[0], "»", ",", words[1], "!"]
    assert join(words, "word") == " ".join(words)


def test_characters_that_extend_the_one_before():
    marks = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code))[0] == "M"]
    assert len(marks) > 2000 and all(re.fullmatch(f"[{extending()}]", mark) for mark in marks)
    others = [chr(c) for c in range(0x110000) if re.fullmatch(f"[{extending()}]", chr(c)) and chr(c) not in set(marks)]
    assert "".join(others) == "\u00ad\u200c\u200d\u2060🏻🏼🏽🏾🏿"


def test_tokens_without_marks_are_split_at_every_symbol():
    """Compares with a plain substitution, which cuts at each character that is no letter, digit or apostrophe."""
    rng = np.random.default_rng(0)
    alphabet = [*"abc XYZ 019 _-.,;'\"«»…€ \t東京éßñ½²ªĳΣς‿\u2003\u200b"]
    for _ in range(200):
        text = "".join(rng.choice(alphabet, 60))
        plain = re.sub(r"([^\w\s']|_)", r" \1 ", clean(text)).split()
        assert tokenise(text, "word") == plain


@pytest.mark.parametrize(
    ("tokens", "line"),
    [
        ('" well , " said the fox ; " who \' s there ? "', '"well," said the fox; "who \' s there?"'),
        ("a charcoal - burner - - old ( and wise ) .", "a charcoal-burner--old (and wise)."),
        ("they fled - - and -", "they fled--and-"),
        ('he said : " no', 'he said: " no'),
    ],
)
def test_joined_words_read_as_written(tokens, line):
    assert join(tokens.split(), "word") == line
    assert tokenise(line, "word") == tokens.split()


def test_joining_inverts_tokenising_for_the_bundled_text():
    for letter in lady_susan():
        tokens = tokenise(letter, "word")
        assert tokenise(join(tokens, "word"), "word") == tokens
        assert join(tokenise(letter, "character"), "character") == clean(letter)


def test_windows_are_all_stretches_of_the_stream(stories):
    name, made = stories
    data = load(name, sequence_length=7, held_out=0)
    whole = [token for story in made for token in [SEPARATOR] * 7 + story] + [SEPARATOR] * 7
    expected = [whole[i : i + 8] for i in range(len(whole) - 7)]
    assert [data.vocabulary.decode(row) for row in rows(data.train)] == expected
    assert data.validation is None and data.test is None
    assert data.train.nbytes == len(expected) * 8 * 4 and rows(data.train).dtype == np.int32
    strided = load(name, sequence_length=7, held_out=0, stride=5)
    np.testing.assert_array_equal(rows(strided.train), rows(data.train)[::5])
    np.testing.assert_array_equal(data.train.take(np.array([5, 2, 5]))["tokens"], rows(data.train)[[5, 2, 5]])
    few = strided.train.first(3)
    np.testing.assert_array_equal(rows(few), rows(strided.train)[:3])
    assert len(few.sequences["tokens"]) == 2 * 5 + 8


def test_whole_stories_are_held_out(stories):
    name, made = stories
    data = load(name, sequence_length=7, held_out=0.1, stride=3)
    found = {split: set(words(data, getattr(data, split))) - {SEPARATOR} for split in ("validation", "test")}
    found["train"] = set(data.vocabulary.decode(np.unique(rows(data.train)))) - {SEPARATOR}
    of = {split: {word.partition("w")[0] for word in kept} for split, kept in found.items()}
    assert {split: len(chosen) for split, chosen in of.items()} == {"train": 24, "validation": 3, "test": 3}
    assert len(set.union(*of.values())) == 30
    for split in ("validation", "test"):
        kept = [story for story in made if story[0].partition("w")[0] in of[split]]
        assert words(data, getattr(data, split)) == list(stream(kept, 7))  # window by window, whatever the stride
    assert load(name, sequence_length=7).vocabulary == load(name, sequence_length=7, held_out=0).vocabulary


def test_repeated_stories_are_not_in_two_splits(stories, capsys):
    name, made = stories
    path = Path(name.partition(":")[2])
    path.write_text("\n\n\n\n\n\n".join(map(" ".join, [*made, *made[3:9]])), encoding="utf-8")
    data = load(name, sequence_length=7)
    found = [words(data, getattr(data, split)) for split in ("train", "validation", "test")]
    of = [{word.partition("w")[0] for word in tokens if word != SEPARATOR} for tokens in found]
    assert [len(kept) for kept in of] == [24, 3, 3] and len(set.union(*of)) == 30
    assert "story 31 repeats story 4" in data.note and "and 3 more" in data.note
    assert capsys.readouterr().err == f"{name}: {data.note}\n"
    whole = load(name, sequence_length=7, held_out=0)
    assert len(words(whole, whole.train)) == sum(map(len, [*made, *made[3:9]])) + 37 * 7 and whole.note == ""


def test_few_stories_that_repeat_are_held_out_once(tmp_path):
    story = " ".join(f"w{i}" for i in range(200))
    (tmp_path / "t.txt").write_text("\n\n\n\n\n".join([story] * 3))
    data = load(f"text:{tmp_path}/t.txt", sequence_length=5)
    kept = [set(words(data, getattr(data, s))) - {SEPARATOR} for s in ("train", "validation", "test")]
    assert list(map(len, kept)) == [160, 20, 20] and len(set.union(*kept)) == 200


def test_passages_of_few_stories_are_held_out(tmp_path):
    (tmp_path / "t.txt").write_text(" ".join(f"w{i}" for i in range(1000)))
    data = load(f"text:{tmp_path}/t.txt", sequence_length=20, held_out=0.1)
    kept = [[w for w in words(data, getattr(data, s)) if w != SEPARATOR] for s in ("train", "validation", "test")]
    assert list(map(len, kept)) == [800, 100, 100]
    assert [*kept[0], *kept[1], *kept[2]] == [f"w{i}" for i in range(1000)]


def test_few_stories_stay_separate(tmp_path):
    """Three stories of 30, 50 and 20 words: the second is cut after 60 of the 100 words, and the third begins at 80."""
    made = [[f"{name}{i}" for i in range(count)] for name, count in (("a", 30), ("b", 50), ("c", 20))]
    (tmp_path / "t.txt").write_text("\n\n\n\n\n".join(map(" ".join, made)))
    data = load(f"text:{tmp_path}/t.txt", sequence_length=4, held_out=0.2)
    expected = {"train": [made[0], made[1][:30]], "validation": [made[1][30:]], "test": [made[2]]}
    for split, stories in expected.items():
        assert words(data, getattr(data, split)) == list(stream(stories, 4)), split


def test_the_vocabulary_is_by_frequency_without_rare_tokens(tmp_path):
    (tmp_path / "t.txt").write_text("b a a c c c d b e f " + "c " * 300)
    vocabulary = load(f"text:{tmp_path}/t.txt", sequence_length=3, held_out=0).vocabulary
    assert vocabulary.words == (UNKNOWN, SEPARATOR, "c", "b", "a", "d", "e", "f")
    data = load(f"text:{tmp_path}/t.txt", sequence_length=3, held_out=0, unknown_below=2)
    assert data.vocabulary.words == (UNKNOWN, SEPARATOR, "c", "b", "a")
    assert Counter(words(data, data.train)) == {UNKNOWN: 3, "c": 303, "b": 2, "a": 2, SEPARATOR: 6}
    rare = load(f"text:{tmp_path}/t.txt", sequence_length=3, held_out=0, unknown_below=1000)
    assert rare.vocabulary.words == (UNKNOWN, SEPARATOR)
    characters = load(f"text:{tmp_path}/t.txt", sequence_length=3, held_out=0, token_type="character")
    assert characters.vocabulary.words[:4] == (UNKNOWN, SEPARATOR, " ", "c")
    assert join(words(characters, characters.train), "character").strip(SEPARATOR).startswith("b a a c c c d b e f c")


def test_vocabularies_encode_and_decode():
    vocabulary = Vocabulary(("<pad>", "<unk>", "it's", '"', "ärger", "東京"), unknown=1)
    assert vocabulary.encode(["東京", "osaka", '"']).tolist() == [5, 1, 3]
    assert vocabulary.decode([2, 4]) == ["it's", "ärger"]
    for words, unknown in ((("a", "a"), 0), (("a", "b"), 2), ((), 0)):
        with pytest.raises(ValueError):
            Vocabulary(words, unknown)


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [("", "utf-8"), ("\ufeff", "utf-8"), ("\ufeff", "utf-16-le"), ("\ufeff", "utf-16-be"), ("\ufeff", "utf-32-le")],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, mark, encoding, newline):
    plain = "One\n\nstory of ünïcode.\n\n\n\n\nAnother story  \nof 東京.\n"
    (tmp_path / "a.txt").write_bytes((mark + plain.replace("\n", newline)).encode(encoding))
    data = load(f"text:{tmp_path}/a.txt", sequence_length=2, held_out=0)
    assert " ".join(words(data, data.train)) == "| | one . story of ünïcode . | | another story of 東京 . | |"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("plain\nbeyoncé".encode("latin-1"), "line 2, byte 12: "),
        (b"\xef\xbb\xbfone\n\xff", "line 2, byte 7: "),
        ("one\ntwo".encode("utf-16")[:-1], "line 2, byte 14: "),
        ("one\ntwo".encode("utf-16-le"), "line 1: "),
        (b"one\ntwo\0", "line 2: "),
    ],
)
def test_the_line_of_an_undecodable_byte_is_named(tmp_path, content, named):
    (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(UserError) as raised:
        load(f"text:{tmp_path}/t.txt", held_out=0)
    assert str(raised.value).startswith(f"{tmp_path}/t.txt: {named}") and "\n" not in str(raised.value)


def test_the_locale_does_not_matter(tmp_path):
    (tmp_path / "t.txt").write_text("été " * 300, encoding="utf-8")
    code = f"from gdl_jax.data.text.tokens import load; print(ascii(load('text:{tmp_path}/t.txt').vocabulary.words))"
    environment = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert made.stdout == "('<unk>', '|', '\\xe9t\\xe9')\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n\r\n ",
        b"\x89PNG\r\n\x1a\n\xff\xfe " * 30,
        b"plain ASCII\0and a zero" * 9,
        ("é " * 99).encode("latin-1"),
        b"far too short",
    ],
)
def test_files_that_are_no_texts_are_refused(tmp_path, content):
    (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(UserError) as raised:
        load(f"text:{tmp_path}/t.txt", held_out=0)
    assert f"{tmp_path}/t.txt" in str(raised.value) and "\n" not in str(raised.value)


def test_texts_too_short_to_hold_some_out_are_refused(tmp_path):
    (tmp_path / "t.txt").write_text("word " * 100)
    with pytest.raises(ConfigError, match=r"validation.*sequence_length=20") as raised:
        load(f"text:{tmp_path}/t.txt")
    assert (raised.value.field, raised.value.value) == ("dataset", f"text:{tmp_path}/t.txt")


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("esop", {}, "dataset=esop: "),
        ("text:", {}, "dataset=text:: "),
        ("text:/absent/t.txt", {}, "/absent/t.txt: "),
        ("text:/", {}, "/: "),
        (f"text:/{'a' * 5000}", {}, "/aaa"),
        ("text:~no_such_user/t.txt", {}, "~no_such_user/t.txt: "),
        ("aesop", {"data_dir": "~no_such_user"}, "~no_such_user: "),
        ("aesop", {"data_dir": "a" * 5000}, "data_dir=aaa"),
        ("aesop", {}, "dataset=aesop: "),
        ("aesop", {"data_dir": "/absent"}, "data_dir=/absent: "),
        ("lady_susan", {"token_type": "letter"}, "token_type=letter: "),
        ("lady_susan", {"held_out": 0.5}, "held_out=0.5: "),
        ("lady_susan", {"held_out": float("nan")}, "held_out=nan: "),
    ],
)
def test_errors_name_the_field_or_the_file(name, options, named):
    with pytest.raises(UserError) as raised:
        load(name, **options)
    assert str(raised.value).startswith(named)


def test_errors_list_the_data_sets_and_the_files_looked_for(tmp_path):
    with pytest.raises(ConfigError) as raised:
        load("esop")
    assert all(name in raised.value.reason for name in text.DATASETS)
    for options in ({}, {"data_dir": str(tmp_path)}):
        with pytest.raises(ConfigError) as raised:
            load("aesop", **options)
        assert all(place in raised.value.reason for place in text.AESOP_LAYOUTS)


def test_home_directories_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "t.txt").write_text("word " * 300)
    assert len(load("text:~/t.txt").vocabulary) == 3


def test_other_editions_of_aesop_are_refused(tmp_path):
    (tmp_path / "aesop.txt").write_text("THE WOLF AND THE CRANE\n\n\nA wolf ...")
    with pytest.raises(UserError, match=r"aesop\.txt: .*THE FOX AND THE GRAPES"):
        load("aesop", data_dir=str(tmp_path))


def test_the_bundled_text():
    data = load("lady_susan")
    letters = lady_susan()
    assert len(letters) == 42 and not re.search("gutenberg|etext", "".join(letters), re.IGNORECASE)
    assert letters[-1].startswith("CONCLUSION")
    tokens = [token for source in (data.train, data.validation, data.test) for token in words(data, source)]
    own = [token for token in tokens if token != SEPARATOR]
    assert Counter(own) == Counter(token for letter in letters for token in tokenise(letter, "word"))
    assert len(tokens) - len(own) == (42 + 3) * 20
    assert 20_000 < len(data.train) < 25_000 and min(len(data.validation), len(data.test)) > 1000


def test_the_books_aesop(data_dir):
    """Checks what the book's notebook prints: vocabulary, windows, the most common words, and the last story."""
    data = load("aesop", data_dir=str(data_dir), held_out=0)
    assert len(data.vocabulary) == 4169
    assert rows(data.train)[:, :-1].shape == (50_416, 20)
    tokens = words(data, data.train)
    assert len(tokens) == 50_436
    assert data.vocabulary.words[1:11] == ("|", ",", "the", "and", ".", "a", "to", '"', "of", "he")
    assert " ".join(tokens[20:34]) == "the fox and the grapes . a hungry fox saw some fine bunches of"
    last = [4166, 9, 1125, 14, 2, 26, 4167, 384, 326, 7, 15, 4, 1808, 15, 27, 3, 1924, 2, 4168, 15, 7, 517, 905, 89, 5]
    last += [8, 713, 36, 2, 91, 265, 2, 18, 371, 13, 2, 8, 53, 22, 33, 8, 32, 13, 1236, 55, 3, 82, 2, 3, 1052, 76, 49]
    last += [120, 720, 45, 27, 46, 124, 745, 19, 27, 44, 2, 384, 5, 8, *[1] * 20]
    assert data.vocabulary.encode(tokens)[-len(last) :].tolist() == last


def test_aesop_cleaned_as_a_whole(data_dir):
    """Cleaning story by story gives the tokens of the book's code, which cleans all 213,716 characters at once."""
    whole = (data_dir / "aesop" / "data.txt").read_text(encoding="utf-8-sig")
    body = whole[whole.index("THE FOX AND THE GRAPES\n\n\n") : whole.index("ILLUSTRATIONS\n\n\n[")]
    line = ("| " * 20 + body).lower().replace("\n" * 5, "| " * 20).replace("\n", " ")
    line = re.sub("  +", ". ", line).strip().replace("..", ".")
    spaced = "".join(f" {c} " if c in r"""!"#$%&()*+,-./:;<=>?@[\]^_`{|}~""" else c for c in line)
    spaced = re.sub(r"\s{2,}", " ", spaced)
    assert len(spaced) == 213_716
    data = load("aesop", data_dir=str(data_dir), held_out=0)
    assert words(data, data.train) == spaced.split()


def test_held_out_fables(data_dir):
    data = load("aesop", data_dir=str(data_dir))
    assert len(data.vocabulary) == 4169  # the book's, whatever is held out
    openings = {}
    for split in ("train", "validation", "test"):
        joined = " ".join(words(data, getattr(data, split)))
        openings[split] = [story.split(".")[0].strip() for story in re.split(r"(?:\| ?){20}", joined) if story]
    assert {split: len(found) for split, found in openings.items()} == {"train": 228, "validation": 28, "test": 28}
    assert len({opening for found in openings.values() for opening in found}) == 284
