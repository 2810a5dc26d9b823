import jax
import jax.numpy as jnp
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.core.lookup import resolve, resolve_function

IMAGES = jax.ShapeDtypeStruct((2, 4, 4, 1), jnp.float32)


def per_example(target, prediction):
    return jnp.abs(target - prediction).reshape(len(target), -1).mean(1)


def unreduced(target, prediction):
    return jnp.abs(target - prediction)


def of_one(target):
    return target


def of_two_examples(target, prediction):
    return jnp.zeros(2) + per_example(target, prediction)


def whole_numbers(target, prediction):
    return jnp.round(per_example(target, prediction)).astype(int)


not_callable = 3
HERE = "tests.core.test_named"


def loss(value):
    return resolve_function("loss", value, {"known": per_example}, (IMAGES, IMAGES), (2,))


def test_a_known_name_and_a_path_give_the_function():
    assert loss("known") is loss(f"{HERE}:per_example")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("unknown", "choose one of known"),
        (":x", "cannot import"),
        ("no.such.module:x", "cannot import"),
        (f"{HERE}:absent", "has no 'absent'"),
        (f"{HERE}:not_callable", "fails"),
        (f"{HERE}:of_one", "fails"),
        (f"{HERE}:of_two_examples", r"float32\[3, 4, 4, 1\], float32\[3, 4, 4, 1\] it fails: .*incompatible"),
        (f"{HERE}:whole_numbers", "must return floating-point numbers, not int32"),
        (f"{HERE}:unreduced", r"must return an array of shape \(2,\), not \(2, 4, 4, 1\)"),
    ],
)
def test_what_cannot_be_used_is_one_line_with_the_flag(value, message):
    with pytest.raises(UserError, match=rf"^--loss={value}: .*{message}"):
        loss(value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def loss(:", "SyntaxError: invalid syntax"),
        ("raise OSError('no such driver')", "OSError: no such driver"),
        ("import math\nmath.absent", "AttributeError: module 'math' has no attribute 'absent'"),
        ("import sys\nsys.exit(0)", "SystemExit: 0"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line_with_the_flag(tmp_path, monkeypatch, source, message):
    name = f"mine_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=rf"^--loss={name}:x: cannot import {name} \({message}"):
        loss(f"{name}:x")


def test_resolving_gives_whatever_it_is():
    assert resolve("thing", f"{HERE}:not_callable", {}) == 3
