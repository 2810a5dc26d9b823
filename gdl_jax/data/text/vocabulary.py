"""Words and their numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Vocabulary:
    """The words that a model knows.

    Attributes:
      words: word i has the number i; no word twice.
      unknown: the number that stands for all other words.
    """

    words: tuple[str, ...]
    unknown: int = 0

    def __post_init__(self):
        if len(set(self.words)) != len(self.words) or not 0 <= self.unknown < len(self.words):
            raise ValueError("a vocabulary needs words that differ, and an unknown one among them")

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        """Word -> number."""
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, words: Iterable[str]) -> np.ndarray:
        """(N,) int32, the numbers of N words."""
        return np.array([self.index.get(word, self.unknown) for word in words], np.int32)

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """The words of these numbers."""
        return [self.words[number] for number in numbers]
