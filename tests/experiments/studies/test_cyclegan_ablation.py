"""Tests of the comparison of CycleGAN's parts: configs of its runs, and one variant up to table and pictures."""

import dataclasses
import json

import pytest
from PIL import Image

from experiments import classifier
from experiments.studies import cyclegan_ablation
from experiments.studies.cyclegan_ablation import COLUMNS, EXPERIMENT, SHOWN, STUDY, Options
from gdl_jax.runs import study
from gdl_jax.runs.main import main
from tests.experiments.studies.configs import configs_of

OPTIONS = Options(workdir="runs/here", steps=500)


def test_each_variant_differs_from_the_base_in_one_part():
    configs = configs_of(STUDY, OPTIONS)
    base = vars(configs["base"])
    changes = {name: {k: v for k, v in vars(config).items() if v != base[k]} for name, config in configs.items()}
    assert changes == {
        "base": {},
        "no_identity": {"identity_weight": 0},
        "no_pool": {"pool_size": 0},
        "batch_norm": {"unet_norm": "batch", "critic_norm": "batch"},
    }
    assert (base["identity_weight"], base["pool_size"], base["unet_norm"]) == (2, 50, "instance")
    assert (base["dataset"], base["domains"], base["image_size"]) == ("avatars", ("-Eyeglasses", "Sunglasses"), 64)
    assert (base["steps"], base["seeds"], base["log_every"], base["eval_every"]) == (500, 3, 10, 0)
    preset = vars(EXPERIMENT.preset("avatars"))
    for name in ("unet_filters", "unet_depth", "critic_filters", "critic_layers", "batch_size", "cycle_weight"):
        assert base[name] == preset[name]


def test_a_classifier_of_the_same_faces_is_trained_first_unless_there_is_one():
    (first,) = STUDY.prerequisites(OPTIONS)
    assert first.experiment is classifier.EXPERIMENT
    assert configs_of(STUDY, OPTIONS)["no_pool"].attribute_classifier == f"runs/here/{first.name}"
    alone = dataclasses.replace(STUDY, variants=STUDY.prerequisites, flags=lambda options, variant: ())
    for options, expected in ((OPTIONS, (64, 10_000)), (dataclasses.replace(OPTIONS, config="tiny"), (32, 400))):
        (config,) = configs_of(alone, options).values()
        assert (config.target, config.dataset, config.image_size, config.avatars) == (
            "attributes",
            "avatars",
            *expected,
        )
    there = dataclasses.replace(OPTIONS, attribute_classifier="runs/there")
    assert not STUDY.prerequisites(there)
    assert configs_of(STUDY, there)["base"].attribute_classifier == "runs/there"


@pytest.mark.slow
def test_from_the_command_line_to_the_table(tmp_path):
    (first,) = STUDY.prerequisites(Options(config="tiny"))
    quick = dataclasses.replace(classifier.EXPERIMENT, preview=lambda run: None, analyse=lambda run: {})
    flags = (*first.flags, "--steps=2", "--filters=4,4,4,4")
    main(quick, "about", ["program", f"--workdir={tmp_path / 'faces'}", *flags])
    translate = dataclasses.replace(EXPERIMENT, preview=lambda run: None, analyse=lambda run: {"failure_modes": "none"})
    variant = next(each for each in cyclegan_ablation.VARIANTS if each.name == "batch_norm")._replace(
        experiment=translate
    )
    one = dataclasses.replace(STUDY, variants=lambda options: [variant])
    workdir = tmp_path / "study"
    arguments = (f"--attribute_classifier={tmp_path / 'faces'}", "--config=tiny", "--steps=2", "--seeds=2")
    study.main(one, "about", ["program", f"--workdir={workdir}", *arguments])
    text = (workdir / "table.md").read_text()
    for said in (*COLUMNS.values(), "untranslated", "batch normalisation: none", "√2"):
        assert said in text
    (results,) = json.loads((workdir / "results.json").read_text()).values()
    assert all(len(results[name]["values"]) == 2 for name in COLUMNS)
    assert (workdir / "ablation.png").exists()
    width, height = Image.open(workdir / "faces.png").size
    assert width > SHOWN * 32 and height >= 2 * 2 * 32
