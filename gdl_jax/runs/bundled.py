"""The experiments bundled with this library: a package next to it in a clone, inside it when installed."""

import importlib
import importlib.util
import shlex
import sys
from pathlib import Path
from types import ModuleType

NAME = "experiments"
PACKAGE = Path(__file__).resolve().parent.parent  # gdl_jax


def parent() -> Path:
    """Returns the folder that contains the package of the bundled experiments."""
    installed = PACKAGE / "bundled"
    return installed if (installed / NAME).is_dir() else PACKAGE.parent


def program(module: str) -> str:
    """Returns the command line, without flags, that runs a file or a module, given by its name."""
    if module.endswith(".py"):
        return f"python {shlex.quote(module)}"
    package, _, name = module.partition(".")
    return f"gdl_jax {name}" if package == NAME and parent() != PACKAGE.parent else f"python -m {module}"


def make_importable() -> None:
    """Appends `parent()` to sys.path, unless a package named `experiments` can be imported already."""
    spec = importlib.util.find_spec(NAME)
    if spec is None or spec.origin is None:  # no package, or only a folder of that name
        sys.path.append(str(parent()))


def import_module(name: str) -> ModuleType:
    """Imports a module by name; finds the bundled experiments both in a clone and when installed.

    Raises:
      ImportError: the import fails; if another package hides the bundled experiments, the message names its folder.
    """
    if name.partition(".")[0] != NAME:
        return importlib.import_module(name)
    make_importable()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        spec = importlib.util.find_spec(NAME)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if found in (None, parent() / NAME) or not name.startswith(error.name or name):
            raise
        raise ImportError(f"the package {NAME} in {found} hides the one bundled with gdl_jax") from error
