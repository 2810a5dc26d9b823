"""What a network of experiments.qa makes of documents: the answers that it finds, and the questions about them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gdl_jax.data.dataset import Rows, Source
from gdl_jax.data.text import questions
from gdl_jax.data.text.questions import QuestionData
from gdl_jax.evaluation.text import best_threshold
from gdl_jax.models.qa import QuestionAnswerer, Special, answer_probabilities
from gdl_jax.plots.questions import answers_and_questions
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.config import DTYPES
from gdl_jax.runs.experiment import Run

SPECIAL = Special(questions.PADDING, questions.UNKNOWN, questions.START, questions.END)
BATCH = 100  # rows at once, outside training


class GeneratedQuestion(NamedTuple):
    """An answer that was found in a document, and the question about it."""

    place: int  # of the answer's first word
    answer: tuple[str, ...]
    question: tuple[str, ...]


class DocumentQuestions(NamedTuple):
    """What was found in a document.

    Attributes:
      probabilities: (D,), that each of its words belongs to an answer; of no more words than are read.
      questions: in the document's order.
    """

    probabilities: np.ndarray
    questions: list[GeneratedQuestion]


def network(config: Any, data: QuestionData) -> QuestionAnswerer:
    """Returns the network that a run of this config trains."""
    return QuestionAnswerer(config, len(data.vocabulary), data.word_vectors, DTYPES[config.precision])


def _in_batches(function: Callable[[Rows], jax.Array], rows: Rows) -> np.ndarray:
    """Applies a function to BATCH rows at a time, the last repeated: one compilation, however few rows there are."""
    count = len(next(iter(rows.values())))
    index = np.minimum(np.arange(max(count, BATCH)), count - 1)
    return in_batches(function, {name: values[index] for name, values in rows.items()}, BATCH)[:count]


@partial(jax.jit, static_argnums=(0, 1))
def _probabilities(module, transform, variables, rows):
    batch = transform(rows)
    return answer_probabilities(module, variables, batch["document_tokens"], batch["document_mask"])


def tag(run: Run, rows: Rows) -> np.ndarray:
    """Returns the probability (N, D) that each word of documents (N, D) belongs to an answer."""
    module, variables = network(run.config, run.data), {"params": run.state.params["network"]}
    return _in_batches(lambda rows: _probabilities(module, run.data.transform, variables, rows), rows)


def ask(run: Run, rows: Rows) -> np.ndarray:
    """Returns questions (N, question_length) about the answers of N rows, as numbers for `questions.words_of`."""

    def sample(rows):
        batch = run.data.transform(rows)
        return run.learner.sample(run.state, run.key, BATCH, batch, run.config.question_length)

    return _in_batches(sample, rows)


def first_of_passages(source: Source) -> np.ndarray:
    """Returns the index of the first row of each passage."""
    return np.unique(source.take(np.arange(len(source)))["passage"], return_index=True)[1]


def passages(source: Source) -> Rows:
    """Returns one row of each passage."""
    return source.take(first_of_passages(source))


def answer_labels(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Returns, of each passage, which words belong to an answer, and where there are words: both (N, D)."""
    rows = passages(source)
    return rows["answer_labels"], rows["document"] != questions.PADDING


def tagging_threshold(run: Run) -> float:
    """Returns the least probability of a word that is taken for an answer's: the best for the validation passages."""
    validation = run.data.validation
    return best_threshold(tag(run, passages(validation)), *answer_labels(validation))


def answers_in(probabilities: np.ndarray, threshold: float, longest: int) -> list[tuple[int, ...]]:
    """Returns the places of the answers in a document (D,): stretches of words with at least that probability.

    Where there is none, the most probable word alone; of a stretch, its first `longest` words.
    """
    tagged = np.concatenate([[False], probabilities >= threshold, [False]])
    starts, ends = np.flatnonzero(~tagged[:-1] & tagged[1:]), np.flatnonzero(tagged[:-1] & ~tagged[1:])
    if not len(starts):
        return [(int(probabilities.argmax()),)]
    return [tuple(range(start, min(end, start + longest))) for start, end in zip(starts, ends, strict=True)]


def generate_questions(run: Run, documents: Sequence[Sequence[str]], threshold: float) -> list[DocumentQuestions]:
    """Finds the answers in documents and generates questions about them.

    Args:
      run: a trained one.
      documents: each in words, at least one, in upper and lower case.
      threshold: as in `answers_in`; see `tagging_threshold`.
    """
    config, vocabulary = run.config, run.data.vocabulary
    encoded = np.stack([questions.encode_document(words, vocabulary, config.document_length) for words in documents])
    rows = {
        "document": encoded,
        "question": np.zeros((len(encoded), config.question_length), np.int32),
        "answer_labels": np.zeros_like(encoded),
        "answer_indices": np.full((len(encoded), config.answer_length), questions.NOT_AN_ANSWER, np.int32),
    }
    tags = [row[: len(words)] for row, words in zip(tag(run, rows), documents, strict=True)]
    found = [(n, places) for n, row in enumerate(tags) for places in answers_in(row, threshold, config.answer_length)]
    about = {name: values[[n for n, _ in found]] for name, values in rows.items()}
    for row, (_, places) in zip(about["answer_indices"], found, strict=True):
        row[: len(places)] = places
    results = [DocumentQuestions(row, []) for row in tags]
    for (n, places), numbers in zip(found, ask(run, about), strict=True):
        question = tuple(questions.words_of(numbers, vocabulary, documents[n]))
        answer = tuple(documents[n][place] for place in places)
        results[n].questions.append(GeneratedQuestion(places[0], answer, question))
    return results


def as_text(words: Sequence[str], generated: Sequence[GeneratedQuestion]) -> str:
    """Returns a document and the questions about it as text."""
    lines = [f"  {' '.join(one.answer)}: {' '.join(one.question)}" for one in generated]
    return "\n".join([" ".join(words), *lines]) + "\n"


def draw_document(
    words: Sequence[str], found: DocumentQuestions, actual: np.ndarray | None, threshold: float, path: Path
) -> None:
    """Draws the book's figure 6-16; `actual` (D,) is 1 at the words of people's answers, None where there are none."""
    lines = [(one.place, " ".join(one.answer), " ".join(one.question)) for one in found.questions]
    answers_and_questions(words, found.probabilities, actual, threshold, lines, path)


def draw_passages(run: Run, rows: Sequence[int], paths: Sequence[Path]) -> float:
    """Draws the passages of some rows of the run's split, a figure each; returns the `tagging_threshold`."""
    threshold = tagging_threshold(run)
    documents = [run.data.asked[run.split][row][0].words for row in rows]
    labels = getattr(run.data, run.split).take(np.asarray(rows))["answer_labels"]
    found = generate_questions(run, documents, threshold)
    for words, of_document, actual, path in zip(documents, found, labels, paths, strict=True):
        draw_document(words, of_document, actual[: len(words)], threshold, path)
    return threshold
