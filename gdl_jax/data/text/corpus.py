"""Raw texts for language models: case, spaces and newlines are kept; windows of tokens, cut from one long sequence.

Splits are consecutive parts of the text. <|endoftext|> in a text, or the end of a file in a folder, separates
documents: it becomes the tokenizer's token of that name, or two newlines if there is none.
"""

import itertools
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.paths import expand_user
from gdl_jax.data import files
from gdl_jax.data.dataset import DataSet, digest_of
from gdl_jax.data.text import tokens
from gdl_jax.data.text.subword import END_OF_TEXT
from gdl_jax.data.text.text_files import find, is_folder, read
from gdl_jax.data.text.tokenizers import Tokenizer, make_tokenizer
from gdl_jax.data.text.windows import Windows

DATASETS = {
    "lady_susan": "Jane Austen's novel in 42 letters, 1794 (bundled)",
    "aesop": "Aesop's fables, Gutenberg's 11339, aesop/data.txt or pg11339.txt in data_dir",
    "tinyshakespeare": "1,115,394 characters of Shakespeare's plays, tinyshakespeare/input.txt in data_dir",
    "wikitext2": "WikiText-2 in words, wikitext2/valid.txt, test.txt and perhaps train.txt in data_dir",
    "text:PATH": "any text file in UTF-8, or a folder of files *.txt, each a document",
}
PATH_KINDS = ("text",)  # the kinds KIND:PATH of DATASETS
BOOKS = ("lady_susan", "aesop")
SHAKESPEARE_LAYOUTS = ("tinyshakespeare/input.txt", "tinyshakespeare.txt")
SHAKESPEARE_CHARACTERS = 1_115_394
WIKITEXT2_LAYOUTS = ("wikitext2/valid.txt", "wikitext-2/valid.txt", "wikitext-2/wiki.valid.tokens")
SPACED = ("wikitext2",)  # spaces separate the words of these, punctuation marks too
Splits = Mapping[str, Sequence[str]]  # the documents of each split; the last and the first of a split may be cut


class TextSize(NamedTuple):
    """Numbers of a split. Nats per token times `tokens / words` are nats per word, and so on.

    Attributes:
      tokens: after encoding.
      characters: without <|endoftext|>, as all numbers below.
      words: separated by spaces or newlines.
      lines: newlines; words + lines is WikiText's number of words, with an <eos> in each line.
      bytes: in UTF-8.
    """

    tokens: int
    characters: int
    words: int
    lines: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Corpus(DataSet):
    """Windows of a text: rows are {"tokens": (sequence_length + 1,) int32}; the last is only predicted.

    Training windows start at every token but the last `sequence_length`. Held-out windows start at multiples of
    `sequence_length`, so that each token but the first is predicted once; at most the last sequence_length - 1 are not.

    Attributes:
      tokenizer: of the tokens.
      validation_size, test_size: numbers of the held-out text; None if there is no such split.
    """

    tokenizer: Tokenizer
    validation_size: TextSize | None = None
    test_size: TextSize | None = None


def load(
    name: str,
    *,
    data_dir: str | None = None,
    tokenizer: str | Tokenizer = "character",
    sequence_length: int = 256,
    validation_share: float = 0.1,
    test_share: float = 0.0,
) -> Corpus:
    """Returns the text `name`.

    With the default shares, `tinyshakespeare` is nanoGPT's: the first 1,003,854 characters are for training and the
    other 111,540 for validation. WikiText-2 has its own splits; without train.txt, the first part of valid.txt is
    trained on, and the rest is for validation.

    Args:
      name: one of DATASETS.
      data_dir: directory of the sets that are not bundled.
      tokenizer: one of tokenizers.TOKENIZERS, or a tokenizer. A character tokenizer is of the whole text; others are
        learned from the training split.
      sequence_length: tokens of context; a window has one more.
      validation_share: share of the characters for validation: the last ones before the test split; 0: none.
      test_share: share of the characters for testing, the last ones; 0: none.

    Raises:
      UserError: unknown name or tokenizer; a missing, unreadable, binary or empty file; a split shorter than a window.
    """
    if sequence_length < 1:
        raise ConfigError("sequence_length", sequence_length, "must be at least 1")
    for field, share in (("validation_share", validation_share), ("test_share", test_share)):
        if not 0 <= share < 1 or not validation_share + test_share < 1:
            raise ConfigError(field, share, "must be at least 0, and less than 1 with the other share")
    splits, note = _read(name, data_dir, validation_share, test_share)
    if note:
        sys.stderr.write(f"{files.printable(name)}: {note}\n")
    if isinstance(tokenizer, str):
        whole = list(itertools.chain.from_iterable(splits.values()))
        if len(whole) > len(splits):
            whole.append("\n")  # characters between documents
        tokenizer = make_tokenizer(tokenizer, whole, splits["train"], spaced=name in SPACED)
    sources, sizes = {}, {}
    for split, documents in splits.items():
        ids = _encode(tokenizer, documents)
        if len(ids) <= sequence_length:
            few = f"the {split} split has {len(ids)} tokens; needs more than sequence_length={sequence_length}"
            raise ConfigError("dataset", name, few)
        starts = np.arange(0, len(ids) - sequence_length, 1 if split == "train" else sequence_length)
        sources[split] = Windows({"tokens": ids}, starts, sequence_length + 1)
        sizes[split] = _size(ids, documents)
    return Corpus(
        name,
        **{"test": None} | sources,
        note=note,
        digest=digest_of([repr((tokenizer, sizes)).encode(), *(s.sequences["tokens"] for s in sources.values())]),
        tokenizer=tokenizer,
        validation_size=sizes.get("validation"),
        test_size=sizes.get("test"),
    )


def _encode(tokenizer: Tokenizer, documents: Sequence[str]) -> np.ndarray:
    """Returns the ids (N,) of all documents, with END_OF_TEXT or two newlines between them."""
    if END_OF_TEXT not in tokenizer.special:
        return tokenizer.encode("\n\n".join(documents))
    between = np.array([tokenizer.special[END_OF_TEXT]], np.int32)
    return np.concatenate([part for document in documents for part in (between, tokenizer.encode(document))][1:])


def _size(ids: np.ndarray, documents: Sequence[str]) -> TextSize:
    text = "\n".join(documents)
    lines, joints = text.count("\n"), len(documents) - 1
    return TextSize(len(ids), len(text) - joints, len(text.split()), lines - joints, len(text.encode()) - joints)


def _read(name: str, data_dir: str | None, validation_share: float, test_share: float) -> tuple[Splits, str]:
    """Returns the documents of each split, and a note on them."""
    if name == "wikitext2":
        return read_wikitext2(data_dir, validation_share, test_share)
    documents = read_documents(name, data_dir)
    if name in BOOKS:  # up to seven newlines separate their letters and fables
        documents = [re.sub(r"\n{3,}", "\n\n", document) for document in documents]
    return _cut(documents, validation_share, test_share), ""


def _cut(documents: Sequence[str], validation_share: float, test_share: float) -> dict[str, list[str]]:
    """Returns consecutive parts of documents, by characters; splits with a share of 0 are left out."""
    count = sum(map(len, documents))
    first, second = int(count * (1 - validation_share - test_share)), int(count * (1 - test_share))
    splits = {"train": tokens.between_places(documents, 0, first)}
    if validation_share:
        splits["validation"] = tokens.between_places(documents, first, second)
    if test_share:
        splits["test"] = tokens.between_places(documents, second, count)
    return splits


def read_documents(name: str, data_dir: str | None) -> list[str]:
    """Returns the documents of a text other than WikiText-2; arguments and exceptions are those of `load`."""
    kind, _, path = name.partition(":")
    if kind in PATH_KINDS and path:
        place = Path(expand_user(path, "dataset", name))
        folder = is_folder(place)
        texts = [read(place / one) for one in files.list_files(place, "texts", (".txt",))] if folder else [read(place)]
    elif name in BOOKS:
        texts = [tokens.read_text(name, data_dir)]
    elif name == "tinyshakespeare":
        texts = [_read_shakespeare(find(name, data_dir, SHAKESPEARE_LAYOUTS))]
    else:
        raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")
    documents = [document for text in texts for document in text.split(END_OF_TEXT) if document.strip()]
    if not documents:
        raise ConfigError("dataset", name, "an empty text")
    return documents


def _read_shakespeare(path: Path) -> str:
    text = read(path)
    if len(text) != SHAKESPEARE_CHARACTERS:
        other = f"another edition, of {len(text):,} characters instead of {SHAKESPEARE_CHARACTERS:,}"
        raise UserError(f"{path}: {other}; use text:{path}")
    return text


def read_wikitext2(data_dir: str | None, validation_share: float, test_share: float) -> tuple[Splits, str]:
    """Returns WikiText-2's text of each split, and a note on them; arguments and exceptions are those of `load`."""
    if test_share:
        raise ConfigError("test_share", test_share, "wikitext2 has a test split")
    valid = find("wikitext2", data_dir, WIKITEXT2_LAYOUTS)
    train, test = (valid.with_name(valid.name.replace("valid", part)) for part in ("train", "test"))
    if train.exists():
        return {"train": [read(train)], "validation": [read(valid)], "test": [read(test)]}, ""
    note = f"no {train.name}: the training and validation splits are parts of {valid.name}"
    return _cut([read(valid)], validation_share, 0) | {"test": [read(test)]}, note
