"""What several tests of experiments share."""

import pytest

from experiments.worlds import controller as world_controller
from gdl_jax.runs.main import main
from tests.experiments import small_worlds as worlds


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The folder of a world model whose parts are trained up to the memory; not to be changed."""
    root = tmp_path_factory.mktemp("world")
    worlds.agent(root)
    return root


@pytest.fixture(scope="session")
def driver(world, tmp_path_factory):
    """The workdir of a controller of that world after two generations; not to be changed."""
    workdir = tmp_path_factory.mktemp("driver")
    flags = [*worlds.parts(world), "--steps=2"]
    main(world_controller.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags])
    return workdir
