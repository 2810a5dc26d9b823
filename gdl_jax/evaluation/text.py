"""Metrics of text: F1 of tagged answers, BLEU and ROUGE of generated questions, and unigram entropy."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from gdl_jax.core.extras import extra

Words = Sequence[str]


def unigram_entropy(tokens: Iterable) -> float:
    """Returns -sum p log p in nats over the token frequencies p: the least possible loss without context.

    Its exponential is the perplexity of the unigram model.
    """
    counts = np.array(list(Counter(np.asarray(tokens).ravel().tolist()).values()), np.float64)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def unknown_share(numbers: np.ndarray, mask: np.ndarray, unknown: int) -> float:
    """Returns the share of unknown words among the tokens (N, T) that the mask (N, T) selects, in [0, 1]."""
    mask = np.asarray(mask, bool)
    return float((np.asarray(numbers)[mask] == unknown).mean()) if mask.any() else 0.0


def answer_scores(predicted: np.ndarray, actual: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Returns scores of the tags of answer words in N passages.

    Tagging every word has recall 1 and a precision equal to the share of answer words. Tagging at random, at any rate,
    has the same precision in expectation.

    Args:
      predicted, actual: (N, D), 0 or 1. Each passage occurs once, not once per question.
      mask: (N, D), nonzero at the words of a passage, 0 at padding.

    Returns:
      "precision", "recall" and "f1" over all words together (0 if nothing is tagged), and "exact_match", the share of
      passages whose tags are all correct.
    """
    mask = np.asarray(mask, bool)
    predicted, actual = (np.asarray(tags, bool) & mask for tags in (predicted, actual))
    right = (predicted & actual).sum()
    precision = right / max(predicted.sum(), 1)
    recall = right / max(actual.sum(), 1)
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(2 * right / max(predicted.sum() + actual.sum(), 1)),
        "exact_match": float((predicted == actual).all(axis=1).mean()),
    }


def best_threshold(probabilities: np.ndarray, actual: np.ndarray, mask: np.ndarray) -> float:
    """Returns the threshold with the highest F1 if all words at least as probable are tagged.

    Answers are rare and hard to predict: few words have a probability above 0.5, even if a model ranks them well.
    Choose the threshold on held-out passages other than the evaluated ones.

    Args:
      probabilities: (N, D) in [0, 1].
      actual, mask: (N, D), as in `answer_scores`; at least one word belongs to an answer.
    """
    mask = np.asarray(mask, bool)
    found = np.asarray(probabilities)[mask]
    order = np.argsort(-found, kind="stable")
    ranked, right = found[order], np.cumsum(np.asarray(actual, bool)[mask][order])
    scores = 2 * right / (np.arange(1, len(order) + 1) + right[-1])
    scores[:-1][ranked[:-1] == ranked[1:]] = 0.0  # ties are tagged together
    return float(ranked[scores.argmax()])


def question_scores(predicted: Sequence[Words], references: Sequence[Sequence[Words]]) -> dict[str, float]:
    """Returns BLEU-4 and ROUGE-L of generated questions, given people's questions about the same answers.

    Args:
      predicted: words of N questions, in lower case.
      references: for each, the words of one or more questions, in lower case.

    Returns:
      "bleu_4" of the corpus in [0, 100], without smoothing (Papineni et al. 2002), and "rouge_l" in [0, 1]: the mean
      over questions of the F-measure of the longest common subsequence with the best reference (Lin 2004).
    """
    with extra("text"):  # here, as nltk, which rouge_score imports, is slow
        from rouge_score.rouge_scorer import RougeScorer
        from sacrebleu.metrics import BLEU

    lines = [" ".join(words) for words in predicted]
    targets = [[" ".join(words) for words in known] for known in references]
    most = max(map(len, targets))
    columns = [[known[i] if i < len(known) else None for known in targets] for i in range(most)]
    bleu = BLEU(tokenize="none", smooth_method="none", force=True).corpus_score(lines, columns)
    scorer = RougeScorer(["rougeL"], tokenizer=_Spaces())
    rouge = [scorer.score_multi(known, line)["rougeL"].fmeasure for known, line in zip(targets, lines, strict=True)]
    return {"bleu_4": float(bleu.score), "rouge_l": float(np.mean(rouge))}


class _Spaces:
    """A tokeniser for rouge-score, as its own drops punctuation."""

    @staticmethod
    def tokenize(text: str) -> list[str]:
        return text.split()
