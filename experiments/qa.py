"""Question generation (book chapter 6, 06_02 and 06_03): finds answers in a text and asks a question about each.

    python -m experiments.qa                                       generated bulletins, a small network; 1 minute
    python -m experiments.qa --config=squad --data_dir=D           SQuAD, with bundled word vectors
    python -m experiments.qa --config=newsqa --data_dir=D --glove=glove.6B.100d.txt  the book's run
    python -m experiments.qa --config=squad --data_dir=D --attention         the decoder attends to the document
    python -m experiments.qa --config=squad --data_dir=D --attention --copy  and copies words from it
    python -m experiments.studies.qa_ablation --config=squad --data_dir=D    compares the three decoders; 60 minutes
    python -m experiments.ask --workdir=runs/qa-small --file=story.txt       questions about your own text

Minutes are those of two CPU cores. `word_loss` is in nats per word of the questions. Compare it with two baselines in
the results: a uniform distribution has ln V, 9.2 with the book's 9,984 words; word frequencies alone have the unigram
entropy.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
import numpy as np

from experiments.language import question_answering as answering
from experiments.language import question_metrics
from gdl_jax.core.config_flags import AtLeast, EvaluationOnly, IsPath, IsPathAfter, Needs
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import ArraySource, first_examples
from gdl_jax.data.text import questions
from gdl_jax.data.text.questions import QuestionData
from gdl_jax.data.text.vocabulary import Vocabulary
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.questions import INPUTS, question_answerer
from gdl_jax.models import qa
from gdl_jax.runs.config import RunConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, SampleMetrics, Sampler, SampleRequest
from gdl_jax.runs.main import main

SHOWN = 3  # held-out passages
NEWSQA_WORDS = 9984  # printed in the book's code


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, OptimizerConfig, qa.Config):
    # bulletins (bundled); newsqa, squad in --data_dir; newsqa:PATH, squad:PATH
    dataset: Annotated[str, IsPathAfter(*questions.PATH_KINDS)] = "bulletins"
    # pretrained GloVe vectors: bundled, or a file; empty: train word vectors from scratch
    glove: Annotated[str, IsPath(names=("", "bundled"))] = ""
    embedding_size: Annotated[int, Needs("glove=")] = 100
    vocabulary_size: Annotated[int, AtLeast(2)] = 10_000  # most frequent words from which the vocabulary is chosen
    document_length: Annotated[int, AtLeast(1)] = 200  # words of a document; longer ones are truncated
    question_length: Annotated[int, AtLeast(1)] = 30  # words of a question, including the end token
    answer_length: Annotated[int, AtLeast(1)] = 30  # words of an answer; longer ones are truncated
    beams: Annotated[int, AtLeast(1), EvaluationOnly()] = 1  # beams of the search for a question; 1: greedy
    patience: int = 5


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
    "squad": Config(  # 6,305 training questions: 197 steps an epoch
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
    "tiny": Config(
        attention=True,
        copy=True,
        embedding_size=8,
        reader_units=8,
        decoder_units=16,
        attention_units=8,
        document_length=80,
        question_length=16,
        answer_length=4,
        learning_rate=1e-2,
        steps=40,
        log_every=10,
        eval_every=20,
        checkpoint_every=20,
    ),
}


def _lengths(config: Config) -> questions.Lengths:
    return questions.Lengths(config.document_length, config.question_length, config.answer_length)


def load(config: Config) -> QuestionData:
    """Returns questions with their documents.

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


def spec(config: Config) -> QuestionData | None:
    """Returns one row of NewsQA with the book's vocabulary size; None for other data sets and vocabularies."""
    if config.dataset != "newsqa" or config.glove or config.vocabulary_size != Config.vocabulary_size:
        return None
    lengths, words = _lengths(config), map(str, range(NEWSQA_WORDS - len(questions.SPECIAL)))
    sizes = {"document": lengths.document, "question": lengths.question, "answer_indices": lengths.answer}
    row = {name: np.zeros((1, size), np.int32) for name, size in sizes.items()}
    source = ArraySource(row | {"answer_labels": row["document"], "passage": np.zeros(1, np.int32)})
    return QuestionData(
        config.dataset,
        source,
        source,
        transform=partial(questions.features, vocabulary_size=NEWSQA_WORDS),
        vocabulary=Vocabulary((*questions.SPECIAL, *words), questions.UNKNOWN),
        word_vectors=None,
        lengths=lengths,
        asked={},
    )


def networks(config: Config, data: QuestionData) -> dict[str, Network]:
    """Returns the network."""
    batch = jax.eval_shape(data.transform, data.example())
    return {"network": Network(answering.network(config, data), tuple(batch[name] for name in INPUTS))}


def build(config: Config, data: QuestionData, axis_name: str | None) -> Learner:
    """Returns the learner."""
    learner = question_answerer(
        answering.network(config, data),
        make_optimizer(config),
        special=answering.SPECIAL,
        width=config.beams,
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(learner, config.ema_decay)


def preview(run: Run) -> None:
    """Draws the answers found in one held-out passage, and the questions about them."""
    answering.draw_passages(run, [0], [run.figures / f"samples_at_{run.step:07d}.png"])


def analyse(run: Run) -> Results:
    """Draws the book's figure for a few held-out passages; returns the tagging threshold."""
    rows = answering.first_of_passages(run.data.test)[:SHOWN]
    paths = [run.figures / f"passage_{number}.png" for number, _ in enumerate(rows, start=1)]
    how = "lowest probability at which a word is tagged as part of an answer; the best one on the validation split"
    threshold = answering.draw_passages(run, rows, paths)
    return {"tagging_threshold": threshold, "protocol": {"tagging_threshold": how}}


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes a text file of held-out passages, the answers found in them, and the questions about these answers."""
    rows = answering.first_of_passages(run.data.test)[: request.num]
    documents = [run.data.asked["test"][row][0].words for row in rows]
    found = answering.generate_questions(run, documents, answering.tagging_threshold(run))
    texts = [answering.as_text(words, document.pairs) for words, document in zip(documents, found, strict=True)]
    path = request.out / "questions.txt"
    path.write_text("\n".join(texts), encoding="utf-8", errors="replace")  # JSON may hold lone surrogates
    return [path]


EXPERIMENT = Experiment(
    name="qa",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample),
    sample_metrics=SampleMetrics(draw=question_metrics.draw, evaluator=question_metrics.sample_evaluator),
    headlines=("test/word_loss", "samples/answer_f1", "samples/question_bleu_4"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
