"""Stretches of long sequences as rows, cut out when they are asked for: each token is kept once."""

from dataclasses import dataclass

import numpy as np

from gdl_jax.data.dataset import Rows


@dataclass(frozen=True)
class Windows:
    """One row for each start: the next `length` tokens of each sequence.

    Attributes:
      sequences: {name: (T,)}, all as long.
      starts: (N,) places in them, each at most T - length.
      length: tokens of a row.
    """

    sequences: Rows
    starts: np.ndarray
    length: int

    @property
    def nbytes(self) -> int:
        return len(self) * self.length * sum(tokens.itemsize for tokens in self.sequences.values())

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, indices: np.ndarray) -> Rows:
        """{name: (len(indices), length)}."""
        places = self.starts[indices][:, None] + np.arange(self.length)
        return {name: tokens[places] for name, tokens in self.sequences.items()}

    def first(self, count: int) -> "Windows":
        """The first `count` rows, at least one, and no more of the sequences than they are of."""
        starts = self.starts[:count]
        end = starts.max() + self.length
        return Windows({name: tokens[:end] for name, tokens in self.sequences.items()}, starts, self.length)
