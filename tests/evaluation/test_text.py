"""Scores of answers and questions, against other implementations, and entropy, against closed forms."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from gdl_jax.data.text import tokens as text
from gdl_jax.data.text.passages import words_of
from gdl_jax.evaluation.text import (
    answer_scores,
    best_threshold,
    question_scores,
    unigram_entropy,
    unknown_share,
)

RNG = np.random.default_rng(0)


def test_unigram_entropy():
    tokens = RNG.zipf(1.5, (40, 50)).clip(max=30)
    assert unigram_entropy(tokens) == pytest.approx(stats.entropy(np.bincount(tokens.ravel())))
    assert unigram_entropy(np.arange(64) % 16) == pytest.approx(np.log(16))
    assert unigram_entropy(["a", "a", "b"]) == pytest.approx(np.log(3) - 2 / 3 * np.log(2))
    assert unigram_entropy([7, 7]) == 0


def test_unigram_entropy_of_aesop(data_dir):
    """The baseline for models of the book's windows (uniform words have ln 4169 = 8.335)."""
    data = text.load("aesop", data_dir=str(data_dir), held_out=0)
    targets = data.train.take(np.arange(len(data.train)))["tokens"][:, -1]
    assert unigram_entropy(targets) == pytest.approx(stats.entropy(np.bincount(targets)), abs=1e-9)
    assert 5.4 < unigram_entropy(targets) < 5.8


def test_unknown_share_ignores_padding():
    numbers, mask = np.array([[1, 5, 1, 1], [2, 1, 0, 0]]), np.array([[1, 1, 1, 0], [1, 1, 0, 0]])
    assert unknown_share(numbers, mask, unknown=1) == pytest.approx(3 / 5)
    assert unknown_share(numbers, np.zeros((2, 4)), unknown=1) == 0


def test_answer_scores_match_counted_words():
    actual, predicted = (RNG.random((50, 30)) < share for share in (0.15, 0.3))
    predicted |= RNG.random((50, 30)) < 0.5 * actual
    predicted[:5] = actual[:5]
    mask = np.arange(30) < RNG.integers(5, 31, (50, 1))
    predicted[:5] |= ~mask[:5]  # tags on padding are ignored
    scores = answer_scores(predicted, actual, mask)
    tagged = {(n, d) for n in range(50) for d in range(30) if mask[n, d] and predicted[n, d]}
    meant = {(n, d) for n in range(50) for d in range(30) if mask[n, d] and actual[n, d]}
    precision, recall = len(tagged & meant) / len(tagged), len(tagged & meant) / len(meant)
    assert scores["precision"] == pytest.approx(precision) and scores["recall"] == pytest.approx(recall)
    assert scores["f1"] == pytest.approx(stats.hmean([precision, recall]))
    alike = [np.array_equal(p[m], a[m]) for p, a, m in zip(predicted, actual, mask, strict=True)]
    assert scores["exact_match"] == pytest.approx(np.mean(alike)) and 5 <= sum(alike) < 50


def test_tagging_all_or_nothing():
    actual, mask = np.array([[1, 0, 0, 0], [0, 1, 1, 0]]), np.array([[1, 1, 1, 1], [1, 1, 1, 0]])
    share = 3 / 7
    everything = answer_scores(np.ones((2, 4)), actual, mask)
    assert everything == pytest.approx(
        {"precision": share, "recall": 1.0, "f1": 2 * share / (1 + share), "exact_match": 0.0}
    )
    nothing = answer_scores(np.zeros((2, 4)), actual, mask)
    assert nothing == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "exact_match": 0.0}


def test_best_threshold_has_the_highest_f1():
    """Compares all thresholds, with ties among the probabilities and noise on padding."""
    actual, mask = RNG.random((20, 15)) < 0.2, np.arange(15) < RNG.integers(5, 16, (20, 1))
    probabilities = (0.4 * RNG.random((20, 15)) + 0.25 * actual).round(2)
    probabilities[~mask] = RNG.random((~mask).sum())

    def score(threshold):
        return answer_scores(probabilities >= threshold, actual, mask)["f1"]

    found = best_threshold(probabilities, actual, mask)
    others = [score(threshold) for threshold in np.unique(probabilities)]
    assert score(found) == max(others) > score(0.5) + 0.05


def n_grams(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(predicted, references):
    """Returns the BLEU-4 of a corpus (Papineni et al. 2002, section 2.3)."""
    matched, total, length, closest = np.zeros(4), np.zeros(4), 0, 0
    for words, known in zip(predicted, references, strict=True):
        length += len(words)
        closest += min((abs(len(one) - len(words)), len(one)) for one in known)[1]
        for n in range(1, 5):
            most = Counter()
            for one in known:
                most |= n_grams(one, n)
            found = n_grams(words, n)
            matched[n - 1] += sum((found & most).values())
            total[n - 1] += sum(found.values())
    return 100 * min(1, np.exp(1 - closest / length)) * np.exp(np.log(matched / total).mean())


def common(a, b):
    """Returns the length of the longest common subsequence, by dynamic programming."""
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
    return table[-1, -1]


def f_measure(a, b):
    return 2 * common(a, b) / (len(a) + len(b))


def test_question_scores():
    vocabulary = np.array(words_of("who when where did the ship sink? , it's u.s. Oslo 3 million"))
    references = [[list(vocabulary[RNG.integers(0, 15, 9)]) for _ in range(RNG.integers(1, 4))] for _ in range(30)]
    predicted = [[word for word in known[-1] if RNG.random() < 0.8] or ["?"] for known in references]
    scores = question_scores(predicted, references)
    assert scores["bleu_4"] == pytest.approx(bleu(predicted, references))
    rouge = [max(f_measure(words, one) for one in known) for words, known in zip(predicted, references, strict=True)]
    assert scores["rouge_l"] == pytest.approx(np.mean(rouge))
    assert 10 < scores["bleu_4"] < 90 and 0.4 < scores["rouge_l"] < 0.95


def test_question_scores_of_extreme_cases():
    asked = [words_of("when did the ship sink?"), words_of("who was saved?")]
    assert question_scores(asked, [[words] for words in asked]) == pytest.approx({"bleu_4": 100.0, "rouge_l": 1.0})
    assert question_scores([["no"], []], [[words] for words in asked]) == {"bleu_4": 0.0, "rouge_l": 0.0}
    worse = question_scores([words[::-1] for words in asked], [[words] for words in asked])
    assert worse["bleu_4"] == 0.0 and worse["rouge_l"] < 0.3
