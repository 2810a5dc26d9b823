"""Tests of the metrics log: damaged lines, resuming, older rows, a full disk."""

import json
import resource

import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.core.metrics_log import MetricsLog, read_rows, seed_values


def write_rows(path, count):
    path.write_text("".join(json.dumps({"step": step, "train/loss": 1.0}) + "\n" for step in range(1, count + 1)))


def steps(path):
    return [row["step"] for row in read_rows(path)]


def test_skips_damaged_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_rows(path, 3)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], b"\xff\xfe{", lines[1], lines[2], b'{"step": 4, "tra']))
    assert steps(path) == [1, 2, 3]


def test_drops_rows_after_the_step_of_resumption(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_rows(path, 5)
    log = MetricsLog(tmp_path, 3)
    log.write(4, {"train/loss": 0.5}, {})
    log.close()
    assert [(row["step"], row["train/loss"]) for row in read_rows(path)] == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 0.5)]


def test_reads_the_values_of_all_seeds_in_new_and_old_rows(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "train/loss": 1.5, "replicas": {"train/loss": [1.0, 2.0]}}\n')
    log = MetricsLog(tmp_path, 1)
    log.write(2, {"train/loss": 2.5}, {"train/loss": [2.0, 3.0]})
    log.write(3, {"train/loss": 3.5}, {})
    log.close()
    values = [seed_values(row) for row in read_rows(path)]
    assert values == [{"train/loss": [1.0, 2.0]}, {"train/loss": [2.0, 3.0]}, {}]


def test_a_new_run_drops_all_rows(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "test/loss": 1.0}\n')
    MetricsLog(tmp_path, None).close()
    assert steps(path) == []


def test_a_full_disk_on_resume_loses_no_row(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_rows(path, 1000)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(UserError, match=r"metrics\.jsonl"):
            MetricsLog(tmp_path, 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
