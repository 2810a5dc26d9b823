"""Metrics of the answers and questions of experiments.qa, with those of people and of baselines."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.language.question_answering import answer_labels, decode_questions, first_of_passages, passages, tag
from gdl_jax.data.dataset import Source
from gdl_jax.data.text import questions
from gdl_jax.data.text.questions import QuestionData
from gdl_jax.evaluation.question_kinds import kind_agreement
from gdl_jax.evaluation.text import answer_scores, best_threshold, question_scores, unigram_entropy, unknown_share
from gdl_jax.runs.experiment import Run, SampleEvaluator

QUESTIONS = 500  # over which metrics are averaged


class EvaluationSamples(NamedTuple):
    """Predictions of a network for held-out passages.

    Attributes:
      validation, test: (N, D), probability of each word of each passage to belong to an answer; `test` is None where
        the validation split is evaluated.
      questions: (M, Q), about answers of the evaluated split, as word ids for `questions.words_of`.
    """

    validation: np.ndarray
    test: np.ndarray | None
    questions: np.ndarray


def _evenly_spaced(source: Source, num: int) -> np.ndarray:
    """Returns the indices of at most `num` evenly spaced rows of a split."""
    return np.linspace(0, len(source) - 1, min(num, len(source)), dtype=np.int64)


def draw(run: Run, key: jax.Array, num: int) -> EvaluationSamples:
    """Returns tags of all passages of the run's split, and questions about `num` of its answers, or all if fewer.

    Always includes the tags of the validation split, on which the threshold is chosen. `key` is not used.
    """
    del key
    tags = {split: tag(run, passages(getattr(run.data, split))) for split in {"validation", run.split}}
    source = getattr(run.data, run.split)
    generated = decode_questions(run, source.take(_evenly_spaced(source, num)))
    return EvaluationSamples(tags["validation"], tags.get("test"), generated)


def _answer_metrics(data: QuestionData, samples: EvaluationSamples, split: str) -> dict[str, float]:
    threshold = best_threshold(samples.validation, *answer_labels(data.validation))
    tagged = (samples.validation if split == "validation" else samples.test) >= threshold
    labels, mask = answer_labels(getattr(data, split))
    share, rate = (float(marked[mask].mean()) for marked in (labels, tagged))
    return {
        **{f"answer_{name}": value for name, value in answer_scores(tagged, labels, mask).items()},
        "answer_f1_at_random": 2 * share * rate / (share + rate),  # precision is the share, recall the rate
    }


def measure(data: QuestionData, samples: EvaluationSamples) -> dict[str, float]:
    """Returns scores of the answers, and of the questions: similarity to people's, and agreement of kind and answer."""
    split = "validation" if samples.test is None else "test"
    rows = _evenly_spaced(getattr(data, split), len(samples.questions))
    asked = [data.asked[split][row] for row in rows]
    predicted = [
        questions.words_of(row, data.vocabulary, passage.words)
        for row, (passage, _) in zip(samples.questions, asked, strict=True)
    ]
    of_people = [
        [[word.lower() for word in other.words] for other in passage.questions if other.answer == question.answer]
        for passage, question in asked
    ]
    ended = np.cumsum(samples.questions == questions.END, axis=1) > 0
    kinds = kind_agreement(predicted, [passage.answer_words(question) for passage, question in asked])
    scores = question_scores(predicted, of_people)
    return {
        **_answer_metrics(data, samples, split),
        **{f"question_{name}": value for name, value in scores.items()},
        "question_unknown_share": unknown_share(samples.questions, ~ended, questions.UNKNOWN),
        "question_distinct_share": len(set(map(tuple, predicted))) / len(predicted),
        **{f"kind_{name}": value for name, value in kinds.items()},
    }


def references(data: QuestionData) -> dict[str, float]:
    """Returns the scores of baselines and of people, to compare losses and the metrics of `measure` with.

    "uniform_words" has equal probabilities for all words, "unigram" the word frequencies of the test questions;
    "tag_everything" tags every word as an answer's.
    """
    labels, mask = answer_labels(data.test)
    batch = data.transform(data.test.take(np.arange(len(data.test))))
    words, is_word = np.asarray(batch["question_output_tokens"]), np.asarray(batch["question_mask"])
    asked = [(question.words, passage.answer_words(question)) for passage, question in data.asked["test"]]
    kinds = kind_agreement(*zip(*asked, strict=True))
    return {
        "uniform_words/word_loss": float(np.log(len(data.vocabulary))),
        "unigram/word_loss": unigram_entropy(words[is_word]),
        "tag_everything/answer_f1": answer_scores(np.ones_like(labels), labels, mask)["f1"],
        "people/question_unknown_share": unknown_share(words, is_word & (words != questions.END), questions.UNKNOWN),
        "people/kind_known": kinds["known"],
        "people/kind_fits": kinds["fits"],
    }


def sample_evaluator(config: Any, data: QuestionData) -> SampleEvaluator:
    """Returns the evaluator of answers and questions; its reference are the scores of `references`."""

    def evaluate(samples: EvaluationSamples) -> Mapping[str, float]:
        return {f"samples/{name}": value for name, value in measure(data, samples).items()}

    count = min(QUESTIONS, len(data.test))
    search = "greedily" if config.beams == 1 else f"with {config.beams} beams"
    protocol = (
        f"answers of {len(first_of_passages(data.test))} test passages, tagged with the threshold that is best on the "
        f"validation split; {count} questions about people's answers, generated {search}; BLEU-4 by sacrebleu, ROUGE-L "
        "by rouge-score; during training, all of these on the validation split"
    )
    return SampleEvaluator(protocol, QUESTIONS, evaluate, references(data))
