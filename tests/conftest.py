"""What all tests share."""

import os
import tempfile
from pathlib import Path

import pytest

# Most tests compile programs that other tests, and the processes that they start, compile too.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", tempfile.mkdtemp(prefix="gdl_jax_compiled_"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# They run for a moment: they should rather be compiled quickly than be quick.
HASTE = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {HASTE}"
os.environ["MPLBACKEND"] = "Agg"  # for figures made by child processes too


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The directory of the book's own data sets, named by GDL_JAX_DATA_DIR."""
    named = os.environ.get("GDL_JAX_DATA_DIR")
    if not named:
        pytest.skip("needs the book's data sets: set GDL_JAX_DATA_DIR to their directory")
    directory = Path(named)
    if not directory.is_dir():
        pytest.fail(f"GDL_JAX_DATA_DIR={named}: no such directory")
    return directory
