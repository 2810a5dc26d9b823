"""Fixtures for several tests of experiments."""

import pytest

from experiments.worlds import controller as world_controller
from gdl_jax.runs.main import main
from tests.experiments import small_worlds as worlds


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Folder of a world model trained up to the memory; read-only."""
    root = tmp_path_factory.mktemp("world")
    worlds.agent(root)
    return root


@pytest.fixture(scope="session")
def driver(world, tmp_path_factory):
    """Workdir of a controller of that world after two generations; read-only."""
    workdir = tmp_path_factory.mktemp("driver")
    flags = [*worlds.parts(world), "--steps=2"]
    main(world_controller.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags])
    return workdir
