"""Answers and questions from a text, as a teacher would set them (book 06_02 and 06_03).

    python -m experiments.qa                                           made-up bulletins, a small network, minutes
    python -m experiments.qa --config=squad --data_dir=D               SQuAD, with bundled vectors of words
    python -m experiments.qa --config=newsqa --data_dir=D --glove=glove.6B.100d.txt            the book's run
    python -m experiments.qa --config=squad --data_dir=D --attention               the decoder looks at the document
    python -m experiments.qa --config=squad --data_dir=D --attention --copy        and takes words from there
    python -m experiments.studies.qa_ablation --config=squad --data_dir=D                  the three beside each other
    python -m experiments.ask --workdir=runs/qa-small --file=story.txt             a text of one's own

"word_loss" is in nats a word of the questions. A decoder that has learnt nothing has ln V, 9.2 with the book's 9,984
words; one that only knows how common each word is has the unigram entropy, which stands beside it in the results.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np

from experiments.language import question_answering as asking
from gdl_jax.data.dataset import ArraySource, first_examples
from gdl_jax.data.text import questions
from gdl_jax.data.text.vocabulary import Vocabulary
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.learners.questions import INPUTS, question_answerer
from gdl_jax.models import qa as networks
from gdl_jax.plots.questions import answers_and_questions
from gdl_jax.runs.experiment import Experiment, Part, RunConfig
from gdl_jax.runs.main import main

SHOWN = 3  # held-out passages
NEWSQA_WORDS = 9984  # printed in the book's code


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, networks.Config):
    dataset: str = "bulletins"  # bulletins (bundled); newsqa, squad in --data_dir; newsqa:PATH, squad:PATH
    glove: str = ""  # GloVe's vectors to start from: bundled, or a file; "": learned from nothing
    vocabulary_size: int = 10_000  # commonest words to choose the vocabulary from
    document_length: int = 200  # words of a document that are read
    question_length: int = 30  # words of a question, the end mark included
    answer_length: int = 30  # words of an answer that are read
    beams: int = 1  # beginnings that are kept while a question is put together; 1: greedy
    patience: int = 5  # evaluations without a lower held-out loss after which training stops; 0: never
    optimizer: str = "adam"  # by name or package.module:function
    learning_rate: float = 1e-3  # constant, as in the book

    LEAST = RunConfig.LEAST | {
        **dict.fromkeys(("embedding_size", "reader_units", "decoder_units", "attention_units"), 1),
        **dict.fromkeys(("document_length", "question_length", "answer_length", "beams"), 1),
        **{"vocabulary_size": 2, "patience": 0},
    }
    NEEDS = RunConfig.NEEDS | {"attention_units": "attention", "embedding_size": "glove="}


PRESETS = {
    "small": Config(
        glove="bundled",
        attention=True,
        copy=True,
        reader_units=64,
        decoder_units=128,
        attention_units=64,
        document_length=80,
        question_length=16,
        answer_length=4,
        batch_size=64,
        learning_rate=5e-3,
        steps=300,
        log_every=25,
        eval_every=50,
        checkpoint_every=50,
    ),
    "newsqa": Config(dataset="newsqa", recurrent_activation="hard_sigmoid", batch_size=128, steps=40_000),
    "squad": Config(  # 6,305 questions to learn from: 197 steps an epoch
        dataset="squad",
        glove="bundled",
        recurrent_activation="hard_sigmoid",
        vocabulary_size=5000,
        question_length=24,
        answer_length=12,
        learning_rate=2e-3,
        steps=1200,
        eval_every=200,
        checkpoint_every=200,
        patience=2,
    ),
}


def _lengths(config) -> questions.Lengths:
    return questions.Lengths(config.document_length, config.question_length, config.answer_length)


def load(config):
    """Questions with their documents.

    Raises:
      UserError: as `questions.load`; too few training examples.
    """
    data = questions.load(
        config.dataset,
        data_dir=config.data_dir or None,
        vectors=config.glove,
        vocabulary_size=config.vocabulary_size,
        lengths=_lengths(config),
    )
    return first_examples(data, config.train_examples)


def blank(config):
    """One row of NewsQA, with the book's count of words; None where only the set itself knows it."""
    if config.dataset != "newsqa" or config.glove or config.vocabulary_size != Config.vocabulary_size:
        return None
    lengths, words = _lengths(config), map(str, range(NEWSQA_WORDS - len(questions.SPECIAL)))
    sizes = {"document": lengths.document, "question": lengths.question, "answer_indices": lengths.answer}
    row = {name: np.zeros((1, size), np.int32) for name, size in sizes.items()}
    source = ArraySource(row | {"answer_labels": row["document"], "passage": np.zeros(1, np.int32)})
    return questions.QuestionData(
        config.dataset,
        source,
        source,
        transform=partial(questions.features, vocabulary_size=NEWSQA_WORDS),
        vocabulary=Vocabulary((*questions.SPECIAL, *words), questions.UNKNOWN),
        word_vectors=None,
        lengths=lengths,
        asked={},
    )


def parts(config, data):
    """The network."""
    batch = jax.eval_shape(data.transform, data.train.take(np.zeros(1, np.int64)))
    return {"network": Part(asking.network(config, data), tuple(batch[name] for name in INPUTS))}


def build(config, data, axis_name):
    """The learner."""
    return question_answerer(
        asking.network(config, data),
        make_optimizer(config.optimizer, config.learning_rate),
        special=asking.SPECIAL,
        width=config.beams,
        axis_name=axis_name,
    )


def draw_reading(
    words: Sequence[str], reading: asking.Reading, actual: np.ndarray | None, least: float, path: Path
) -> None:
    """The book's figure 6-16; arguments are those of `plots.questions.answers_and_questions`."""
    found = [(one.place, " ".join(one.answer), " ".join(one.question)) for one in reading.asked]
    answers_and_questions(words, reading.probabilities, actual, least, found, path)


def draw_passages(run, rows: Sequence[int], paths: Sequence[Path]) -> float:
    """The figure of the passages of some rows of the run's split; returns the threshold of their answers."""
    least = asking.threshold(run)
    documents = [run.data.asked[run.split][row][0].words for row in rows]
    labels = getattr(run.data, run.split).take(np.asarray(rows))["answer_labels"]
    readings = asking.set_questions(run, documents, least)
    for words, reading, actual, path in zip(documents, readings, labels, paths, strict=True):
        draw_reading(words, reading, actual[: len(words)], least, path)
    return least


def preview(run):
    """What is asked about one held-out passage."""
    draw_passages(run, [0], [run.figures / f"samples_at_{run.step:07d}.png"])


def analyse(run):
    """The book's figure of held-out passages."""
    rows = asking.first_rows(run.data.test)[:SHOWN]
    paths = [run.figures / f"passage_{number}.png" for number, _ in enumerate(rows, start=1)]
    return {"probability from which a word is tagged": draw_passages(run, rows, paths)}


def sample(run, request):
    """One text file: held-out passages, the answers found in them and the questions about those."""
    rows = asking.first_rows(run.data.test)[: request.num]
    documents = [run.data.asked["test"][row][0].words for row in rows]
    readings = asking.set_questions(run, documents, asking.threshold(run))
    texts = [asking.shown(words, asked) for words, (_, asked) in zip(documents, readings, strict=True)]
    path = request.out / "questions.txt"
    path.write_text("\n".join(texts), encoding="utf-8", errors="replace")  # half of a pair, as JSON may hold
    return [path]


EXPERIMENT = Experiment(
    "qa", Config, PRESETS, build, parts, analyse, preview, sample, load, asking.judge, asking.draw, blank
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
