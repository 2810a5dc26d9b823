"""A dry run without the data must say only what is so of a run with them."""

import re

import jax.numpy as jnp
import pytest

from experiments import classifier, gan, vae, wgan, wgan_gp
from gdl_jax.losses.adversarial import BCE
from tests.runs.programs import train

WITHOUT_NUMBER = BCE._replace(boundary="zero")
WHOLE_NUMBERS = BCE._replace(fake=lambda scores: (scores > 0).astype(int))
OF_TWO = BCE._replace(generator=lambda scores: jnp.zeros(2) + scores)
HERE = "tests.runs.test_dry_run"


def dry_run(experiment, *flags):
    """(output, errors) of a dry run."""
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
def test_a_dry_run_refuses_what_a_run_would_or_says_that_it_needs_the_data(experiment, flags, texts):
    printed, error = dry_run(experiment, *flags)
    assert not printed and all(text in error for text in texts), error


@pytest.mark.parametrize(
    ("loss", "texts"),
    [
        ("WITHOUT_NUMBER", ["boundary", "'zero'"]),
        ("WHOLE_NUMBERS", ["fake", "floating-point"]),
        ("OF_TWO", ["generator", "float32[3] it fails"]),
    ],
)
def test_a_loss_of_ones_own_is_tried_first(loss, texts):
    printed, error = dry_run(gan.EXPERIMENT, f"--adversarial_loss={HERE}:{loss}")
    assert not printed and all(text in error for text in ["--adversarial_loss=", *texts]), error


@pytest.mark.slow
def test_a_dry_run_counts_the_classes_of_the_data(data_dir):
    small = ["--generator_filters=4,4,4,1", "--critic_filters=4,4,4,4", "--first_filters=4", f"--data_dir={data_dir}"]
    printed, error = dry_run(gan.EXPERIMENT, "--config=quadrupeds", "--conditional", *small)
    # 100 numbers of noise and 15 classes to 7 x 7 x 4 units, then a batch normalisation of as many
    assert not error and f"{115 * 196 + 196:,}" in printed
    assert "no classes" in dry_run(gan.EXPERIMENT, "--config=camel", "--conditional", *small)[1]


@pytest.mark.slow
def test_the_bytes_of_a_state_on_each_device_are_told():
    printed, _ = dry_run(vae.EXPERIMENT, "--config=tiny")
    counted = int(re.search(r"total parameters: (\d+)", printed)[1])
    each = int(re.search(r"([\d,]+) bytes on each of 1 devices", printed)[1].replace(",", ""))
    assert each >= 3 * 4 * counted  # parameters and Adam's two moments
