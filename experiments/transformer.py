"""The transformer (book chapter 9): translation of sentences.

    python -m experiments.transformer                                     times and dates, German to English; 3 minutes
    python -m experiments.transformer --config=multi30k --data_dir=D      descriptions of photographs, de to en
    python -m experiments.transformer --config=multi30k_joint --data_dir=D  en to de, parts of words, five beams
    python -m experiments.transformer --config=base --dataset=parallel:PATH --tokens=bpe:37000
                                                                          the paper's base network; big, too
    python -m experiments.sample --workdir=runs/transformer-phrases --prompt="Wir treffen uns um halb zehn."

Minutes are those of two CPU cores. The loss is in nats per token, without label smoothing in evaluation. BLEU is that
of the tokenizer's words, and next to it that of sacrebleu with its signature: the two are not comparable.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from experiments.language import translation
from gdl_jax.core.config_flags import AtLeast, Below, EvaluationOnly, IsPathAfter, Needs
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import ArraySource, first_examples
from gdl_jax.data.text import parallel, sentence_pairs
from gdl_jax.data.text.parallel import TranslationData, Widths
from gdl_jax.data.text.sentence_tokens import END, PADDING, SPECIAL, START, WordTokenizer
from gdl_jax.data.text.vocabulary import Vocabulary
from gdl_jax.learners.averaging import checkpoint_average, moving_average
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.sequence_to_sequence import sequence_to_sequence
from gdl_jax.models import transformer
from gdl_jax.nn.layers import with_axis_name
from gdl_jax.plots.text import passages
from gdl_jax.runs.config import RunConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler
from gdl_jax.runs.main import main

EPOCH = 227  # updates: Multi30k's 29,000 pairs, 128 at a time
MULTI30K_WORDS = 7853, 5893  # German and English, with the special ones
MULTI30K_WIDTHS = Widths(48, 49)


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, OptimizerConfig, transformer.Config):
    # phrases (bundled), multi30k in --data_dir, or parallel:PATH, a folder or a table of pairs
    dataset: Annotated[str, IsPathAfter(*sentence_pairs.PATH_KINDS)] = "phrases"
    source: str = "de"  # language to translate from
    target: str = "en"  # language to translate into
    tokens: str = "word"  # word, word:spacy, or bpe:MERGES (parts of words, one vocabulary for both languages)
    # longer pairs of sentences are left out of training
    max_tokens: Annotated[int, AtLeast(1)] = 50
    unknown_below: Annotated[int, AtLeast(1)] = 2  # words rarer than this are unknown
    smoothing: Annotated[float, AtLeast(0), Below(1)] = 0.1  # label smoothing: probability of wrong tokens
    beams: Annotated[int, AtLeast(1), EvaluationOnly()] = 1  # width of the beam search; 1: greedy
    # exponent of the length by which beams' scores are divided at the end; 0: the likeliest is chosen
    length_penalty: Annotated[float, AtLeast(0), EvaluationOnly()] = 0.0
    # evaluate with the mean of the parameters after the last N multiples of average_every; 0: with the latest
    average_last: Annotated[int, AtLeast(0)] = 0
    average_every: Annotated[int, AtLeast(1), Needs("average_last")] = EPOCH  # updates between parameters in the mean
    optimizer: str = "adam_0.9_0.98"
    batch_size: int = 128


SMALL = {"layers": 3, "width": 256, "hidden_units": 512}
# Dropout everywhere, and the parameters of the best epoch, as in the code that its numbers come from.
MULTI30K = {
    "dataset": "multi30k",
    "attention_dropout_rate": 0.1,
    "hidden_dropout_rate": 0.1,
    "positions": "learned",
    "tied": "none",
    "smoothing": 0.0,
    "optimizer": "adam",
    "learning_rate": 5e-4,
    "clip_norm": 1.0,
    "max_tokens": 40,
    "steps": 10 * EPOCH,
    "eval_every": EPOCH,
    "checkpoint_every": EPOCH,
    "patience": 10,
    "log_every": 50,
}
NOAM = {
    "schedule": "inverse_sqrt",
    "beams": 4,
    "average_last": 5,
    "average_every": 1000,
    "length_penalty": 0.6,
    "tokens": "bpe:10000",
    "dataset": "multi30k",
    "tied": "all",
}
PRESETS = {
    "phrases": Config(
        layers=2,
        width=128,
        heads=4,
        hidden_units=256,
        learning_rate=1e-3,
        warmup_steps=200,
        schedule="cosine",
        steps=800,
    ),
    "multi30k": Config(**SMALL | MULTI30K),
    "multi30k_joint": Config(
        dataset="multi30k",
        source="en",
        target="de",
        tokens="bpe:10000",
        tied="all",
        layers=4,
        width=128,
        heads=4,
        hidden_units=256,
        dropout_rate=0.3,
        learning_rate=5e-3,
        schedule="inverse_sqrt",
        warmup_steps=2000,
        beams=5,
        length_penalty=1.0,
        max_tokens=40,
        batch_size=256,
        steps=4000,
        average_last=10,
        average_every=EPOCH // 2,
    ),
    "base": Config(
        **NOAM, learning_rate=6.987e-4, warmup_steps=4000, batch_size=1024, accumulate=8, max_tokens=100, steps=100_000
    ),
    "big": Config(
        **NOAM | {"average_last": 20},
        width=1024,
        heads=16,
        hidden_units=4096,
        dropout_rate=0.3,
        learning_rate=4.941e-4,
        warmup_steps=4000,
        batch_size=1024,
        accumulate=16,
        max_tokens=100,
        steps=300_000,
    ),
    "tiny": Config(
        layers=1,
        width=32,
        heads=2,
        hidden_units=64,
        train_examples=2000,
        learning_rate=5e-3,
        smoothing=0.0,
        batch_size=32,
        steps=100,
        log_every=25,
        eval_every=50,
        checkpoint_every=50,
    ),
}


def load(config: Config) -> TranslationData:
    """Returns the pairs of sentences.

    Raises:
      UserError: as `parallel.load`.
    """
    data = parallel.load(
        config.dataset,
        data_dir=config.data_dir or None,
        source=config.source,
        target=config.target,
        tokens=config.tokens,
        max_tokens=config.max_tokens,
        unknown_below=config.unknown_below,
    )
    return first_examples(data, config.train_examples)


def spec(config: Config) -> TranslationData | None:
    """Returns one pair of Multi30k's words as in the preset, whose numbers are known; other data have to be read."""
    fields = ("dataset", "source", "target", "tokens", "max_tokens", "unknown_below")
    if any(getattr(config, name) != getattr(PRESETS["multi30k"], name) for name in fields):
        return None
    languages, one = (config.source, config.target), np.ones(1, np.int32)
    made = [
        WordTokenizer(Vocabulary((*SPECIAL, *map(str, range(count - len(SPECIAL))))), language)
        for count, language in zip(MULTI30K_WORDS, languages, strict=True)
    ]
    source, target = (np.zeros((1, width), np.int32) for width in (MULTI30K_WIDTHS.source, MULTI30K_WIDTHS.target))
    row = ArraySource({"source": source, "source_length": one, "target": target, "target_length": one})
    return TranslationData(
        config.dataset,
        row,
        None,
        languages=languages,
        source_tokenizer=made[0],
        target_tokenizer=made[1],
        widths=MULTI30K_WIDTHS,
        sentences={},
    )


def networks(config: Config, data: TranslationData) -> dict[str, Network]:
    """Returns the network."""
    source, target = data.widths.source, data.widths.target - 1
    inputs = [jax.ShapeDtypeStruct((1, length), jnp.int32) for length in (source, target)]
    return {"network": Network(translation.network(config, data), tuple(inputs))}


def build(config: Config, data: TranslationData, axis_name: str | None) -> Learner:
    """Returns the learner."""
    translate = partial(
        transformer.translate,
        start=START,
        end=END,
        length=data.widths.target - 1,
        width=config.beams,
        length_penalty=config.length_penalty,
    )
    learner = sequence_to_sequence(
        with_axis_name(translation.network(config, data), axis_name),
        make_optimizer(config),
        translate=translate,
        smoothing=config.smoothing,
        padding=PADDING,
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    if config.average_last and config.ema_decay:
        raise ConfigError("average_last", config.average_last, "use this or ema_decay, not both")
    averaged = checkpoint_average(learner, config.average_last, config.average_every)
    return moving_average(averaged, config.ema_decay)


def preview(run: Run) -> None:
    """Writes translations of held-out sentences next to the references."""
    passages(translation.preview(run), run.figures / f"samples_at_{run.step:07d}.png")


def analyse(run: Run) -> Results:
    """Draws the positional encoding and a translation's attention; returns BLEU."""
    source = run.data.test.take(np.zeros(1, np.int64))["source"]
    found = translation.translations(run, source)
    translation.draw_attention(run, source[0], found[0], run.figures / "attention.png")
    translation.draw_positions(run, run.figures / "positional_encoding.png")
    return translation.bleu(run)


EXPERIMENT = Experiment(
    name="transformer",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=translation.sample, options=translation.Options(), num=8),
    headlines=("test/bleu", "test/sacre_bleu", "validation/loss"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
