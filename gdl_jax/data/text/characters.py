"""Characters that belong to the character before them: words are not cut at them (Unicode's UAX #29, rule WB4)."""

import unicodedata
from functools import cache
from itertools import groupby

PLANES = (range(0x20000), range(0xE0000, 0xE1000))  # all marks lie in these
# Soft hyphen, zero-width non-joiner and joiner, word joiner, and the skin tones of emoji.
JOINERS = "\u00ad\u200c\u200d\u2060\U0001f3fb-\U0001f3ff"
ZERO_WIDTH_JOINER = "\u200d"


def _mark_ranges() -> str:
    """Returns all marks (vowel signs, accents, points, ...) as ranges for a character class of `re`."""
    marks = [code for plane in PLANES for code in plane if unicodedata.category(chr(code))[0] == "M"]
    runs = [[code for _, code in run] for _, run in groupby(enumerate(marks), lambda pair: pair[1] - pair[0])]
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)


@cache  # takes 50 ms, which programs without texts are spared
def extending() -> str:
    """Returns the characters that extend the one before them, for use inside [...] of a regular expression."""
    return _mark_ranges() + JOINERS


def symbol() -> str:
    """Returns a regular expression of any character and its extending ones; emoji joined into one are one.

    It is the last alternative of a pattern, after those for words.
    """
    return rf"\S[{extending()}]*(?:(?<={ZERO_WIDTH_JOINER})[^\w\s][{extending()}]*)*"
