"""What a function costs, from its jaxpr: the same number on every platform, with loops counted as often as they run."""

import math
from typing import NamedTuple

from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params
from jax.interpreters import partial_eval


class Cost(NamedTuple):
    """Multiplications of matrix products and convolutions; `exact` is False where at least so many are needed."""

    multiplications: int
    exact: bool = True

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.multiplications + other.multiplications, self.exact and other.exact)


def count_multiplications(jaxpr: Jaxpr) -> Cost:
    """The cost of one evaluation, without what no output depends on.

    A loop whose length only its values decide is counted once, of branches the cheapest: such a number is not exact.
    Where the platform chooses between branches, they are one thing in several forms, and the first is counted.
    """
    needed, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return _count(needed)


def _count(jaxpr: Jaxpr) -> Cost:
    return sum(map(_count_equation, jaxpr.eqns), Cost(0))


def _count_equation(equation: JaxprEqn) -> Cost:
    params, name = equation.params, equation.primitive.name
    output = equation.outvars[0].aval
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return Cost(output.size * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted))
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval
        features = kernel.shape[params["dimension_numbers"].rhs_spec[0]]
        return Cost(output.size * kernel.size // features // math.prod(params["lhs_dilation"]))  # zeros between pixels
    inner = [_count(part) for part in jaxprs_in_params(params)]
    if name == "cond":
        if params.get("branches_platforms") is not None:
            return inner[0]
        return min(inner)._replace(exact=all(part.exact for part in inner) and len(set(inner)) == 1)
    total = sum(inner, Cost(0))
    if name == "scan":
        return total._replace(multiplications=params["length"] * total.multiplications)
    return total._replace(exact=False) if name == "while" and total.multiplications else total
