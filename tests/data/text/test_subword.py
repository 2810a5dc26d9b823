"""Tests of byte-level BPE and WordPiece: against plain statements of both, published ids, and damaged files."""

import json
from pathlib import Path

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.text import subword
from gdl_jax.data.text.subword import (
    WordPieceTokenizer,
    read_bpe,
    read_wordpiece,
    train_bpe,
    train_wordpiece,
)
from gdl_jax.data.text.tokens import read_text
from tests.data.text.plain_subwords import CHARACTERS, bert_words, bpe, byte_words, learn, wordpiece

STRANGE = (
    "It's  NOT's it'll\n\n \t new   lines\r\n <|endoftext|> [MASK] ##s café Ünï 東京は a_b 3.5×1,000½ 👩‍🚀 "
    "\u00a0no\u2003break\x00\x1c \u200bzero-width ﬁ İstanbul ß end \n"
)


@pytest.fixture(scope="module")
def novel():
    return read_text("lady_susan", None)


@pytest.fixture(scope="module")
def trained_bpe(novel):
    return train_bpe([novel[:60_000]], 700)


@pytest.fixture(scope="module")
def trained_wordpiece(novel):
    return train_wordpiece([novel[:60_000]], 500)


def pairs(tokenizer):
    return [tuple(merge.split(" ")) for merge in tokenizer.merges]


def write_bpe(folder, numbers, merges):
    (folder / "vocab.json").write_text(json.dumps(numbers))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    return folder


def numbered(tokens):
    return {token: number for number, token in enumerate(tokens)}


def test_bpe_merges_as_stated(trained_bpe, novel):
    for text in (novel[60_000:70_000], STRANGE):
        expected = [trained_bpe.tokens.index(token) for token in bpe(text, pairs(trained_bpe))]
        ids = trained_bpe.encode(text)
        assert ids.dtype == np.int32 and ids.tolist() == expected
        assert trained_bpe.decode(ids) == text


def test_bpe_is_trained_as_stated(novel):
    text = novel[:4000]
    trained = train_bpe([text], 330)
    tokens, merges = learn(byte_words(text), sorted(CHARACTERS.values()), 329)
    assert pairs(trained) == merges and trained.tokens == (*tokens, "<|endoftext|>")
    assert trained.size == 330 and trained.special == {"<|endoftext|>": 329}
    assert 329 not in trained.encode("<|endoftext|>") and trained.decode([329]) == "<|endoftext|>"


def test_pairs_that_occur_once_are_not_merged(novel):
    tokens, merges = learn(byte_words(novel[:400]), sorted(CHARACTERS.values()), 1000)
    assert pairs(train_bpe([novel[:400]], len(tokens) + 1)) == merges
    with pytest.raises(ConfigError, match=f"only {len(tokens) + 1} tokens"):
        train_bpe([novel[:400]], len(tokens) + 2)


def test_wordpiece_is_trained_as_stated_and_the_same_each_time(novel):
    """The package alone chooses among equally frequent pairs at random."""
    text = novel[:4000]
    words = [(word[0], *("##" + c for c in word[1:])) for word in bert_words(text)]
    inner = sorted({piece for word in words for piece in word[1:]})
    first = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *inner, *sorted({c for w in bert_words(text) for c in w})]
    tokens, _ = learn(words, first, 250, prefix="##")
    for _ in range(3):
        assert train_wordpiece([text], 250).tokens == tuple(tokens)


def test_wordpiece_takes_the_longest_pieces(trained_wordpiece, novel):
    for text in (novel[60_000:70_000], STRANGE, "x" * 100 + " " + "x" * 101):
        expected = [trained_wordpiece.tokens.index(t) for t in wordpiece(text, set(trained_wordpiece.tokens))]
        ids = trained_wordpiece.encode(text)
        assert ids.dtype == np.int32 and ids.tolist() == expected
    assert trained_wordpiece.special == {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
    line = "my dear brother, i can no longer (alas) refuse; you were kind."
    assert trained_wordpiece.decode(trained_wordpiece.encode(line.upper())) == line


def test_places_are_those_of_the_tokens_characters(trained_wordpiece, novel, monkeypatch):
    monkeypatch.setattr(subword, "PIECE", 300)
    for text in (novel[60_000:63_000], STRANGE, " Été, ÅNGSTRÖM-5\ud800!", "", " \n"):
        ids, places = trained_wordpiece.encode_with_places(text)
        assert ids.tolist() == trained_wordpiece.encode(text).tolist() and places.shape == (len(ids), 2)
        assert ids.dtype == places.dtype == np.int32
        assert (places[:, 0] < places[:, 1]).all() and (places[1:, 0] >= places[:-1, 1]).all()
        for number, (start, end) in zip(ids, places, strict=True):
            token = trained_wordpiece.tokens[number].removeprefix("##")
            assert token == "[UNK]" or bert_words(text[start:end].replace("\ud800", "?")) == [token]


@pytest.mark.parametrize("kind", ["trained_bpe", "trained_wordpiece"])
def test_long_texts_are_encoded_in_pieces(kind, request, novel, monkeypatch):
    tokenizer = request.getfixturevalue(kind)
    text = novel[:30_000] + STRANGE
    whole = tokenizer.encode(text)
    monkeypatch.setattr(subword, "PIECE", 1)
    assert len(list(subword._pieces(text))) > 200
    np.testing.assert_array_equal(tokenizer.encode(text), whole)


@pytest.mark.parametrize("kind", ["trained_bpe", "trained_wordpiece"])
def test_texts_without_tokens_and_bytes_that_are_no_text(kind, request):
    tokenizer = request.getfixturevalue(kind)
    assert tokenizer.encode("").tolist() == [] and tokenizer.encode("").dtype == np.int32
    assert tokenizer.decode([]) == "" and tokenizer.decode(np.zeros(0, np.int32)) == ""
    assert len(tokenizer.encode("a\udcffb"))  # an argument that is not UTF-8


@pytest.mark.parametrize("train", [train_bpe, train_wordpiece])
@pytest.mark.parametrize("size", [0, 20, 5000, 999_999_999])
def test_sizes_that_a_text_cannot_give_are_refused(train, size):
    with pytest.raises(ConfigError, match=r"\d tokens") as raised:
        train(["so it goes, and so on, and on"], size)
    assert raised.value.field == "tokenizer" and raised.value.value.endswith(f":{size}")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("names", subword.BPE_FILES)
def test_bpe_files(tmp_path, trained_bpe, newline, names):
    folder = write_bpe(tmp_path, numbered(trained_bpe.tokens), trained_bpe.merges)
    merges = (folder / "merges.txt").read_text(encoding="utf-8").replace("\n", newline).encode()
    (folder / "vocab.json").rename(folder / names[0])
    (folder / "merges.txt").unlink()
    (folder / names[1]).write_bytes(merges)
    assert read_bpe(folder) == trained_bpe


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_files_of_a_vocabulary_are_read_back(tmp_path, kind, request):
    tokenizer = request.getfixturevalue(f"trained_{kind}")
    for name, text in tokenizer.files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert {"bpe": read_bpe, "wordpiece": read_wordpiece}[kind](tmp_path) == tokenizer


def test_bpe_merges_may_begin_without_a_version(tmp_path, trained_bpe):
    folder = write_bpe(tmp_path, numbered(trained_bpe.tokens), trained_bpe.merges)
    (folder / "merges.txt").write_text("\n".join(trained_bpe.merges), encoding="utf-8")
    assert read_bpe(folder) == trained_bpe


BYTES = [CHARACTERS[byte] for byte in range(256)]
GOOD = numbered([*BYTES, "ab", "abc", "<|endoftext|>"])
MERGES = ["a b", "ab c"]


@pytest.mark.parametrize(
    ("numbers", "merges", "named"),
    [
        ([1, 2], MERGES, "vocab.json: "),
        (GOOD | {"ab": "256"}, MERGES, "vocab.json: "),
        (GOOD | {"ab": True}, MERGES, "vocab.json: "),
        (GOOD | {"ab": 256.0}, MERGES, "vocab.json: "),
        (GOOD | {"abd": 257}, MERGES, "vocab.json: id 257 is given twice"),
        (GOOD | {"abd": 300}, MERGES, "vocab.json: id 259 is missing"),
        (GOOD | {"ab": -1}, MERGES, "vocab.json: id 0 is missing"),
        (GOOD | {"<\ud800>": 259}, MERGES, "vocab.json: "),
        (GOOD | {"": 259}, MERGES, "vocab.json: "),
        ({}, MERGES, "merges.txt: line 2: "),
        (numbered([*BYTES[1:], "ab", "abc"]), MERGES, "vocab.json: lacks bytes"),
        (GOOD, ["a b", "ab d"], "merges.txt: line 3: "),
        (GOOD, ["a b c"], "merges.txt: line 2: "),
        (GOOD, ["ab"], "merges.txt: line 2: "),
        (GOOD, ["a b"], "merges.txt: of another vocabulary, or cut off: no merge gives 'abc'"),
    ],
)
def test_damaged_bpe_files_are_one_line(tmp_path, numbers, merges, named):
    read_bpe(write_bpe(tmp_path, GOOD, MERGES))
    with pytest.raises(UserError) as raised:
        read_bpe(write_bpe(tmp_path, numbers, merges))
    assert str(raised.value).startswith(f"{tmp_path}/{named}") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n\xff", b'{"a": 0', b"[" * 100_000, b'{"a": ' + b"1" * 5000]
)
@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_files_that_are_no_bpe_are_one_line(tmp_path, name, content):
    folder = write_bpe(tmp_path, GOOD, MERGES)
    (folder / name).write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_bpe(folder)
    assert str(raised.value).startswith(f"{tmp_path}/{name}: ") and "\n" not in str(raised.value)
    (folder / name).unlink()
    with pytest.raises(UserError, match=name):
        read_bpe(folder)


def test_special_tokens_are_those_that_no_merge_gives(tmp_path):
    numbers = numbered(["<s>", *BYTES, "ab", "abc", "[PAD]"])
    assert read_bpe(write_bpe(tmp_path, numbers, MERGES)).special == {"<s>": 0, "[PAD]": 259}


WORDPIECES = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "!"]


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", " \n"])
def test_vocabularies_of_wordpieces(tmp_path, newline, end):
    (tmp_path / "vocab.txt").write_bytes((newline.join(WORDPIECES) + end).encode())
    for place in (tmp_path, tmp_path / "vocab.txt"):
        tokenizer = read_wordpiece(place)
        assert tokenizer == WordPieceTokenizer(tuple(WORDPIECES), lower_case=True)
        assert tokenizer.encode("UNAFFABLE! é").tolist() == [6, 7, 8, 9, 2]
        assert tokenizer.special == {"[PAD]": 0, "[UNK]": 2, "[CLS]": 3, "[SEP]": 4, "[MASK]": 5}


def test_a_vocabulary_with_capitals_keeps_case_and_accents(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join([*WORDPIECES, "Able", "é"]), encoding="utf-8")
    tokenizer = read_wordpiece(tmp_path)
    assert tokenizer.encode("Able able é").tolist() == [10, 2, 11]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (WORDPIECES[3:], "[PAD], [UNK]"),
        ([*WORDPIECES, "un"], "line 11: 'un' is in line 7"),
        ([*WORDPIECES[:7], "", *WORDPIECES[7:]], "line 8: "),
        (["\0"], "line 1: "),
        ([], "an empty text"),
        (['{"[PAD]": 0}'], "[MASK]"),
    ],
)
def test_damaged_vocabularies_of_wordpieces_are_one_line(tmp_path, lines, named):
    (tmp_path / "vocab.txt").write_text("\n".join(lines))
    with pytest.raises(UserError) as raised:
        read_wordpiece(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}/vocab.txt: ") and named in str(raised.value)


def test_missing_vocabularies():
    for read in (read_bpe, read_wordpiece):
        with pytest.raises(UserError, match="/absent: "):
            read(Path("/absent"))


def test_published_ids_of_gpt2(data_dir):
    tokenizer = read_bpe(data_dir / "gpt2_bpe")
    assert tokenizer.size == 50_257 and tokenizer.special == {"<|endoftext|>": 50_256}
    assert tokenizer.encode("Hello world").tolist() == [15496, 995]
    assert tokenizer.encode(" Hello world").tolist() == [18435, 995]
    assert tokenizer.encode("! the").tolist() == [0, 262]
    assert 50_256 not in tokenizer.encode("<|endoftext|>")
    rank = pairs(tokenizer)
    assert tokenizer.encode(STRANGE).tolist() == [tokenizer.tokens.index(token) for token in bpe(STRANGE, rank)]
    assert tokenizer.decode(tokenizer.encode(STRANGE)) == STRANGE


def test_published_ids_of_bert(data_dir):
    tokenizer = read_wordpiece(data_dir / "bert_vocab" / "vocab.txt")
    assert tokenizer.size == 30_522 and tokenizer.lower_case
    assert tokenizer.special == {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    assert tokenizer.encode("! A the").tolist() == [999, 1037, 1996]
    assert [tokenizer.tokens[i] for i in tokenizer.encode("unaffable")] == ["una", "##ffa", "##ble"]
    vocabulary = set(tokenizer.tokens)
    assert [tokenizer.tokens[i] for i in tokenizer.encode(STRANGE)] == wordpiece(STRANGE, vocabulary)
