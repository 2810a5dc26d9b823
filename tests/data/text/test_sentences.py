"""Tests of labelled sentences: the bundled languages, tsv files and folders, SST-2."""

import json
import re
from collections import Counter

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.json_files import to_json
from gdl_jax.data.description import describe, described
from gdl_jax.data.text.sentences import LANGUAGES, load, read_labelled
from gdl_jax.data.text.subword import WordPieceTokenizer

WORDS = [f"{first}{second}" for first in "bcdfg" for second in "aeiou"]
TOKENIZER = WordPieceTokenizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS))


def write_tsv(path, rows, header=("sentence", "label")):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join("\t".join(row) for row in [header, *rows]) + "\n", encoding="utf-8")
    return path


def rows_of(count, seed=0):
    """Returns `count` different sentences, labelled by whether they begin with b."""
    rng = np.random.default_rng(seed)
    made = {}
    while len(made) < count:
        words = [str(word) for word in rng.choice(WORDS, rng.integers(3, 9))]
        made[" ".join(words)] = str(int(words[0][0] == "b"))
    return list(made.items())


def folder_of(path, splits=("train", "dev", "test"), header=("label", "sentence")):
    made = rows_of(30 * len(splits))
    for place, name in enumerate(splits):
        rows = made[30 * place : 30 * (place + 1)]
        write_tsv(path / f"{name}.tsv", [row[::-1] for row in rows], header)
    return made


def test_a_file_is_split_and_encoded(tmp_path):
    made = rows_of(50)
    write_tsv(tmp_path / "s.tsv", [*made, *made[:7]])
    data = load(f"tsv:{tmp_path}/s.tsv", tokenizer=TOKENIZER)
    assert {split: len(texts) for split, texts in data.sentences.items()} == {"train": 40, "validation": 5, "test": 5}
    assert {text for texts in data.sentences.values() for text in texts} == {text for text, _ in made}
    assert data.classes == ("0", "1") and data.note.startswith("7 repeated")
    for split, texts in data.sentences.items():
        rows = getattr(data, split).arrays
        assert rows["tokens"].shape == (len(texts), 16)  # at most 10 tokens
        for text, tokens, length, label in zip(texts, rows["tokens"], rows["length"], rows["label"], strict=True):
            ids = [TOKENIZER.tokens.index(word) for word in text.split()]
            assert tokens.tolist() == [2, *ids, 3, *[0] * (14 - len(ids))] and length == len(ids) + 2
            assert label == text.startswith("b")
    batch = data.transform(data.test.take(np.arange(5)))
    assert batch["mask"].sum(axis=1).tolist() == data.test.arrays["length"].tolist() and "label" in batch


def test_a_folder_has_its_own_splits(tmp_path):
    made = folder_of(tmp_path)
    data = load(f"tsv:{tmp_path}", tokenizer=TOKENIZER)
    assert [text for split in ("train", "validation", "test") for text in data.sentences[split]] == [t for t, _ in made]
    assert data.note == "" and load(f"tsv:{tmp_path}", tokenizer=TOKENIZER).digest == data.digest
    write_tsv(tmp_path / "test.tsv", [("0", made[5][0]), ("1", "ba ba")], ("label", "text"))
    again = load(f"tsv:{tmp_path}", tokenizer=TOKENIZER)
    assert again.note.startswith("1 of 2 test ") and again.digest != data.digest
    write_tsv(tmp_path / "test.tsv", [("0", "ba ba")], ("index", "sentence"))  # as in GLUE
    assert load(f"tsv:{tmp_path}", tokenizer=TOKENIZER).test is None
    (tmp_path / "test.tsv").unlink()
    data = load(f"tsv:{tmp_path}", tokenizer=TOKENIZER)
    assert data.test is None and len(data.validation) == 30


def test_long_sentences_are_cut(tmp_path):
    folder_of(tmp_path)
    data = load(f"tsv:{tmp_path}", tokenizer=TOKENIZER, max_length=6)
    rows = data.train.arrays
    assert rows["tokens"].shape == (30, 6) and rows["length"].max() == 6
    longer = sum(len(text.split()) > 4 for texts in data.sentences.values() for text in texts)
    assert data.note.startswith(f"{longer} sentences cut") and longer > 30
    row = next(place for place, text in enumerate(data.sentences["train"]) if len(text.split()) > 4)
    assert TOKENIZER.decode(rows["tokens"][row][1:5]) == " ".join(data.sentences["train"][row].split()[:4])
    assert (rows["tokens"][row][[0, 5]] == [2, 3]).all()


@pytest.mark.parametrize(
    ("labels", "classes"),
    [(("10", "9", "-1"), ("-1", "9", "10")), (("b", "a", "10"), ("10", "a", "b")), (("01", "1"), ("01", "1"))],
)
def test_classes_have_an_order(tmp_path, labels, classes):
    write_tsv(tmp_path / "s.tsv", [(text, labels[i % len(labels)]) for i, (text, _) in enumerate(rows_of(40))])
    assert read_labelled(f"tsv:{tmp_path}/s.tsv", None).classes == classes


def test_quotation_marks_and_line_ends_are_kept_apart(tmp_path):
    text = 'label\tcontent\r\n0\t"one\r\n1\t two " \r\n\r\n' + "".join(f"{i % 2}\t{i}\r\n" for i in range(10))
    (tmp_path / "s.tsv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    entries = [
        tuple(entry) for split in read_labelled(f"tsv:{tmp_path}/s.tsv", None).splits.values() for entry in split
    ]
    assert set(entries) == {('"one', "0"), ('two "', "1"), *((str(i), str(i % 2)) for i in range(10))}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("a b\tc\nd\te\n", "line 1: .*sentence"),
        ("sentence\tscore\na\t1\nb\t2\nc\t3\n", "line 1: .*label"),
        ("sentence\tlabel\na\t1\n\nb\t2\tx\n", "line 4: 3 fields"),
        ("sentence\tlabel\na\t1\nb\n", "line 3: 1 fields"),
        ("sentence\tlabel\na\t1\nb\t \n", "line 3: .*label"),
        ("sentence\tlabel\n \t1\n", "line 2: .*sentence"),
        ("sentence\tlabel\n", "sentences"),
        ("sentence\tlabel\na\t1\nb\t1\nc\t1\n", "label 1;"),
        ("sentence\tlabel\na\t1\nb\t2\na\t2\n", "2 sentences"),
        ("sentence\tlabel\n" + "".join(f"{i}\t{i}\n" for i in range(20)), "too few"),
        ("", "empty"),
        ("PK\3\4\0\0", "NUL"),
    ],
)
def test_files_that_are_not_labelled_sentences_are_one_line(tmp_path, content, named):
    path = tmp_path / "s.tsv"
    path.write_text(content)
    with pytest.raises(UserError, match=named) as raised:
        load(f"tsv:{path}", tokenizer=TOKENIZER)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


def test_folders_that_are_incomplete_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"has no train\.tsv"):
        load(f"tsv:{tmp_path}")
    folder_of(tmp_path, ("train",))
    with pytest.raises(UserError, match=r"has no dev\.tsv"):
        load(f"tsv:{tmp_path}")
    write_tsv(tmp_path / "dev.tsv", [("ba", "0"), ("be", "7")])
    with pytest.raises(UserError, match=r"validation split has labels .*: 7"):
        load(f"tsv:{tmp_path}")
    write_tsv(tmp_path / "dev.tsv", [("ba",)], ("sentence",))
    with pytest.raises(UserError, match=r"dev\.tsv: line 1: .*label"):
        load(f"tsv:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "options", "field"),
    [
        ("language", {}, "dataset"),
        ("tsv:", {}, "dataset"),
        ("sst2:x", {}, "dataset"),
        ("sst2", {}, "dataset"),
        ("sst2", {"data_dir": "/absent"}, "data_dir"),
        ("languages", {"tokenizer": "word"}, "tokenizer"),
        ("languages", {"tokenizer": "letters"}, "tokenizer"),
        ("languages", {"max_length": 2}, "max_length"),
    ],
)
def test_errors_name_the_field(name, options, field):
    with pytest.raises(ConfigError) as raised:
        load(name, **options)
    assert raised.value.field == field and "\n" not in str(raised.value)


def word_counts(entries):
    """Returns {label: counts of the words of its sentences}."""
    counts = {}
    for text, label in entries:
        counts.setdefault(label, Counter()).update(re.findall(r"\w+", text.lower()))
    return counts


def test_the_bundled_languages():
    labelled = read_labelled("languages", None)
    assert labelled.classes == tuple(LANGUAGES.values())
    texts = [entry.sentence for entries in labelled.splits.values() for entry in entries]
    assert len(set(texts)) == len(texts) > 3000 and all(20 <= len(text) <= 400 for text in texts)
    counts = {split: Counter(entry.label for entry in entries) for split, entries in labelled.splits.items()}
    for split, most, dutch in (("train", 480, 300), ("validation", 60, 35), ("test", 60, 35)):
        assert counts[split].pop("Dutch") > dutch and set(counts[split].values()) == {most}
    known = word_counts(labelled.splits["train"])
    right = 0
    for text, label in labelled.splits["test"]:
        words = re.findall(r"\w+", text.lower())
        scores = {language: sum(np.log(known[language][word] + 0.1) for word in words) for language in known}
        right += max(scores, key=scores.get) == label
    assert right > 0.95 * len(labelled.splits["test"])  # words alone tell languages apart, so the labels are right


@pytest.mark.slow
def test_the_bundled_languages_in_wordpieces():
    data = load("languages", tokenizer="wordpiece:1000", max_length=64)
    assert data.tokenizer.size == 1000 and data.train.arrays["tokens"].shape[1] == 64
    lengths, labels = data.train.arrays["length"], data.train.labels()
    assert len(labels) == len(data.sentences["train"]) and set(labels.tolist()) == set(range(6))
    assert not (data.validation.arrays["tokens"][:, 1:] == 2).any() and lengths.max() == 64


def test_a_described_set_has_its_classes_and_tokenizer(tmp_path):
    folder_of(tmp_path)
    data = load(f"tsv:{tmp_path}", tokenizer=TOKENIZER)
    copy = described(json.loads(to_json(describe(data))), lambda: data)
    assert copy.classes == data.classes and copy.tokenizer == TOKENIZER and copy.digest == data.digest
    assert {name: array.shape[1:] for name, array in copy.example().items()} == {
        "tokens": (16,),
        "length": (),
        "label": (),
    }
    assert copy.sentences["test"] == data.sentences["test"]


def test_sst2(tmp_path):
    made = folder_of(tmp_path / "glue" / "SST-2")
    data = load("sst2", data_dir=str(tmp_path), tokenizer=TOKENIZER)
    assert data.classes == ("negative", "positive")
    assert data.train.labels().tolist() == [int(label) for _, label in made[:30]]
    write_tsv(tmp_path / "glue" / "SST-2" / "train.tsv", [("2", "ba"), ("1", "be")], ("label", "sentence"))
    with pytest.raises(UserError, match=r"SST-2: .*validation .*: 0|SST-2: .*test .*: 0"):
        load("sst2", data_dir=str(tmp_path), tokenizer=TOKENIZER)


@pytest.mark.slow
def test_the_real_sst2(data_dir):
    labelled = read_labelled("sst2", str(data_dir))
    counts = {split: Counter(entry.label for entry in entries) for split, entries in labelled.splits.items()}
    assert {split: count.total() for split, count in counts.items()} == {
        "train": 67_349,
        "validation": 872,
        "test": 1_821,
    }
    assert [count["positive"] for count in counts.values()] == [37_569, 444, 909]
    assert labelled.note.startswith("1 of 1,821 test ")
