"""BERT (book chapter 9): an encoder, pre-trained to fill in masked words from both sides.

    python -m experiments.bert                                           synthetic news; 3 minutes
    python -m experiments.bert --config=novel                            a bundled novel, too short to learn much from
    python -m experiments.bert --config=wikitext --data_dir=D            WikiText-2
    python -m experiments.bert --config=bert_base --dataset=text:PATH --by_line --tokenizer=wordpiece:FOLDER
                                                                         the published sizes: bert_tiny, bert_mini,
                                                                         bert_small, bert_medium, bert_large, too
    python -m experiments.bert --config=minilm --init=FOLDER --tokenizer=wordpiece:FOLDER --dataset=text:PATH
                                                                         goes on from published weights
    python -m experiments.export --workdir=runs/bert-small --out=FOLDER  files for Hugging Face's transformers
    python -m experiments.sample --workdir=runs/bert-small --prompt="I hope you will [MASK] to town."
    python -m experiments.sample --workdir=runs/bert-small --prompts=FILE --word=hope    one word in several sentences

Minutes are those of two CPU cores. The loss is the mean cross-entropy of the masked words plus that of whether the
second passage follows the first. "unigram" is a guess without context: the commonest token for [MASK], the token itself
where another one stands, and the commoner answer. Adam corrects its moments' bias, unlike the paper's; after the
warm-up they hardly differ. The paper trains the last tenth of its updates on 512 tokens: start a second run with --init
and --max_length=512 from an exported network.
"""

from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from experiments.language import bert_tuning, masked_words
from gdl_jax.core.config_flags import Above, AtLeast, IsPath, IsPathAfter
from gdl_jax.core.learner import Learner
from gdl_jax.core.loop import Start
from gdl_jax.data.dataset import ArraySource, first_examples
from gdl_jax.data.text import corpus, pretraining, tokenizers
from gdl_jax.data.text.bert_rows import features
from gdl_jax.data.text.masking import MaskingRecipe
from gdl_jax.data.text.pretraining import PretrainingData
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.masked_language import masked_language
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.models import bert
from gdl_jax.nn.layers import with_axis_name
from gdl_jax.plots.text import passages
from gdl_jax.runs.config import RunConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, OptimizerConfig, bert.Config):
    # bulletins (synthetic news), lady_susan (bundled); aesop, tinyshakespeare, wikitext2 in --data_dir; or text:PATH
    dataset: Annotated[str, IsPathAfter(*corpus.PATH_KINDS)] = "lady_susan"
    # wordpiece:SIZE, learned from the training documents, or wordpiece:PATH, a vocab.txt or a folder with it
    tokenizer: Annotated[str, IsPathAfter(*tokenizers.PATH_KINDS, or_number=True)] = "wordpiece:30522"
    by_line: bool = False  # each line of the text is a sentence, and blank lines separate documents
    max_length: Annotated[int, AtLeast(1)] = 128  # tokens of an example
    max_predictions: Annotated[int, AtLeast(1)] = 20  # the most tokens of an example to predict
    masked_share: Annotated[float, Above(0)] = 0.15  # of an example's tokens that are to be predicted
    duplicates: Annotated[int, AtLeast(1)] = 10  # times that each document is used, with other pairs and masks
    whole_words: bool = False  # predict all tokens of a word or none
    # weights to start from: a file *.safetensors with Hugging Face's names, or a folder with model.safetensors
    init: Annotated[str, IsPath()] = ""


DECAYED = {"schedule": "linear", "weight_decay": 0.01, "clip_norm": 1.0}
SMALL = {"layers": 2, "heads": 4, "width": 128, "hidden_units": 512}
PUBLISHED = {
    **DECAYED,
    "learning_rate": 1e-4,
    "warmup_steps": 10_000,
    "batch_size": 256,
    "steps": 1_000_000,
    "log_every": 100,
    "eval_every": 10_000,
    "checkpoint_every": 1000,
}
PRESETS = {
    "small": Config(
        **DECAYED,
        **SMALL,
        dataset="bulletins",
        tokenizer="wordpiece:600",
        max_length=64,
        max_predictions=10,
        unroll=2,
        learning_rate=2e-3,
        warmup_steps=100,
        steps=2000,
    ),
    "novel": Config(
        **DECAYED,
        **SMALL,
        tokenizer="wordpiece:1000",
        max_length=64,
        max_predictions=10,
        duplicates=40,
        attention_dropout_rate=0.0,
        unroll=2,
        learning_rate=2e-3,
        warmup_steps=100,
        steps=1500,
    ),
    "wikitext": Config(
        **DECAYED,
        **SMALL | {"layers": 4, "width": 256, "hidden_units": 1024},
        dataset="wikitext2",
        tokenizer="wordpiece:8000",
        max_length=64,
        max_predictions=10,
        unroll=4,
        learning_rate=5e-4,
        warmup_steps=500,
        batch_size=64,
        steps=4000,
    ),
    "bert_tiny": Config(**PUBLISHED, layers=2, heads=2, width=128, hidden_units=512),
    "bert_mini": Config(**PUBLISHED, layers=4, heads=4, width=256, hidden_units=1024),
    "bert_small": Config(**PUBLISHED, layers=4, heads=8, width=512, hidden_units=2048),
    "bert_medium": Config(**PUBLISHED, layers=8, heads=8, width=512, hidden_units=2048),
    "bert_base": Config(**PUBLISHED, accumulate=8, remat=True),
    "bert_large": Config(**PUBLISHED, layers=24, heads=16, width=1024, hidden_units=4096, accumulate=32, remat=True),
    "minilm": Config(**PUBLISHED, layers=6, heads=12, width=384, hidden_units=1536),
    "tiny": Config(
        **SMALL | {"layers": 1, "heads": 2, "width": 32, "hidden_units": 64},
        tokenizer="wordpiece:300",
        max_length=32,
        max_predictions=5,
        dropout_rate=0.0,
        attention_dropout_rate=0.0,
        learning_rate=3e-3,
        steps=200,
        log_every=50,
        eval_every=100,
        checkpoint_every=100,
    ),
}


def load(config: Config) -> PretrainingData:
    """Returns the examples.

    Raises:
      UserError: as `pretraining.load`.
    """
    recipe = MaskingRecipe(
        max_length=config.max_length,
        max_predictions=config.max_predictions,
        masked_share=config.masked_share,
        duplicates=config.duplicates,
        whole_words=config.whole_words,
    )
    data = pretraining.load(
        config.dataset,
        recipe=recipe,
        data_dir=config.data_dir or None,
        tokenizer=config.tokenizer,
        by_line=config.by_line,
    )
    return first_examples(data, config.train_examples)


def spec(config: Config) -> PretrainingData | None:
    """Returns one example, where the size of the vocabulary is known."""
    tokenizer = bert_tuning.placeholder(config.tokenizer)
    if tokenizer is None:
        return None
    shapes = dict.fromkeys(("tokens", "segments"), (1, config.max_length)) | {"length": (1,), "is_next": (1,)}
    shapes |= dict.fromkeys(("positions", "targets", "weights"), (1, config.max_predictions))
    arrays = {name: np.zeros(shape, np.float32 if name == "weights" else np.int32) for name, shape in shapes.items()}
    row = ArraySource(arrays)
    return PretrainingData(config.dataset, row, row, row, transform=features, tokenizer=tokenizer)


def networks(config: Config, data: PretrainingData) -> dict[str, Network]:
    """Returns the network."""
    tokens, mask = (jax.ShapeDtypeStruct((1, config.max_length), dtype) for dtype in (jnp.int32, jnp.bool_))
    positions = jax.ShapeDtypeStruct((1, config.max_predictions), jnp.int32)
    return {"network": Network(masked_words.network(config, data), (tokens, tokens, mask, positions))}


def build(config: Config, data: PretrainingData, axis_name: str | None) -> Learner:
    """Returns the learner."""
    learner = masked_language(
        with_axis_name(masked_words.network(config, data), axis_name),
        make_optimizer(config),
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(learner, config.ema_decay)


def start(config: Config, data: PretrainingData) -> Start | None:
    """Returns the function that puts the weights of `init` into a new run's state; as `bert_tuning.start`."""
    return bert_tuning.start(networks(config, data)["network"], config.init, ("network",))


def preview(run: Run) -> None:
    """Draws held-out examples with the likeliest words for their blanks."""
    passages(masked_words.preview(run), run.figures / f"samples_at_{run.step:07d}.png")


def analyse(run: Run) -> Results:
    """Draws blanks filled in, attention, and a word in two uses, if it knows one; returns what mere guesses reach."""
    masked_words.draw_blanks(run, run.figures / "fill_in.png")
    first = masked_words.held_out_text(run)
    masked_words.draw_attention(run, first, run.figures / "attention.png")
    if (word := masked_words.example_word(run)) is None:
        return masked_words.guesses(run)
    return masked_words.guesses(run) | masked_words.compare_uses(run, word, run.figures / "contexts.png")


EXPERIMENT = Experiment(
    name="bert",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    start=start,
    export=masked_words.export,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=masked_words.sample, options=masked_words.Options(), num=5),
    headlines=("test/word_accuracy", "unigram/word_accuracy", "test/word_loss", "test/next_accuracy"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
