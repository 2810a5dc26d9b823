"""The command `gdl_jax`: lists the experiments and tools, runs one of them, or runs a file of one's own.

    gdl_jax
    gdl_jax vae --config=digits
    gdl_jax sample --workdir=runs/vae-digits
    gdl_jax path/to/my_experiment.py --steps=300

`gdl_jax NAME --help` lists the flags of a command.
"""

import importlib
import importlib.util
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from gdl_jax import __version__
from gdl_jax.runs import bundled, interrupts

HELP = ("-h", "--help", "help")


def _fail(reason: str) -> int:
    sys.stderr.write(f"error: {reason}\n")
    return 2


def _run_file(path: Path, flags: Sequence[str]) -> None:
    """Runs a file as Python does: modules next to it are found first."""
    sys.path.insert(0, str(path.resolve().parent))
    sys.argv = [str(path), *flags]
    runpy.run_path(str(path), run_name="__main__")


def _run_command(name: str, flags: Sequence[str]) -> int:
    module = f"{bundled.NAME}.{name}"
    commands = importlib.import_module(f"{bundled.NAME}.__main__").commands()
    if not any(name in group for group in commands.values()):
        return _fail(f"{name}: neither a command nor a .py file; run `gdl_jax` for a list of the commands")
    sys.argv = [module, *flags]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code.

    Args:
      argv: program name and arguments; None: those of this process.
    """
    name, *flags = (sys.argv if argv is None else argv)[1:] or HELP[:1]
    interrupts.exit_on_ctrl_c()
    if name == "--version":
        sys.stdout.write(f"gdl_jax {__version__}\n")
        return 0
    # The experiments come first and the working directory last: code of one's own is found, but shadows nothing.
    sys.path[:] = [str(bundled.parent()), *sys.path, str(Path.cwd())]
    if name in HELP:
        importlib.import_module(f"{bundled.NAME}.__main__").main("gdl_jax ")
        return 0
    if name.endswith(".py"):
        if not Path(name).is_file():
            return _fail(f"{name}: no such file")
        _run_file(Path(name), flags)
        return 0
    return _run_command(name, flags)


if __name__ == "__main__":
    sys.exit(main())
