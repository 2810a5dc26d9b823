"""Tests of the architecture: allowed imports, names known to the machinery, and lengths of files."""

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import PurePath

import pytest

from experiments import registry
from gdl_jax.data import catalogue
from gdl_jax.runs.config import ImageConfig
from tests.source_tree import ROOT, imported_distributions, imported_files, python_files, tree

MAX_LINES = 400
PEERS_USERS = (
    "experiments/benchmarks.py",
    "experiments/worlds/evaluate.py",
    "experiments/studies/car_racing_fidelity.py",
)
KNOW_FLAGS = (  # command lines, and modules that define or show them
    *("gdl_jax/runs/command.py", "gdl_jax/runs/main.py", "gdl_jax/runs/study.py", "gdl_jax/runs/report.py"),
    *("gdl_jax/runs/records.py", "gdl_jax/__main__.py"),
)
GENERIC = {"evaluate", "sample", "summary", "loss"}  # words used by all learners and tools
TOOLS = {"jax", "flax", "optax", "orbax_checkpoint", "numpy", "absl_py", "tensorboardx", "tqdm"}
# folder -> prefixes of paths in this repository that it may import (besides its own folder)
ALLOWED = {
    "gdl_jax": (),
    "gdl_jax/core": (),
    "gdl_jax/data": (
        *("gdl_jax/core/encodings.py", "gdl_jax/core/errors.py", "gdl_jax/core/extras.py"),
        *("gdl_jax/core/paths.py", "gdl_jax/core/progress.py"),
    ),
    "gdl_jax/losses": ("gdl_jax/core/errors.py",),
    "gdl_jax/plots": ("gdl_jax/core/errors.py", "gdl_jax/core/extras.py"),
    "gdl_jax/evaluation": (
        *("gdl_jax/core/errors.py", "gdl_jax/core/extras.py", "gdl_jax/core/metrics_log.py", "gdl_jax/losses/"),
    ),
    "gdl_jax/nn": ("gdl_jax/core/",),
    "gdl_jax/models": ("gdl_jax/core/", "gdl_jax/nn/"),
    "gdl_jax/learners": ("gdl_jax/core/", "gdl_jax/nn/", "gdl_jax/models/", "gdl_jax/losses/"),
    "gdl_jax/envs": ("gdl_jax/core/errors.py", "gdl_jax/core/extras.py"),
    "gdl_jax/runs": ("gdl_jax/core/", "gdl_jax/data/", "gdl_jax/plots/"),
    "experiments": ("gdl_jax/", "experiments/"),
    "experiments/adversarial": ("gdl_jax/",),
    "experiments/autoencoding": ("gdl_jax/",),
    "experiments/language": ("gdl_jax/",),
    "experiments/music": ("gdl_jax/",),
    "experiments/style": ("gdl_jax/",),
    "experiments/translation": ("gdl_jax/", "experiments/adversarial/", "experiments/autoencoding/"),
    "experiments/worlds": ("gdl_jax/", "experiments/autoencoding/"),
    "experiments/studies": ("gdl_jax/", "experiments/"),
    "experiments/bench": ("gdl_jax/", "experiments/"),
    "experiments/bench/peers": (),
    "tests": ("gdl_jax/", "experiments/", "tests/"),
}


def _room(file: str) -> str:
    """Returns the innermost folder of ALLOWED that contains the file."""
    return max((folder for folder in ALLOWED if file.startswith(f"{folder}/")), key=len)


@pytest.mark.slow
@pytest.mark.parametrize("file", python_files())
def test_imports_only_from_allowed_folders(file):
    room = _room(file)
    allowed = (*ALLOWED[room], f"{room}/")
    wrong = [imported for imported in imported_files(file) if not imported.startswith(allowed)]
    assert not wrong, f"{file} may not import {wrong}"


def test_only_commands_studies_and_benchmarks_import_commands():
    wrong = [
        (file, imported)
        for file in python_files()
        if file.startswith("experiments/")
        and _room(file) not in ("experiments", "experiments/studies", "experiments/bench")
        for imported in imported_files(file)
        if str(PurePath(imported).parent) == "experiments"
    ]
    assert not wrong


def test_only_benchmarks_import_peers():
    users = [file for file in python_files() if any("bench/peers" in f for f in imported_files(file))]
    assert all(_room(file).startswith(("experiments/bench", "tests")) or file in PEERS_USERS for file in users), users


def _client_names() -> set[str]:
    """Returns names of experiments, commands, data sets, their kinds, and hyperparameters that not every run has."""
    names = {PurePath(file).stem for file in python_files() if PurePath(file).parent.name == "experiments"}
    names |= set(registry.NAMES)
    for name in registry.NAMES:
        names |= {field.name for field in dataclasses.fields(registry.find(name).config)}
    names |= {name.partition(":")[0] for name in catalogue.DATASETS}
    return names - {field.name for field in dataclasses.fields(ImageConfig)} - {"__init__", "__main__", *GENERIC}


@pytest.mark.parametrize("room", ["gdl_jax/core", "gdl_jax/runs"])
def test_machinery_names_no_experiment_or_data_set(room):
    clients = _client_names()
    found = []
    for file in python_files():
        if _room(file) != room:
            continue
        of_images = [n for n in tree(file).body if isinstance(n, ast.ClassDef) and n.name == "ImageConfig"]
        image_names = {id(node) for each in of_images for node in ast.walk(each)}  # lists the image data sets
        for node in ast.walk(tree(file)):
            if id(node) in image_names:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found += [(file, node.value)] if node.value.partition(":")[0] in clients else []
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "config":
                found += [(file, node.attr)] if node.attr in clients else []
    assert not found


def test_only_the_command_line_writes_flags_with_dashes():
    found = [
        f"{file}:{node.lineno}"
        for file in python_files()
        if file.startswith("gdl_jax/") and file not in KNOW_FLAGS
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"(^|[ (\"'])--(?!no-deps)[a-z]", node.value)
        if node.value not in _docstrings(file)
    ]
    assert not found


def _docstrings(file: str) -> set[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    owners = [node for node in ast.walk(tree(file)) if isinstance(node, kinds)]
    return {text for node in owners if (text := ast.get_docstring(node, clean=False))}


def test_core_imports_only_its_tools():
    core = [file for file in python_files() if _room(file) == "gdl_jax/core"]
    assert {package for file in core for package in imported_distributions(file)} <= TOOLS


def test_data_losses_plots_and_evaluation_do_not_import_flax():
    rooms = ("gdl_jax/data", "gdl_jax/losses", "gdl_jax/plots", "gdl_jax/evaluation")
    importers = [f for f in python_files() if _room(f) in rooms and "flax" in imported_distributions(f)]
    assert not importers


def test_the_library_does_not_print():
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


@pytest.mark.slow
def test_importing_experiments_initialises_no_device():
    imports = "import experiments.world_models, experiments.registry as r; [r.find(name) for name in r.NAMES]"
    taken = "from jax._src import xla_bridge; print(xla_bridge.backends_are_initialized())"
    command = [sys.executable, "-c", f"{imports}\n{taken}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
