"""Sentences with labels, for classification: SST-2, a user's tsv files, and sentences in six languages."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.extras import locate
from gdl_jax.core.paths import expand_user
from gdl_jax.data.dataset import CONTENTS, ArraySource, DataSet, digest_of
from gdl_jax.data.files import first_few, printable
from gdl_jax.data.text.bert_rows import OF_ONE, features, row_length, special_ids, to_rows
from gdl_jax.data.text.documents import split_sentences
from gdl_jax.data.text.splits import FEWEST, hold_out_tenths
from gdl_jax.data.text.text_files import find, is_folder, read
from gdl_jax.data.text.tokenizers import Tokenizer, make_tokenizer

DATASETS = {
    "languages": "sentences of six books, labelled by the language (bundled)",
    "sst2": "SST-2, phrases of film reviews, negative or positive, sst2/*.tsv in data_dir",
    "tsv:PATH": "a tsv file with columns sentence and label, or a folder with train.tsv, dev.tsv and perhaps test.tsv",
}
PATH_KINDS = ("tsv",)  # the kinds KIND:PATH of DATASETS
SST2_LAYOUTS = ("sst2", "SST-2", "glue/SST-2")
SST2_CLASSES = ("negative", "positive")  # of the labels 0 and 1
SENTENCE_COLUMNS = ("sentence", "content", "text")  # names of the column, in order of preference
LABEL_COLUMN = "label"
FILES = {"train": ("train.tsv",), "validation": ("dev.tsv", "valid.tsv", "validation.tsv"), "test": ("test.tsv",)}
LANGUAGES = {
    "de": "German",  # Goethe's Faust
    "en": "English",  # Austen's Lady Susan
    "fr": "French",  # Voltaire's Candide
    "it": "Italian",  # Dante's Divina Commedia
    "la": "Latin",  # hymns
    "nl": "Dutch",  # Ribbius's poems on natural history
}
CLASSES = {"sst2": SST2_CLASSES, "languages": tuple(LANGUAGES.values())}  # of sets whose labels are known
CHARACTERS = range(20, 401)  # of a sentence in one of the languages
MOST = 600  # sentences of a language


class Entry(NamedTuple):
    """A sentence and its label as text."""

    sentence: str
    label: str


class LabelledSentences(NamedTuple):
    """The entries of each split, the labels' names in the order of their numbers, and a note about the data."""

    splits: Mapping[str, Sequence[Entry]]
    classes: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class SentenceData(DataSet):
    """Labelled sentences as WordPieces.

    Rows are {"tokens" (T,), "length" (), "label" ()}, int32: [CLS], the sentence, [SEP] and padding; the number of
    tokens without padding; the index in `classes`. Batches are those of `bert_rows.features`.

    Attributes:
      tokenizer: of the tokens.
      sentences: split -> the text of each row.
    """

    tokenizer: Tokenizer
    sentences: Mapping[str, Sequence[str]] = field(metadata=CONTENTS)


def load(
    name: str,
    *,
    data_dir: str | None = None,
    tokenizer: str | Tokenizer = "wordpiece:4000",
    max_length: int = 128,
) -> SentenceData:
    """Returns the labelled sentences `name`.

    A single tsv file is split 80 / 10 / 10 with a fixed seed. In `languages`, which has a book for each language, the
    held-out sentences are those at the books' ends. It is easy: Naive Bayes with three-letter sequences is right about
    99.7 % of the test split.

    Args:
      name: one of DATASETS.
      data_dir: directory of the sets that are not bundled.
      tokenizer: one of tokenizers.TOKENIZERS, of WordPieces, learned from the training sentences; or a tokenizer.
      max_length: the most tokens of a row, [CLS] and [SEP] included; longer sentences are cut. Rows are no longer than
        the longest sentence needs.

    Raises:
      UserError: unknown name or tokenizer; missing, unreadable or damaged files; fewer than two labels.
    """
    if max_length <= OF_ONE:
        raise ConfigError("max_length", max_length, f"must be more than {OF_ONE}, the tokens [CLS] and [SEP]")
    labelled = read_labelled(name, data_dir)
    texts = {split: [entry.sentence for entry in entries] for split, entries in labelled.splits.items()}
    if isinstance(tokenizer, str):
        tokenizer = make_tokenizer(tokenizer, texts["train"])
    special = special_ids(tokenizer.special)
    ids = {split: [tokenizer.encode(text) for text in sentences] for split, sentences in texts.items()}
    longest = max(len(one) for sentences in ids.values() for one in sentences) + OF_ONE
    length = row_length(longest, max_length)
    cut = sum(len(one) > length - OF_ONE for sentences in ids.values() for one in sentences)
    note = "; ".join(filter(None, [labelled.note, f"{cut:,} sentences cut to {length} tokens" if cut else ""]))
    if note:
        sys.stderr.write(f"{printable(name)}: {note}\n")
    numbers = {label: number for number, label in enumerate(labelled.classes)}
    sources: dict[str, ArraySource | None] = {"test": None}
    for split, entries in labelled.splits.items():
        rows = to_rows([one[: length - OF_ONE] for one in ids[split]], None, special, length)
        labels = np.array([numbers[entry.label] for entry in entries], np.int32)
        sources[split] = ArraySource({**rows, "label": labels})
    kept = [array for source in sources.values() if source for array in source.arrays.values()]
    return SentenceData(
        name,
        **sources,
        transform=features,
        classes=labelled.classes,
        note=note,
        digest=digest_of([repr((tokenizer, labelled.classes)).encode(), *kept]),
        tokenizer=tokenizer,
        sentences=texts,
    )


def read_labelled(name: str, data_dir: str | None) -> LabelledSentences:
    """Returns the sentences of a set; arguments and exceptions are those of `load`."""
    kind, _, path = name.partition(":")
    if name == "languages":
        return _read_languages()
    if name == "sst2":
        folder = find(name, data_dir, SST2_LAYOUTS)
        read_set = _read_folder(folder)
        if read_set.classes != ("0", "1"):
            raise UserError(f"{folder}: labels are {first_few(read_set.classes, ', ')}; SST-2's are 0 and 1")
        splits = {
            split: [Entry(entry.sentence, SST2_CLASSES[int(entry.label)]) for entry in entries]
            for split, entries in read_set.splits.items()
        }
        return LabelledSentences(splits, SST2_CLASSES, read_set.note)
    if kind not in PATH_KINDS or not path:
        raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")
    place = Path(expand_user(path, "dataset", name))
    return _read_folder(place) if is_folder(place) else _read_file(place)


def _read_folder(folder: Path) -> LabelledSentences:
    """Reads a folder's splits; a test.tsv without labels is left out."""
    splits, notes = {}, []
    for split, names in FILES.items():
        path = next((folder / name for name in names if (folder / name).exists()), None)
        if path is None and split != "test":
            raise UserError(f"{folder}: has no {names[0]}")
        if path is None:
            continue
        entries = _read_tsv(path)
        if entries is None and split != "test":
            raise UserError(f"{path}: line 1: names no column {LABEL_COLUMN}")
        if entries is None:
            notes.append(f"{path.name} has no labels and is left out")
            continue
        splits[split] = entries
    classes = _classes(folder, splits["train"])
    known = {entry.sentence for entry in splits["train"]}
    for split in splits.keys() - {"train"}:
        if strange := sorted({entry.label for entry in splits[split]} - set(classes)):
            listed = first_few(strange, ", ")
            raise UserError(f"{folder}: the {split} split has labels that the training split lacks: {listed}")
    for split in ("validation", "test"):
        if repeats := sum(entry.sentence in known for entry in splits.get(split, ())):
            notes.append(f"{repeats:,} of {len(splits[split]):,} {split} sentences are in the training split too")
    return LabelledSentences(splits, classes, "; ".join(notes))


def _read_file(path: Path) -> LabelledSentences:
    """Reads a single file; of equal sentences, the first is kept."""
    entries = _read_tsv(path)
    if entries is None:
        raise UserError(f"{path}: line 1: names no column {LABEL_COLUMN}")
    first: dict[str, Entry] = {}
    for entry in entries:
        first.setdefault(entry.sentence, entry)
    if len(first) < FEWEST:
        raise UserError(f"{path}: {len(first)} sentences; needs {FEWEST}, one per split")
    splits = hold_out_tenths(list(first.values()))
    classes = _classes(path, first.values())
    if lacking := set(classes) - {entry.label for entry in splits["train"]}:
        raise UserError(f"{path}: too few sentences with the label {first_few(sorted(lacking), ', ')}")
    dropped = len(entries) - len(first)
    return LabelledSentences(splits, classes, f"{dropped:,} repeated sentences left out" if dropped else "")


def _classes(place: Path, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Returns the different labels: as numbers if they all are integers, else in alphabetical order."""
    labels = {entry.label for entry in entries}
    if len(labels) < 2:
        raise UserError(f"{place}: all sentences have the label {next(iter(labels))}; needs two labels or more")
    integers = all(label.removeprefix("-").isdecimal() and len(label) < 10 for label in labels)
    return tuple(sorted(labels, key=(lambda label: (int(label), label)) if integers else None))


def _read_tsv(path: Path) -> list[Entry] | None:
    """Returns the entries of a tsv file whose first line names its columns; None if there are no labels.

    Quotation marks are characters like others.

    Raises:
      UserError: the file cannot be read or is no such file; names the line.
    """
    lines = read(path).split("\n")
    header = lines[0].split("\t")
    column = next((name for name in SENTENCE_COLUMNS if name in header), None)
    if column is None:
        raise UserError(f"{path}: line 1: names no column {' or '.join(SENTENCE_COLUMNS)}, separated by tabs")
    entries = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        fields = [text.strip() for text in line.split("\t")]
        if len(fields) != len(header):
            raise UserError(f"{path}: line {number}: {len(fields)} fields, but the first line names {len(header)}")
        row = dict(zip(header, fields, strict=True))
        entry = Entry(row[column], row.get(LABEL_COLUMN, "-"))
        if not all(entry):
            raise UserError(f"{path}: line {number}: an empty {LABEL_COLUMN if entry.sentence else column}")
        entries.append(entry)
    if not entries:
        raise UserError(f"{path}: has no sentences")
    return entries if LABEL_COLUMN in header else None


def _read_languages() -> LabelledSentences:
    """Returns at most MOST different sentences of each language, evenly spaced in its book.

    Headings in capitals and Project Gutenberg's own lines are left out.
    """
    folder = locate("music21", "text") / "languageExcerpts" / "trainingData"
    splits: dict[str, list[Entry]] = {split: [] for split in FILES}
    for code, language in LANGUAGES.items():
        sentences = dict.fromkeys(
            sentence
            for sentence in split_sentences(read(folder / f"{code}.txt"))
            if len(sentence) in CHARACTERS and not sentence.isupper() and "Gutenberg" not in sentence
        )
        found = list(sentences)
        if len(found) > MOST:
            found = [found[place] for place in np.linspace(0, len(found) - 1, MOST).astype(int)]
        entries = [Entry(sentence, language) for sentence in found]
        tenth = len(entries) // 10
        splits["train"] += entries[: -2 * tenth]
        splits["validation"] += entries[-2 * tenth : -tenth]
        splits["test"] += entries[-tenth:]
    return LabelledSentences(splits, CLASSES["languages"])
