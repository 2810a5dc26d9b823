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


def of_one(target):
    return target


def of_two_examples(target, prediction):
    return jnp.zeros(2) + per_example(target, prediction)


def whole_numbers(target, prediction):
    return jnp.round(per_example(target, prediction)).astype(int)


not_callable = 3
HERE = __name__


def loss(value):
    return resolve_function("loss", value, {"known": per_example}, (IMAGES, IMAGES), (2,))


def test_a_known_name_and_a_path_give_the_function():
    assert loss("known") is loss(f"{HERE}:per_example")


@pytest.mark.parametrize(
    "value",
    [
        "unknown",
        ":x",
        "no.such.module:x",
        f"{HERE}:absent",
        f"{HERE}:not_callable",
        f"{HERE}:of_one",  # takes one argument
        f"{HERE}:of_two_examples",  # fits the first batch size that is tried only
        f"{HERE}:whole_numbers",
        f"{HERE}:unreduced",
    ],
)
def test_what_cannot_be_used_is_one_line_with_the_field(value):
    with pytest.raises(ConfigError) as raised:
        loss(value)
    assert (raised.value.field, raised.value.value) == ("loss", value)
    assert "\n" not in str(raised.value)


def test_of_an_unknown_name_the_known_ones_are_told():
    with pytest.raises(ConfigError) as raised:
        loss("unknown")
    assert "known" in raised.value.reason.replace("unknown", "")


def test_a_part_of_a_thing_is_named():
    with pytest.raises(ConfigError) as raised:
        check_function("loss", "mine", of_one, (IMAGES, IMAGES), (2,), "generator")
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
def test_a_module_that_cannot_be_imported_is_one_line_with_the_field(tmp_path, monkeypatch, source, error):
    name = f"mine_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError) as raised:
        loss(f"{name}:x")
    assert (raised.value.field, raised.value.value) == ("loss", f"{name}:x")
    assert error in raised.value.reason and "\n" not in raised.value.reason


def test_resolving_gives_whatever_it_is():
    assert resolve("thing", f"{HERE}:not_callable", {}) == 3
