"""What a network that asks makes of texts: the answers it finds, the questions about them, and what both are worth."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from gdl_jax.data.dataset import Rows, Source
from gdl_jax.data.text import questions
from gdl_jax.data.text.questions import QuestionData
from gdl_jax.evaluation.question_kinds import kind_agreement
from gdl_jax.evaluation.text import answer_scores, best_threshold, question_scores, unigram_entropy, unknown_share
from gdl_jax.models.qa import QuestionAnswerer, Special, answer_probabilities
from gdl_jax.runs.experiment import DTYPES, Judge

SPECIAL = Special(questions.PADDING, questions.UNKNOWN, questions.START, questions.END)
BATCH = 100  # rows at once, outside training
JUDGED = 500  # questions that numbers are means over


class Asked(NamedTuple):
    """An answer that was found in a document, and what was asked about it."""

    place: int  # of its first word
    answer: tuple[str, ...]
    question: tuple[str, ...]


class Reading(NamedTuple):
    """What was made of a document.

    Attributes:
      probabilities: (D,), how probably each of its words belongs to an answer; of no more words than are read.
      asked: in the document's order.
    """

    probabilities: np.ndarray
    asked: list[Asked]


class Drawn(NamedTuple):
    """What a network made of held-out passages, for `measure`.

    Attributes:
      validation, test: (N, D), how probably each word of each passage belongs to an answer; `test` is None where what
        is measured is the validation split.
      questions: (M, Q), about answers of the split that is measured, as numbers for `questions.words_of`.
    """

    validation: np.ndarray
    test: np.ndarray | None
    questions: np.ndarray


def network(config, data: QuestionData) -> QuestionAnswerer:
    """The network that a run trains."""
    return QuestionAnswerer(config, len(data.vocabulary), data.word_vectors, DTYPES[config.precision])


def in_batches(function, rows: Rows) -> np.ndarray:
    """function(rows) of BATCH rows at a time, the last batch filled up, so that one compiled program serves all."""
    count = len(next(iter(rows.values())))
    results = []
    for first in range(0, count, BATCH):
        index = np.minimum(np.arange(first, first + BATCH), count - 1)
        results.append(np.asarray(function({name: values[index] for name, values in rows.items()})))
    return np.concatenate(results)[:count]


@partial(jax.jit, static_argnums=(0, 1))
def _probabilities(module, transform, variables, rows):
    batch = transform(rows)
    return answer_probabilities(module, variables, batch["document_tokens"], batch["document_mask"])


def tag(run, rows: Rows) -> np.ndarray:
    """How probably each word of documents (N, D) belongs to an answer: (N, D)."""
    module, variables = network(run.config, run.data), {"params": run.state.params["network"]}
    return in_batches(lambda rows: _probabilities(module, run.data.transform, variables, rows), rows)


def ask(run, rows: Rows) -> np.ndarray:
    """Questions (N, question_length) about the answers of N rows; numbers for `questions.words_of`."""

    def numbers(rows):
        batch = run.data.transform(rows)
        return run.learner.sample(run.state, run.key, BATCH, batch, run.config.question_length)

    return in_batches(numbers, rows)


def passages(source: Source) -> Rows:
    """One row of each passage."""
    return source.take(first_rows(source))


def first_rows(source: Source) -> np.ndarray:
    """Which rows are the first of their passage."""
    return np.unique(source.take(np.arange(len(source)))["passage"], return_index=True)[1]


def _labels(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Of each passage, which words belong to an answer and where there are words, both (N, D)."""
    rows = passages(source)
    return rows["answer_labels"], rows["document"] != questions.PADDING


def threshold(run) -> float:
    """From which probability on a word is taken for an answer's: what is best for the validation passages."""
    validation = run.data.validation
    return best_threshold(tag(run, passages(validation)), *_labels(validation))


def answers_in(probabilities: np.ndarray, least: float, most: int) -> list[tuple[int, ...]]:
    """Places of the answers in a document (D,): stretches of words that are at least so probable.

    Where there is none, the most probable word alone; of a stretch, its first `most` words.
    """
    tagged = np.concatenate([[False], probabilities >= least, [False]])
    starts, ends = np.flatnonzero(~tagged[:-1] & tagged[1:]), np.flatnonzero(tagged[:-1] & ~tagged[1:])
    if not len(starts):
        return [(int(probabilities.argmax()),)]
    return [tuple(range(start, min(end, start + most))) for start, end in zip(starts, ends, strict=True)]


def set_questions(run, documents: Sequence[Sequence[str]], least: float) -> list[Reading]:
    """Finds answers and asks for them.

    Args:
      run: a trained one.
      documents: each in words, at least one, in upper and lower case.
      least: as in `answers_in`; see `threshold`.
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
    found = [(n, places) for n, row in enumerate(tags) for places in answers_in(row, least, config.answer_length)]
    about = {name: values[[n for n, _ in found]] for name, values in rows.items()}
    for row, (_, places) in zip(about["answer_indices"], found, strict=True):
        row[: len(places)] = places
    readings = [Reading(row, []) for row in tags]
    for (n, places), numbers in zip(found, ask(run, about), strict=True):
        question = tuple(questions.words_of(numbers, vocabulary, documents[n]))
        answer = tuple(documents[n][place] for place in places)
        readings[n].asked.append(Asked(places[0], answer, question))
    return readings


def shown(words: Sequence[str], asked: Sequence[Asked]) -> str:
    """A document and what was asked about it, as text."""
    lines = [f"  {' '.join(one.answer)}: {' '.join(one.question)}" for one in asked]
    return "\n".join([" ".join(words), *lines]) + "\n"


def _judged(source: Source, num: int) -> np.ndarray:
    """Rows of a split, at most `num`, evenly spread."""
    return np.linspace(0, len(source) - 1, min(num, len(source)), dtype=np.int64)


def draw(run, key: jax.Array, num: int) -> Drawn:
    """Of the run's split, tags of all passages, and questions about `num` answers or all if there are fewer.

    Tags of the validation split are always among them; no `key` is needed.
    """
    del key
    tags = {split: tag(run, passages(getattr(run.data, split))) for split in {"validation", run.split}}
    source = getattr(run.data, run.split)
    return Drawn(tags["validation"], tags.get("test"), ask(run, source.take(_judged(source, num))))


def measure(data: QuestionData, drawn: Drawn) -> dict[str, float]:
    """How well answers are found; how near questions are to those of people, and whether their kind is the answer's."""
    least = best_threshold(drawn.validation, *_labels(data.validation))
    split, tags = ("validation", drawn.validation) if drawn.test is None else ("test", drawn.test)
    source, tagged = getattr(data, split), tags >= least
    labels, mask = _labels(source)
    share, rate = (float(marked[mask].mean()) for marked in (labels, tagged))
    numbers = {f"answer_{name}": value for name, value in answer_scores(tagged, labels, mask).items()}
    numbers["answer_F1_at_random"] = 2 * share * rate / (share + rate)  # precision is the share, recall the rate
    asked = [data.asked[split][row] for row in _judged(source, len(drawn.questions))]
    predicted = [
        questions.words_of(row, data.vocabulary, passage.words)
        for row, (passage, _) in zip(drawn.questions, asked, strict=True)
    ]
    of_people = [
        [[word.lower() for word in other.words] for other in passage.questions if other.answer == question.answer]
        for passage, question in asked
    ]
    ended = np.cumsum(drawn.questions == questions.END, axis=1) > 0
    kinds = kind_agreement(predicted, [passage.answer_words(question) for passage, question in asked])
    return {
        **numbers,
        **{f"question_{name}": value for name, value in question_scores(predicted, of_people).items()},
        "question_unknown_share": unknown_share(drawn.questions, ~ended, questions.UNKNOWN),
        "question_distinct_share": len(set(map(tuple, predicted))) / len(predicted),
        **{f"kind_{name}": value for name, value in kinds.items()},
    }


def references(data: QuestionData) -> dict[str, float]:
    """What those who know less get, and people: what the numbers of `measure` and losses are to be compared with."""
    labels, mask = _labels(data.test)
    batch = data.transform(data.test.take(np.arange(len(data.test))))
    words, is_word = np.asarray(batch["question_output_tokens"]), np.asarray(batch["question_mask"])
    asked = [(question.words, passage.answer_words(question)) for passage, question in data.asked["test"]]
    kinds = kind_agreement(*zip(*asked, strict=True))
    return {
        "all words equally probable/word_loss": float(np.log(len(data.vocabulary))),
        "as common as in the test questions/word_loss": unigram_entropy(words[is_word]),
        "tagging everything/answer_F1": answer_scores(np.ones_like(labels), labels, mask)["F1"],
        "people/question_unknown_share": unknown_share(words, is_word & (words != questions.END), questions.UNKNOWN),
        "people/kind_judged": kinds["judged"],
        "people/kind_fits": kinds["fits"],
    }


def judge(config, data: QuestionData) -> Judge:
    """The numbers of `measure`, beside those of `references`."""

    def of_drawn(drawn: Drawn) -> Mapping[str, float]:
        return {f"samples/{name}".replace(" ", "_"): value for name, value in measure(data, drawn).items()}

    count, way = min(JUDGED, len(data.test)), "greedily" if config.beams == 1 else f"with {config.beams} beams"
    protocol = (
        f"answers of {len(first_rows(data.test))} test passages, tagged from the probability on that is best for "
        f"validation; {count} questions about answers that people had in mind, put together {way}; "
        "BLEU-4 of sacrebleu, ROUGE-L of rouge-score; while training goes on, all of it of the validation split"
    )
    return Judge(protocol, JUDGED, of_drawn, references(data))
