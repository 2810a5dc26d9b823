"""Tests of the launch scripts, with stand-ins for the programs that they start."""

import os
import platform
import shutil
import subprocess
import sys

import pytest

from tests.source_tree import ROOT

LAUNCH = ROOT / "launch"


def run(script, *arguments, cwd=ROOT, **environment):
    return subprocess.run(
        [LAUNCH / script, *arguments], cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )


@pytest.fixture
def environment(tmp_path):
    """A complete environment whose Python only prints its environment variables and arguments."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nenv\nprintf "argument %s\\n" "$@"\nexit 7\n')
    python.chmod(0o755)
    wanted = b"".join((ROOT / name).read_bytes() for name in ("requirements.txt", "launch/no_deps.txt"))
    checksum = subprocess.run(["cksum"], input=wanted, capture_output=True, check=True).stdout.decode().strip()
    (tmp_path / "venv" / "requirements.stamp").write_text(f"{checksum} cpu\n")
    unset = dict.fromkeys(("GLIBC_TUNABLES", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_"))
    kept = {name: os.environ.pop(name) for name in unset if name in os.environ}
    yield {"GDL_JAX_VENV": str(tmp_path / "venv"), "GDL_JAX_ACCELERATOR": "cpu"}
    os.environ.update(kept)


@pytest.mark.parametrize("name", ["vea", "vae classifier", "../setup", "registry", "__main__"])
def test_lists_the_known_experiments_for_an_unknown_one(name):
    done = run("local.sh", name)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    known = line.split("one of:")[1].split()
    assert {"classifier", "worlds.vae", "studies.gan_ablation"} <= set(known)
    assert not {"registry", "__main__"} & set(known)  # not commands


@pytest.mark.parametrize("python", [True, False])
def test_lists_all_commands_without_a_name(python, tmp_path):
    for tool in ("bash", "dirname", "grep", "readlink", "sed", "tr"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    if python:
        (tmp_path / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (tmp_path / "python3").chmod(0o755)
    done = run("local.sh", PATH=str(tmp_path))
    assert done.returncode == 2
    assert {"classifier", "sample", "worlds.vae"} <= set(done.stderr.split())
    assert ("Systems" in done.stderr) == python


def test_local_passes_flags_and_exit_code_from_any_directory(environment, tmp_path):
    done = run("local.sh", "vae", "--config=digits", "--note=two words", cwd=tmp_path, **environment)
    assert done.returncode == 7
    lines = done.stdout.splitlines()
    arguments = [line.removeprefix("argument ") for line in lines if line.startswith("argument ")]
    assert arguments == ["-m", "experiments.vae", "--config=digits", "--note=two words"]
    path = next(line for line in lines if line.startswith("PYTHONPATH=")).removeprefix("PYTHONPATH=").split(":")
    assert path[0] == str(ROOT)
    assert path[-1] == str(tmp_path)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are for glibc")
def test_an_unwritable_place_for_the_environment_is_named():
    done = run("local.sh", "vae", GDL_JAX_VENV="/dev/null/venv")
    assert done.returncode == 2 and "GDL_JAX_VENV" in done.stderr and "/dev/null/venv" in done.stderr


def test_tunes_malloc_on_cpus_unless_the_user_did(environment):
    lines = run("local.sh", "vae", MALLOC_MMAP_MAX_="9", **environment).stdout.splitlines()
    assert "GLIBC_TUNABLES=glibc.malloc.hugetlb=1" in lines
    assert "MALLOC_TRIM_THRESHOLD_=17179869184" in lines
    assert "MALLOC_MMAP_MAX_=9" in lines


def test_test_runs_pytest_in_the_repository(environment, tmp_path):
    done = run("test.sh", "-k", "resume", cwd=tmp_path, **environment)
    lines = done.stdout.splitlines()
    arguments = [line.removeprefix("argument ") for line in lines if line.startswith("argument ")]
    assert arguments[:2] == ["-m", "pytest"]
    assert arguments[-2:] == ["-k", "resume"]
    assert f"PWD={ROOT}" in lines


def test_a_sweep_runs_every_combination_in_its_own_workdir():
    flags = ["--config=digits", "--", "--kl_weight=0.5,1", "--encoder_filters=8,8;4,4"]
    done = run("sweep.sh", "vae", *flags, LAUNCH="echo")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"vae --config=digits --kl_weight={kl} --encoder_filters={filters} "
        f"--workdir=runs/vae-sweep/kl_weight={kl},encoder_filters={filters}"
        for kl in ("0.5", "1")
        for filters in ("8,8", "4,4")
    ]


def test_a_sweep_works_in_a_path_with_a_space(environment, tmp_path):
    clone = tmp_path / "my clone"
    clone.symlink_to(ROOT)
    done = run(clone / "launch" / "sweep.sh", "vae", "--", "--z_dim=2", cwd=tmp_path, **environment)
    assert "argument --z_dim=2" in done.stdout.splitlines()


def test_a_sweep_continues_after_failures_and_counts_them():
    done = run("sweep.sh", "vae", "--", "--z_dim=2,4,8", LAUNCH="false")
    assert done.returncode == 1
    assert "3 of 3 runs failed" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["vae"], ["vae", "--"], ["vae", "--", "z_dim=2"]])
def test_refuses_a_sweep_without_values(arguments):
    done = run("sweep.sh", *arguments, LAUNCH="echo")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
