"""BLEU of translations: of words, as multi-bleu and torchtext compute it, or of readable text, by sacrebleu.

The two are not comparable. Words in lower case score higher than readable text, and each way of cutting sentences into
words has a scale of its own.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gdl_jax.core.extras import extra

Words = Sequence[str]
LONGEST = 4  # n-grams


class Bleu(NamedTuple):
    """BLEU of a corpus and its parts.

    Attributes:
      score: in [0, 100].
      precisions: of 1-grams to 4-grams, in percent.
      brevity_penalty: in [0, 1].
      predicted_words, reference_words: their numbers.
    """

    score: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    predicted_words: int
    reference_words: int


class SacreBleu(NamedTuple):
    """BLEU by sacrebleu, in [0, 100], and the signature that says how it was computed."""

    score: float
    signature: str


def corpus_bleu(predicted: Sequence[Words], references: Sequence[Words]) -> Bleu:
    """Returns BLEU-4 of N translations (Papineni et al. 2002), unsmoothed: 0 if no 4-gram is right.

    BLEU = BP exp(sum_n log(p_n) / 4) and BP = min(1, exp(1 - r / c)), for c words of N translations and r of their
    references; p_n is the share of the translations' n-grams that are right. An n-gram is right at most as often as its
    reference has it (section 2.3 of the paper).

    Args:
      predicted: words of each translation.
      references: words of one reference for each.
    """
    right, total = np.zeros(LONGEST), np.zeros(LONGEST)
    for words, known in zip(predicted, references, strict=True):
        for n in range(1, LONGEST + 1):
            found = _n_grams(words, n)
            right[n - 1] += (found & _n_grams(known, n)).total()
            total[n - 1] += found.total()
    lengths = [sum(map(len, sentences)) for sentences in (predicted, references)]
    penalty = min(1.0, float(np.exp(1 - lengths[1] / lengths[0]))) if lengths[0] else 0.0
    shares = right / np.maximum(total, 1)
    score = penalty * float(np.exp(np.log(shares).mean())) if shares.all() else 0.0
    return Bleu(100 * score, tuple((100 * shares).tolist()), penalty, *lengths)


def _n_grams(words: Words, n: int) -> Counter:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def sacre_bleu(
    predicted: Sequence[str], references: Sequence[str], *, lower_case: bool = False, tokenize: str = "13a"
) -> SacreBleu:
    """Returns sacrebleu's BLEU of N translations as readable text (Post 2018).

    Args:
      predicted: N translations.
      references: one reference for each, as it was written.
      lower_case: both are compared in lower case.
      tokenize: sacrebleu's tokeniser, such as "13a", "intl", "zh" or "none".

    Raises:
      UserError: sacrebleu is not installed.
    """
    with extra("text"):
        from sacrebleu.metrics import BLEU

    metric = BLEU(lowercase=lower_case, tokenize=tokenize, force=True)
    score = metric.corpus_score(list(predicted), [list(references)]).score
    return SacreBleu(float(score), str(metric.get_signature()))
