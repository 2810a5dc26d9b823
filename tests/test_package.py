"""The library as a package: its public names, its wheel, and the command that the wheel installs."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

import gdl_jax
from gdl_jax.runs import bundled
from tests.source_tree import ROOT, python_files, tree

SOURCES = ("gdl_jax", "experiments", "setup.py", "pyproject.toml", "LICENSE", "README.md")
TRAIN = """
import flax.linen as nn, optax, gdl_jax

class Linear(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(10)(x.reshape(len(x), -1))

data = gdl_jax.load_data(gdl_jax.ImageConfig(dataset="digits"))
learner = gdl_jax.classifier(Linear(), optax.adam(1e-3))
result = gdl_jax.train(learner, data, "linear", steps=60, batch_size=50, checkpoint_every=20)
assert result.evaluated["validation/accuracy"] > 0.6, result.evaluated
assert gdl_jax.train(learner, data, "linear", steps=60, batch_size=50).began == 60
"""
RESTORE = """
import gdl_jax
run = gdl_jax.restore("runs/naive_bayes-tiny")
assert run.learner.sample(run.state, run.key, 5).shape == (5, 5)
"""


def python(code, cwd, path=ROOT, check=True):
    """Runs code in a new process that finds the library at `path`."""
    environment = os.environ | {"PYTHONPATH": str(path)}
    command = [sys.executable, *(["-c", code] if isinstance(code, str) else code)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 or not check, done.stderr
    return done


@pytest.mark.slow
def test_public_names_resolve_and_are_documented():
    assert gdl_jax.__all__ == sorted(gdl_jax.__all__) and len(gdl_jax.__all__) <= 25
    for name in gdl_jax.__all__:
        value = getattr(gdl_jax, name)
        assert name == "__version__" or value.__doc__, name
        assert name in dir(gdl_jax)
    with pytest.raises(AttributeError, match="no_such_name"):
        gdl_jax.no_such_name  # noqa: B018


def test_type_checkers_see_the_public_names():
    (guard,) = [node for node in tree("gdl_jax/__init__.py").body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in guard.body for alias in node.names}
    assert seen.keys() == set(gdl_jax.__all__) - {"__version__"}
    for name, module in seen.items():
        assert getattr(importlib.import_module(module), name) is getattr(gdl_jax, name)


def test_importing_the_package_imports_no_jax(tmp_path):
    python("import gdl_jax, sys; assert 'jax' not in sys.modules and gdl_jax.__version__", tmp_path)


def test_one_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", gdl_jax.__version__)
    assert gdl_jax.__version__ not in (ROOT / "setup.py").read_text()


def test_other_modules_may_have_the_experiments_name(monkeypatch, tmp_path):
    module = tmp_path / "experiments" / "mine.py"
    module.parent.mkdir()
    module.write_text("EXPERIMENT = 1\n")
    code = "from gdl_jax.runs import bundled; sys_path_first = bundled.import_module('experiments.{}')"
    (module.parent / "__init__.py").touch()
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    for name, error in (("mine", ""), ("vae", f"in {module.parent} hides the one")):
        command = [sys.executable, "-c", code.format(name)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert error in done.stderr and bool(done.returncode) == bool(error)


def test_recorded_programs_can_be_run_again(monkeypatch, tmp_path):
    assert bundled.program("/home/me/mine.py") == "python /home/me/mine.py"
    assert bundled.program("my_package.mine") == "python -m my_package.mine"
    assert bundled.program("experiments.vae") == "python -m experiments.vae"
    (tmp_path / "bundled" / "experiments").mkdir(parents=True)
    monkeypatch.setattr(bundled, "PACKAGE", tmp_path)
    assert bundled.program("experiments.worlds.vae") == "gdl_jax worlds.vae"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of this repository."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(built), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel's packages."""
    folder = tmp_path_factory.mktemp("site_packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.slow
def test_the_wheel_has_every_file_and_one_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (points,) = [archive.read(name).decode() for name in names if name.endswith("/entry_points.txt")]
    expected = {file for file in python_files() if file.startswith("gdl_jax/")}
    expected |= {f"gdl_jax/bundled/{file}" for file in python_files() if file.startswith("experiments/")}
    assert {name for name in names if name.endswith(".py")} == expected
    assert {"gdl_jax/py.typed", "gdl_jax/runs/report.css", "gdl_jax/bundled/experiments/results/vae.json"} <= names
    assert {name.split("/")[0] for name in names} == {"gdl_jax", f"gdl_jax-{gdl_jax.__version__}.dist-info"}
    assert any(name.endswith("LICENSE") for name in names)
    assert "gdl_jax = gdl_jax.__main__:main" in points


@pytest.mark.slow
def test_the_installed_command_lists_runs_and_samples(installed, tmp_path):
    listed = python(["-m", "gdl_jax"], tmp_path, installed)
    assert {"vae", "sample", "worlds.vae"} <= set(listed.stdout.split())
    python(["-m", "gdl_jax", "naive_bayes", "--config=tiny"], tmp_path, installed)
    python(["-m", "gdl_jax", "sample", "--workdir=runs/naive_bayes-tiny", "--num=4"], tmp_path, installed)
    assert (tmp_path / "runs" / "naive_bayes-tiny" / "samples" / "samples.png").exists()
    python(RESTORE, tmp_path, installed)


@pytest.mark.slow
def test_the_command_runs_a_file_with_its_neighbours(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "neighbour.py").write_text("WORD = 'found'\n")
    code = "import sys, neighbour, experiments\nif __name__ == '__main__': print(neighbour.WORD, *sys.argv[1:])\n"
    (tmp_path / "elsewhere" / "mine.py").write_text(code)
    done = python(["-m", "gdl_jax", "elsewhere/mine.py", "--steps=3"], tmp_path)
    assert done.stdout == "found --steps=3\n"


@pytest.mark.parametrize("name", ["vea", "registry", "__main__", "missing.py", "../setup"])
def test_an_unknown_command_is_one_line(name, tmp_path):
    done = python(["-m", "gdl_jax", name], tmp_path, check=False)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith(f"error: {name}: ")


@pytest.mark.slow
def test_a_learner_is_trained_from_python(tmp_path):
    assert len(TRAIN.strip().splitlines()) <= 12
    python(TRAIN, tmp_path)
