"""Question generation by a network of experiments.qa: answers found in documents, and questions about them."""

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
from gdl_jax.models.qa import QuestionAnswerer, SpecialTokens, answer_probabilities
from gdl_jax.plots.questions import answers_and_questions
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.config import DTYPES
from gdl_jax.runs.experiment import Run

SPECIAL = SpecialTokens(questions.PADDING, questions.UNKNOWN, questions.START, questions.END)
BATCH = 100  # rows per call, outside training


class GeneratedQA(NamedTuple):
    """An answer found in a document, and the question generated about it."""

    position: int  # of the answer's first word
    answer: tuple[str, ...]
    question: tuple[str, ...]


class DocumentQA(NamedTuple):
    """Answers found in a document, with questions.

    Attributes:
      probabilities: (D,), of each of the first D words to belong to an answer.
      pairs: in the document's order.
    """

    probabilities: np.ndarray
    pairs: list[GeneratedQA]


def network(config: Any, data: QuestionData) -> QuestionAnswerer:
    """Returns the network of a run with this config."""
    return QuestionAnswerer(config, len(data.vocabulary), data.word_vectors, DTYPES[config.precision])


def _in_batches(function: Callable[[Rows], jax.Array], rows: Rows) -> np.ndarray:
    """Applies a function to batches of BATCH rows; the last row is repeated, so that one compilation fits any count."""
    count = len(next(iter(rows.values())))
    index = np.minimum(np.arange(max(count, BATCH)), count - 1)
    return in_batches(function, {name: values[index] for name, values in rows.items()}, BATCH)[:count]


@partial(jax.jit, static_argnums=(0, 1))
def _probabilities(module, transform, variables, rows):
    batch = transform(rows)
    return answer_probabilities(module, variables, batch["document_tokens"], batch["document_mask"])


def tag(run: Run, rows: Rows) -> np.ndarray:
    """Returns the probability (N, D) of each word of documents (N, D) to belong to an answer."""
    module, variables = network(run.config, run.data), {"params": run.state.params["network"]}
    return _in_batches(lambda rows: _probabilities(module, run.data.transform, variables, rows), rows)


def decode_questions(run: Run, rows: Rows) -> np.ndarray:
    """Generates questions (N, question_length) about the answers of N rows, as word ids for `questions.words_of`."""

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
    """Returns masks (N, D) of each passage: 1 at words of answers, and true at words (not padding)."""
    rows = passages(source)
    return rows["answer_labels"], rows["document"] != questions.PADDING


def tagging_threshold(run: Run) -> float:
    """Returns the lowest probability at which a word is tagged as an answer's: the best on the validation passages."""
    validation = run.data.validation
    return best_threshold(tag(run, passages(validation)), *answer_labels(validation))


def answers_in(probabilities: np.ndarray, threshold: float, longest: int) -> list[tuple[int, ...]]:
    """Returns the positions of the answers in a document: spans of words with at least the probability `threshold`.

    Args:
      probabilities: (D,), of each word.
      threshold: lowest probability of a tagged word; if there is none, the likeliest word is the answer.
      longest: most words of an answer; longer spans are truncated.
    """
    tagged = np.concatenate([[False], probabilities >= threshold, [False]])
    starts, ends = np.flatnonzero(~tagged[:-1] & tagged[1:]), np.flatnonzero(tagged[:-1] & ~tagged[1:])
    if not len(starts):
        return [(int(probabilities.argmax()),)]
    return [tuple(range(start, min(end, start + longest))) for start, end in zip(starts, ends, strict=True)]


def generate_questions(run: Run, documents: Sequence[Sequence[str]], threshold: float) -> list[DocumentQA]:
    """Finds the answers in documents and generates a question about each.

    Args:
      run: a trained run.
      documents: words of each, in upper and lower case; at least one document.
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
    found = [(n, span) for n, row in enumerate(tags) for span in answers_in(row, threshold, config.answer_length)]
    asked = {name: values[[n for n, _ in found]] for name, values in rows.items()}
    for row, (_, span) in zip(asked["answer_indices"], found, strict=True):
        row[: len(span)] = span
    results = [DocumentQA(row, []) for row in tags]
    for (n, span), word_ids in zip(found, decode_questions(run, asked), strict=True):
        question = tuple(questions.words_of(word_ids, vocabulary, documents[n]))
        answer = tuple(documents[n][position] for position in span)
        results[n].pairs.append(GeneratedQA(span[0], answer, question))
    return results


def as_text(words: Sequence[str], pairs: Sequence[GeneratedQA]) -> str:
    """Returns a document and its answers and questions as text."""
    lines = [f"  {' '.join(pair.answer)}: {' '.join(pair.question)}" for pair in pairs]
    return "\n".join([" ".join(words), *lines]) + "\n"


def draw_document(
    words: Sequence[str], found: DocumentQA, actual: np.ndarray | None, threshold: float, path: Path
) -> None:
    """Draws the book's figure 6-16; `actual` (D,) is 1 at words of the annotated answers, None if there are none."""
    lines = [(pair.position, " ".join(pair.answer), " ".join(pair.question)) for pair in found.pairs]
    answers_and_questions(words, found.probabilities, actual, threshold, lines, path)


def draw_passages(run: Run, rows: Sequence[int], paths: Sequence[Path]) -> float:
    """Draws a figure for the passage of each of some rows of the run's split; returns the `tagging_threshold`."""
    threshold = tagging_threshold(run)
    documents = [run.data.asked[run.split][row][0].words for row in rows]
    labels = getattr(run.data, run.split).take(np.asarray(rows))["answer_labels"]
    found = generate_questions(run, documents, threshold)
    for words, document, actual, path in zip(documents, found, labels, paths, strict=True):
        draw_document(words, document, actual[: len(words)], threshold, path)
    return threshold
