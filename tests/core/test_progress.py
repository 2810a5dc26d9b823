"""Tests of progress without a terminal: lines for long work, none for short work."""

import time

import pytest

from gdl_jax.core import progress


@pytest.mark.slow
def test_long_work_prints_lines_without_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_PER_LINE", 0.2)
    began = time.monotonic()
    for _ in progress.progress_bar(range(4000), unit="scores", desc="reading"):
        time.sleep(2.5e-4)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= (time.monotonic() - began) / 0.2 + 2
    assert all(line.startswith("reading: ") and "of 4,000 scores, " in line for line in lines)
    assert lines[-1].startswith("reading: 4,000 of 4,000 scores, 100%, ")


def test_short_work_prints_nothing(capsys):
    with progress.progress_bar(total=2, unit="frames") as bar:
        bar.update(2)
    assert capsys.readouterr().err == ""
