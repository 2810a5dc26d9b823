"""SQuAD's exact match and F1, against answers scored by hand."""

import pytest

from gdl_jax.evaluation.answers import answer_words, exact_match, span_scores, word_f1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("The Eiffel Tower!", "eiffel tower"),
        ("an apple, a pear;  the-plum", "apple pear theplum"),  # punctuation goes first, so that two words become one
        ("Theatre of Athens", "theatre of athens"),  # an article at the beginning of a word stays
        ("\tU.S.\n$5,000 ", "us 5000"),
        ("the", ""),
        ("ÉTÉ “quoted”", "été “quoted”"),  # only ASCII's punctuation
    ],
)
def test_words_that_count(answer, words):
    assert answer_words(answer) == words.split()


def test_exact_match_ignores_case_articles_and_punctuation():
    assert exact_match("the Amazon rainforest.", "Amazon Rainforest") == 1
    assert exact_match("rainforest Amazon", "Amazon rainforest") == 0
    assert exact_match("in 1858", "1858") == 0


@pytest.mark.parametrize(
    ("predicted", "reference", "expected"),
    [
        ("in the year 1858", "1858", 2 * (1 / 3) * 1 / (1 / 3 + 1)),  # precision 1 / 3, recall 1
        ("left Boston", "Boston, he left", 2 * 1 * (2 / 3) / (1 + 2 / 3)),  # any order
        ("no no no", "no no yes", 2 / 3),  # two of three in both
        ("Paris", "London", 0.0),
        ("", "London", 0.0),
        ("the", "a", 0.0),
    ],
)
def test_f1_of_words(predicted, reference, expected):
    assert word_f1(predicted, reference) == pytest.approx(expected)
    assert word_f1(reference, predicted) == pytest.approx(expected)


def test_the_best_reference_of_each_question_counts():
    predicted = ["in 1858", "the Nile", "Bern"]
    references = [["1858", "the year 1858", "in 1858"], ["a river", "river Nile"], ["Basel"]]
    assert span_scores(predicted, references) == pytest.approx({"exact_match": 1 / 3, "f1": (1 + 2 / 3 + 0) / 3})
    with pytest.raises(ValueError, match="zip"):
        span_scores(predicted[:2], references)
