"""BUILD, setup.py and requirements.txt agree with the source tree."""

import ast
import re
import runpy

import pytest
import setuptools

from tests.source_tree import DISTRIBUTION_NAMES, ROOT, imported_distributions, python_files, tree

BENCHMARKS = "experiments/bench/"


def _globs() -> list[tuple[str, list[str]]]:
    """Returns (rule, files that its globs match) of each rule of BUILD, with its list comprehensions."""
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


@pytest.fixture(scope="module")
def ranges() -> dict[str, dict[str, str]]:
    """From setup.py: {"": requirements of every install, extra: those that it adds}, each {my_package: range}."""
    given = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", given.update)
        patch.setattr(setuptools, "find_packages", lambda include: [])
        runpy.run_path(str(ROOT / "setup.py"))
    split = re.compile(r"([\w.-]+)(?:\[.*\])?(.*)")
    return {
        group: {name.lower().replace("-", "_"): r for name, r in (split.match(one).groups() for one in requirements)}
        for group, requirements in {"": given["install_requires"], **given["extras_require"]}.items()
    }


def _shipped() -> list[str]:
    return [file for file in python_files() if not file.startswith("tests/")]


@pytest.mark.slow
def test_every_imported_package_is_required_or_in_an_extra(ranges):
    imported = {package for file in _shipped() for package in imported_distributions(file)}
    users = {extra: set(packages) for extra, packages in ranges.items() if extra not in ("all", "dev")}
    assert imported == set.union(*users.values())
    assert len(ranges[""]) <= 16


def test_all_has_every_extra_for_users(ranges):
    parts = [set(ranges[extra]) for extra in ("faces", "music", "text", "worlds", "tfds")]
    assert set(ranges["all"]) == set.union(*parts)


def _imports(node: ast.AST, extra: str | None = None) -> list[tuple[str, str | None]]:
    """Returns (package, extra in whose context it is imported) of each import below a node, type checking's apart."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return []
    if isinstance(node, ast.With) and ast.unparse(node.items[0].context_expr).startswith("extra("):
        extra = ast.literal_eval(node.items[0].context_expr.args[0])
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module]
    else:
        return [found for child in ast.iter_child_nodes(node) for found in _imports(child, extra)]
    tops = [name.split(".")[0] for name in names]
    return [(DISTRIBUTION_NAMES.get(top, top.lower()), extra) for top in tops]


@pytest.mark.slow
def test_packages_of_an_extra_are_imported_in_its_context(ranges):
    optional = {package for extra, packages in ranges.items() if extra not in ("", "dev") for package in packages}
    wrong = [
        (file, package)
        for file in _shipped()
        if not file.startswith(BENCHMARKS)
        for package, extra in _imports(tree(file))
        if package in optional and package not in ranges.get(extra or "", ())
    ]
    assert not wrong


def test_pinned_versions_are_in_their_ranges(ranges):
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
    pins = {name: version for line in lines for name, version in [line.split(";")[0].strip().split("==")]}
    pins = {name.lower().replace("-", "_"): tuple(map(int, version.split("."))) for name, version in pins.items()}
    for name, limits in (ranges[""] | ranges["all"] | ranges["dev"]).items():
        for sign, limit in re.findall(r"(>=|<)([\d.]+)", limits):
            limit = tuple(map(int, limit.split(".")))
            assert pins[name] >= limit if sign == ">=" else pins[name] < limit, f"{name}: {pins[name]} not {limits}"
