"""Texts to learn to continue (book 06_01): cleaned, cut into words or characters, and read through a sliding window.

Five newlines or more part two stories. Each story begins, and the last one ends, with a run of separators as long as a
window, so that a model can begin a story from nothing and tell where one is over.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.dataset import DataSet
from gdl_jax.data.text.text_files import find, read
from gdl_jax.data.text.vocabulary import Vocabulary
from gdl_jax.data.text.windows import Windows

DATASETS = {
    "lady_susan": "Jane Austen's novel in 42 letters, 1794 (bundled)",
    "aesop": "Aesop's fables, Gutenberg's 11339, aesop/data.txt or pg11339.txt in data_dir",
    "text:PATH": "any text file in UTF-8; five newlines part two stories",
}
PATH_KINDS = ("text",)  # of DATASETS, the kinds KIND:PATH
AESOP_LAYOUTS = ("aesop/data.txt", "aesop.txt", "pg11339.txt")
TOKEN_TYPES = ("word", "character")
SEPARATOR, UNKNOWN = "|", "<unk>"
FEWEST_STORIES = 10  # a text of fewer is held out in passages instead of stories


@dataclass(frozen=True, kw_only=True)
class TextData(DataSet):
    """A text as windows: rows are {"tokens": (sequence_length + 1,) int32}, the last what the others are to predict.

    Attributes:
      vocabulary: what the numbers mean; 0 is the unknown word, 1 the separator.
      token_type: what a token is, "word" or "character".
    """

    vocabulary: Vocabulary
    token_type: str


def split_stories(text: str) -> list[str]:
    """The stories of a text, those that are blank left out."""
    lines = re.sub(r"(?<![ \t])[ \t]+\n", "\n", text)
    return [story.strip() for story in re.split(r"\n{5,}", lines) if story.strip()]


def clean(story: str) -> str:
    """One story on one line, in lower case, the book's way.

    What two spaces or newlines part gets a full stop between (which ends headings, and also comes before indented
    lines). The separator's character is never left in it.
    """
    line = story.strip("\n").lower().replace("’", "'").replace(SEPARATOR, "¦").replace("\n", " ")
    return re.sub("  +", ". ", line).replace("..", ".")


def tokenise(text: str, token_type: str) -> list[str]:
    """The tokens of a cleaned story: all its characters, or its words and punctuation marks.

    An apostrophe is part of its word, any other mark a word of its own.
    """
    line = clean(text)
    return list(line) if token_type == "character" else re.sub(r"([^\w\s']|_)", r" \1 ", line).split()


def join(tokens: Iterable[str], token_type: str) -> str:
    """Tokens as one reads them: the inverse of `tokenise`, but for upper case and doubtful quotation marks."""
    if token_type == "character":
        return "".join(tokens)
    line = re.sub(r" ([.,;:?!)\]}])", r"\1", " ".join(tokens))
    line = re.sub(r"([(\[{]) ", r"\1", line)
    line = re.sub(r" ?- ?", "-", line)
    return re.sub(r"([\"_]) ([^\"_]*?) ?\1", r"\1\2\1", line)


def stream(stories: Iterable[Sequence[str]], sequence_length: int) -> list[str]:
    """The tokens of all stories, `sequence_length` separators before each and after the last."""
    run = [SEPARATOR] * sequence_length
    return [token for story in stories for token in (*run, *story)] + run


def make_vocabulary(tokens: Sequence[str], unknown_below: int = 1) -> Vocabulary:
    """Tokens from the commonest to the rarest, equally common ones in the order of the text; before them, the unknown.

    Args:
      tokens: with the separators, which are the commonest and so get the number 1.
      unknown_below: tokens that occur fewer times than this are unknown.
    """
    counts = Counter(tokens)
    counts[SEPARATOR] = len(tokens)  # the first even where a character is commoner
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
    """The text `name`. With held_out=0, `aesop` is the book's: 4,169 words with the unknown one, 50,416 windows.

    The vocabulary is the whole text's, as in the book, so a held-out word that training never shows is not forgiven as
    unknown: it costs what the model gives it.

    Args:
      name: one of DATASETS.
      data_dir: where sets that aren't bundled lie.
      token_type: "word" or "character".
      sequence_length: tokens of context; a window has one more.
      stride: tokens from one training window to the next; held-out windows go forward by one.
      unknown_below: words that occur fewer times than this in the text count as unknown; 1: none.
      held_out: share of the stories, drawn with a fixed seed, that become the validation split, and as many the test
        split; of a text of fewer than ten stories, its last passages. 0: all is trained on.

    Raises:
      UserError: unknown name; a missing, unreadable, binary or empty file; a split shorter than a window.
    """
    if token_type not in TOKEN_TYPES:
        raise ConfigError("token_type", token_type, f"unknown; choose one of {', '.join(TOKEN_TYPES)}")
    if not 0 <= held_out < 0.5:
        raise ConfigError("held_out", held_out, "must be at least 0 and less than 0.5")
    stories = [tokenise(story, token_type) for story in split_stories(_read(name, data_dir))]
    vocabulary = make_vocabulary(stream(stories, sequence_length), unknown_below)
    sources: dict[str, Windows | None] = {"validation": None, "test": None}
    for split, part in _splits(stories, held_out).items():
        count = sum(map(len, part))
        if count <= sequence_length:
            few = f"{count} {token_type}s for the {split} split, too few for sequence_length={sequence_length}"
            raise ConfigError("dataset", name, f"{few} and the one after")
        tokens = vocabulary.encode(stream(part, sequence_length))
        starts = np.arange(0, len(tokens) - sequence_length, stride if split == "train" else 1)
        sources[split] = Windows({"tokens": tokens}, starts, sequence_length + 1)
    return TextData(name, **sources, vocabulary=vocabulary, token_type=token_type)


def _read(name: str, data_dir: str | None) -> str:
    kind, _, path = name.partition(":")
    if kind in PATH_KINDS and path:
        return read(Path(path).expanduser())
    if name == "aesop":
        file = find(name, data_dir, AESOP_LAYOUTS)
        return _between(file, "THE FOX AND THE GRAPES\n\n\n", "ILLUSTRATIONS\n\n\n[")
    if name == "lady_susan":
        package = find_spec("music21")  # tells languages apart by books of them; found without the slow import
        if package is None or package.origin is None:
            raise ConfigError("dataset", name, "needs the package music21, which holds the text")
        file = Path(package.origin).parent / "languageExcerpts" / "trainingData" / "en.txt"
        return _between(file, "I\n\nLADY SUSAN VERNON TO MR. VERNON\n", "End of The Project Gutenberg")
    raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")


def _between(file: Path, start: str, end: str) -> str:
    """What stands from the first `start` to the first `end` after it."""
    text = read(file)
    first = text.find(start)
    last = text.find(end, first)
    if first < 0 or last < 0:
        raise UserError(f"{file}: another edition, without {(start if first < 0 else end).strip()!r}; use text:{file}")
    return text[first:last]


def _between_places(stories: list[list[str]], first: int, end: int) -> list[list[str]]:
    """What the stories have from token `first` of all their tokens on to before token `end`, each by itself."""
    places = itertools.pairwise(itertools.accumulate(map(len, stories), initial=0))
    parts = [story[max(0, first - at) : max(0, end - at)] for story, (at, _) in zip(stories, places, strict=True)]
    return [part for part in parts if part]


def _splits(stories: list[list[str]], held_out: float) -> dict[str, list[list[str]]]:
    """{split: stories}; whole ones where there are enough of them, else the text's beginning and its last passages."""
    if not held_out:
        return {"train": stories}
    if len(stories) < FEWEST_STORIES:
        count = sum(map(len, stories))
        first, second = (round(count * (1 - share * held_out)) for share in (2, 1))
        places = {"train": (0, first), "validation": (first, second), "test": (second, count)}
        return {split: _between_places(stories, *ends) for split, ends in places.items()}
    count = max(1, round(len(stories) * held_out))
    order = np.random.default_rng(0).permutation(len(stories))
    chosen = {"train": order[2 * count :], "validation": order[:count], "test": order[count : 2 * count]}
    return {split: [stories[i] for i in np.sort(index)] for split, index in chosen.items()}
