"""Tests of the ledger: its rows, its page, the tables in other documents, and rows made from runs."""

import pytest

from experiments import ledger
from experiments.results import pages
from gdl_jax.core.errors import ConfigError, UserError

ROW = {
    **{"title": "MLP: accuracy", "experiment": "classifier", "data": "digits", "seeds": 1, "protocol": "100 images"},
    **{"value": 0.7, "std": None, "bound": ">= 0.8", "reached": False, "note": "too few steps", "reference": 0.9},
    **{"reference_source": "the book", "minutes": 2.5, "hardware": "2 CPU cores", "commit": "abc1234"},
}


def cells_of(table):
    """Returns the cells of a Markdown table's rows."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"][2:]


def test_the_page_is_up_to_date():
    assert pages.PAGE.read_text(encoding="utf-8") == pages.page(ledger.read_rows()), "run: python -m experiments.ledger"


@pytest.mark.parametrize("path", pages.DOCUMENTS, ids=lambda path: str(path.relative_to(pages.ROOT.parent)))
def test_tables_in_documents_are_up_to_date(path):
    text = path.read_text(encoding="utf-8")
    assert text == pages.filled(text, ledger.read_rows()), "run: python -m experiments.ledger"


def test_every_row_is_complete():
    for row in ledger.read_rows():
        assert row["title"]
        assert row["data"]
        assert row["protocol"]
        assert row["reached"] is None or row["reached"] == ledger.reached(row["value"], row["bound"])
        assert row["reached"] is not False or row["note"], f"{row['title']}: missed its bound and does not say why"


def test_rows_have_no_folders_of_one_machine():
    flags = [str(value) for row in ledger.read_rows() for value in row.get("flags", {}).values()]
    assert flags and not [value for value in flags if value.partition(":")[2].startswith("/") or value[0:1] == "/"]


@pytest.mark.parametrize(
    ("value", "bound", "expected"),
    [(0.72, ">= 0.715", True), (0.71, ">= 0.715", False), (58.3, "<= 58.8", True), (23, "== 23", True)],
)
def test_bounds(value, bound, expected):
    assert ledger.reached(value, bound) is expected


def test_a_bad_bound_is_refused():
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


def test_protocols_are_found_by_name_or_kind():
    results = {"protocol": {"samples": "1,000 samples", "bound": "50 importance samples"}}
    assert ledger.find_protocol("samples/fid", results) == "1,000 samples"
    assert ledger.find_protocol("bound", results) == "50 importance samples"
    for unknown in ("test/loss", "samples/fid@100"):
        assert ledger.find_protocol(unknown, results) == ""


def test_a_missed_row_is_in_the_summary_and_marked():
    summary, section = pages.page([ROW]).split("## Classifiers")
    assert cells_of(summary)[0][1:] == ["MLP: accuracy", "0.7", ">= 0.8", "0.9 (the book)", "too few steps"]
    assert "Data: digits; seeds: 1; hardware: 2 CPU cores; commit: abc1234" in section
    (cells,) = cells_of(section)
    assert cells == ["MLP: accuracy", "0.7, **not reproduced**", ">= 0.8", "0.9 (the book)", "2.5", "1"]
    assert "1. 100 images. too few steps" in section


def test_rows_with_the_same_seeds_hardware_and_commit_share_a_table():
    others = [{**ROW, "data": "cifar10"}, {**ROW, "commit": "def5678"}]
    section = pages.page([ROW, *others]).split("## Classifiers")[1]
    assert section.count("| result | data | measured |") == 1 and section.count("| result | measured |") == 1
    assert [cells[1] for cells in cells_of(section)[:2]] == ["digits", "cifar10"]


def test_sections_are_in_the_book_s_order():
    experiments = ("fsdp", "world_ablation", "gan", "classifier", "my_own", "world_models")
    page = pages.page([{**ROW, "experiment": name} for name in experiments])
    titles = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert [title.split(" (")[0] for title in titles[1:4]] == ["Classifiers", "GAN", "World models"]
    assert titles[4:] == ["State sharded over devices", "my_own"]


def test_substitute_data_are_marked():
    assert "substitute" in pages.table([{**ROW, "data": "avatars at 64x64, 8,000"}])
    assert "substitute" not in pages.table([ROW])


def test_every_system_has_a_command_with_its_minutes():
    names = list(pages.systems())
    assert (names[0], names[-1]) == ("naive_bayes", "world_models")
    for name in names:
        assert pages.commands(name), f"experiments/{name}.py: no command with its minutes"


def test_every_headline_is_a_row_and_its_command_in_a_docstring():
    titles = {row["title"] for row in ledger.read_rows()}
    lines = {line.replace(" --data_dir=D", "") for name in pages.systems() for line, _, _ in pages.commands(name)}
    for headline in pages.HEADLINES:
        assert headline.title in titles
        assert not headline.command or headline.command in lines


def test_tables_are_filled_in_between_their_markers():
    text = "before\n<!-- ledger:rows classifier MLP -->\nold\n<!-- /ledger -->\nafter\n"
    rows = [ROW, {**ROW, "title": "CNN: accuracy"}]
    new = pages.filled(text, rows)
    assert new.startswith("before\n<!-- ledger:rows classifier MLP -->\n") and new.endswith("<!-- /ledger -->\nafter\n")
    assert [cells[0] for cells in cells_of(new)] == ["MLP: accuracy"]
    assert pages.filled(new, rows) == new
    assert pages.filled("no markers", rows) == "no markers"


@pytest.mark.parametrize("name", ["rows classifier RNN", "sums"])
def test_unknown_tables_are_refused(name):
    with pytest.raises(UserError, match=name.split()[0]):
        pages.filled(f"<!-- ledger:{name} -->\n<!-- /ledger -->", [ROW])
