"""Windows of long sequences as rows, cut lazily, so that each token is stored once."""

from dataclasses import dataclass

import numpy as np

from gdl_jax.data.dataset import Rows


@dataclass(frozen=True)
class Windows:
    """Source with a row for each start: the next `length` tokens of each sequence.

    Attributes:
      sequences: {name: (T,)}, of equal length.
      starts: (N,) positions in them, each at most T - length.
      length: of a row, in tokens.
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
        """Returns {name: (len(indices), length)}."""
        places = self.starts[indices][:, None] + np.arange(self.length)
        return {name: tokens[places] for name, tokens in self.sequences.items()}

    def first(self, count: int) -> "Windows":
        """Returns the first `count` rows, at least one, without the rest of the sequences."""
        starts = self.starts[:count]
        end = starts.max() + self.length
        return Windows({name: tokens[:end] for name, tokens in self.sequences.items()}, starts, self.length)
