"""Kinds of questions, kinds of answers, and their agreement."""

import numpy as np
import pytest

from gdl_jax.data.text import questions
from gdl_jax.evaluation.question_kinds import FITTING, answer_kind, kind_agreement, question_kind


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who wrote it ?", "who"),
        ("With whom did she sing ?", "who"),
        ("whose ship sank ?", "who"),
        ("When did it sink ?", "when"),
        ("In what year did it sink ?", "when"),
        ("Which century was that ?", "when"),
        ("How many were saved ?", "how many"),
        ("how much did it cost ?", "how many"),
        ("What percentage was lost ?", "how many"),
        ("Where is it now ?", "where"),
        ("What is it ?", "other"),
        ("How was it ?", "other"),
        ("What happened that year ?", "other"),
        ("", "other"),
    ],
)
def test_kinds_of_questions(question, kind):
    assert question_kind(question.split()) == kind


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("1858", "time"),
        ("in the 1980s", "time"),
        ("Friday", "time"),
        ("4 May", "time"),
        ("three days", "time"),
        ("858", "number"),
        ("0858", "number"),
        ("9000", "number"),
        ("10²³", "number"),
        ("1,858", "number"),
        ("3.5 %", "number"),
        ("two million pounds", "number"),
        ("Nils Berg", "name"),
        ("the Bank of England", "name"),
        ("the captain", "other"),
        ("Nils Berg 's wife", "other"),
        ("the", "other"),
    ],
)
def test_kinds_of_answers(answer, kind):
    assert answer_kind(answer.split()) == kind


def test_agreement_and_chance():
    """Chance is the mean over random assignments of answers to questions."""
    rng = np.random.default_rng(0)
    asked = [["who"]] * 30 + [["when"]] * 20 + [["how", "many"]] * 10 + [["why"]] * 40
    answers = [["Nils"]] * 28 + [["1999"]] * 25 + [["12"]] * 7 + [["fish"]] * 40
    result = kind_agreement(asked, answers)
    assert result["known"] == pytest.approx(0.6)
    assert result["fits"] == pytest.approx((28 + 20 + 10) / 60)  # two "who" and three "how many" have years
    shuffled = [kind_agreement(asked, [answers[i] for i in rng.permutation(100)])["fits"] for _ in range(1000)]
    assert result["chance"] == pytest.approx(np.mean(shuffled), abs=5 * np.std(shuffled) / np.sqrt(1000))
    assert kind_agreement([["why"]], [["fish"]]) == {"known": 0, "fits": 0, "chance": 0}


def test_bulletin_questions_fit_their_answers():
    data = questions.load("bulletins")
    asked = [(question.words, passage.answer_words(question)) for passage, question in data.asked["test"]]
    result = kind_agreement(*zip(*asked, strict=True))
    assert result["known"] == result["fits"] == 1.0 and 0.3 < result["chance"] < 0.6
    assert {question_kind(words) for words, _ in asked} == set(FITTING)


def test_squad_questions_fit_their_answers_more_often_than_chance(data_dir):
    """Kinds are recognised by words only, so not all questions fit, but far more than by chance."""
    data = questions.load("squad", data_dir=str(data_dir))
    asked = [(question.words, passage.answer_words(question)) for passage, question in data.asked["train"]]
    result = kind_agreement(*zip(*asked, strict=True))
    assert result["known"] > 0.35 and result["fits"] > 0.78 and result["chance"] < 0.3
