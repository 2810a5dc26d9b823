"""Tests of random splits."""

import pytest

from gdl_jax.data.text.splits import hold_out_tenths


@pytest.mark.parametrize(("count", "sizes"), [(3, (1, 1, 1)), (9, (7, 1, 1)), (39, (33, 3, 3)), (200, (160, 20, 20))])
def test_each_entry_is_in_one_split_in_order(count, sizes):
    entries = [f"{number:03}" for number in range(count)]
    splits = hold_out_tenths(entries)
    assert tuple(map(len, splits.values())) == sizes and list(splits) == ["train", "validation", "test"]
    assert sorted(entry for split in splits.values() for entry in split) == entries
    assert all(split == sorted(split) for split in splits.values())
    assert hold_out_tenths(entries) == splits
    assert count < 200 or splits["test"] != entries[-20:]
