"""The fashions of planet Wrodl (book chapter 1): 50 avatars, each with five categorical features.

The book prints the first ten rows and the count of each value among the fifty. The other forty rows are sampled here to
match those counts, and also the book's statements on two combinations: (LongHairStraight, Red, Round, ShirtScoopNeck,
White) occurs twice, the same with Blue01 never.
"""

import re
from collections.abc import Sequence

import numpy as np

from gdl_jax.data.dataset import ArraySource, DataSet

COUNTS = {  # feature -> {value: number of the 50 rows that have it} (book table 1-2)
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
FACTORS = ("accessories_type", "clothe_color", "clothe_type", "hair_color", "top_type")  # in `avatars`
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
    """Encodes names of values as their indices in FEATURES: (N, 5) int32."""
    columns = FEATURES.values()
    return np.array([[v.index(name) for v, name in zip(columns, row, strict=True)] for row in fashions], np.int32)


def decode(codes: np.ndarray) -> list[tuple[str, ...]]:
    """Inverts `encode`: (N, 5) -> N tuples of five names."""
    return [tuple(values[c] for values, c in zip(FEATURES.values(), row, strict=True)) for row in codes]


def factors(fashion: Sequence[str]) -> dict[str, str]:
    """Converts a fashion, five names, to factors for `avatars.render`: {"top_type": "LONG_HAIR_STRAIGHT", ...}."""
    levels = [re.sub("(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).upper() for name in fashion]
    drawn = dict(zip(FACTORS, levels, strict=True))
    return drawn | {"accessories_type": drawn["accessories_type"].replace("BLANK", "DEFAULT")}


def _drawn_rows(rng: np.random.Generator) -> np.ndarray:
    """Samples forty rows (40, 5) that complete the counts of the ten printed rows to those of the fifty.

    Each column is a random permutation of the remaining values. Permutations are redrawn until exactly one row is
    SEEN_TWICE (the other one is printed) and none is NEVER_SEEN.
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
    """Loads 50 training rows, {"features": int32 (N, 5)}, and 1,000 test rows.

    The book has no held-out fashions. The test rows are sampled from the printed counts, each feature independently, so
    a model's test loss is its cross-entropy with a planet whose features are independent.
    """
    rng = np.random.default_rng(0)
    train = np.concatenate([encode(PRINTED), _drawn_rows(rng)])
    shares = [np.array(list(counts.values())) / 50 for counts in COUNTS.values()]
    test = np.stack([rng.choice(len(share), HELD_OUT, p=share) for share in shares], axis=1).astype(np.int32)
    note = "rows 10 to 49 and the test rows are sampled to match the book's counts"
    return DataSet("wrodl", ArraySource({"features": train}), ArraySource({"features": test}), note=note)
