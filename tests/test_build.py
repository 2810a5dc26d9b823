"""BUILD and setup.py say the truth about the tree. After a change to it:

python -m tests.test_build > BUILD
"""

import ast
import re
from pathlib import PurePath
from typing import NamedTuple

from tests.source_tree import (
    ROOT,
    imported_distributions,
    imported_files,
    is_script,
    python_files,
    requirement_names,
)

HEADER = '''"""Bazel targets: a library for each folder, a binary for each script, a test for each file of tests.

Made by `python -m tests.test_build > BUILD`; tests/test_build.py fails when it no longer fits the tree. Packages that
requirements.txt does not pin (the peers of experiments/benchmarks.py) are taken from the machine if it has them.
"""

load("@rules_python//python:defs.bzl", "py_binary", "py_library", "py_test")

package(default_visibility = ["//visibility:public"])

exports_files(["requirements.txt"])
'''
LINE = 100  # characters of a list that is written on one line
PYTEST_MAIN = "tests/pytest_main.py"
PINNED = requirement_names((ROOT / "requirements.txt").read_text())


class Target(NamedTuple):
    """One rule of BUILD; `srcs` are files, or the pattern of a glob."""

    rule: str
    name: str
    srcs: list[str] | str
    main: str | None
    args: list[str]
    deps: list[str]


def _is_test(file: str) -> bool:
    return PurePath(file).name.startswith("test_")


def _folder(file: str) -> str:
    return str(PurePath(file).parent)


def _deps(files: list[str], name: str, more: tuple[str, ...] = ()) -> list[str]:
    """What `files` import, as labels: the libraries of the folders first, then installed packages."""
    folders = {_folder(imported) for file in files for imported in imported_files(file)} | set(more)
    installed = {package for file in files for package in imported_distributions(file)} & PINNED
    return sorted(f":{folder}" for folder in folders - {name}) + sorted(f"@pip//{package}" for package in installed)


def expected_targets() -> list[Target]:
    """What BUILD should hold, from the files and what they import."""
    libraries, binaries, tests = [], [], []
    folders = sorted({_folder(file) for file in python_files()})
    for folder in folders:
        files = [file for file in python_files() if _folder(file) == folder and not _is_test(file)]
        if folder.startswith("tests"):
            libraries.append(Target("py_library", folder, files, None, [], _deps(files, folder)))
        else:  # takes the folders in it along: not all that is run is imported
            within = tuple(other for other in folders if other.startswith(f"{folder}/"))
            libraries.append(Target("py_library", folder, f"{folder}/*.py", None, [], _deps(files, folder, within)))
    for file in python_files():
        name = file.removesuffix(".py")
        if _is_test(file):
            deps = _deps([file], name, more=("tests",))
            tests.append(Target("py_test", name, [file, PYTEST_MAIN], PYTEST_MAIN, [file], deps))
        elif is_script(file) and file != PYTEST_MAIN:
            binaries.append(Target("py_binary", name, [file], None, [], [f":{_folder(file)}"]))
    return libraries + binaries + tests


def _show(target: Target) -> str:
    def listed(values):
        line = ", ".join(f'"{value}"' for value in values)
        if len(line) <= LINE:
            return f"[{line}]"
        return "".join(["[\n", *(f'        "{value}",\n' for value in values), "    ]"])

    glob = isinstance(target.srcs, str)
    lines = [f'    name = "{target.name}",']
    if target.rule == "py_test":
        lines.append('    size = "large",')
    lines.append(f'    srcs = glob(["{target.srcs}"]),' if glob else f"    srcs = {listed(target.srcs)},")
    if target.args:
        lines.append(f"    args = {listed(target.args)},")
    if target.main:
        lines.append(f'    main = "{target.main}",')
    if target.deps:
        lines.append(f"    deps = {listed(target.deps)},")
    return "\n".join([f"{target.rule}(", *lines, ")"])


def expected_text() -> str:
    """BUILD as it should be."""
    return "\n".join([HEADER, *(_show(target) + "\n" for target in expected_targets())])


def actual_targets() -> list[Target]:
    """The rules of the BUILD that is there, with globs replaced by what they match."""
    targets = []
    for node in ast.parse((ROOT / "BUILD").read_text()).body:
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and node.value.func.id[:3] == "py_"):
            continue
        values = {keyword.arg: keyword.value for keyword in node.value.keywords}
        srcs = values.pop("srcs")
        if isinstance(srcs, ast.Call):  # glob(["..."])
            (pattern,) = ast.literal_eval(srcs.args[0])
            files = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))
        else:
            files = ast.literal_eval(srcs)
        values.pop("size", None)
        rest = {"main": None, "args": [], "deps": []} | {k: ast.literal_eval(v) for k, v in values.items()}
        targets.append(Target(node.value.func.id, srcs=files, **rest))
    return targets


def test_build_fits_the_tree():
    missing = set(expected_text().splitlines()) - set((ROOT / "BUILD").read_text().splitlines())
    why = f"run `python -m tests.test_build > BUILD`; lines that BUILD lacks: {sorted(missing)}"
    assert (ROOT / "BUILD").read_text() == expected_text(), why


def test_every_file_is_in_one_library_or_test():
    files = [f for t in actual_targets() if t.rule != "py_binary" for f in t.srcs if t.rule != "py_test" or f != t.main]
    assert sorted(files) == python_files()


def test_every_import_is_a_dependency():
    targets = actual_targets()
    for file in python_files():
        tests = [imported for imported in imported_files(file) if _is_test(imported)]
        assert not tests, f"{file} imports {tests}: what tests share belongs into a file of its own"
    owners = {file: f":{t.name}" for t in targets if t.rule == "py_library" for file in t.srcs}
    for target in targets:
        for file in set(target.srcs) - {target.main} if target.rule != "py_binary" else ():
            needed = {owners[imported] for imported in imported_files(file)} - {f":{target.name}"}
            assert needed <= set(target.deps), f"{target.name} lacks {needed - set(target.deps)}, imported by {file}"


def test_every_script_has_a_binary():
    scripts = {file for file in python_files() if is_script(file) and not file.startswith("tests/")}
    assert {file for target in actual_targets() if target.rule == "py_binary" for file in target.srcs} >= scripts


def _ranges() -> dict[str, dict[str, str]]:
    """From setup.py: {"": what is always installed, extra: what it adds}, each {my_package: range}."""
    calls = [node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if isinstance(node, ast.Call)]
    (setup,) = [call for call in calls if call.func.id == "setup"]
    keywords = {keyword.arg: keyword.value for keyword in setup.keywords}
    groups = {"": ast.literal_eval(keywords["install_requires"])} | ast.literal_eval(keywords["extras_require"])
    split = re.compile(r"([\w.-]+)(.*)")
    return {
        group: {name.lower().replace("-", "_"): r for name, r in (split.match(one).groups() for one in requirements)}
        for group, requirements in groups.items()
    }


def test_what_is_imported_is_what_gets_installed():
    shipped = [file for file in python_files() if not file.startswith("tests/")]
    imported = {package for file in shipped for package in imported_distributions(file)}
    ranges = _ranges()
    assert imported - set(ranges["bench"]) == set(ranges[""])
    assert imported & set(ranges["bench"]) == set(ranges["bench"])


def test_the_pinned_versions_are_in_their_ranges():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
    pins = {name: version for line in lines for name, version in [line.split(";")[0].strip().split("==")]}
    pins = {name.lower().replace("-", "_"): tuple(map(int, version.split("."))) for name, version in pins.items()}
    ranges = _ranges()
    for name, limits in (ranges[""] | ranges["dev"]).items():
        for sign, limit in re.findall(r"(>=|<)([\d.]+)", limits):
            limit = tuple(map(int, limit.split(".")))
            assert pins[name] >= limit if sign == ">=" else pins[name] < limit, f"{name}: {pins[name]} not {limits}"


if __name__ == "__main__":
    print(expected_text(), end="")
