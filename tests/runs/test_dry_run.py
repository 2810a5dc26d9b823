"""A dry run without the data must say only what is so of a run with them."""

import jax.numpy as jnp
import pytest

from experiments import classifier, gan, wgan, wgan_gp
from gdl_jax.losses.adversarial import BCE
from gdl_jax.runs.main import main

WITHOUT_NUMBER = BCE._replace(boundary="zero")
WHOLE_NUMBERS = BCE._replace(fake=lambda scores: (scores > 0).astype(int))
OF_TWO = BCE._replace(generator=lambda scores: jnp.zeros(2) + scores)
HERE = "tests.experiments.test_dry_run"


def dry_run(capsys, experiment, *flags):
    """(output, the one line of the error, or none) of a dry run."""
    try:
        main(experiment, "about", ["program", "--dry_run", *flags])
    except SystemExit as stopped:
        assert stopped.code == 2
    printed = capsys.readouterr()
    return printed.out, "".join(line for line in printed.err.splitlines() if line.startswith("error: "))


@pytest.mark.parametrize(
    ("experiment", "flags", "texts"),
    [
        (gan.EXPERIMENT, ["--dataset=digits:foo"], ["--dataset=digits:foo: unknown"]),
        (gan.EXPERIMENT, ["--only_class=ten"], ["--only_class=ten: digits has 0, 1"]),
        (gan.EXPERIMENT, ["--config=camel", "--conditional"], ["quickdraw:camel: needs --data_dir", "classes"]),
        (wgan_gp.EXPERIMENT, ["--config=faces", "--conditional"], ["celeba: needs --data_dir", "classes"]),
        (wgan.EXPERIMENT, ["--config=horses", "--only_class=hors"], ["cifar10: needs --data_dir", "classes"]),
        (classifier.EXPERIMENT, ["--dataset=quickdraw:camel"], ["quickdraw:camel: needs --data_dir", "classes"]),
        (gan.EXPERIMENT, ["--dataset=avatars", "--avatars=10", "--image_size=28", "--conditional"], ["no classes"]),
    ],
)
def test_a_dry_run_refuses_what_a_run_would_or_says_that_it_needs_the_data(capsys, experiment, flags, texts):
    printed, error = dry_run(capsys, experiment, *flags)
    assert not printed and all(text in error for text in texts), error


@pytest.mark.parametrize(
    ("loss", "texts"),
    [
        ("WITHOUT_NUMBER", ["boundary", "'zero'"]),
        ("WHOLE_NUMBERS", ["fake", "floating-point"]),
        ("OF_TWO", ["generator", "float32[3] it fails"]),
    ],
)
def test_a_loss_of_ones_own_is_tried_first(capsys, loss, texts):
    printed, error = dry_run(capsys, gan.EXPERIMENT, f"--adversarial_loss={HERE}:{loss}")
    assert not printed and all(text in error for text in ["--adversarial_loss=", *texts]), error


def test_a_dry_run_counts_the_classes_of_the_data(data_dir, capsys):
    small = ["--generator_filters=4,4,4,1", "--critic_filters=4,4,4,4", "--first_filters=4", f"--data_dir={data_dir}"]
    printed, error = dry_run(capsys, gan.EXPERIMENT, "--config=quadrupeds", "--conditional", *small)
    # 100 numbers of noise and 15 classes to 7 x 7 x 4 units, then a batch normalisation of as many
    assert not error and f"{115 * 196 + 196:,}" in printed
    assert "no classes" in dry_run(capsys, gan.EXPERIMENT, "--config=camel", "--conditional", *small)[1]
