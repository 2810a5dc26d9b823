"""Names and shapes of published weights, compared with those that a network expects.

A loader that leaves arrays of a network at their initial values by mistake trains and scores badly, without an error;
so all differences are errors, except those that the loader allows.
"""

import re
from collections.abc import Mapping, Sequence, Set
from fnmatch import fnmatchcase
from typing import TypeVar

from gdl_jax.core.errors import UserError

SHOWN = 3  # names in a message
# Beginnings of names by data parallelism, by compilation, and by networks with a head of their own.
PREFIXES = ("module.", "_orig_mod.", "bert.", "transformer.")
OLD_ENDINGS = {"gamma": "weight", "beta": "bias"}  # of layer normalisation, in BERT's first files
# Constants that are saved with the weights: positions and segments 0, and causal masks.
BUFFERS = re.compile(r"(.*\.)?(position_ids|token_type_ids|attn\.bias|attn\.masked_bias)")
Leaf = TypeVar("Leaf")


def normalise_name(name: str, prefixes: Sequence[str] = PREFIXES) -> str:
    """Returns a name without prefixes, with "weight" and "bias" in place of "gamma" and "beta"."""
    while prefix := next((prefix for prefix in prefixes if name.startswith(prefix)), ""):
        name = name.removeprefix(prefix)
    before, dot, last = name.rpartition(".")
    return before + dot + OLD_ENDINGS.get(last, last)


def normalise(tensors: Mapping[str, Leaf], source: str, prefixes: Sequence[str] = PREFIXES) -> dict[str, Leaf]:
    """Returns arrays by their normalised names, without BUFFERS.

    Args:
      tensors: {name: array}, or anything else in the arrays' place.
      source: where they are from, for messages.
      prefixes: to remove, also several from one name.

    Raises:
      UserError: two arrays would have the same name.
    """
    originals: dict[str, str] = {}
    for name in tensors:
        new = normalise_name(name, prefixes)
        if BUFFERS.fullmatch(new):
            continue
        if new in originals:
            raise UserError(f"{source}: {originals[new]} and {name} are the same array, {new}")
        originals[new] = name
    return {new: tensors[name] for new, name in originals.items()}


def match(
    expected: Mapping[str, Sequence[int]],
    found: Mapping[str, Sequence[int]],
    source: str,
    optional: Sequence[str] = (),
) -> list[str]:
    """Checks that weights are a network's; returns the names that both have, in the order of `expected`.

    Args:
      expected: {name: shape} of the network.
      found: {name: shape} of the weights.
      source: where they are from, for messages.
      optional: patterns (fnmatch: "cls.*") of names that either may have without the other.

    Raises:
      UserError: names that are missing, names that are left over, or shapes that differ; shows the first few of each.
    """

    both = [name for name in expected if name in found]
    differ = [name for name in both if tuple(found[name]) != tuple(expected[name])]
    faults = {
        "missing": _required(expected.keys() - found.keys(), optional),
        "not the network's": _required(found.keys() - expected.keys(), optional),
        "of another shape": [f"{name} {tuple(found[name])} instead of {tuple(expected[name])}" for name in differ],
    }
    told = [
        f"{len(names)} {fault}: {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
        for fault, names in faults.items()
        if names
    ]
    if told:
        raise UserError(f"{source}: not this network's weights; {'; '.join(told)}")
    return both


def _required(names: Set[str], optional: Sequence[str]) -> list[str]:
    """Returns the names that match no pattern, sorted."""
    return sorted(name for name in names if not any(fnmatchcase(name, pattern) for pattern in optional))
