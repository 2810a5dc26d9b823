"""Tests of rows [CLS] A [SEP] B [SEP]."""

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.data.text.bert_rows import SpecialIds, continues_word, features, row_length, special_ids, to_rows

SPECIAL = SpecialIds(padding=9, start=1, separator=2, mask=3)


def test_pairs_have_segments():
    rows = to_rows([np.array([5]), np.array([5, 6])], [np.array([7, 8]), np.array([7])], SPECIAL, 8)
    assert rows["tokens"].tolist() == [[1, 5, 2, 7, 8, 2, 9, 9], [1, 5, 6, 2, 7, 2, 9, 9]]
    assert rows["segments"].tolist() == [[0, 0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0]]
    assert rows["length"].tolist() == [6, 6] and {array.dtype for array in rows.values()} == {np.dtype(np.int32)}


def test_single_sequences_have_none():
    rows = to_rows([np.array([5, 6]), np.zeros(0, np.int32)], None, SPECIAL, 5)
    assert rows["tokens"].tolist() == [[1, 5, 6, 2, 9], [1, 2, 9, 9, 9]] and rows.keys() == {"tokens", "length"}


def test_batches_have_masks_and_segments():
    rows = {"tokens": np.full((2, 5), 7, np.int32), "length": np.array([4, 2]), "label": np.array([3, 4])}
    batch = features(rows)
    assert batch["mask"].tolist() == [[True] * 4 + [False], [True] * 2 + [False] * 3]
    assert batch["segments"].tolist() == [[0] * 5] * 2 and batch["segments"].dtype == np.int32
    segments = np.arange(10).reshape(2, 5)
    batch = features(rows | {"segments": segments})
    assert batch["segments"] is segments and batch["label"].tolist() == [3, 4]


def test_lengths_are_rounded_up_within_the_limit():
    assert [row_length(longest, 20) for longest in (1, 8, 9, 17, 20, 90)] == [8, 8, 16, 20, 20, 20]


def test_ids_are_found_by_name():
    assert special_ids({"[SEP]": 4, "[PAD]": 0, "[CLS]": 7, "[MASK]": 5, "[UNK]": 1}) == SpecialIds(0, 7, 4, 5)
    with pytest.raises(ConfigError, match=r"^tokenizer: lacks \[PAD\], \[CLS\]") as raised:
        special_ids({"[SEP]": 4, "[MASK]": 5, "<unk>": 0})
    assert raised.value.field == "tokenizer"


def test_inner_pieces_continue_a_word():
    assert continues_word(["[PAD]", "un", "##able", "#", "##s"]).tolist() == [False, False, True, False, True]
