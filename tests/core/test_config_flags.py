"""Tests of flags made from dataclasses: help, types, rules, paths, JSON."""

import dataclasses
import importlib
from typing import Annotated

import pytest
from absl import flags

from gdl_jax.core import config_flags
from gdl_jax.core.config_flags import AtLeast, Below, IsPath, IsPathAfter, Needs, OneOf, Renamed
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.lookup import resolve


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    learning_rate: float = 5e-4  # of Adam (book 03_03)
    filters: tuple[int, ...] = (32, 64)  # of each layer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Base):
    z_dim: int = 2  # size of the latent space
    name: str = "x"  # a name # with a hash
    use_batch_norm: bool = False  # after each convolution
    limit: int | None = None  # none if not given


def parse(*arguments):
    values = flags.FlagValues()
    config_flags.define(Config(), values)
    values(["program", *arguments])
    return values


def test_comments_become_help():
    assert config_flags.comments(Config) == {
        "learning_rate": "of Adam (book 03_03)",
        "filters": "of each layer",
        "z_dim": "size of the latent space",
        "name": "a name # with a hash",
        "use_batch_norm": "after each convolution",
        "limit": "none if not given",
    }
    assert "size of the latent space" in parse()["z_dim"].help


def test_returns_only_the_flags_set_by_the_user_with_their_types():
    assert config_flags.chosen(Config, parse()) == {}
    values = parse("--learning_rate=0.1", "--filters=1,2,3", "--use_batch_norm", "--limit=7")
    assert config_flags.chosen(Config, values) == {
        "learning_rate": 0.1,
        "filters": (1, 2, 3),
        "use_batch_norm": True,
        "limit": 7,
    }


@pytest.mark.parametrize("argument", ["--z_dim=two", "--learning_rate=fast", "--zdim=2"])
def test_refuses_bad_flags(argument):
    with pytest.raises(flags.Error):
        parse(argument)


def test_refuses_a_bad_list_element_by_flag():
    with pytest.raises(UserError, match="filters=1,b"):
        config_flags.chosen(Config, parse("--filters=1,b"))


def test_survives_a_json_round_trip_and_reports_changes():
    config = Config(filters=(8,))
    stored = dataclasses.asdict(config) | {"filters": [8]}
    assert config_flags.from_dict(Config, stored) == config
    assert config_flags.changed(stored, dataclasses.asdict(config), ignore=()) == []
    other = dataclasses.asdict(config) | {"z_dim": 3, "name": "y"}
    assert config_flags.changed(stored, other, ignore=("name",)) == ["z_dim was 2, is now 3"]
    with pytest.raises(UserError, match="typo"):
        config_flags.from_dict(Config, {"typo": 1})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ruled:
    units: Annotated[tuple[int, ...], AtLeast(1)] = (8,)  # of each layer
    rate: Annotated[float, AtLeast(0), Below(1)] = 0.0  # of dropout
    # the cell of each layer,
    # by name
    cell: Annotated[str, OneOf("lstm", "gru")] = "lstm"
    reset: Annotated[bool, Needs("cell=gru")] = True  # after the product
    limit: Annotated[int | None, AtLeast(1)] = None  # of something

    def __post_init__(self):
        config_flags.check(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Derived(Ruled):
    rate: float = 0.5  # another default
    units: Annotated[tuple[int, ...], Below(100)] = (8,)  # of each layer


@pytest.mark.parametrize("config", [Ruled, Derived])
@pytest.mark.parametrize(
    ("values", "assignment"),
    [
        ({"units": (4, 0)}, "units=4,0"),
        ({"rate": 1.0}, "rate=1.0"),
        ({"rate": float("nan")}, "rate=nan"),
        ({"cell": "lstn"}, "cell=lstn"),
        ({"limit": 0}, "limit=0"),
    ],
)
def test_refuses_values_that_an_annotation_forbids(config, values, assignment):
    with pytest.raises(ConfigError, match=f"^{assignment}: "):
        config(**values)


def test_subclasses_may_add_rules():
    assert Ruled(units=(100,)).units == (100,)
    with pytest.raises(ConfigError, match=r"^units=100: "):
        Derived(units=(100,))


def test_rules_apply_to_annotations_that_are_strings(tmp_path, monkeypatch):
    code = """
from __future__ import annotations
import dataclasses
import importlib
from typing import Annotated
from gdl_jax.core.config_flags import AtLeast

@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    z_dim: Annotated[int, AtLeast(1)] = 2
"""
    (tmp_path / "texts_as_annotations.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    config = importlib.import_module("texts_as_annotations").Config
    with pytest.raises(ConfigError, match=r"^z_dim=-5: "):
        config_flags.check(config(z_dim=-5))


def test_reads_renamed_values():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Later:
        optimizer: Annotated[str, Renamed("old:adam", "adam")] = "sgd"  # a name

    assert config_flags.from_dict(Later, {"optimizer": "old:adam"}).optimizer == "adam"
    assert config_flags.from_dict(Later, {"optimizer": "rmsprop"}).optimizer == "rmsprop"


def test_refuses_values_of_the_wrong_type():
    with pytest.raises(UserError, match=r"flags\.json"):
        config_flags.from_dict(Ruled, {"rate": "many"})


def test_reads_help_above_the_field():
    assert config_flags.comments(Ruled)["cell"] == "the cell of each layer, by name"
    assert config_flags.comments(Derived)["rate"] == "another default"


def test_refuses_changed_values_without_effect():
    config_flags.check_effects(Ruled(reset=True), Ruled())
    config_flags.check_effects(Ruled(reset=False, cell="gru"), Ruled())
    with pytest.raises(ConfigError, match=r"^reset=False: .*cell=gru"):
        config_flags.check_effects(Ruled(reset=False), Ruled())


def test_needing_applies_to_all_fields_of_a_class():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Both(config_flags.needing(Base, "name=x"), Ruled):
        name: str = "y"  # a name

    assert config_flags.comments(Both)["filters"] == "of each layer"
    assert Both().filters == (32, 64)
    config_flags.check_effects(Both(filters=(1,), name="x"), Both())
    with pytest.raises(ConfigError, match=r"^filters=1: .*name=x"):
        config_flags.check_effects(Both(filters=(1,)), Both())


def test_maps_paths_inside_values():
    path, after = IsPath(names=("", "none")), IsPathAfter("folder")
    upper = str.upper
    assert [path.map_path(value, upper) for value in ("none", "a/b")] == ["none", "A/B"]
    assert [after.map_path(value, upper) for value in ("folder:a", "tfds:a", "folder:")] == [
        "folder:A",
        "tfds:a",
        "folder:",
    ]
    assert [after.without_path(value) for value in ("folder:a", "tfds:a")] == ["folder", "tfds:a"]
    numbered = IsPathAfter("bpe", or_number=True)
    assert [numbered.map_path(value, upper) for value in ("bpe:a", "bpe:512", "bpe:./5x")] == [
        "bpe:A",
        "bpe:512",
        "bpe:./5X",
    ]
    assert [numbered.without_path(value) for value in ("bpe:a", "bpe:512")] == ["bpe", "bpe:512"]
    assert path.without_path("a/b") == "a/b" and IsPath(moves=True).without_path("a/b") == ""


def test_resolves_names_and_attributes():
    known = {"relu": max}
    assert resolve("activation", "relu", known) is max
    assert resolve("activation", "math:cos", known)(0.0) == 1.0
    for value, text in [("rel", "choose one of relu"), ("no_such:f", "cannot import"), ("math:kos", "has no 'kos'")]:
        with pytest.raises(UserError, match=text):
            resolve("activation", value, known)
