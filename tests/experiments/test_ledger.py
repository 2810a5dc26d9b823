"""The ledger of results: its page, its rows, and how a row is made from a run."""

import pytest

from experiments import ledger
from gdl_jax.core.errors import ConfigError


def test_the_page_is_what_the_rows_make():
    assert ledger.PAGE.read_text() == ledger.page(ledger.read_rows()), "run: python -m experiments.ledger --page"


def test_every_row_says_what_its_reader_needs():
    for row in ledger.read_rows():
        assert row["title"]
        assert row["data"]
        assert row["protocol"]
        assert row["reached"] is None or row["reached"] == ledger.reached(row["value"], row["bound"])
        assert row["reached"] is not False or row["note"], f"{row['title']}: missed its bound and does not say why"


@pytest.mark.parametrize(
    ("value", "bound", "expected"),
    [(0.72, ">= 0.715", True), (0.71, ">= 0.715", False), (58.3, "<= 58.8", True), (23, "== 23", True)],
)
def test_bounds(value, bound, expected):
    assert ledger.reached(value, bound) is expected


def test_a_bound_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="bound"):
        ledger.reached(1.0, "about 1")


def test_numbers_are_found_in_results_and_in_the_log():
    results = {"test/loss": 0.5, "test/accuracy": {"mean": 0.7, "std": 0.01, "values": [0.69, 0.71]}}
    results |= {"failure_modes": "none", "protocol": {"test/loss": "as the book"}}
    rows = [{"step": 10, "train/loss": 2.0}, {"step": 20, "train/loss": 1.0, "train/loss_std": 0.1}]
    assert ledger.find_number("test/loss", results, rows) == {"mean": 0.5}
    assert ledger.find_number("test/accuracy", results, rows)["values"] == [0.69, 0.71]
    assert ledger.find_number("train/loss@20", results, rows) == {"mean": 1.0, "std": 0.1}
    for missing in ("test/fid", "train/loss@30", "failure_modes"):
        with pytest.raises(ConfigError, match=missing):
            ledger.find_number(missing, results, rows)


def test_a_number_stands_beside_how_it_was_measured():
    results = {"protocol": {"samples": "1,000 samples", "bound": "50 importance samples"}}
    assert ledger.find_protocol("samples/fid", results) == "1,000 samples"
    assert ledger.find_protocol("bound", results) == "50 importance samples"
    for unknown in ("test/loss", "samples/fid@100"):
        assert ledger.find_protocol(unknown, results) == ""


def test_a_missed_number_is_called_so_in_the_table():
    row = dict.fromkeys(("reference", "minutes", "std")) | {
        "title": "t",
        "value": 0.7,
        "bound": ">= 0.8",
        "reached": False,
        "note": "too few steps",
        "data": "d",
        "seeds": 1,
    }
    assert "0.7 (not reproduced: too few steps)" in ledger.table([row])
