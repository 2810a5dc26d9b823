"""Source files of the repository, for tests of its structure."""

import ast
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gdl_jax", "experiments", "tests")
DISTRIBUTION_NAMES = {  # import name -> name to install, where they differ
    "PIL": "pillow",
    "absl": "absl_py",
    "orbax": "orbax_checkpoint",
    "py_avataaars_no_png": "py_avataaars_no_png",
    "skimage": "scikit_image",
    "tensorboardX": "tensorboardx",
}


def python_files() -> list[str]:
    """Returns the sorted paths, relative to the root, of all Python files of the packages."""
    return sorted(str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def tree(file: str) -> ast.Module:
    """Returns the parsed file."""
    return ast.parse((ROOT / file).read_text(), file)


def is_script(file: str) -> bool:
    """True if the file is a program."""
    return any(ast.unparse(node).startswith("if __name__ == '__main__'") for node in tree(file).body)


def _module_file(module: str) -> str | None:
    base = ROOT / module.replace(".", "/")
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.exists():
            return str(path.relative_to(ROOT))
    return None


def imported_modules(file: str) -> set[str]:
    """Returns the dotted names of all modules that the file imports; `from a import b` is a.b if that is a module."""
    modules = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            submodules = {name for name in names if name.startswith(PACKAGES) and _module_file(name)}
            modules |= submodules or {node.module}
    return modules


def imported_files(file: str) -> set[str]:
    """Returns the repository's files that the file imports."""
    ours = (module for module in imported_modules(file) if module.split(".")[0] in PACKAGES)
    return {path for module in ours if (path := _module_file(module))}


def imported_distributions(file: str) -> set[str]:
    """Returns the names (in the form my_package) of the installed packages that the file imports."""
    tops = {module.split(".")[0] for module in imported_modules(file)}
    ours = {*PACKAGES, *sys.stdlib_module_names, "_typeshed"}  # the last is known to type checkers alone
    return {DISTRIBUTION_NAMES.get(top, top.lower()) for top in tops - ours}


def requirement_names(text: str) -> set[str]:
    """Returns the names (in the form my_package) of the pinned packages in the text of a requirements file."""
    pins = (line.split("==")[0] for line in text.splitlines() if "==" in line)
    return {pin.strip().lower().replace("-", "_").replace(".", "_") for pin in pins}
