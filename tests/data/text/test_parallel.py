"""Rows of translations: padding, widths, sentences left out, descriptions, and Multi30k's published sizes."""

import json

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.json_files import to_json
from gdl_jax.data.dataset import first_examples
from gdl_jax.data.description import describe, described
from gdl_jax.data.text import parallel, sentence_pairs
from gdl_jax.data.text.parallel import TranslationData, Widths, load, padding_share, to_rows
from gdl_jax.data.text.sentence_tokens import END, PADDING, START


def everything(source):
    return source.take(np.arange(len(source)))


@pytest.fixture
def phrases(monkeypatch):
    """Returns the name of the bundled sentences, of which there are fewer."""
    monkeypatch.setattr(sentence_pairs, "PHRASES", {"train": 600, "validation": 20, "test": 30})
    return "phrases"


@pytest.fixture
def folder(tmp_path):
    """Returns (name, source sentences of the training split): of 1 to 30 words, and of a test sentence of 45."""
    sentences = [" ".join(f"w{word}" for word in range(length)) for length in range(1, 31)]
    files = {"train": [*sentences, ""], "val": sentences[:5], "test": [" ".join(["w0"] * 45), ""]}
    for split, lines in files.items():
        for language in ("de", "en"):
            (tmp_path / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines))
    return f"parallel:{tmp_path}", sentences


@pytest.mark.parametrize(
    ("lengths", "widths"), [((1, 2), (8, 9)), ((6, 7), (8, 9)), ((7, 8), (16, 17)), ((0, 0), (8, 9))]
)
def test_rows(lengths, widths):
    ids = [tuple(np.arange(4, 4 + length) for length in pair) for pair in (lengths, (1, 0))]
    rows = everything(to_rows(ids))
    for side, width in zip(("source", "target"), widths, strict=True):
        assert rows[side].shape == (2, width) and rows[side].dtype == rows[f"{side}_length"].dtype == np.int32
        number = 0 if side == "source" else 1
        for row, length, pair in zip(rows[side], rows[f"{side}_length"], ids, strict=True):
            assert row.tolist() == [START, *pair[number], END] + [PADDING] * (width - len(pair[number]) - 2)
            assert length == len(pair[number]) + 2
    assert padding_share(to_rows(ids)) == pytest.approx(
        np.mean([token == PADDING for side in ("source", "target") for token in rows[side].ravel()]), abs=0.01
    )


def test_long_sentences_are_left_out_of_training_only(folder, capsys):
    name, sentences = folder
    data = load(name, max_tokens=12, unknown_below=1)
    assert [pair.source for pair in data.sentences["train"]] == sentences[:12]
    assert len(data.train) == 12 and data.train.take(np.arange(12))["source"].shape == (12, 16)
    assert everything(data.test)["source"].shape == (2, 48) and everything(data.test)["target"].shape == (2, 49)
    assert everything(data.test)["target_length"].tolist() == [47, 2]
    assert everything(data.validation)["source"].shape == (5, 8)
    assert data.widths == Widths(48, 49)
    assert "19 of 31 training pairs left out" in data.note and data.note in capsys.readouterr().err
    assert data.source_tokenizer.size == 4 + 30  # of all training sentences
    whole = load(name, unknown_below=1)
    assert len(whole.train) == 30 and "1 of 31 training pairs left out" in whole.note
    for row, sentence in zip(everything(whole.train)["target"], sentences, strict=True):
        assert whole.target_tokenizer.decode(row) == sentence


def test_limits_are_errors(folder, monkeypatch):
    name, _ = folder
    with pytest.raises(ConfigError, match=r"^max_tokens=0: "):
        load(name, max_tokens=0)
    monkeypatch.setattr(parallel, "LONGEST", 44)
    with pytest.raises(ConfigError, match=r"^dataset=parallel:.*: sentence 1 of the test split has 45 tokens"):
        load(name)


@pytest.mark.parametrize("tokens", ["word", "bpe:400"])
def test_a_description_has_all_that_a_network_and_a_user_need(tokens, phrases):
    data = load(phrases, tokens=tokens, source="en", target="de")
    assert data.shared == (tokens != "word") and data.languages == ("en", "de") and data.note == ""
    loads = []
    copy = described(json.loads(to_json(describe(data))), lambda: loads.append(1) or data)
    assert type(copy) is TranslationData and len(copy.test) == 30
    for name in ("languages", "source_tokenizer", "target_tokenizer", "widths", "shared", "digest"):
        assert getattr(copy, name) == getattr(data, name)
    sentence = data.sentences["test"][0].target
    assert copy.target_tokenizer.decode(copy.target_tokenizer.encode(sentence)) == sentence.lower()
    for name, array in data.example().items():
        assert copy.example()[name].shape == array.shape and copy.example()[name].dtype == array.dtype
    assert not loads
    assert copy.sentences["test"][0].target == sentence and loads == [1]


def test_rows_are_those_of_the_sentences(phrases):
    data = load(phrases, lower_case=False, unknown_below=1)
    rows = everything(first_examples(data, 20).train)
    for number, pair in enumerate(data.sentences["train"][:20]):
        assert data.source_tokenizer.decode(rows["source"][number]) == pair.source
        assert data.target_tokenizer.decode(rows["target"][number]) == pair.target


@pytest.mark.parametrize(
    ("tokens", "sizes", "shapes", "padding"),
    [
        ("word", (7853, 5893), ((29_000, 48), (29_000, 49)), 0.695),
        ("bpe:10000", (9749, 9749), ((29_000, 56), (29_000, 49)), 0.700),
    ],
)
def test_multi30k(data_dir, tokens, sizes, shapes, padding):
    """Sizes published: 7,853 and 5,893 (bentrevett/pytorch-seq2seq), and 9,712 (LividWo/Revisit-MMT)."""
    data = load("multi30k", data_dir=str(data_dir), tokens=tokens)
    assert (data.source_tokenizer.size, data.target_tokenizer.size) == sizes
    rows = data.train.arrays
    assert (rows["source"].shape, rows["target"].shape) == shapes
    assert padding_share(data.train) == pytest.approx(padding, abs=5e-4)
    assert (len(data.validation), len(data.test)) == (1014, 1000)
    if tokens == "bpe:10000":  # parts, without start and end; published: 400,507 and 397,793
        counts = [int(rows[f"{side}_length"].sum()) - 2 * 29_000 for side in ("source", "target")]
        assert counts == [400_420, 397_692]
