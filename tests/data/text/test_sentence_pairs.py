"""Reading pairs of sentences: folders, tables, splits without common sentences, and damaged files."""

import gzip

import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.text.sentence_pairs import SentencePair, hold_out, read, repeats


def write(folder, **files):
    """Writes lists of lines; train_de is the file train.de, and train_de_gz is compressed."""
    folder.mkdir(exist_ok=True)
    for name, lines in files.items():
        text = "".join(f"{line}\n" for line in lines).encode()
        (folder / name.replace("_", ".")).write_bytes(gzip.compress(text) if name.endswith("_gz") else text)
    return f"parallel:{folder}"


def test_a_folder_of_plain_and_compressed_files(tmp_path):
    name = write(
        tmp_path / "x",
        train_de=["Ein  Hund ", "Zwei\u2028Hunde"],
        train_en_gz=["A dog", "Two dogs"],
        dev_de=["Drei"],
        dev_en=["Three"],
        test_de_gz=["Vier", ""],
        test_en=["Four", ""],
    )
    read_de = read(name, None, "de", "en")
    assert read_de.pairs == {
        "train": [("Ein  Hund", "A dog"), ("Zwei\u2028Hunde", "Two dogs")],
        "validation": [("Drei", "Three")],
        "test": [("Vier", "Four"), ("", "")],
    }
    assert read_de.note == "" and len(read_de.digest) == 12
    read_en = read(name, None, "en", "de")
    assert read_en.pairs["train"][0] == SentencePair("A dog", "Ein  Hund")
    write(tmp_path / "x", dev_en=["3"])
    assert read(name, None, "de", "en").digest != read_de.digest


def test_files_that_do_not_fit_are_named(tmp_path):
    write(tmp_path / "x", train_de=["a", "b"])
    name = f"parallel:{tmp_path / 'x'}"
    with pytest.raises(UserError, match=r"/x: lacks train\.en "):
        read(name, None, "de", "en")
    with pytest.raises(UserError, match=r"/x: lacks train\.fr "):
        read(name, None, "fr", "en")
    write(tmp_path / "x", train_en=["a", "b", "c"])
    with pytest.raises(UserError, match=r"train\.de has 2 lines, but .*train\.en has 3"):
        read(name, None, "de", "en")
    write(tmp_path / "x", train_en=["a", "b"], val_de=["c"], val_en=["c"])
    with pytest.raises(UserError, match=r"lacks test\.de"):
        read(name, None, "de", "en")


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\n \n",
        b"a\0b\n",
        b"caf\xe9\n",
        gzip.compress(b"a\nb\n" * 99, mtime=0)[:-9],
        b"\x1f\x8bnothing",
        gzip.compress(b"", mtime=0),
    ],
)
def test_damaged_files_are_named(tmp_path, contents):
    name = write(tmp_path / "x", train_en=["a"])
    (tmp_path / "x" / "train.de").write_bytes(contents)
    with pytest.raises(UserError, match=r"train\.de: "):
        read(name, None, "de", "en")
    with pytest.raises(UserError, match=r"train\.de: "):
        read(f"{name}/train.de", None, "de", "en")
    with pytest.raises(UserError, match=r"absent: cannot be read"):
        read(f"{name}/absent", None, "de", "en")


@pytest.mark.parametrize("head", ["", "de\ten\n", "en\tde\tsource\n"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_table(tmp_path, head, compress):
    columns = [(f"Satz {number}", f"sentence {number}") for number in range(60)]
    lines = [("\t".join(pair[::-1] if head.startswith("en") else pair)) + "\tCC-BY\n" for pair in columns]
    (tmp_path / "x.tsv").write_bytes(compress((head + "\n".join(["".join(lines), "\n"])).encode()))
    splits = read(f"parallel:{tmp_path}/x.tsv", None, "de", "en")
    assert {split: len(pairs) for split, pairs in splits.pairs.items()} == {"train": 54, "validation": 3, "test": 3}
    assert {pair for pairs in splits.pairs.values() for pair in pairs} == set(columns)
    assert splits.note == ""


def test_a_line_with_one_column_is_named(tmp_path):
    for line in ("nothing", "\tonly", "only\t "):
        (tmp_path / "x.tsv").write_text(f"a\tb\n\n{line}\n")
        with pytest.raises(UserError, match=r"x\.tsv: line 3: "):
            read(f"parallel:{tmp_path}/x.tsv", None, "de", "en")


def test_no_sentence_is_in_two_splits():
    pairs = [SentencePair(f"s{number % 70}", f"t{number % 90}") for number in range(200)]
    pairs += [*pairs[:10], SentencePair("", "t"), SentencePair("s", "")]
    splits, note = hold_out(pairs, "x")
    assert list(splits) == ["train", "validation", "test"] and all(splits.values())
    for side in range(2):
        sides = [{pair[side] for pair in part} for part in splits.values()]
        assert len(set.union(*sides)) == sum(map(len, sides))
    kept = [pair for part in splits.values() for pair in part]
    assert (
        len(kept) == len(set(kept)) and set(kept) <= set(pairs) and "" not in {side for pair in kept for side in pair}
    )
    assert note.startswith(f"{len(pairs) - len(kept)} pairs left out")
    assert hold_out(pairs, "x") == (splits, note)


@pytest.mark.parametrize("pairs", [[], [("a", "b")] * 9, [("a", "b"), ("c", "d")], [("a", str(n)) for n in range(50)]])
def test_too_few_pairs_to_split(pairs):
    with pytest.raises(UserError, match=r"^x: "):
        hold_out([SentencePair(*pair) for pair in pairs], "x")


def test_a_folder_without_held_out_files_is_split(tmp_path):
    lines = [f"w{number}" for number in range(100)]
    splits = read(write(tmp_path / "x", train_de=lines, train_en=lines), None, "de", "en").pairs
    assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 90, "validation": 5, "test": 5}


def test_repeated_sentences_are_counted():
    train, test = [SentencePair("a", "b"), SentencePair("c", "d")], [SentencePair("a", "x"), SentencePair("y", "b")]
    assert repeats({"train": train, "test": test}).endswith("1 of the test split")
    assert repeats({"train": train, "test": test[1:]}) == ""


def test_bundled_splits_have_no_sentence_in_common():
    splits = read("phrases", None, "de", "en").pairs
    assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 30_000, "validation": 1000, "test": 1000}
    for side in range(2):
        assert len({pair[side] for pairs in splits.values() for pair in pairs}) == 32_000


@pytest.mark.parametrize(
    ("name", "languages", "named"),
    [
        ("news", ("de", "en"), "dataset=news: "),
        ("parallel:", ("de", "en"), "dataset=parallel:: "),
        ("multi30k", ("de", "en"), "dataset=multi30k: .*data_dir"),
        ("phrases", ("de", "fr"), "target=fr: "),
        ("phrases", ("cs", "de"), "source=cs: "),
        ("phrases", ("de", "de"), "target=de: "),
        ("phrases", ("../de", "en"), "source="),
        ("phrases", ("de", ""), "target="),
    ],
)
def test_wrong_flags_are_named(name, languages, named):
    with pytest.raises(ConfigError, match=f"^{named}"):
        read(name, None, *languages)


def test_multi30k(data_dir):
    splits = read("multi30k", str(data_dir), "de", "en")
    assert {split: len(pairs) for split, pairs in splits.pairs.items()} == {
        "train": 29_000,
        "validation": 1014,
        "test": 1000,
    }
    assert splits.pairs["train"][2] == (
        "Ein kleines Mädchen klettert in ein Spielhaus aus Holz.",
        "A little girl climbing into a wooden playhouse.",
    )
    with pytest.raises(UserError, match=r"multi30k: lacks train\.fr "):
        read("multi30k", str(data_dir), "fr", "en")
