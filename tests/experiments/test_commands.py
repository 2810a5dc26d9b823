"""Tests of the list of commands."""

import subprocess
import sys

from experiments import registry
from experiments.__main__ import commands
from tests.source_tree import ROOT, is_script, python_files


def test_every_command_is_listed_in_its_group():
    groups = commands()
    names = {f"experiments.{name}" for group in groups.values() for name in group}
    scripts = {
        file.removesuffix(".py").replace("/", ".")
        for file in python_files()
        if file.startswith("experiments/") and is_script(file) and "/peers/" not in file
    }
    assert names == scripts - {"experiments.__main__"}
    assert set(registry.MODULES.values()) <= names
    assert "world_models" in groups["Systems"]
    assert "sample" in groups["Tools"]
    assert "studies.gan_ablation" in groups["Studies"]
    assert all(about for group in groups.values() for about in group.values())


def test_listing_imports_no_jax():
    code = "import runpy, sys; runpy.run_module('experiments', run_name='__main__'); assert 'jax' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "worlds.vae" in done.stdout
