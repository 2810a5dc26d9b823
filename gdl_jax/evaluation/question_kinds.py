"""Agreement of the kind of a question (who, where, when, how many) with the kind of its answer, by their words."""

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
TIMES = ("year", "years", "date", "day", "month", "century", "decade", "time")  # after "what" or "which": asks when
AMOUNTS = ("number", "percentage", "percent", "amount")  # after "what" or "which": asks how many
FITTING = {"who": ("name",), "where": ("name",), "when": ("time",), "how many": ("number", "time")}


def question_kind(words: Words) -> str:
    """Returns the kind of a question: "who", "where", "when", "how many" or "other".

    "When" includes "what" or "which" year, date, day, month, century, decade and time. "How many" includes "how much",
    and "what" or "which" number, percentage and amount. "Who" includes "whom" and "whose".
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
    """Returns the kind of an answer, given its words in their original case: "time", "number", "name" or "other".

    A time contains a month, a weekday, another word for a time, or a year (1000 to 2099, or 1980s). A number contains a
    number word, or a word that begins with a digit. A duration counts as a time, and fits "how many" as well. A name is
    capitalised in every word but the small ones.
    """
    line = [word.lower() for word in words]
    if any(word in TIME_WORDS or _is_year(word) for word in line):
        return "time"
    if any(word in NUMBER_WORDS or word[0].isdigit() for word in line):
        return "number"
    content = [word for word in words if word.lower() not in SMALL_WORDS]
    return "name" if content and all(word[0].isupper() for word in content) else "other"


def _is_year(word: str) -> bool:
    digits = word.removesuffix("s")
    return len(digits) == 4 and digits.isdecimal() and 1000 <= int(digits) < 2100


def kind_agreement(questions: Sequence[Words], answers: Sequence[Words]) -> dict[str, float]:
    """Returns how often the kind of a question fits its answer. Questions of kind "other" are ignored.

    Args:
      questions: words of N questions.
      answers: words of their answers, in the original case.

    Returns:
      "known": share of questions of a kind other than "other".
      "fits": share of these that fit their answers.
      "chance": expected share that fits if answers are assigned to questions at random.
      All are 0 if no question has a known kind.
    """
    asked, kinds = [question_kind(words) for words in questions], [answer_kind(words) for words in answers]
    known = [(FITTING[kind], answer) for kind, answer in zip(asked, kinds, strict=True) if kind in FITTING]
    if not known:
        return {"known": 0.0, "fits": 0.0, "chance": 0.0}
    share = {kind: count / len(kinds) for kind, count in Counter(kinds).items()}
    return {
        "known": len(known) / len(asked),
        "fits": float(np.mean([answer in fitting for fitting, answer in known])),
        "chance": float(np.mean([sum(share.get(kind, 0.0) for kind in fitting) for fitting, _ in known])),
    }
