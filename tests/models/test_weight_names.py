"""Tests of the comparison of published weights with a network's names and shapes."""

import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.models.weight_names import match, normalise, normalise_name


@pytest.mark.parametrize(
    ("name", "normalised"),
    [
        ("bert.embeddings.LayerNorm.gamma", "embeddings.LayerNorm.weight"),
        ("bert.encoder.layer.0.output.LayerNorm.beta", "encoder.layer.0.output.LayerNorm.bias"),
        ("encoder.layer.0.output.dense.weight", "encoder.layer.0.output.dense.weight"),
        ("cls.predictions.transform.LayerNorm.gamma", "cls.predictions.transform.LayerNorm.weight"),
        ("transformer.h.0.attn.c_attn.bias", "h.0.attn.c_attn.bias"),
        ("_orig_mod.transformer.wte.weight", "wte.weight"),
        ("module.bert.pooler.dense.bias", "pooler.dense.bias"),
        ("gamma.kernel", "gamma.kernel"),
        ("gamma", "weight"),
    ],
)
def test_names_are_normalised(name, normalised):
    assert normalise_name(name) == normalised


def test_buffers_are_left_out():
    kept = (
        "transformer.h.0.attn.c_attn.bias",
        "bert.encoder.layer.0.attention.self.query.bias",
        "h.0.attn.c_proj.bias",
    )
    buffers = ("transformer.h.0.attn.bias", "h.1.attn.masked_bias", "bert.embeddings.position_ids", "position_ids")
    arrays = {name: number for number, name in enumerate((*kept, *buffers))}
    assert normalise(arrays, "x") == {
        "h.0.attn.c_attn.bias": 0,
        "encoder.layer.0.attention.self.query.bias": 1,
        "h.0.attn.c_proj.bias": 2,
    }
    assert normalise({"bert.a": 1}, "x", prefixes=()) == {"bert.a": 1}


def test_two_names_of_one_array_are_refused():
    with pytest.raises(UserError, match=r"^model: bert\.a\.gamma and a\.weight "):
        normalise({"bert.a.gamma": 1, "b": 2, "a.weight": 3}, "model")


EXPECTED = {"b": (2, 3), "a": (4,), "head.weight": (3,)}


def test_equal_names_and_shapes_match():
    found = {"a": [4], "head.weight": np.zeros(3).shape, "b": (2, 3)}
    assert match(EXPECTED, found, "x") == ["b", "a", "head.weight"]


def test_optional_names_may_be_on_either_side():
    assert match(EXPECTED, {"a": (4,), "b": (2, 3)}, "x", ("head.*",)) == ["b", "a"]
    assert match(EXPECTED, EXPECTED | {"cls.bias": (9,), "cls.x.y": (1,)}, "x", ("cls.*",)) == list(EXPECTED)
    with pytest.raises(UserError):
        match(EXPECTED, EXPECTED | {"head.weight": (4,)}, "x", ("head.*",))  # but not of another shape


def test_all_differences_are_in_one_line():
    found = {"a": (5,), **{f"z{number}": () for number in range(5)}, "b": (3, 2)}
    with pytest.raises(UserError) as raised:
        match(EXPECTED, found, "/x/model.safetensors")
    text = str(raised.value)
    assert text.startswith("/x/model.safetensors: ") and "\n" not in text
    assert "1 missing: head.weight" in text and "5 not the network's: z0, z1, z2, ..." in text and "z3" not in text
    assert "b (3, 2) instead of (2, 3), a (5,) instead of (4,)" in text


@pytest.mark.parametrize("found", [{}, {"a": (4,)}, EXPECTED | {"c": ()}, EXPECTED | {"a": (4, 1)}])
def test_each_difference_alone_is_refused(found):
    with pytest.raises(UserError, match=r"^x: "):
        match(EXPECTED, found, "x")
