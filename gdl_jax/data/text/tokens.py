"""Texts for language models (book 06_01): cleaned, split into words or characters, and cut into sliding windows.

Stories are separated by five or more newlines. A run of separator tokens, as long as the context, precedes each story
and follows the last, so that a model can begin a story without a prompt and predict its end.
"""

import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.extras import locate
from gdl_jax.core.paths import expand_user
from gdl_jax.data.dataset import DataSet
from gdl_jax.data.files import first_few, printable
from gdl_jax.data.text import splits
from gdl_jax.data.text.characters import extending, symbol
from gdl_jax.data.text.text_files import find, read
from gdl_jax.data.text.vocabulary import Vocabulary
from gdl_jax.data.text.windows import Windows

DATASETS = {
    "lady_susan": "Jane Austen's novel in 42 letters, 1794 (bundled)",
    "aesop": "Aesop's fables, Gutenberg's 11339, aesop/data.txt or pg11339.txt in data_dir",
    "text:PATH": "any text file in UTF-8; stories are separated by five newlines",
}
PATH_KINDS = ("text",)  # the kinds KIND:PATH of DATASETS
AESOP_LAYOUTS = ("aesop/data.txt", "aesop.txt", "pg11339.txt")
TOKEN_TYPES = ("word", "character")
SEPARATOR, UNKNOWN = "|", "<unk>"
_Story = TypeVar("_Story", list[str], str)
FEWEST_STORIES = 10  # with fewer, passages are held out instead of whole stories


@dataclass(frozen=True, kw_only=True)
class TextData(DataSet):
    """Windows of a text: rows are {"tokens": (sequence_length + 1,) int32}, a context and the token after it.

    Attributes:
      vocabulary: of the tokens; 0 is the unknown token, 1 the separator.
      token_type: "word" or "character".
    """

    vocabulary: Vocabulary
    token_type: str


def split_stories(text: str) -> list[str]:
    """Returns the stories of a text that are not blank."""
    lines = re.sub(r"(?<![ \t])[ \t]+\n", "\n", text)
    return [story.strip() for story in re.split(r"\n{5,}", lines) if story.strip()]


def clean(story: str) -> str:
    """Returns a story on one line, in lower case, cleaned as in the book.

    Two or more spaces or newlines become a full stop, which ends headings but also precedes indented lines. The
    separator's character is replaced.
    """
    line = story.strip("\n").lower().replace("’", "'").replace(SEPARATOR, "¦").replace("\n", " ")
    return re.sub("  +", ". ", line).replace("..", ".")


@cache
def word_pattern() -> re.Pattern[str]:
    """Returns a regular expression of one word or one other symbol; matches leave out white space."""
    return re.compile(rf"(?:[^\W_]|['’{extending()}])+|{symbol()}")


def tokenise(text: str, token_type: str) -> list[str]:
    """Returns the tokens of a story after cleaning: its characters, or its words and punctuation marks.

    Apostrophes, combining marks and zero-width joiners are parts of words; any other symbol is a token of its own.
    """
    line = clean(text)
    return list(line) if token_type == "character" else word_pattern().findall(line)


def join(tokens: Iterable[str], token_type: str) -> str:
    """Returns tokens as readable text: the inverse of `tokenise`, except for case and ambiguous quotation marks."""
    if token_type == "character":
        return "".join(tokens)
    line = re.sub(r" ([.,;:?!)\]}])", r"\1", " ".join(tokens))
    line = re.sub(r"([(\[{]) ", r"\1", line)
    line = re.sub(r" ?- ?", "-", line)
    return re.sub(r"([\"_]) ([^\"_]*?) ?\1", r"\1\2\1", line)


def stream(stories: Iterable[Sequence[str]], sequence_length: int) -> list[str]:
    """Returns the tokens of all stories, with `sequence_length` separators before each and after the last."""
    run = [SEPARATOR] * sequence_length
    return [token for story in stories for token in (*run, *story)] + run


def make_vocabulary(tokens: Sequence[str], unknown_below: int = 1) -> Vocabulary:
    """Returns the vocabulary of a text: the unknown token, the separator, then tokens by descending frequency.

    Tokens of equal frequency are in order of first occurrence.

    Args:
      tokens: of the text, with separators.
      unknown_below: tokens that occur fewer times than this are unknown.
    """
    counts = Counter(tokens)
    counts[SEPARATOR] = len(tokens)  # never unknown
    kept = [token for token, count in counts.most_common() if count >= unknown_below and token != SEPARATOR]
    return Vocabulary((UNKNOWN, SEPARATOR, *kept))


def load(
    name: str,
    *,
    data_dir: str | None = None,
    token_type: str = "word",
    sequence_length: int = 20,
    stride: int = 1,
    unknown_below: int = 1,
    held_out: float = 0.1,
) -> TextData:
    """Returns the text `name`. With held_out=0, `aesop` is the book's: 4,169 tokens in the vocabulary, 50,416 windows.

    The vocabulary is built from the whole text, as in the book. A held-out word that is absent from the training split
    is therefore not replaced by the unknown token, and counts fully in the loss.

    Args:
      name: one of DATASETS.
      data_dir: directory of the sets that are not bundled.
      token_type: "word" or "character".
      sequence_length: tokens of context; a window has one more.
      stride: tokens from one training window to the next; held-out windows have stride 1.
      unknown_below: words that occur fewer times than this in the text are unknown; 1: none.
      held_out: share of the stories, drawn with a fixed seed, for the validation split, and as many for the test split;
        of a text with fewer than ten stories, the last passages. Stories that repeat an earlier one are then dropped,
        so that none is in two splits. 0: everything is in the training split.

    Raises:
      UserError: unknown name; a missing, unreadable, binary or empty file; a split shorter than a window.
    """
    if token_type not in TOKEN_TYPES:
        raise ConfigError("token_type", token_type, f"unknown; choose one of {', '.join(TOKEN_TYPES)}")
    if not 0 <= held_out < 0.5:
        raise ConfigError("held_out", held_out, "must be at least 0 and less than 0.5")
    stories = [tokenise(story, token_type) for story in split_stories(read_text(name, data_dir))]
    vocabulary = make_vocabulary(stream(stories, sequence_length), unknown_below)
    stories, note = _without_repeats(stories) if held_out else (stories, "")
    if note:
        sys.stderr.write(f"{printable(name)}: {note}\n")
    sources: dict[str, Windows | None] = {"validation": None, "test": None}
    for split, part in _splits(stories, held_out).items():
        count = sum(map(len, part))
        if count <= sequence_length:
            few = f"the {split} split has {count} {token_type}s; needs more than sequence_length={sequence_length}"
            raise ConfigError("dataset", name, few)
        tokens = vocabulary.encode(stream(part, sequence_length))
        starts = np.arange(0, len(tokens) - sequence_length, stride if split == "train" else 1)
        sources[split] = Windows({"tokens": tokens}, starts, sequence_length + 1)
    return TextData(name, **sources, note=note, vocabulary=vocabulary, token_type=token_type)


def _without_repeats(stories: list[list[str]]) -> tuple[list[list[str]], str]:
    """Returns the first of each group of equal stories, and a note on the others."""
    first_at: dict[tuple[str, ...], int] = {}
    repeats = []
    for number, story in enumerate(stories, start=1):
        first = first_at.setdefault(tuple(story), number)
        if first != number:
            repeats.append(f"story {number} repeats story {first}")
    note = f"repeated stories are left out: {first_few(repeats)}" if repeats else ""
    return [stories[number - 1] for number in first_at.values()], note


def read_text(name: str, data_dir: str | None) -> str:
    """Returns the text `name`, one of DATASETS, as it is.

    Raises:
      UserError: unknown name; a missing, unreadable, binary or empty file.
    """
    kind, _, path = name.partition(":")
    if kind in PATH_KINDS and path:
        return read(Path(expand_user(path)))
    if name == "aesop":
        file = find(name, data_dir, AESOP_LAYOUTS)
        return _between(file, "THE FOX AND THE GRAPES\n\n\n", "ILLUSTRATIONS\n\n\n[")
    if name == "lady_susan":
        # music21 holds the text as a sample of English; the file alone, as importing the package is slow
        file = locate("music21", "text") / "languageExcerpts" / "trainingData" / "en.txt"
        return _between(file, "I\n\nLADY SUSAN VERNON TO MR. VERNON\n", "End of The Project Gutenberg")
    raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")


def _between(file: Path, start: str, end: str) -> str:
    """Returns the part of a text from the first `start` up to the first `end` after it."""
    text = read(file)
    first = text.find(start)
    last = text.find(end, first)
    if first < 0 or last < 0:
        raise UserError(f"{file}: another edition, lacks {(start if first < 0 else end).strip()!r}; use text:{file}")
    return text[first:last]


def between_places(stories: Sequence[_Story], first: int, end: int) -> list[_Story]:
    """Returns tokens `first` to `end` (excluded) of the stories' concatenation, as parts of stories."""
    places = itertools.pairwise(itertools.accumulate(map(len, stories), initial=0))
    parts = [story[max(0, first - at) : max(0, end - at)] for story, (at, _) in zip(stories, places, strict=True)]
    return [part for part in parts if part]


def _splits(stories: list[list[str]], held_out: float) -> dict[str, list[list[str]]]:
    """Returns {split: stories}: whole stories if there are enough, else the text's beginning and its last passages."""
    if not held_out:
        return {"train": stories}
    if len(stories) < FEWEST_STORIES:
        count = sum(map(len, stories))
        first, second = (round(count * (1 - share * held_out)) for share in (2, 1))
        places = {"train": (0, first), "validation": (first, second), "test": (second, count)}
        return {split: between_places(stories, *ends) for split, ends in places.items()}
    return splits.hold_out(stories, max(1, round(len(stories) * held_out)))
