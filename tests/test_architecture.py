"""Who may know whom, and what a file may look like."""

import ast
import subprocess
import sys
from pathlib import PurePath

import pytest

from tests.source_tree import ROOT, imported_distributions, imported_files, python_files, tree

MAX_LINES = 400
PEERS_USERS = (
    "experiments/benchmarks.py",
    "experiments/worlds/evaluate.py",
    "experiments/studies/car_racing_fidelity.py",
)
TOOLS = {"jax", "flax", "optax", "orbax_checkpoint", "numpy", "absl_py", "tensorboardx", "tqdm"}
# folder -> what of this repository it may import, as prefixes of paths (its own folder always)
ALLOWED = {
    "gdl_jax": (),
    "gdl_jax/core": (),
    "gdl_jax/data": ("gdl_jax/core/errors.py", "gdl_jax/core/progress.py"),
    "gdl_jax/losses": ("gdl_jax/core/errors.py",),
    "gdl_jax/plots": ("gdl_jax/core/errors.py",),
    "gdl_jax/evaluation": ("gdl_jax/core/errors.py", "gdl_jax/losses/"),
    "gdl_jax/nn": ("gdl_jax/core/",),
    "gdl_jax/models": ("gdl_jax/core/", "gdl_jax/nn/"),
    "gdl_jax/learners": ("gdl_jax/core/", "gdl_jax/nn/", "gdl_jax/models/", "gdl_jax/losses/"),
    "gdl_jax/envs": ("gdl_jax/core/errors.py",),
    "gdl_jax/runs": ("gdl_jax/core/", "gdl_jax/data/", "gdl_jax/plots/"),
    "experiments": ("gdl_jax/", "experiments/"),
    "experiments/adversarial": ("gdl_jax/",),
    "experiments/autoencoding": ("gdl_jax/",),
    "experiments/language": ("gdl_jax/",),
    "experiments/music": ("gdl_jax/",),
    "experiments/worlds": ("gdl_jax/", "experiments/autoencoding/"),
    "experiments/studies": ("gdl_jax/", "experiments/"),
    "experiments/bench": ("gdl_jax/", "experiments/"),
    "experiments/bench/peers": (),
    "tests": ("gdl_jax/", "experiments/", "tests/"),
}


def _room(file: str) -> str:
    """The longest folder of ALLOWED that the file lies in."""
    return max((folder for folder in ALLOWED if file.startswith(f"{folder}/")), key=len)


@pytest.mark.parametrize("file", python_files())
def test_imports_go_the_right_way(file):
    room = _room(file)
    allowed = (*ALLOWED[room], f"{room}/")
    wrong = [imported for imported in imported_files(file) if not imported.startswith(allowed)]
    assert not wrong, f"{file} may not import {wrong}"


def test_only_commands_and_what_compares_them_import_commands():
    wrong = [
        (file, imported)
        for file in python_files()
        if file.startswith("experiments/")
        and _room(file) not in ("experiments", "experiments/studies", "experiments/bench")
        for imported in imported_files(file)
        if str(PurePath(imported).parent) == "experiments"
    ]
    assert not wrong


def test_the_peers_are_only_met_by_benchmarks():
    users = [file for file in python_files() if any("bench/peers" in f for f in imported_files(file))]
    assert all(_room(file).startswith(("experiments/bench", "tests")) or file in PEERS_USERS for file in users), users


def test_core_needs_only_its_tools():
    core = [file for file in python_files() if _room(file) == "gdl_jax/core"]
    assert {package for file in core for package in imported_distributions(file)} <= TOOLS


def test_data_losses_plots_and_evaluation_know_no_flax_modules():
    rooms = ("gdl_jax/data", "gdl_jax/losses", "gdl_jax/plots", "gdl_jax/evaluation")
    knowing = [f for f in python_files() if _room(f) in rooms and "flax" in imported_distributions(f)]
    assert not knowing


def test_the_library_is_silent():
    calls = [
        f"{file}:{node.lineno}"
        for file in python_files()
        if file.startswith("gdl_jax/")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not calls


def test_files_are_short():
    lengths = {file: len((ROOT / file).read_text().splitlines()) for file in python_files()}
    assert {file: length for file, length in lengths.items() if length > MAX_LINES} == {}


def test_no_experiment_takes_a_device_before_its_processes_have_joined():
    imports = "import experiments.world_models, experiments.registry as r; [r.find(name) for name in r.NAMES]"
    taken = "from jax._src import xla_bridge; print(xla_bridge.backends_are_initialized())"
    command = [sys.executable, "-c", f"{imports}\n{taken}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
