"""What questions ask for, what answers are, and how often the two agree."""

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
    """Chance is what dealing the answers to the questions anew gives on average."""
    rng = np.random.default_rng(0)
    asked = [["who"]] * 30 + [["when"]] * 20 + [["how", "many"]] * 10 + [["why"]] * 40
    answers = [["Nils"]] * 28 + [["1999"]] * 25 + [["12"]] * 7 + [["fish"]] * 40
    result = kind_agreement(asked, answers)
    assert result["judged"] == pytest.approx(0.6)
    assert result["fits"] == pytest.approx((28 + 20 + 10) / 60)  # two of "who" have years; three of "how many" too
    dealt = [kind_agreement(asked, [answers[i] for i in rng.permutation(100)])["fits"] for _ in range(1000)]
    assert result["chance"] == pytest.approx(np.mean(dealt), abs=5 * np.std(dealt) / np.sqrt(1000))
    assert kind_agreement([["why"]], [["fish"]]) == {"judged": 0, "fits": 0, "chance": 0}


def test_bulletins_ask_for_what_they_answer():
    data = questions.load("bulletins")
    asked = [(question.words, passage.answer_words(question)) for passage, question in data.asked["test"]]
    result = kind_agreement(*zip(*asked, strict=True))
    assert result["judged"] == result["fits"] == 1.0 and 0.3 < result["chance"] < 0.6
    assert {question_kind(words) for words, _ in asked} == set(FITTING)


def test_people_ask_for_what_they_are_answered(data_dir):
    """On SQuAD the kinds are told by words alone, so not all questions fit; far more do than by chance."""
    data = questions.load("squad", data_dir=str(data_dir))
    asked = [(question.words, passage.answer_words(question)) for passage, question in data.asked["train"]]
    result = kind_agreement(*zip(*asked, strict=True))
    assert result["judged"] > 0.35 and result["fits"] > 0.78 and result["chance"] < 0.3
