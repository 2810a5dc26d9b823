"""Sentences and their translations, read from parallel files or made by the grammar of `phrases`."""

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError, first_line
from gdl_jax.core.paths import expand_user
from gdl_jax.data.dataset import digest_of
from gdl_jax.data.text import phrases
from gdl_jax.data.text.text_files import decode, find, is_folder, reason

DATASETS = {
    "phrases": "30,000 English and German sentences on times, dates, prices and durations (bundled)",
    "multi30k": "29,000 descriptions of photographs, multi30k/train.de.gz, train.en.gz, ... in data_dir",
    "parallel:PATH": "a folder with train.SOURCE, train.TARGET, val. and test. (or .gz), or a table of two columns",
}
PATH_KINDS = ("parallel",)  # of DATASETS, the kinds KIND:PATH
PHRASES = {"train": 30_000, "validation": 1000, "test": 1000}
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{2,8})*")
GZIP = b"\x1f\x8b"
SPLIT_FILES = {  # split -> names of its files, without the language
    "train": ("train",),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "test_2016_flickr"),
}
HELD_OUT, MOST_HELD_OUT = 0.05, 1000  # of pairs without splits, for validation and for testing


class SentencePair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


class Splits(NamedTuple):
    """Pairs of each split, in the files' order.

    Attributes:
      pairs: {"train": ..., "test": ...}, and "validation" if there is such a split.
      note: on sentences in several splits; '' if there are none.
      digest: fingerprint of the sentences; '' if they are bundled.
    """

    pairs: Mapping[str, Sequence[SentencePair]]
    note: str
    digest: str


def read(name: str, data_dir: str | None, source: str, target: str) -> Splits:
    """Returns the pairs of a data set.

    Args:
      name: one of DATASETS.
      data_dir: directory of the sets that are not bundled.
      source, target: languages; "de" and "en", or those of the files' names.

    Raises:
      UserError: unknown name or language; missing, unreadable or damaged files, or files of different lengths.
    """
    for field, language in (("source", source), ("target", target)):
        if not LANGUAGE.fullmatch(language):
            raise ConfigError(field, language, "is not a language such as de")
    if source == target:
        raise ConfigError("target", target, "is the source's language")
    kind, _, path = name.partition(":")
    if name == "phrases":
        return Splits(_phrases(source, target), "", "")
    if name == "multi30k":
        place = find(name, data_dir, ("multi30k",))
        pairs, note = _read_folder(place, source, target), ""
    elif kind in PATH_KINDS and path:
        place = Path(expand_user(path, "dataset", name))
        pairs, note = (_read_folder if is_folder(place) else _read_table)(place, source, target), ""
    else:
        raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")
    if "test" not in pairs:
        pairs, note = hold_out(pairs["train"], str(place))
    digest = digest_of("\n".join(map("\t".join, part)).encode() for part in pairs.values())
    return Splits(pairs, note or repeats(pairs), digest)


def _phrases(source: str, target: str) -> dict[str, list[SentencePair]]:
    for field, language in (("source", source), ("target", target)):
        if language not in phrases.Pair._fields:
            raise ConfigError(field, language, f"dataset=phrases has {' and '.join(phrases.Pair._fields)}")
    made = [SentencePair(getattr(p, source), getattr(p, target)) for p in phrases.make(sum(PHRASES.values()), seed=0)]
    ends = np.cumsum([0, *PHRASES.values()])
    return {split: made[first:end] for split, first, end in zip(PHRASES, ends, ends[1:], strict=False)}


def _contents(path: Path) -> list[str]:
    """Returns the lines of a file, which may be compressed by gzip, without white space at their ends.

    Raises:
      UserError: the file cannot be read, is damaged, binary, empty, or in another encoding.
    """
    try:
        stored = path.read_bytes()
        text = decode(gzip.decompress(stored) if stored.startswith(GZIP) else stored, str(path))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged or incomplete ({first_line(error)})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {reason(error)}") from error
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


def _find_file(folder: Path, names: Sequence[str], language: str) -> Path | None:
    """Returns the first existing file NAME.LANGUAGE or NAME.LANGUAGE.gz."""
    candidates = (folder / f"{name}.{language}{suffix}" for name in names for suffix in ("", ".gz"))
    try:
        return next((path for path in candidates if path.exists()), None)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {reason(error)}") from error


def _read_folder(folder: Path, source: str, target: str) -> dict[str, list[SentencePair]]:
    """Returns the splits whose files are in a folder.

    Raises:
      UserError: there is nothing to train on, a split has only one of its two files, or a validation split but no test
        split is there; as `_contents`; two files have different numbers of lines.
    """
    pairs = {}
    for split, names in SPLIT_FILES.items():
        paths = {language: _find_file(folder, names, language) for language in (source, target)}
        lacking = [language for language, path in paths.items() if path is None]
        if len(lacking) == 2 and split != "train":
            continue
        if lacking:
            raise UserError(f"{folder}: lacks {names[0]}.{lacking[0]} or {names[0]}.{lacking[0]}.gz")
        lines = {language: _contents(path) for language, path in paths.items()}
        counts = [f"{paths[language]} has {len(lines[language]):,} lines" for language in paths]
        if len(lines[source]) != len(lines[target]):
            raise UserError(f"{counts[0]}, but {counts[1]}; line by line, they must translate each other")
        pairs[split] = [SentencePair(*both) for both in zip(lines[source], lines[target], strict=True)]
    if "validation" in pairs and "test" not in pairs:
        raise UserError(f"{folder}: lacks test.{source} and test.{target}, though it has files for validation")
    return pairs


def _read_table(path: Path, source: str, target: str) -> dict[str, list[SentencePair]]:
    """Returns the pairs of a file: the first two tab-separated columns, in the order source, target.

    A first line "en<TAB>de" names the columns' languages, which may then be in the other order. Lines that are blank,
    and further columns, are skipped.

    Raises:
      UserError: as `_contents`; a line has one column.
    """
    pairs, swapped = [], False
    for number, line in enumerate(_contents(path), start=1):
        if not line:
            continue
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) < 2 or not (columns[0] and columns[1]):
            raise UserError(f"{path}: line {number}: needs two columns, {source} and {target}, separated by a tab")
        if number == 1 and set(columns[:2]) == {source, target}:
            swapped = columns[0] == target
        else:
            pairs.append(SentencePair(*(columns[1::-1] if swapped else columns[:2])))
    return {"train": pairs}


def hold_out(pairs: Sequence[SentencePair], place: str) -> tuple[dict[str, list[SentencePair]], str]:
    """Returns splits of pairs in which no sentence is in two, and a note: a twentieth for validation and for testing.

    Repeated pairs are dropped, as are pairs with a blank side, and pairs of which another split has a sentence.

    Raises:
      UserError: there are too few; names `place`.
    """
    unique = list(dict.fromkeys(pair for pair in pairs if all(pair)))
    count = max(1, min(MOST_HELD_OUT, round(HELD_OUT * len(unique))))
    order = np.random.default_rng(0).permutation(len(unique)).tolist()
    chosen = {"test": order[:count], "validation": order[count : 2 * count], "train": order[2 * count :]}
    seen: tuple[set[str], set[str]] = (set(), set())
    splits = {}
    for split, numbers in chosen.items():
        part = [unique[number] for number in sorted(numbers)]
        splits[split] = [
            pair for pair in part if not any(side in known for side, known in zip(pair, seen, strict=True))
        ]
        for pair in part:
            for known, side in zip(seen, pair, strict=True):
                known.add(side)
    if not all(splits.values()):
        raise UserError(f"{place}: {len(unique)} different pairs are too few for training, validation and testing")
    left_out = len(pairs) - sum(map(len, splits.values()))
    note = f"{left_out:,} pairs left out: blank, repeated, or with a sentence of another split"
    return {split: splits[split] for split in PHRASES}, note if left_out else ""


def repeats(pairs: Mapping[str, Sequence[SentencePair]]) -> str:
    """Returns a note on held-out pairs whose source sentence is in the training split too; '' if there are none."""
    known = {pair.source for pair in pairs["train"]}
    counts = {
        split: sum(pair.source in known for pair in pairs[split]) for split in ("validation", "test") if split in pairs
    }
    listed = [f"{count:,} of the {split} split" for split, count in counts.items() if count]
    return f"source sentences that the training split has too: {', '.join(listed)}" if listed else ""
