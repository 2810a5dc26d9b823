"""SQuAD's metrics of answers: exact match and F1 of words (Rajpurkar et al. 2016, section 6.1).

`text.answer_scores` measures tags of words by their places in a passage; these compare texts.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

ARTICLES = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def answer_words(answer: str) -> list[str]:
    """Returns the words of an answer that count: in lower case, without punctuation and articles."""
    return ARTICLES.sub(" ", answer.lower().translate(WITHOUT_PUNCTUATION)).split()


def exact_match(predicted: str, reference: str) -> float:
    """Returns 1 if two answers have the same words in the same order, else 0."""
    return float(answer_words(predicted) == answer_words(reference))


def word_f1(predicted: str, reference: str) -> float:
    """Returns the harmonic mean of precision and recall of an answer's words, without their order, in [0, 1].

    Repeated words count as often as both have them. It is 0 without a common word, also if both have none.
    """
    found, right = Counter(answer_words(predicted)), Counter(answer_words(reference))
    common = (found & right).total()
    return 2 * common / (found.total() + right.total()) if common else 0.0


def span_scores(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Returns the means over N questions of each answer's score with the best reference, in [0, 1].

    SQuAD's own program gives percentages.

    Args:
      predicted: N answers.
      references: for each question, the answers of one person or more.

    Returns:
      "exact_match" and "f1".
    """

    def mean(score: Callable[[str, str], float]) -> float:
        best = [max(score(one, known) for known in several) for one, several in zip(predicted, references, strict=True)]
        return float(np.mean(best))

    return {"exact_match": mean(exact_match), "f1": mean(word_f1)}
