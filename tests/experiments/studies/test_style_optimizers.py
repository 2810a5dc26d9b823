import json

import numpy as np
import pytest

from experiments.studies import style_optimizers
from experiments.studies.style_optimizers import LABELS, Curve
from tests.runs.programs import finished, refused


def test_a_curve_holds_the_lowest_loss_so_far():
    curve = Curve(np.array([3, 4, 7]), np.array([5.0, 4.0, 2.0]), 1.0)
    assert [curve.at(evaluations) for evaluations in (3, 5, 7, 9)] == [5.0, 4.0, 2.0, 2.0]


@pytest.mark.slow
def test_compares_optimisers_on_one_function_from_one_start(tmp_path):
    flags = ("--config=tiny", "--image_height=32", "--evaluations=12", f"--out={tmp_path}")
    done = finished(style_optimizers.main, *flags)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    losses = {name: results[f"{name}/loss"] for name in LABELS}
    assert losses["lbfgs"] < 1.2 * losses["scipy"]
    assert losses["scipy"] < losses["adam"]
    assert (tmp_path / "losses.png").is_file()
    assert results["lbfgs/loss_relative_to_scipy"] == pytest.approx(losses["lbfgs"] / losses["scipy"])


def test_bad_flags_are_one_line(tmp_path):
    out = f"--out={tmp_path}/out"
    refused(finished(style_optimizers.main, out, "--content=missing.jpg"), "--content=", "missing.jpg")
    refused(finished(style_optimizers.main, out, "--evaluations=0"), "evaluations")
    assert not (tmp_path / "out").exists()
