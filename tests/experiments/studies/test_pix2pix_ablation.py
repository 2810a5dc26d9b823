"""Tests of the comparison of pix2pix's losses: configs of its runs, and one variant up to table and pictures."""

import dataclasses
import json

import pytest
from PIL import Image

from experiments import classifier
from experiments.studies import pix2pix_ablation
from experiments.studies.pix2pix_ablation import COLUMNS, EXPERIMENT, SHOWN, STUDY, Options
from gdl_jax.core.errors import ConfigError
from gdl_jax.runs import study
from gdl_jax.runs.main import main
from tests.experiments.studies.configs import configs_of

OPTIONS = Options(workdir="runs/here", steps=500)
LOSS = ("l1_weight", "adversarial_weight", "conditional")


def test_variants_are_the_rows_of_the_paper_s_table():
    configs = configs_of(STUDY, OPTIONS)
    assert {name: tuple(getattr(config, field) for field in LOSS) for name, config in configs.items()} == {
        "l1": (100, 0, True),
        "gan": (0, 1, False),
        "cgan": (0, 1, True),
        "l1_gan": (100, 1, False),
        "l1_cgan": (100, 1, True),
    }
    common = [{k: v for k, v in vars(config).items() if k not in LOSS} for config in configs.values()]
    assert all(each == common[0] for each in common)
    expected = {"dataset": "drawings:edges", "image_size": 64, "steps": 500, "seeds": 3, "log_every": 10}
    assert common[0].items() >= expected.items()
    assert configs_of(STUDY, Options(config="labels"))["gan"].dataset == "drawings:labels"
    with pytest.raises(ConfigError, match="config"):
        Options(config="facades")  # has no attributes


def test_a_classifier_is_trained_first_unless_there_is_one():
    (first,) = STUDY.prerequisites(OPTIONS)
    assert first.experiment is classifier.EXPERIMENT
    assert configs_of(STUDY, OPTIONS)["cgan"].attribute_classifier == f"runs/here/{first.name}"
    there = dataclasses.replace(OPTIONS, attribute_classifier="runs/there")
    assert not STUDY.prerequisites(there)
    assert configs_of(STUDY, there)["cgan"].attribute_classifier == "runs/there"


@pytest.mark.slow
def test_from_the_command_line_to_the_table(tmp_path):
    (first,) = STUDY.prerequisites(Options(config="tiny"))
    quick = dataclasses.replace(classifier.EXPERIMENT, preview=lambda run: None, analyse=lambda run: {})
    flags = (*first.flags, "--steps=2", "--filters=4,4,4,4")
    main(quick, "about", ["program", f"--workdir={tmp_path / 'faces'}", *flags])
    translate = dataclasses.replace(EXPERIMENT, preview=lambda run: None, analyse=lambda run: {"failure_modes": "none"})
    variant = next(each for each in pix2pix_ablation.VARIANTS if each.name == "gan")._replace(experiment=translate)
    one = dataclasses.replace(STUDY, variants=lambda options: [variant])
    workdir = tmp_path / "study"
    arguments = ("--config=tiny", "--steps=2", "--seeds=2", "--judged_samples=10")
    study.main(
        one, "about", ["program", f"--workdir={workdir}", f"--attribute_classifier={tmp_path / 'faces'}", *arguments]
    )
    text = (workdir / "table.md").read_text()
    for said in (*COLUMNS.values(), "GAN: none", "VGG16", "√2"):
        assert said in text
    (results,) = json.loads((workdir / "results.json").read_text()).values()
    assert all(len(results[name]["values"]) == 2 for name in COLUMNS)
    assert (workdir / "ablation.png").exists()
    width, height = Image.open(workdir / "faces.png").size
    assert width > SHOWN * 32 and height >= 3 * 32
