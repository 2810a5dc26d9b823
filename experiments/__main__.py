"""Lists the commands: `python -m experiments`."""

import ast
import re
import sys
from pathlib import Path

from experiments import registry

ROOT = Path(__file__).resolve().parent
FOLDERS = {"studies": "Studies", "bench": "Benchmarks", "worlds": "Stages of world models"}  # headings; else the name


def _first_sentence(module: ast.Module) -> str:
    paragraph = (ast.get_docstring(module) or "").partition("\n\n")[0]
    return re.split(r"(?<=\.)\s", " ".join(paragraph.split()))[0]


def _is_command(module: ast.Module) -> bool:
    return any(ast.unparse(node).startswith("if __name__ == '__main__'") for node in module.body)


def _group(name: str) -> str:
    folder, dot, _ = name.rpartition(".")
    if dot:
        return FOLDERS.get(folder, folder.capitalize())
    return "Systems" if f"experiments.{name}" in (*registry.MODULES.values(), *registry.PIPELINES) else "Tools"


def commands() -> dict[str, dict[str, str]]:
    """Returns {group: {command: first sentence of its docstring}}, read from the files without importing them."""
    groups = {title: {} for title in ("Systems", "Tools", *FOLDERS.values())}
    for path in (*sorted(ROOT.glob("*.py")), *sorted(ROOT.glob("*/*.py"))):
        if path.name.startswith("__"):
            continue
        module = ast.parse(path.read_text(encoding="utf-8"))
        if _is_command(module):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            groups.setdefault(_group(name), {})[name] = _first_sentence(module)
    return groups


def main(program: str = "python -m experiments.") -> None:
    """Prints the commands by group; `program` is what precedes a name on a command line."""
    groups = commands()
    width = max(len(name) for group in groups.values() for name in group)
    lines = []
    for title, group in groups.items():
        lines += [title, *(f"  {name:<{width}}  {about}" for name, about in group.items()), ""]
    sys.stdout.write("\n".join([*lines, f"Details of a command: {program}NAME --help\n"]))


if __name__ == "__main__":
    main()
