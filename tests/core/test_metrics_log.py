import json
import resource

import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.core.metrics_log import MetricsLog, read_rows


def write_rows(path, count):
    path.write_text("".join(json.dumps({"step": step, "train/loss": 1.0}) + "\n" for step in range(1, count + 1)))


def steps(path):
    return [row["step"] for row in read_rows(path)]


def test_damaged_lines_are_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_rows(path, 3)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], b"\xff\xfe{", lines[1], lines[2], b'{"step": 4, "tra']))
    assert steps(path) == [1, 2, 3]


def test_rows_after_the_step_that_a_run_resumes_from_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_rows(path, 5)
    log = MetricsLog(tmp_path, 3)
    log.write(4, {"train/loss": 0.5}, {})
    log.close()
    assert [(row["step"], row["train/loss"]) for row in read_rows(path)] == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 0.5)]


def test_a_run_that_starts_anew_keeps_no_row(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "test/loss": 1.0}\n')
    MetricsLog(tmp_path, None).close()
    assert steps(path) == []


def test_a_disk_that_is_full_when_a_run_resumes_costs_nothing(tmp_path):
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
    assert path.read_bytes() == before
