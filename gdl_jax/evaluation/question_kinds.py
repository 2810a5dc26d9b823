"""Whether a question asks for what its answer is, as far as their words tell: who, where, when and how many."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np

Words = Sequence[str]
TIME_WORDS, NUMBER_WORDS, SMALL_WORDS = (
    frozenset(words.split())
    for words in (
        "january february march april may june july august september october november december monday tuesday "
        "wednesday thursday friday saturday sunday today yesterday tomorrow tonight morning evening afternoon night "
        "midnight noon spring summer autumn winter day days week weeks weekend month months year years decade decades "
        "century centuries bc ad b.c. a.d. a.m. p.m.",
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands "
        "million millions billion billions trillion dozen dozens half third quarter percent % $ £ €",
        "a an the of and in on at to for de la le von van 's , . - & ' \"",
    )
)
TIMES = ("year", "years", "date", "day", "month", "century", "decade", "time")  # what or which of them asks when
AMOUNTS = ("number", "percentage", "percent", "amount")
FITTING = {"who": ("name",), "where": ("name",), "when": ("time",), "how many": ("number", "time")}


def question_kind(words: Words) -> str:
    """What a question asks for, by its words: "who", "where", "when", "how many" or "other".

    "When" includes what (which, in what) year, date, day, month, century, decade and time; "how many" how much, and
    what number, percentage and amount; "who" whom and whose.
    """
    line = [word.lower() for word in words]
    pairs = set(pairwise(line))
    if pairs & ({("how", "many"), ("how", "much")} | set(product(("what", "which"), AMOUNTS))):
        return "how many"
    if "when" in line or pairs & set(product(("what", "which"), TIMES)):
        return "when"
    if {"who", "whom", "whose"} & set(line):
        return "who"
    return "where" if "where" in line else "other"


def answer_kind(words: Words) -> str:
    """What an answer looks like, by its words in their own case: "time", "number", "name" or "other".

    A time has a month, a weekday, another word of time, or a year (1000 to 2099, or 1980s); a number has digits or a
    number word (how long something took is a time here, and answers "how many" as well); a name has a capital in each
    word but the small ones.
    """
    line = [word.lower() for word in words]
    if any(word in TIME_WORDS or _is_year(word) for word in line):
        return "time"
    if any(word in NUMBER_WORDS or word[0].isdigit() for word in line):
        return "number"
    telling = [word for word in words if word.lower() not in SMALL_WORDS]
    return "name" if telling and all(word[0].isupper() for word in telling) else "other"


def _is_year(word: str) -> bool:
    digits = word.removesuffix("s")
    return len(digits) == 4 and digits.isdecimal() and 1000 <= int(digits) < 2100


def kind_agreement(questions: Sequence[Words], answers: Sequence[Words]) -> dict[str, float]:
    """How often a question asks for what its answer is; those of kind "other" are not judged.

    Args:
      questions: N in words.
      answers: theirs, in words in their own case.

    Returns:
      "judged", the share of questions whose kind is known; "fits", the share of these that fit their answers; "chance",
      the share that would on average if the answers were dealt to the questions at random. 0 where none is judged.
    """
    asked, kinds = [question_kind(words) for words in questions], [answer_kind(words) for words in answers]
    judged = [(FITTING[kind], answer) for kind, answer in zip(asked, kinds, strict=True) if kind in FITTING]
    if not judged:
        return {"judged": 0.0, "fits": 0.0, "chance": 0.0}
    share = {kind: count / len(kinds) for kind, count in Counter(kinds).items()}
    return {
        "judged": len(judged) / len(asked),
        "fits": float(np.mean([answer in fitting for fitting, answer in judged])),
        "chance": float(np.mean([sum(share.get(kind, 0.0) for kind in fitting) for fitting, _ in judged])),
    }
