"""Optional packages that only some experiments need, installed by extras: `pip install 'gdl_jax[NAME]'`.

They are imported where they are used, so that everything else runs without them:

    with extra("music"):
        import mido
"""

import importlib.util
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from gdl_jax.core.errors import UserError


def _missing(package: str, name: str) -> UserError:
    return UserError(f"{package} is not installed: pip install 'gdl_jax[{name}]'")


class extra(AbstractContextManager):
    """Context for importing packages of an extra.

    Args:
      name: name of the extra.

    Raises:
      UserError: a package imported in the context is not installed. Errors inside an installed package, such as a
        missing dependency of its own, pass through.
    """

    def __init__(self, name: str):
        self.name = name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        direct = traceback is not None and traceback.tb_next is None  # raised by an import in the context itself
        if direct and isinstance(error, ModuleNotFoundError) and error.name:
            raise _missing(error.name.partition(".")[0], self.name) from error


def locate(package: str, name: str) -> Path:
    """Returns the folder of an optional package without importing it.

    Args:
      package: import name of the package.
      name: name of the extra that contains it.

    Raises:
      UserError: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise _missing(package, name)
    return Path(spec.origin).parent
