"""Tokenizers: texts to token ids and back, by characters, words, BPE or WordPieces.

A tokenizer has everything that it needs in plain fields, so that a run's description (data/description.py) contains it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.paths import expand_user
from gdl_jax.data.files import first_few
from gdl_jax.data.text import subword
from gdl_jax.data.text.tokens import UNKNOWN, join, word_pattern
from gdl_jax.data.text.vocabulary import Vocabulary

TOKENIZERS = {
    "character": "the characters of the text",
    "word": "the training text's words and punctuation marks, in their case; spaces are lost",
    "word:SIZE": "the commonest of these; the others are <unk>",
    "bpe:PATH": "GPT-2's byte-level BPE, a folder with vocab.json and merges.txt",
    "bpe:SIZE": "byte-level BPE with SIZE tokens, trained on the training text",
    "wordpiece:PATH": "BERT's WordPiece, a vocab.txt or a folder with it",
    "wordpiece:SIZE": "lower-case WordPiece with SIZE tokens, trained on the training text",
}
PATH_KINDS = ("bpe", "wordpiece")  # of TOKENIZERS, the kinds KIND:PATH, for config_flags.IsPathAfter(or_number=True)
UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"  # an unknown character's text


class Tokenizer(Protocol):
    """Form of all tokenizers: frozen dataclasses. Ids are 0 to size - 1; others are errors or mean nothing."""

    @property
    def size(self) -> int:
        """Number of ids."""

    @property
    def special(self) -> Mapping[str, int]:
        """Ids of tokens such as [MASK] or <|endoftext|>, by name; `encode` only gives those for unknown text."""

    def encode(self, text: str) -> np.ndarray:
        """Returns the ids (N,) int32 of a text."""

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of ids."""


@dataclass(frozen=True)
class CharacterTokenizer:
    """Ids of single characters; decoding inverts encoding.

    Attributes:
      characters: all different, in ascending order: the character with id i is characters[i].
      with_unknown: the id len(characters) stands for all other characters; else they are errors.
    """

    characters: str
    with_unknown: bool = False

    @property
    def size(self) -> int:
        return len(self.characters) + self.with_unknown

    @property
    def special(self) -> Mapping[str, int]:
        return {UNKNOWN: len(self.characters)} if self.with_unknown else {}

    @cached_property
    def _codes(self) -> np.ndarray:
        return _codes(self.characters)

    def encode(self, text: str) -> np.ndarray:
        """Returns the ids (N,) int32 of N characters.

        Raises:
          UserError: a character is unknown and there is no id for that; names it.
        """
        codes = _codes(text)
        places = np.searchsorted(self._codes, codes)
        known = self._codes[np.minimum(places, len(self._codes) - 1)] == codes
        if not (known.all() or self.with_unknown):
            unknown = [ascii(chr(code)) for code in np.unique(codes[~known]).tolist()]
            raise UserError(f"characters that the vocabulary lacks: {first_few(unknown, ', ')}")
        return np.where(known, places, len(self.characters)).astype(np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        characters = self.characters + UNKNOWN_CHARACTER * self.with_unknown
        return "".join(characters[number] for number in ids)


def _codes(text: str) -> np.ndarray:
    """Returns the code point of each character."""
    return np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), "<u4")


@dataclass(frozen=True)
class WordTokenizer:
    """Ids of words, punctuation marks and newlines. Spaces are lost; decoding guesses them.

    Attributes:
      vocabulary: its token for unknown words is <unk>.
      spaced: spaces already separate the text's tokens, as in WikiText; else it is cut as in chapter 6 of the book.
    """

    vocabulary: Vocabulary
    spaced: bool = False

    @property
    def size(self) -> int:
        return len(self.vocabulary)

    @property
    def special(self) -> Mapping[str, int]:
        return {UNKNOWN: self.vocabulary.unknown}

    def encode(self, text: str) -> np.ndarray:
        return self.vocabulary.encode(_words(text, self.spaced))

    def decode(self, ids: Iterable[int]) -> str:
        lines: list[list[str]] = [[]]
        for word in self.vocabulary.decode(ids):
            if word == "\n":
                lines.append([])
            else:
                lines[-1].append(word)
        return "\n".join(" ".join(line) if self.spaced else join(line, "word") for line in lines)


def _words(text: str, spaced: bool) -> list[str]:
    word = r"\S+" if spaced else word_pattern().pattern
    return re.findall(rf"\n|{word}", text)


def train_characters(texts: Iterable[str], with_unknown: bool = False) -> CharacterTokenizer:
    """Returns the tokenizer of all characters of the texts."""
    return CharacterTokenizer("".join(sorted(set().union(*texts))), with_unknown)


def train_words(texts: Iterable[str], size: int | None = None, spaced: bool = False) -> WordTokenizer:
    """Returns the tokenizer of the commonest words; equally common ones are in order of first occurrence.

    Args:
      texts: to count words in.
      size: of the vocabulary, <unk> included; None: all words.
      spaced: as WordTokenizer's.

    Raises:
      ConfigError: the texts have fewer words; names tokenizer.
    """
    counts = Counter(word for text in texts for word in _words(text, spaced))
    del counts[UNKNOWN]  # text that has unknown words replaced already
    words = (UNKNOWN, *(word for word, _ in counts.most_common()))
    if size is not None:
        words = words[: max(size, 2)]
        subword.check_size("word", size, len(words))
    return WordTokenizer(Vocabulary(words), spaced)


def make_tokenizer(
    name: str, texts: Iterable[str], training_texts: Iterable[str] | None = None, spaced: bool = False
) -> Tokenizer:
    """Returns the tokenizer that a flag names.

    Args:
      name: one of TOKENIZERS, with a path or a number after the colon.
      texts: all texts; a character tokenizer knows each of their characters.
      training_texts: those that words, BPE and WordPieces are learned from; None: all.
      spaced: spaces already separate the words, see WordTokenizer.

    Raises:
      UserError: unknown name; a missing or damaged vocabulary; a vocabulary larger than the text can give.
    """
    training_texts = texts if training_texts is None else training_texts
    kind, _, argument = name.partition(":")
    size = int(argument) if argument.isdecimal() and len(argument) < 10 else None
    if name == "character":
        return train_characters(texts)
    if name == "word" or (kind == "word" and size is not None):
        return train_words(training_texts, size, spaced)
    if kind not in PATH_KINDS or not argument:
        raise ConfigError("tokenizer", name, f"unknown; choose one of {', '.join(TOKENIZERS)}")
    if size is not None:
        train = {"bpe": subword.train_bpe, "wordpiece": subword.train_wordpiece}[kind]
        return train(training_texts, size)
    read = {"bpe": subword.read_bpe, "wordpiece": subword.read_wordpiece}[kind]
    return read(Path(expand_user(argument, "tokenizer", name)))
