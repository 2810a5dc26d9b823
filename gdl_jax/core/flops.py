"""Arithmetic cost of a function, counted in its jaxpr: the same on every platform, with all iterations of loops."""

import math
from typing import Any, NamedTuple

from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params
from jax.interpreters import partial_eval


class Cost(NamedTuple):
    """Multiplications in matrix products and convolutions; a lower bound if `exact` is False."""

    multiplications: int
    exact: bool = True

    def __add__(self, other: "Cost") -> "Cost":  # type: ignore[override]  # adds costs, does not join tuples
        return Cost(self.multiplications + other.multiplications, self.exact and other.exact)


def count_multiplications(jaxpr: Jaxpr) -> Cost:
    """Returns the cost of one evaluation, without operations that no output depends on.

    A loop whose length depends on values is counted once, and of several branches the cheapest; the cost is then a
    lower bound. Branches chosen by platform are equivalent, and the first is counted.
    """
    needed, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return _count(needed)


def _count(jaxpr: Jaxpr) -> Cost:
    return sum(map(_count_equation, jaxpr.eqns), Cost(0))


def _count_equation(equation: JaxprEqn) -> Cost:
    params, name = equation.params, equation.primitive.name
    output: Any = equation.outvars[0].aval
    operands: list[Any] = [operand.aval for operand in equation.invars]
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return Cost(output.size * math.prod(operands[0].shape[axis] for axis in contracted))
    if name == "conv_general_dilated":
        kernel = operands[1]
        features = kernel.shape[params["dimension_numbers"].rhs_spec[0]]
        dilation = math.prod(params["lhs_dilation"])  # zeros between pixels, which cost nothing
        return Cost(output.size * kernel.size // features // dilation)
    inner = [_count(part) for part in jaxprs_in_params(params)]
    if name == "cond":
        if params.get("branches_platforms") is not None:
            return inner[0]
        return min(inner)._replace(exact=all(part.exact for part in inner) and len(set(inner)) == 1)
    total = sum(inner, Cost(0))
    if name == "scan":
        return total._replace(multiplications=params["length"] * total.multiplications)
    return total._replace(exact=False) if name == "while" and total.multiplications else total
