"""Tests of the table of attention's cost."""

import pytest

from experiments.bench import attention_cost


def test_sparse_attention_needs_less_memory_than_dense():
    dense = attention_cost.cost("causal", 1024, 32, 4, updates=1)
    for pattern in ("strided", "fixed"):
        seconds, mebibytes = attention_cost.cost(pattern, 1024, 32, 4, updates=1)
        assert seconds > 0 and mebibytes < 0.7 * dense[1]


def test_the_table_has_a_row_for_each_length(capsys):
    attention_cost.main(["attention_cost", "--lengths=16,32", "--stride=8", "--summary=2", "--updates=1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[-2:]] == ["16", "32"]


@pytest.mark.parametrize("lengths", ["", "0", "x", "1.5"])
def test_bad_lengths_are_one_line(lengths, capsys):
    with pytest.raises(SystemExit, match="2"):
        attention_cost.main(["attention_cost", f"--lengths={lengths}"])
    assert "--lengths" in capsys.readouterr().err
