"""Tests of raw texts: splits, windows, sizes, documents, descriptions, and nanoGPT's tiny Shakespeare."""

import json

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.json_files import to_json
from gdl_jax.data.description import describe, described
from gdl_jax.data.text import corpus
from gdl_jax.data.text.corpus import TextSize, load
from gdl_jax.data.text.tokenizers import make_tokenizer
from gdl_jax.data.text.tokens import read_text

LETTERS = "".join(chr(ord("a") + i * i % 26) for i in range(1000))


def rows(source):
    return source.take(np.arange(len(source)))["tokens"]


def ids_of(source):
    return source.sequences["tokens"]


@pytest.fixture
def text(tmp_path):
    """Returns the name of a text of 1000 letters."""
    (tmp_path / "letters.txt").write_text(LETTERS)
    return f"text:{tmp_path}/letters.txt"


@pytest.fixture
def folder(tmp_path):
    """Returns the name of a folder with three documents of 30 characters, and other files."""
    (tmp_path / "docs" / "b").mkdir(parents=True)
    for name, letter in (("a.txt", "x"), ("b/c.TXT", "z"), ("b/b.txt", "y")):
        (tmp_path / "docs" / name).write_text(f"{letter} " * 15)
    (tmp_path / "docs" / "notes.md").write_text("no text")
    (tmp_path / "docs" / ".hidden.txt").write_text("hidden")
    return f"text:{tmp_path}/docs"


@pytest.mark.parametrize(
    ("shares", "ends"),
    [
        ({}, (900, 1000, 1000)),
        ({"test_share": 0.2}, (700, 800, 1000)),
        ({"validation_share": 0.0}, (1000, 1000, 1000)),
        ({"validation_share": 0.0, "test_share": 0.25}, (750, 750, 1000)),
        ({"validation_share": 0.3333}, (666, 1000, 1000)),
    ],
)
def test_splits_are_consecutive_parts_of_the_text(text, shares, ends):
    data = load(text, sequence_length=7, **shares)
    bounds = dict(zip(("train", "validation", "test"), ((0, ends[0]), ends[:2], ends[1:]), strict=True))
    for split, (first, end) in bounds.items():
        source = getattr(data, split)
        if first == end:
            assert source is None and getattr(data, f"{split}_size") is None
        else:
            assert data.tokenizer.decode(ids_of(source)) == LETTERS[first:end]


def test_training_windows_are_everywhere_and_held_out_tokens_are_predicted_once(text):
    data = load(text, sequence_length=7)
    train, held_out = ids_of(data.train), ids_of(data.validation)
    assert rows(data.train).tolist() == [train[i : i + 8].tolist() for i in range(900 - 7)]
    predicted = rows(data.validation)[:, 1:].ravel()
    assert predicted.tolist() == held_out[1 : 1 + 99 // 7 * 7].tolist()
    assert rows(data.validation)[:, 0].tolist() == held_out[:92:7].tolist()
    assert rows(data.train).dtype == np.int32
    exact = load(text, sequence_length=99)  # the last window ends with the last token
    assert rows(exact.validation)[:, 1:].ravel().tolist() == held_out[1:].tolist()


def test_sizes_of_held_out_text(tmp_path):
    (tmp_path / "t.txt").write_text("a " * 450 + "Zwölf Boxkämpfer\njagen  東.\n" + "b" * 73, encoding="utf-8")
    data = load(f"text:{tmp_path}/t.txt", sequence_length=4)
    kept = "Zwölf Boxkämpfer\njagen  東.\n" + "b" * 73
    assert len(kept) == 100
    assert data.validation_size == TextSize(100, 100, 5, 2, 100 + 1 + 1 + 2)
    words = load(f"text:{tmp_path}/t.txt", sequence_length=4, tokenizer="word")
    assert words.validation_size == TextSize(8, *data.validation_size[1:])  # the full stop and newlines are tokens


def test_case_is_kept_and_the_bundled_novel_is_whole_with_single_blank_lines():
    novel = read_text("lady_susan", None)
    while "\n\n\n" in novel:
        novel = novel.replace("\n\n\n", "\n\n")
    data = load("lady_susan", test_share=0.1)
    parts = [data.tokenizer.decode(ids_of(source)) for source in (data.train, data.validation, data.test)]
    assert "".join(parts) == novel and parts[0].startswith("I\n\nLADY SUSAN VERNON TO MR. VERNON\n")
    assert data.tokenizer.characters == "".join(sorted(set(novel)))


def test_words_and_merges_are_learned_from_the_training_split(text, tmp_path):
    (tmp_path / "t.txt").write_text("so it goes " * 81 + "\n" * 9 + "and on " * 14 + "so")
    data = load(f"text:{tmp_path}/t.txt", sequence_length=4, tokenizer="word")
    assert data.tokenizer.vocabulary.words == ("<unk>", "so", "it", "goes", "\n")
    assert data.tokenizer.decode(ids_of(data.validation)[-4:]) == "<unk> <unk> <unk> so"
    (tmp_path / "begin.txt").write_text(LETTERS[:900])
    data = load(text, sequence_length=4, tokenizer="bpe:270")
    assert data.tokenizer == make_tokenizer("bpe:270", [LETTERS[:900]])
    assert data.tokenizer.decode(ids_of(data.validation)) == LETTERS[900:]


def test_a_tokenizer_of_another_text(text):
    tokenizer = make_tokenizer("character", ["abcdefghijklmnopqrstuvwxyz!"])
    assert load(text, tokenizer=tokenizer, sequence_length=4).tokenizer is tokenizer
    with pytest.raises(UserError, match="'b'"):
        load(text, tokenizer=make_tokenizer("character", ["a"]), sequence_length=4)


def test_files_of_a_folder_are_documents_in_order(folder):
    data = load(folder, sequence_length=4, validation_share=0.5)
    first, second = "x " * 15 + "\n\n" + "y " * 7 + "y", " y" * 7 + " \n\n" + "z " * 15
    assert [data.tokenizer.decode(ids_of(source)) for source in (data.train, data.validation)] == [first, second]
    assert data.validation_size == TextSize(47, 45, 22, 0, 45)


def test_documents_are_separated_by_the_token_for_it(folder, tmp_path):
    data = load(folder, sequence_length=4, tokenizer="bpe:257", validation_share=0.0)
    texts = ["x " * 15, "y " * 15, "z " * 15]
    assert data.tokenizer.decode(ids_of(data.train)) == "<|endoftext|>".join(texts)
    places = np.flatnonzero(ids_of(data.train) == data.tokenizer.special["<|endoftext|>"])
    assert places.tolist() == [30, 61]
    (tmp_path / "one.txt").write_text("<|endoftext|>".join(texts) + "<|endoftext|>\n")
    one = load(f"text:{tmp_path}/one.txt", sequence_length=4, tokenizer="bpe:257", validation_share=0.0)
    np.testing.assert_array_equal(ids_of(one.train), ids_of(data.train))
    characters = load(f"text:{tmp_path}/one.txt", sequence_length=4, validation_share=0.0)
    assert characters.tokenizer.decode(ids_of(characters.train)) == "\n\n".join(texts)


@pytest.mark.parametrize("tokenizer", ["character", "word", "bpe:300", "wordpiece:100"])
def test_described_without_the_data(tokenizer):
    data = load("lady_susan", tokenizer=tokenizer, sequence_length=20, test_share=0.1)
    copy = described(json.loads(to_json(describe(data))), lambda: data)
    assert type(copy) is corpus.Corpus and copy.tokenizer == data.tokenizer and copy.digest == data.digest
    assert copy.validation_size == data.validation_size and copy.test_size == data.test_size
    assert type(copy.test_size) is TextSize
    assert [len(copy.train), len(copy.validation)] == [len(data.train), len(data.validation)]
    assert copy.example()["tokens"].shape == (1, 21) and copy.example()["tokens"].dtype == np.int32
    np.testing.assert_array_equal(copy.test.take(np.array([3]))["tokens"], rows(data.test)[[3]])


def test_digests_are_of_tokens_and_tokenizers(text, tmp_path):
    (tmp_path / "same.txt").write_text(LETTERS)
    (tmp_path / "other.txt").write_text(LETTERS[:-1] + "!")
    (tmp_path / "upper.txt").write_text(LETTERS.upper())  # the same ids
    names = [text, *(f"text:{tmp_path}/{name}.txt" for name in ("same", "other", "upper"))]
    digests = [load(name, sequence_length=4).digest for name in names]
    assert digests[0] == digests[1] and len(set(digests)) == 3 and "" not in digests
    assert load(text, sequence_length=4, validation_share=0.2).digest != digests[0]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", ""),
        (b" \n", ""),
        (b"\x89PNG\r\n\x1a\n\xff", "line 1, byte 0"),
        ("é ".encode("latin-1") * 99, "line 1, byte 0"),
        (b"a\0b", "line 1"),
    ],
)
def test_files_that_are_no_texts_are_one_line(folder, tmp_path, content, named):
    (tmp_path / "docs" / "b" / "b.txt").write_bytes(content)
    for name in (folder, f"{folder}/b/b.txt"):
        with pytest.raises(UserError) as raised:
            load(name, sequence_length=4)
        assert str(raised.value).startswith(f"{tmp_path}/docs/b/b.txt: {named}") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "split"),
    [
        ({"sequence_length": 100}, "validation split has 100 tokens"),
        ({"sequence_length": 1000, "validation_share": 0.0}, "train split has 1000 tokens"),
        ({"validation_share": 0.001, "sequence_length": 1}, "validation split has 1 token"),
        ({"validation_share": 0.0, "test_share": 1e-9, "sequence_length": 1}, "test split has 1 token"),
        ({"validation_share": 0.9999, "sequence_length": 1}, "train split has 0 token"),
    ],
)
def test_splits_shorter_than_a_window_are_refused(text, options, split):
    with pytest.raises(ConfigError, match=split) as raised:
        load(text, **options)
    assert raised.value.field == "dataset" and f"sequence_length={options['sequence_length']}" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("shakespeare", {}, "dataset=shakespeare: "),
        ("text:", {}, "dataset=text:: "),
        ("text:/absent.txt", {}, "/absent.txt: "),
        ("text:~no_such_user/a", {}, "dataset=text:~no_such_user/a: "),
        ("tinyshakespeare", {}, "dataset=tinyshakespeare: "),
        ("wikitext2", {"data_dir": "/absent"}, "data_dir=/absent: "),
        ("wikitext2", {"test_share": 0.1}, "test_share=0.1: "),
        ("lady_susan", {"sequence_length": 0}, "sequence_length=0: "),
        ("lady_susan", {"validation_share": 1.0}, "validation_share=1.0: "),
        ("lady_susan", {"validation_share": -0.1}, "validation_share=-0.1: "),
        ("lady_susan", {"validation_share": float("nan")}, "validation_share=nan: "),
        ("lady_susan", {"test_share": 0.95}, "validation_share=0.1: "),
        ("lady_susan", {"tokenizer": "letter"}, "tokenizer=letter: "),
    ],
)
def test_errors_name_the_field_or_the_file(name, options, named):
    with pytest.raises(UserError) as raised:
        load(name, **options)
    assert str(raised.value).startswith(named) and "\n" not in str(raised.value)


def test_empty_corpora_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("<|endoftext|>\n<|endoftext|>")
    with pytest.raises(ConfigError, match="empty"):
        load(f"text:{tmp_path}/a.txt")
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"none: .*\.txt"):
        load(f"text:{tmp_path}/none")


def test_wikitext_with_and_without_its_training_part(tmp_path, capsys):
    folder = tmp_path / "wikitext-2"
    folder.mkdir()
    parts = {"train": " A <unk> @-@ B \n" * 9, "valid": " C , D \n" * 20, "test": " E . \n" * 9}
    for part, text in parts.items():
        (folder / f"wiki.{part}.tokens").write_text(text)
    data = load("wikitext2", data_dir=str(tmp_path), sequence_length=4, tokenizer="word")
    assert data.tokenizer.vocabulary.words == ("<unk>", "A", "@-@", "B", "\n")
    assert [len(ids_of(source)) for source in (data.train, data.validation, data.test)] == [45, 80, 27]
    assert data.test_size == TextSize(27, 54, 18, 9, 54) and data.note == "" == capsys.readouterr().err
    (folder / "wiki.train.tokens").unlink()
    data = load("wikitext2", data_dir=str(tmp_path), sequence_length=4, tokenizer="word", validation_share=0.25)
    assert [len(ids_of(source)) for source in (data.train, data.validation, data.test)] == [60, 20, 27]
    assert "wiki.valid.tokens" in data.note and capsys.readouterr().err == f"wikitext2: {data.note}\n"


def test_other_editions_of_tiny_shakespeare_are_refused(tmp_path):
    (tmp_path / "tinyshakespeare.txt").write_text("First Citizen:\n")
    with pytest.raises(UserError, match=r"tinyshakespeare\.txt: .*1,115,394"):
        load("tinyshakespeare", data_dir=str(tmp_path))


def test_tiny_shakespeare_is_nanogpts(data_dir):
    data = load("tinyshakespeare", data_dir=str(data_dir))
    assert data.tokenizer.size == 65 and data.tokenizer.special == {}
    assert (len(ids_of(data.train)), len(ids_of(data.validation))) == (1_003_854, 111_540) and data.test is None
    assert data.tokenizer.decode(ids_of(data.train)[:14]) == "First Citizen:"
    assert (len(data.train), len(data.validation)) == (1_003_854 - 256, 111_539 // 256)
    assert data.validation_size == TextSize(111_540, 111_540, 20_153, 4_475, 111_540)


def test_tiny_shakespeare_in_gpt2s_tokens(data_dir):
    name = f"bpe:{data_dir}/gpt2_bpe"
    data = load("tinyshakespeare", data_dir=str(data_dir), tokenizer=name, sequence_length=1024)
    assert (len(ids_of(data.train)), data.validation_size.tokens) == (301_966, 36_059)


def test_published_sizes_of_wikitext(data_dir):
    data = load("wikitext2", data_dir=str(data_dir), tokenizer="word")
    assert (data.test_size.words, data.test_size.lines, data.test_size.tokens) == (241_211, 4358, 245_569)
    parts = len(ids_of(data.train)) + data.validation_size.tokens
    assert abs(parts - 213_886 - 3760) <= 1  # a word may be cut in two


def test_raw_fables(data_dir):
    data = load("aesop", data_dir=str(data_dir), validation_share=0.0)
    start = data.tokenizer.decode(ids_of(data.train)[:40])
    assert start.startswith("THE FOX AND THE GRAPES\n\nA hungry Fox") and len(data.train) > 185_000
