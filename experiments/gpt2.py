"""GPT-2 (book chapter 9): a transformer that continues text, token by token.

    python -m experiments.gpt2                                           a bundled novel, by characters; 2 minutes
    python -m experiments.gpt2 --config=shakespeare_cpu --data_dir=D     nanoGPT's network for CPUs; 2 minutes
    python -m experiments.gpt2 --config=shakespeare --data_dir=D         nanoGPT's network of 10.7 million parameters
    python -m experiments.gpt2 --config=gpt2 --dataset=text:PATH --tokenizer=bpe:FOLDER     the published sizes, too:
                                                                         gpt2_medium, gpt2_large, gpt2_xl
    python -m experiments.gpt2 --config=gpt2 --init=FOLDER --tokenizer=bpe:FOLDER --dataset=text:PATH --steps=100
                                                                         goes on from published weights
    python -m experiments.export --workdir=runs/gpt2-small --out=FOLDER  files for Hugging Face's transformers
    python -m experiments.sample --workdir=runs/gpt2-small --prompt="My dear sister" --temperature=0.8 --num=4

Minutes are those of two CPU cores. The loss is in nats per token, over held-out text in windows of the context; bits
per byte and perplexity per word do not depend on the tokenizer. "sliding" predicts each token from at least half a
context. `--attention=strided` and `fixed` are the patterns of the sparse transformer.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from experiments.language import continuation
from gdl_jax.core.config_flags import AtLeast, Below, IsPath, IsPathAfter
from gdl_jax.core.learner import Learner
from gdl_jax.core.loop import Start
from gdl_jax.data.dataset import ArraySource, first_examples
from gdl_jax.data.tensor_files import read_tensors
from gdl_jax.data.text import corpus, tokenizers
from gdl_jax.data.text.corpus import Corpus
from gdl_jax.data.text.tokenizers import CharacterTokenizer
from gdl_jax.data.text.windows import Windows
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.fine_tuning import with_params
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.sequence import autoregressive, token_losses
from gdl_jax.models import gpt, gpt_weights
from gdl_jax.nn.layers import with_axis_name
from gdl_jax.plots.text import passages
from gdl_jax.runs.config import RunConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler
from gdl_jax.runs.main import main

SHAKESPEARE_VOCABULARY = 65  # characters


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, OptimizerConfig, gpt.Config):
    # lady_susan (bundled); aesop, tinyshakespeare, wikitext2 in --data_dir; or text:PATH, a UTF-8 text or a folder
    dataset: Annotated[str, IsPathAfter(*corpus.PATH_KINDS)] = "lady_susan"
    # character, word, word:SIZE, bpe:SIZE or bpe:PATH (vocab.json and merges.txt), wordpiece:SIZE or wordpiece:PATH
    tokenizer: Annotated[str, IsPathAfter(*tokenizers.PATH_KINDS, or_number=True)] = "character"
    # share of the characters for validation, before those for testing; wikitext2 has splits of its own
    validation_share: Annotated[float, AtLeast(0), Below(1)] = 0.1
    test_share: Annotated[float, AtLeast(0), Below(1)] = 0.0  # share of the characters for testing, the last ones
    # weights to start from: a file *.safetensors with Hugging Face's names, or a folder with model.safetensors
    init: Annotated[str, IsPath()] = ""
    optimizer: str = "adam_0.9_0.95"


NANO = {
    "dataset": "tinyshakespeare",
    "bias": False,
    "gelu": "exact",
    "optimizer": "adam_0.9_0.99",
    "schedule": "cosine",
    "final_learning_rate": 0.1,
    "warmup_steps": 100,
    "weight_decay": 0.1,
    "clip_norm": 1.0,
}
SMALL = {"context": 64, "layers": 4, "heads": 4, "width": 128, "dropout_rate": 0.0, "batch_size": 12, "steps": 2000}
# Updates of 12 x 40 windows: 491,520 tokens.
PUBLISHED = {
    "tokenizer": "bpe:50257",
    "dropout_rate": 0.0,
    "learning_rate": 6e-4,
    "schedule": "cosine",
    "final_learning_rate": 0.1,
    "warmup_steps": 2000,
    "weight_decay": 0.1,
    "clip_norm": 1.0,
    "batch_size": 480,
    "accumulate": 40,
    "steps": 600_000,
    "log_every": 100,
    "eval_every": 1000,
    "checkpoint_every": 1000,
    "remat": True,
}
PRESETS = {
    "small": Config(**NANO | SMALL | {"dataset": "lady_susan", "test_share": 0.1, "dropout_rate": 0.1, "unroll": 4}),
    "shakespeare_cpu": Config(**NANO | SMALL, unroll=4, eval_every=250),
    "shakespeare": Config(
        **NANO, context=256, layers=6, heads=6, width=384, dropout_rate=0.2, batch_size=64, steps=5000, eval_every=250
    ),
    "gpt2": Config(**PUBLISHED),
    "gpt2_medium": Config(**PUBLISHED, layers=24, heads=16, width=1024),
    "gpt2_large": Config(**PUBLISHED, layers=36, heads=20, width=1280),
    "gpt2_xl": Config(**PUBLISHED, layers=48, heads=25, width=1600),
    "tiny": Config(
        context=16,
        layers=2,
        heads=2,
        width=32,
        dropout_rate=0.0,
        test_share=0.1,
        optimizer="adam",
        learning_rate=3e-3,
        steps=200,
        log_every=50,
        eval_every=100,
        checkpoint_every=100,
    ),
}


def load(config: Config) -> Corpus:
    """Returns windows of the text, of `context` tokens and the one after them.

    Raises:
      UserError: as `corpus.load`.
    """
    data = corpus.load(
        config.dataset,
        data_dir=config.data_dir or None,
        tokenizer=config.tokenizer,
        sequence_length=config.context,
        validation_share=config.validation_share,
        test_share=config.test_share,
    )
    return first_examples(data, config.train_examples, Windows.first)


def spec(config: Config) -> Corpus | None:
    """Returns one window, where the size of the vocabulary is known: by a flag, or of tiny Shakespeare's characters."""
    _, _, size = config.tokenizer.partition(":")
    if (config.dataset, config.tokenizer) == ("tinyshakespeare", "character"):
        size = str(SHAKESPEARE_VOCABULARY)
    if not size.isdecimal():
        return None
    row = ArraySource({"tokens": np.zeros((1, config.context + 1), np.int32)})
    tokenizer = CharacterTokenizer("".join(map(chr, range(int(size)))))
    return Corpus(config.dataset, row, row, None, tokenizer=tokenizer)


def networks(config: Config, data: Corpus) -> dict[str, Network]:
    """Returns the network."""
    tokens = jax.ShapeDtypeStruct((1, config.context), jnp.int32)
    return {"network": Network(continuation.network(config, data), (tokens,))}


def build(config: Config, data: Corpus, axis_name: str | None) -> Learner:
    """Returns the learner."""
    learner = autoregressive(
        with_axis_name(continuation.network(config, data), axis_name),
        make_optimizer(config),
        streams=("tokens",),
        losses=token_losses,
        generate=gpt.generate_from_padded,
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(learner, config.ema_decay)


def start(config: Config, data: Corpus) -> Start | None:
    """Returns the function that puts the weights of `init` into a new run's state.

    Raises:
      UserError: they cannot be read, or are not those of a network of these sizes.
    """
    if not config.init:
        return None
    tensors = read_tensors(Path(config.init))
    params = gpt_weights.from_hugging_face(tensors, config, data.tokenizer.size, config.init)
    return partial(with_params, params={"network": params})


def preview(run: Run) -> None:
    """Draws a continuation of held-out text at each temperature, from the same noise at every step."""
    passages(continuation.at_temperatures(run, 1), run.figures / f"samples_at_{run.step:07d}.png")


def analyse(run: Run) -> Results:
    """Writes continuations at several temperatures and draws likely next tokens; returns perplexities."""
    texts = continuation.at_temperatures(run, continuation.SHOWN)
    parts = [f"{heading}\n\n" + "\n\n".join(some) + "\n" for heading, some in texts.items()]
    (run.figures / "samples.txt").write_text("\n".join(parts), encoding="utf-8")
    continuation.draw_next_tokens(run, run.figures / "next_tokens.png")
    return continuation.perplexities(run)


EXPERIMENT = Experiment(
    name="gpt2",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    start=start,
    export=continuation.export,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=continuation.sample, options=continuation.Options(), num=4),
    headlines=("validation/loss", "validation/bits_per_byte", "test/bits_per_byte"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
