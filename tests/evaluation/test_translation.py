"""BLEU of translations, against sacrebleu and figures computed by hand."""

import math

import numpy as np
import pytest

from gdl_jax.evaluation.translation import corpus_bleu, sacre_bleu

RNG = np.random.default_rng(0)
VOCABULARY = "a man in the red hat rides his horse , and two dogs run . <unk>"
WORDS = np.array(VOCABULARY.split())


def noisy(words, keep):
    """Returns words of which some are dropped, repeated or replaced."""
    changed = [word for word in words for _ in range(RNG.choice([0, 1, 2], p=[0.1, 0.8, 0.1]))]
    return [word if RNG.random() < keep else str(RNG.choice(WORDS)) for word in changed]


def corpus(keep):
    references = [list(map(str, RNG.choice(WORDS, RNG.integers(1, 20)))) for _ in range(50)]
    return [noisy(words, keep) for words in references], references


@pytest.mark.parametrize(("keep", "drop"), [(0.9, 0), (0.9, 3), (0.5, 0), (0.3, 1)])
def test_corpus_bleu_is_sacrebleus(keep, drop):
    from sacrebleu.metrics import BLEU

    predicted, references = corpus(keep)
    predicted = [words[drop:] for words in predicted]
    ours = corpus_bleu(predicted, references)
    lines, targets = ([" ".join(words) for words in sentences] for sentences in (predicted, references))
    theirs = BLEU(tokenize="none", smooth_method="none", force=True).corpus_score(lines, [targets])
    assert 0 < ours.score < 100 and (drop == 0 or ours.brevity_penalty < 1)
    assert ours.score == pytest.approx(theirs.score)
    assert ours.precisions == pytest.approx(theirs.precisions)
    assert ours.brevity_penalty == pytest.approx(theirs.bp)
    assert (ours.predicted_words, ours.reference_words) == (theirs.sys_len, theirs.ref_len)


def test_corpus_bleu_by_hand():
    """Clipping (the paper's example 2), and one long sentence that is too short."""
    seven = corpus_bleu([["the"] * 7], [["the", "cat", "is", "on", "the", "mat"]])
    assert seven.precisions == pytest.approx((100 * 2 / 7, 0, 0, 0)) and seven.score == 0
    assert seven.brevity_penalty == 1
    bleu = corpus_bleu([list("abcdex")], [list("abcdefgh")])
    assert bleu.precisions == pytest.approx((100 * 5 / 6, 100 * 4 / 5, 100 * 3 / 4, 100 * 2 / 3))
    assert bleu.brevity_penalty == pytest.approx(math.exp(1 - 8 / 6))
    assert bleu.score == pytest.approx(100 * math.exp(-1 / 3) * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)


def test_extreme_translations():
    _, references = corpus(1.0)
    perfect = corpus_bleu(references, references)
    assert perfect.score == pytest.approx(100) and perfect.precisions == pytest.approx((100,) * 4)
    nothing = corpus_bleu([[] for _ in references], references)
    assert nothing.score == 0 and nothing.brevity_penalty == 0 and nothing.predicted_words == 0
    assert corpus_bleu([["x"] * 5], [["y"] * 5]).score == 0
    assert corpus_bleu([["a", "b"]], [["a", "b"]]).score == 0  # no 4-gram at all, as for sacrebleu and torchtext
    with pytest.raises(ValueError):
        corpus_bleu(references[1:], references)


def test_sacrebleu_of_readable_text():
    references = ["Two men, in red hats, ride horses.", "A dog runs on the green grass."]
    exact = sacre_bleu(references, references)
    assert exact.score == pytest.approx(100)
    assert "case:mixed" in exact.signature and "tok:13a" in exact.signature and "version:" in exact.signature
    lower = [line.lower() for line in references]
    mixed, folded = sacre_bleu(lower, references), sacre_bleu(lower, references, lower_case=True)
    assert mixed.score < folded.score == pytest.approx(100)
    assert "case:lc" in folded.signature
    words = sacre_bleu(lower, references, tokenize="none")
    assert words.score < mixed.score and "tok:none" in words.signature
