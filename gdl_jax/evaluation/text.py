"""What generated language is worth: tagged answers, questions beside those of people, and what words alone tell."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

Words = Sequence[str]


def unigram_entropy(tokens: Iterable) -> float:
    """-sum p log p in nats over the shares p of the tokens: the least loss of any model that sees no context.

    exp of it is the perplexity of such a model, as exp of a mean loss in nats is that of any.
    """
    counts = np.array(list(Counter(np.asarray(tokens).ravel().tolist()).values()), np.float64)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def unknown_share(numbers: np.ndarray, mask: np.ndarray, unknown: int) -> float:
    """Share of the tokens that are the unknown word: (N, T) numbers, (N, T) mask of what counts -> [0, 1]."""
    mask = np.asarray(mask, bool)
    return float((np.asarray(numbers)[mask] == unknown).mean()) if mask.any() else 0.0


def answer_scores(predicted: np.ndarray, actual: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """How well the words of answers were tagged in N passages.

    Tagging everything has recall 1 and precision equal to the share of answer words; tagging at random, at whatever
    rate, has that precision too.

    Args:
      predicted, actual: (N, D), 0 or 1; passages once each, not once a question.
      mask: (N, D), where passages have words.

    Returns:
      "precision", "recall" and "f1" over all words together (0 where nothing was tagged), and "exact_match", the share
      of passages whose tags are all right.
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
    """The threshold from which on words are best tagged: what is at least as probable has the highest F1.

    Answers are rare and hard to foresee, so that few words are more probable than not, even where a model ranks words
    well. To be chosen on passages that the score is not taken of.

    Args:
      probabilities: (N, D) in [0, 1].
      actual, mask: (N, D), as in `answer_scores`; some word belongs to an answer.
    """
    mask = np.asarray(mask, bool)
    found = np.asarray(probabilities)[mask]
    order = np.argsort(-found, kind="stable")
    ranked, right = found[order], np.cumsum(np.asarray(actual, bool)[mask][order])
    scores = 2 * right / (np.arange(1, len(order) + 1) + right[-1])
    scores[:-1][ranked[:-1] == ranked[1:]] = 0.0  # equally probable words are tagged together
    return float(ranked[scores.argmax()])


def question_scores(predicted: Sequence[Words], references: Sequence[Sequence[Words]]) -> dict[str, float]:
    """Generated questions beside what people asked about the same answers.

    Args:
      predicted: N questions in words, in lower case.
      references: for each, one or more questions in words, in lower case.

    Returns:
      "bleu_4" of the corpus in [0, 100], without smoothing (Papineni et al. 2002), and "rouge_l" in [0, 1], the mean
      over questions of the F-measure of the longest common subsequence with the best reference (Lin 2004).
    """
    from rouge_score.rouge_scorer import RougeScorer  # late: brings nltk, which is slow to import
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
    """For rouge-score, whose own tokeniser would drop punctuation."""

    @staticmethod
    def tokenize(text: str) -> list[str]:
        return text.split()
