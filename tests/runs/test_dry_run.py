"""Tests of dry runs: without the data, they report only facts that are true of the run."""

import re

import jax.numpy as jnp
import pytest

from experiments import classifier, gan, vae, wgan, wgan_gp
from gdl_jax.losses.adversarial import BCE
from tests.runs.programs import train

BAD_BOUNDARY = BCE._replace(boundary="zero")
INTEGERS = BCE._replace(fake=lambda scores: (scores > 0).astype(int))
TWO_EXAMPLES = BCE._replace(generator=lambda scores: jnp.zeros(2) + scores)
HERE = "tests.runs.test_dry_run"


def dry_run(experiment, *flags):
    """Returns the output and the errors of a dry run."""
    done = train(experiment, "--dry_run", *flags)
    assert done.returncode in (0, 2)
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("experiment", "flags", "texts"),
    [
        (gan.EXPERIMENT, ["--dataset=digits:foo"], ["--dataset=digits:foo: unknown"]),
        (gan.EXPERIMENT, ["--only_class=ten"], ["--only_class=ten: digits has 0, 1"]),
        (gan.EXPERIMENT, ["--config=camel", "--conditional"], ["quickdraw:camel: needs data_dir", "classes"]),
        (wgan_gp.EXPERIMENT, ["--config=faces", "--conditional"], ["celeba: needs data_dir", "classes"]),
        (wgan.EXPERIMENT, ["--config=horses", "--only_class=hors"], ["cifar10: needs data_dir", "classes"]),
        (classifier.EXPERIMENT, ["--dataset=quickdraw:camel"], ["quickdraw:camel: needs data_dir", "classes"]),
        (gan.EXPERIMENT, ["--dataset=avatars", "--avatars=10", "--image_size=28", "--conditional"], ["no classes"]),
    ],
)
def test_refuses_bad_flags_and_names_missing_data(experiment, flags, texts):
    printed, error = dry_run(experiment, *flags)
    assert not printed and all(text in error for text in texts), error


@pytest.mark.parametrize(
    ("loss", "texts"),
    [
        ("BAD_BOUNDARY", ["boundary", "'zero'"]),
        ("INTEGERS", ["fake", "floating-point"]),
        ("TWO_EXAMPLES", ["generator", "float32[3]"]),
    ],
)
def test_checks_a_user_defined_loss(loss, texts):
    printed, error = dry_run(gan.EXPERIMENT, f"--adversarial_loss={HERE}:{loss}")
    assert not printed and all(text in error for text in ["--adversarial_loss=", *texts]), error


@pytest.mark.slow
def test_counts_the_classes_of_the_data(data_dir):
    small = ["--generator_filters=4,4,4,1", "--critic_filters=4,4,4,4", "--first_filters=4", f"--data_dir={data_dir}"]
    printed, error = dry_run(gan.EXPERIMENT, "--config=quadrupeds", "--conditional", *small)
    # dense layer from 100 noise dimensions and 15 classes to 7 x 7 x 4 units; batch normalisation
    assert not error and f"{115 * 196 + 196:,}" in printed
    assert "no classes" in dry_run(gan.EXPERIMENT, "--config=camel", "--conditional", *small)[1]


@pytest.mark.slow
def test_reports_the_bytes_of_the_state_per_device():
    printed, _ = dry_run(vae.EXPERIMENT, "--config=tiny")
    counted = int(re.search(r"total parameters: (\d+)", printed)[1])
    each = int(re.search(r"([\d,]+) bytes on each of 1 devices", printed)[1].replace(",", ""))
    assert each >= 3 * 4 * counted  # parameters and Adam's two moments
