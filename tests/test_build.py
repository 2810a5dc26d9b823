"""BUILD and setup.py say the truth about the tree."""

import ast
import re

import pytest

from tests.source_tree import ROOT, imported_distributions, python_files


def _globs() -> list[tuple[str, list[str]]]:
    """(rule, files that its globs match) of each rule of BUILD, with its list comprehensions."""
    rules = []
    for node in ast.parse((ROOT / "BUILD").read_text()).body:
        calls = [call for call in ast.walk(node) if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)]
        for rule in (call for call in calls if call.func.id.startswith("py_")):
            files = []
            for call in (call for call in calls if call.func.id == "glob"):
                excluded = [k.value for k in call.keywords if k.arg == "exclude"]
                unwanted = {p for k in excluded for pattern in ast.literal_eval(k) for p in ROOT.glob(pattern)}
                for pattern in ast.literal_eval(call.args[0]):
                    found = [path for path in ROOT.glob(pattern) if path not in unwanted and path.is_file()]
                    assert found, f"BUILD: {pattern} matches nothing"
                    files += [str(path.relative_to(ROOT)) for path in found]
            rules.append((rule.func.id, files))
    return rules


def test_every_file_is_in_a_library_and_every_test_has_a_rule():
    rules = _globs()
    in_libraries = {file for rule, files in rules if rule == "py_library" for file in files}
    assert set(python_files()) <= in_libraries
    tested = {file for rule, files in rules if rule == "py_test" for file in files}
    assert {file for file in python_files() if file.split("/")[-1].startswith("test_")} == tested


def test_libraries_depend_on_those_they_import():
    text = (ROOT / "BUILD").read_text()
    assert "deps = all_requirements" in text.split('name = "gdl_jax"')[1].split(")\n")[0]
    assert '":gdl_jax"' in text.split('name = "experiments"')[1]
    assert '":experiments"' in text.split('name = "tests"')[1]


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


@pytest.mark.slow
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
