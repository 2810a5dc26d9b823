"""Rows for BERT (Devlin et al. 2019): [CLS] A [SEP], or [CLS] A [SEP] B [SEP], as token ids with segments, padded."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.data.text.subword import INNER, MASK, PADDING, SEPARATOR, START

OF_ONE, OF_TWO = 2, 3  # special tokens in a row with one sequence, and with two
MULTIPLE = 8  # to which lengths are rounded up


class SpecialIds(NamedTuple):
    """Ids of the special tokens [PAD], [CLS], [SEP] and [MASK]."""

    padding: int
    start: int
    separator: int
    mask: int


def special_ids(special: Mapping[str, int]) -> SpecialIds:
    """Returns the ids of BERT's special tokens among those of a tokenizer.

    Raises:
      ConfigError: one is missing; names tokenizer.
    """
    names = (PADDING, START, SEPARATOR, MASK)
    if lacking := [name for name in names if name not in special]:
        raise ConfigError("tokenizer", None, f"lacks {', '.join(lacking)}; choose one of WordPieces")
    return SpecialIds(*(special[name] for name in names))


def continues_word(tokens: Sequence[str]) -> np.ndarray:
    """Returns (V,) bool: True where a WordPiece continues the word of the one before, as ##ing does."""
    return np.array([token.startswith(INNER) for token in tokens])


def row_length(longest: int, most: int) -> int:
    """Returns the length of rows of at most `longest` tokens: rounded up to a multiple of 8, at most `most`."""
    return min(most, -(-longest // MULTIPLE) * MULTIPLE)


def to_rows(
    firsts: Sequence[np.ndarray], seconds: Sequence[np.ndarray] | None, special: SpecialIds, length: int
) -> dict[str, np.ndarray]:
    """Returns a row for each sequence of ids, or pair of them.

    Args:
      firsts: A of each row.
      seconds: B of each row; None: there are none.
      special: ids of the special tokens.
      length: T, at least the tokens of the longest row with its special ones.

    Returns:
      tokens (N, T) int32, padded.
      length (N,) int32: number of tokens that are not padding.
      segments (N, T) int32, only of pairs: 1 for the tokens of B and the [SEP] after it, else 0.
    """
    rows = {
        "tokens": np.full((len(firsts), length), special.padding, np.int32),
        "length": np.zeros(len(firsts), np.int32),
    }
    if seconds is not None:
        rows["segments"] = np.zeros((len(firsts), length), np.int32)
    for row, first in enumerate(firsts):
        parts = [[special.start], first, [special.separator]]
        if seconds is not None:
            parts += [seconds[row], [special.separator]]
            rows["segments"][row, len(first) + OF_ONE : len(first) + len(seconds[row]) + OF_TWO] = 1
        ids = np.concatenate(parts)
        rows["tokens"][row, : len(ids)] = ids
        rows["length"][row] = len(ids)
    return rows


def features(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the batch of rows, for DataSet.transform.

    It also has "mask" (B, T) bool, False at padding, and "segments" (B, T) int32, 0 if the rows have none.
    """
    tokens, length = jnp.asarray(rows["tokens"]), jnp.asarray(rows["length"])
    return {"segments": jnp.zeros_like(tokens), **rows, "mask": jnp.arange(tokens.shape[1]) < length[:, None]}
