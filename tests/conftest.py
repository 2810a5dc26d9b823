"""Settings and fixtures shared by all tests."""

import os
import tempfile
from pathlib import Path

import pytest

# Shared by tests and the processes that they start, most of which compile the same programs.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", tempfile.mkdtemp(prefix="gdl_jax_compiled_"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# Tests run for a short time: fast compilation matters more than fast programs.
FAST_COMPILATION = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FAST_COMPILATION}"
os.environ["MPLBACKEND"] = "Agg"  # for figures made by child processes too


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Directory of the book's data sets, from the environment variable GDL_JAX_DATA_DIR."""
    named = os.environ.get("GDL_JAX_DATA_DIR")
    if not named:
        pytest.skip("needs the book's data sets: set GDL_JAX_DATA_DIR to their directory")
    directory = Path(named)
    if not directory.is_dir():
        pytest.fail(f"GDL_JAX_DATA_DIR={named}: no such directory")
    return directory


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files with slow tests first, so that no worker starts the longest one last."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
