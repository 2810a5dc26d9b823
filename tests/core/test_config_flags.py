import dataclasses

import pytest
from absl import flags

from gdl_jax.core import config_flags
from gdl_jax.core.errors import UserError
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


def test_the_comment_is_the_help():
    assert config_flags.comments(Config) == {
        "learning_rate": "of Adam (book 03_03)",
        "filters": "of each layer",
        "z_dim": "size of the latent space",
        "name": "a name # with a hash",
        "use_batch_norm": "after each convolution",
        "limit": "none if not given",
    }
    assert "size of the latent space" in parse()["z_dim"].help


def test_only_what_the_user_gave_is_chosen_with_its_type():
    assert config_flags.chosen(Config, parse()) == {}
    values = parse("--learning_rate=0.1", "--filters=1,2,3", "--use_batch_norm", "--limit=7")
    assert config_flags.chosen(Config, values) == {
        "learning_rate": 0.1,
        "filters": (1, 2, 3),
        "use_batch_norm": True,
        "limit": 7,
    }


@pytest.mark.parametrize("argument", ["--z_dim=two", "--learning_rate=fast", "--zdim=2"])
def test_bad_flags_are_refused(argument):
    with pytest.raises(flags.Error):
        parse(argument)


def test_a_bad_list_element_names_the_flag():
    with pytest.raises(UserError, match="--filters=1,b"):
        config_flags.chosen(Config, parse("--filters=1,b"))


def test_json_round_trip_and_changes():
    config = Config(filters=(8,))
    stored = dataclasses.asdict(config) | {"filters": [8]}
    assert config_flags.from_dict(Config, stored) == config
    assert config_flags.changed(stored, dataclasses.asdict(config), ignore=()) == []
    other = dataclasses.asdict(config) | {"z_dim": 3, "name": "y"}
    assert config_flags.changed(stored, other, ignore=("name",)) == ["--z_dim was 2, is now 3"]
    with pytest.raises(UserError, match="typo"):
        config_flags.from_dict(Config, {"typo": 1})


def test_resolve():
    known = {"relu": max}
    assert resolve("activation", "relu", known) is max
    assert resolve("activation", "math:cos", known)(0.0) == 1.0
    for value, text in [("rel", "choose one of relu"), ("no_such:f", "cannot import"), ("math:kos", "has no 'kos'")]:
        with pytest.raises(UserError, match=text):
            resolve("activation", value, known)
