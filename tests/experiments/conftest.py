"""What several tests of experiments share."""

import pytest

from tests.experiments import worlds


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The folder of a world model whose parts are trained up to the memory; not to be changed."""
    root = tmp_path_factory.mktemp("world")
    worlds.agent(root)
    return root
