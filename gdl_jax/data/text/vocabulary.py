"""Vocabulary of tokens."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Vocabulary:
    """Bijection between words and token ids.

    Attributes:
      words: the word with id i is words[i]; all are different.
      unknown: id of the token for all other words.
    """

    words: tuple[str, ...]
    unknown: int = 0

    def __post_init__(self):
        if len(set(self.words)) != len(self.words) or not 0 <= self.unknown < len(self.words):
            raise ValueError("a vocabulary needs different words, and an unknown token among them")

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        """{word: id}."""
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, words: Iterable[str]) -> np.ndarray:
        """Returns the ids (N,) int32 of N words."""
        return np.array([self.index.get(word, self.unknown) for word in words], np.int32)

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """Returns the words of ids."""
        return [self.words[number] for number in numbers]
