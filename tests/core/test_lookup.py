"""Tests of the lookup of objects that a hyperparameter names."""

import jax
import jax.numpy as jnp
import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.lookup import check_function, resolve, resolve_function

IMAGES = jax.ShapeDtypeStruct((2, 4, 4, 1), jnp.float32)


def per_example(target, prediction):
    return jnp.abs(target - prediction).reshape(len(target), -1).mean(1)


def unreduced(target, prediction):
    return jnp.abs(target - prediction)


def one_argument(target):
    return target


def two_examples(target, prediction):
    return jnp.zeros(2) + per_example(target, prediction)


def whole_numbers(target, prediction):
    return jnp.round(per_example(target, prediction)).astype(int)


not_callable = 3
HERE = __name__


def loss(value):
    return resolve_function("loss", value, {"known": per_example}, (IMAGES, IMAGES), (2,))


def test_finds_a_function_by_known_name_and_by_path():
    assert loss("known") is loss(f"{HERE}:per_example")


@pytest.mark.parametrize(
    "value",
    [
        "unknown",
        ":x",
        "no.such.module:x",
        f"{HERE}:absent",
        f"{HERE}:not_callable",
        f"{HERE}:one_argument",  # takes one argument
        f"{HERE}:two_examples",  # is right for the first batch size only
        f"{HERE}:whole_numbers",
        f"{HERE}:unreduced",
    ],
)
def test_refuses_unusable_functions_by_field(value):
    with pytest.raises(ConfigError) as raised:
        loss(value)
    assert (raised.value.field, raised.value.value) == ("loss", value)
    assert "\n" not in str(raised.value)


def test_lists_the_known_names_for_an_unknown_one():
    with pytest.raises(ConfigError) as raised:
        loss("unknown")
    assert "known" in raised.value.reason.replace("unknown", "")


def test_names_the_part_of_an_object():
    with pytest.raises(ConfigError) as raised:
        check_function("loss", "mine", one_argument, (IMAGES, IMAGES), (2,), "generator")
    assert str(raised.value).startswith("loss=mine: generator")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def loss(:", "SyntaxError"),
        ("raise OSError('no such driver')", "OSError: no such driver"),
        ("import math\nmath.absent", "AttributeError"),
        ("import sys\nsys.exit(0)", "SystemExit"),
    ],
)
def test_refuses_modules_that_cannot_be_imported(tmp_path, monkeypatch, source, error):
    name = f"mine_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError) as raised:
        loss(f"{name}:x")
    assert (raised.value.field, raised.value.value) == ("loss", f"{name}:x")
    assert error in raised.value.reason and "\n" not in raised.value.reason


def test_resolves_any_object():
    assert resolve("thing", f"{HERE}:not_callable", {}) == 3
