"""The fashions of planet Wrodl (book chapter 1): 50 avatars, each five categorical features.

The book prints the first ten rows and how often each value occurs among the fifty. The other forty rows are drawn here
so that both hold, and what the book says of single combinations holds too: (LongHairStraight, Red, Round,
ShirtScoopNeck, White) occurs twice, the same in Blue01 never.
"""

import re
from collections.abc import Sequence

import numpy as np

from gdl_jax.data.dataset import ArraySource, DataSet

COUNTS = {  # feature -> {value: how many of the 50 rows have it} (book table 1-2)
    "accessoriesType": {"Blank": 11, "Round": 22, "Sunglasses": 17},
    "clothingColor": {
        "Black": 0,
        "Blue01": 4,
        "Gray01": 10,
        "PastelGreen": 5,
        "PastelOrange": 2,
        "Pink": 4,
        "Red": 3,
        "White": 22,
    },
    "clothingType": {"Hoodie": 7, "Overall": 18, "ShirtScoopNeck": 19, "ShirtVNeck": 6},
    "hairColor": {"Black": 7, "Blonde": 6, "Brown": 2, "PastelPink": 3, "Red": 8, "SilverGray": 24},
    "topType": {
        "NoHair": 7,
        "LongHairBun": 0,
        "LongHairCurly": 1,
        "LongHairStraight": 23,
        "ShortHairShortWaved": 1,
        "ShortHairShortFlat": 11,
        "ShortHairFrizzle": 7,
    },
}
FEATURES = {feature: tuple(counts) for feature, counts in COUNTS.items()}
LEVELS = tuple(len(values) for values in FEATURES.values())  # 3 * 8 * 4 * 6 * 7 = 4,032 combinations
FACTORS = ("accessories_type", "clothe_color", "clothe_type", "hair_color", "top_type")  # what avatars calls them
PRINTED = (  # book table 1-1, in the order of FEATURES
    ("Round", "White", "ShirtScoopNeck", "Red", "ShortHairShortFlat"),
    ("Round", "White", "Overall", "SilverGray", "ShortHairFrizzle"),
    ("Sunglasses", "White", "ShirtScoopNeck", "Blonde", "ShortHairShortFlat"),
    ("Round", "White", "ShirtScoopNeck", "Red", "LongHairStraight"),
    ("Round", "White", "Overall", "SilverGray", "NoHair"),
    ("Blank", "White", "Overall", "Black", "LongHairStraight"),
    ("Sunglasses", "White", "Overall", "SilverGray", "LongHairStraight"),
    ("Round", "White", "ShirtScoopNeck", "SilverGray", "ShortHairShortFlat"),
    ("Round", "Pink", "Hoodie", "SilverGray", "LongHairStraight"),
    ("Round", "PastelOrange", "ShirtScoopNeck", "Blonde", "LongHairStraight"),
)
SEEN_TWICE = ("Round", "White", "ShirtScoopNeck", "Red", "LongHairStraight")  # "combination 1"
NEVER_SEEN = ("Round", "Blue01", "ShirtScoopNeck", "Red", "LongHairStraight")
HELD_OUT = 1000


def encode(fashions: Sequence[Sequence[str]]) -> np.ndarray:
    """Names of values -> (N, 5) int32, each the place of the value in FEATURES."""
    columns = FEATURES.values()
    return np.array([[v.index(name) for v, name in zip(columns, row, strict=True)] for row in fashions], np.int32)


def decode(codes: np.ndarray) -> list[tuple[str, ...]]:
    """The inverse of `encode`: (N, 5) -> N tuples of five names."""
    return [tuple(values[c] for values, c in zip(FEATURES.values(), row, strict=True)) for row in codes]


def factors(fashion: Sequence[str]) -> dict[str, str]:
    """What `avatars.render` needs to draw a fashion, given as five names: {"top_type": "LONG_HAIR_STRAIGHT", ...}."""
    levels = [re.sub("(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).upper() for name in fashion]
    drawn = dict(zip(FACTORS, levels, strict=True))
    return drawn | {"accessories_type": drawn["accessories_type"].replace("BLANK", "DEFAULT")}


def _drawn_rows(rng: np.random.Generator) -> np.ndarray:
    """Forty rows (40, 5) that bring the counts of the printed ten to those of the fifty.

    Each column holds the values that are left over, in random order; orders that break what the book says of
    SEEN_TWICE, of which one row is printed, and of NEVER_SEEN are drawn again.
    """
    printed = encode(PRINTED)
    columns = []
    for column, counts in zip(printed.T, COUNTS.values(), strict=True):
        left = np.array(list(counts.values())) - np.bincount(column, minlength=len(counts))
        columns.append(np.repeat(np.arange(len(counts), dtype=np.int32), left))
    twice, never = encode([SEEN_TWICE, NEVER_SEEN])
    while True:
        rows = np.stack([rng.permutation(column) for column in columns], axis=1)
        if (rows == twice).all(1).sum() == 1 and not (rows == never).all(1).any():
            return rows


def load() -> DataSet:
    """50 rows to train on, {"features": int32 (N, 5)}.

    The book has no held-out fashions. The 1,000 test rows here are drawn from the printed counts, feature by feature:
    the mean surprise of a model at them is that of a planet on which the features are independent indeed.
    """
    rng = np.random.default_rng(0)
    train = np.concatenate([encode(PRINTED), _drawn_rows(rng)])
    shares = [np.array(list(counts.values())) / 50 for counts in COUNTS.values()]
    test = np.stack([rng.choice(len(share), HELD_OUT, p=share) for share in shares], axis=1).astype(np.int32)
    note = "rows 10 to 49 and the test rows are drawn to the book's counts"
    return DataSet("wrodl", ArraySource({"features": train}), ArraySource({"features": test}), note=note)
