"""The Wrodl table agrees with everything that the book prints of it (tables 1-1 and 1-2 are copied here)."""

import numpy as np
import pytest

from gdl_jax.data.images import avatars, wrodl

TRAIN = wrodl.load().train.take(np.arange(50))["features"]
NAMED = wrodl.decode(TRAIN)
TABLE_1_2 = {
    "topType": "NoHair 7 LongHairBun 0 LongHairCurly 1 LongHairStraight 23 ShortHairShortWaved 1 ShortHairShortFlat 11 "
    "ShortHairFrizzle 7",
    "hairColor": "Black 7 Blonde 6 Brown 2 PastelPink 3 Red 8 SilverGray 24",
    "clothingColor": "Black 0 Blue01 4 Gray01 10 PastelGreen 5 PastelOrange 2 Pink 4 Red 3 White 22",
    "accessoriesType": "Blank 11 Round 22 Sunglasses 17",
    "clothingType": "Hoodie 7 Overall 18 ShirtScoopNeck 19 ShirtVNeck 6",
}


def test_the_sample_space():
    assert len(TRAIN) == 50 and TRAIN.dtype == np.int32
    assert np.prod(wrodl.LEVELS) == 4032
    assert set(wrodl.FEATURES) == set(TABLE_1_2)


@pytest.mark.parametrize("feature", TABLE_1_2)
def test_values_have_the_counts_of_table_1_2(feature):
    printed = TABLE_1_2[feature].split()
    column = [fashion[list(wrodl.FEATURES).index(feature)] for fashion in NAMED]
    assert {value: column.count(value) for value in wrodl.FEATURES[feature]} == dict(
        zip(printed[::2], map(int, printed[1::2]), strict=True)
    )


def test_the_first_rows_are_those_of_table_1_1():
    assert NAMED[0] == ("Round", "White", "ShirtScoopNeck", "Red", "ShortHairShortFlat")
    assert NAMED[5] == ("Blank", "White", "Overall", "Black", "LongHairStraight")
    assert NAMED[9] == ("Round", "PastelOrange", "ShirtScoopNeck", "Blonde", "LongHairStraight")


def test_combination_1_occurs_twice_and_never_in_blue():
    assert NAMED.count(("Round", "White", "ShirtScoopNeck", "Red", "LongHairStraight")) == 2
    assert NAMED.count(("Round", "Blue01", "ShirtScoopNeck", "Red", "LongHairStraight")) == 0


def test_the_table_is_deterministic_and_decoding_inverts_encoding():
    np.testing.assert_array_equal(wrodl.load().train.take(np.arange(50))["features"], TRAIN)
    np.testing.assert_array_equal(wrodl.encode(NAMED), TRAIN)


def test_held_out_rows_have_the_marginals_of_the_table():
    test = wrodl.load().test
    rows = test.take(np.arange(len(test)))["features"]
    for held_out, trained, levels in zip(rows.T, TRAIN.T, wrodl.LEVELS, strict=True):
        shares, expected = (np.bincount(x, minlength=levels) / len(x) for x in (held_out, trained))
        assert (np.abs(shares - expected) <= 4 * np.sqrt(expected * (1 - expected) / len(rows))).all()


def test_every_value_can_be_rendered_as_an_avatar():
    plain = dict(zip(wrodl.FEATURES, NAMED[5], strict=True))
    for feature, values in wrodl.FEATURES.items():
        pictures = {avatars.render(wrodl.factors((plain | {feature: v}).values()), 32).tobytes() for v in values}
        assert len(pictures) == len(values), feature
