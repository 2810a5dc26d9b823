"""Text generation by LSTM or GRU (book chapter 6, 06_01): autoregressive, by words or characters.

    python -m experiments.text_rnn                                         a bundled novel; 2 minutes
    python -m experiments.text_rnn --config=aesop --data_dir=D             the book's LSTM, Aesop's fables; 5 minutes
    python -m experiments.text_rnn --config=aesop --data_dir=D --layers=2  the book's two LSTMs; 21 minutes
    python -m experiments.text_rnn --dataset=text:my_novel.txt --token_type=character --sequence_length=60
    python -m experiments.sample --workdir=runs/text_rnn-small --prompt="my dear sister" --temperature=0.5 --num=3
    python -m experiments.write --workdir=runs/text_rnn-small              write with the ten likeliest words offered

Minutes are those of two CPU cores. The loss is in nats per token, over held-out stories; its exponential is the
perplexity. Separators between stories are easy to predict: the perplexity without them is higher.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from experiments.language import writing
from experiments.language.perplexity import copied_stories, perplexities
from gdl_jax.core.config_flags import AtLeast, Below, EvaluationOnly, IsPathAfter, OneOf
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import ArraySource, digest_of, first_examples
from gdl_jax.data.text import tokens
from gdl_jax.data.text.tokens import SEPARATOR, UNKNOWN, TextData
from gdl_jax.data.text.vocabulary import Vocabulary
from gdl_jax.data.text.windows import Windows
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.sequence import autoregressive, token_losses
from gdl_jax.models import text_rnn
from gdl_jax.nn.layers import with_axis_name
from gdl_jax.plots.text import passages
from gdl_jax.runs import records
from gdl_jax.runs.config import RunConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler, SampleRequest
from gdl_jax.runs.main import main

AESOP_WORDS = 4169  # printed in the book's code, including the unknown word
EPOCH = 1260  # steps: batches of 32 windows of the training split, four fifths of the fables
STORIES, SHOWN = 16, 3  # stories generated at each temperature, and the number of them shown


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, OptimizerConfig, text_rnn.Config):
    # lady_susan (bundled), aesop in --data_dir, or text:PATH (a UTF-8 text)
    dataset: Annotated[str, IsPathAfter(*tokens.PATH_KINDS)] = "lady_susan"
    token_type: Annotated[str, OneOf(*tokens.TOKEN_TYPES)] = "word"  # word or character
    sequence_length: Annotated[int, AtLeast(1)] = 20  # tokens of context in training
    stride: Annotated[int, AtLeast(1)] = 1  # tokens from one training window to the next
    unknown_below: Annotated[int, AtLeast(1)] = 1  # tokens rarer than this become the unknown token; 1: none
    # share of the stories held out for validation, and the same again for testing
    held_out: Annotated[float, AtLeast(0), Below(0.5)] = 0.1
    # generate as the book does, recomputing the state from the last sequence_length tokens for each new one; else it is
    # carried over
    reread: Annotated[bool, EvaluationOnly()] = False
    patience: int = 5
    optimizer: str = "rmsprop"


PRESETS = {
    "small": Config(
        embedding_size=64,
        hidden_units=128,
        dropout_rate=0.4,
        embedding_dropout_rate=0.2,
        optimizer="adam",
        steps=8000,
        eval_every=500,
    ),
    "aesop": Config(
        dataset="aesop",
        recurrent_activation="hard_sigmoid",
        dropout_rate=0.2,
        steps=100 * EPOCH,
        log_every=EPOCH // 7,
        eval_every=EPOCH // 2,
        checkpoint_every=EPOCH // 2,
    ),
    "tiny": Config(
        token_type="character",
        sequence_length=16,
        embedding_size=16,
        hidden_units=32,
        every_position=True,
        optimizer="adam",
        learning_rate=2e-2,
        steps=100,
        log_every=25,
        eval_every=50,
        checkpoint_every=50,
    ),
}


def load(config: Config) -> TextData:
    """Returns windows of sequence_length tokens with the token that follows.

    Raises:
      UserError: as `tokens.load`; too few training examples.
    """
    data = tokens.load(
        config.dataset,
        data_dir=config.data_dir or None,
        token_type=config.token_type,
        sequence_length=config.sequence_length,
        stride=config.stride,
        unknown_below=config.unknown_below,
        held_out=config.held_out,
    )
    data = first_examples(data, config.train_examples, Windows.first)
    sources = [source for source in (data.train, data.validation, data.test) if source is not None]
    contents = [source.sequences["tokens"].tobytes() for source in sources]
    return dataclasses.replace(data, digest=digest_of([" ".join(data.vocabulary.words).encode(), *contents]))


def spec(config: Config) -> TextData | None:
    """Returns one window of Aesop's fables, whose vocabulary size is known; None for other texts."""
    if (config.dataset, config.token_type, config.unknown_below) != ("aesop", "word", 1):
        return None
    row = ArraySource({"tokens": np.zeros((1, config.sequence_length + 1), np.int32)})
    words = Vocabulary((UNKNOWN, SEPARATOR, *map(str, range(AESOP_WORDS - 2))))
    return TextData(config.dataset, row, row, row, vocabulary=words, token_type="word")


def networks(config: Config, data: TextData) -> dict[str, Network]:
    """Returns the network."""
    window = jax.ShapeDtypeStruct((1, config.sequence_length), jnp.int32)
    return {"network": Network(writing.network(config, data), (window,))}


def build(config: Config, data: TextData, axis_name: str | None) -> Learner:
    """Returns the learner."""
    generate = partial(
        text_rnn.generate,
        unknown=data.vocabulary.unknown,
        separator=data.vocabulary.index[SEPARATOR],
        recompute_context=config.reread,
    )
    learner = autoregressive(
        with_axis_name(writing.network(config, data), axis_name),
        make_optimizer(config),
        streams=("tokens",),
        losses=token_losses,
        generate=generate,
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(learner, config.ema_decay)


def preview(run: Run) -> None:
    """Draws a story at each temperature from the same noise at every step."""
    _, texts = writing.stories_at_temperatures(run, 1)
    passages(texts, run.figures / f"samples_at_{run.step:07d}.png")


def analyse(run: Run) -> Results:
    """Generates stories at several temperatures, draws likely next tokens; returns perplexities and copied shares."""
    numbers, texts = writing.stories_at_temperatures(run, STORIES)
    stories = "\n".join(f"{heading}\n\n" + "\n\n".join(some[:SHOWN]) + "\n" for heading, some in texts.items())
    (run.figures / "samples.txt").write_text(stories, encoding="utf-8")
    writing.draw_next_tokens(run)
    return records.merged(perplexities(run), copied_stories(run, numbers))


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes a text file with continuations of the prompt, or whole stories."""
    start = writing.read_prompt(run, request.options.prompt)
    numbers = writing.generate_stories(run, request.num, start, request.options.sampling)
    path = request.out / "samples.txt"
    path.write_text("\n\n".join(writing.as_text(run, start, row) for row in numbers) + "\n", encoding="utf-8")
    return [path]


EXPERIMENT = Experiment(
    name="text_rnn",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample, options=writing.WritingOptions()),
    headlines=("test/perplexity", "test/perplexity_without_separators"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
