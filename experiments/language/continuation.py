"""Continuation of text by a GPT: prompts, samples, likely next tokens, and perplexities of held-out text."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.language import writing
from experiments.language.exporting import write_network
from gdl_jax.core.config_flags import AtLeast, IsPath
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.text.corpus import Corpus, TextSize
from gdl_jax.data.text.windows import Windows
from gdl_jax.evaluation.text import unigram_entropy
from gdl_jax.losses.sequences import token_cross_entropy
from gdl_jax.models import gpt, gpt_weights
from gdl_jax.nn.sampling import SamplingConfig
from gdl_jax.plots.text import next_tokens
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.config import DTYPES
from gdl_jax.runs.experiment import Results, Run, SampleRequest

SHOWN = 3  # continuations at each temperature
LENGTH = 200  # tokens of a continuation
PROMPT = 16  # held-out tokens that are continued, at most
OFFERED, CONTEXTS, TITLE = 10, 4, 24  # next tokens of a panel, panels, and characters of a panel's title
BATCH = 32  # windows of a batch when held-out text is measured


@dataclass(frozen=True, kw_only=True)
class Options(writing.WritingOptions):
    """Options of sampling."""

    prompt: str = ""  # text to continue; empty: begin as the held-out text does
    # a text file with a prompt in each line; all are continued in one batch, `num` times each
    prompts: Annotated[str, IsPath()] = ""
    tokens: Annotated[int, AtLeast(1)] = LENGTH  # tokens to generate after each prompt


def network(config: Any, data: Corpus) -> gpt.GPT:
    """Returns the network of a run with this config."""
    return gpt.GPT(config, data.tokenizer.size, DTYPES[config.precision])


def continue_prompts(run: Run, prompts: Sequence[np.ndarray], tokens: int, sampling: SamplingConfig) -> list[str]:
    """Returns each prompt's text with its continuation by so many tokens."""
    found = np.asarray(run.learner.sample(run.state, run.key, len(prompts), gpt.padded(prompts), tokens, sampling))
    decode = run.data.tokenizer.decode
    return [decode([*prompt, *row]) for prompt, row in zip(prompts, found.tolist(), strict=True)]


def held_out(run: Run) -> Windows:
    """Returns the windows of the first held-out split that the data have, or the training windows."""
    return next(x for x in (run.data.test, run.data.validation, run.data.train) if x is not None)


def read_prompts(run: Run, options: Options) -> list[np.ndarray]:
    """Returns the token ids of the prompts.

    Raises:
      ConfigError: a prompt has no token, or one that the tokenizer does not know.
    """
    texts = writing.read_prompts(options)
    if not texts:
        return [held_out(run).take(np.zeros(1, np.int64))["tokens"][0, : min(PROMPT, run.config.context)]]
    prompts = []
    for text in texts:
        try:
            ids = run.data.tokenizer.encode(text)
        except UserError as error:
            raise ConfigError("prompts" if options.prompts else "prompt", text, str(error)) from error
        if not len(ids):
            raise ConfigError("prompt", text, "has no token")
        prompts.append(ids)
    return prompts


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes a text file with `num` continuations of each prompt."""
    options = request.options
    prompts = [prompt for prompt in read_prompts(run, options) for _ in range(request.num)]
    count, context = max(map(len, prompts)) + options.tokens, run.config.context
    if count > context + 1:
        sys.stderr.write(
            f"{count} tokens exceed the context of {context}: only the latest count, at least half of it\n"
        )
    texts = continue_prompts(run, prompts, options.tokens, options.sampling)
    path = request.out / "samples.txt"
    path.write_text("\n\n----\n\n".join(texts) + "\n", encoding="utf-8")
    return [path]


def export(run: Run, folder: Path) -> list[Path]:
    """Writes the network for Hugging Face's transformers; returns the paths.

    Raises:
      UserError: the network has no equivalent there, or a file cannot be written.
    """
    tokenizer = run.data.tokenizer
    about = gpt_weights.hugging_face_config(run.config, tokenizer.size)
    tensors = gpt_weights.to_hugging_face(run.state.params["network"], run.config)
    return write_network(folder, tensors, about, tokenizer)


def at_temperatures(run: Run, num: int) -> dict[str, list[str]]:
    """Returns {heading: continuations of the beginning of the held-out text}, `num` at each of TEMPERATURES."""
    prompt = read_prompts(run, Options())[0]
    prompts = [prompt] * num * len(writing.TEMPERATURES)
    texts = continue_prompts(run, prompts, LENGTH, writing.at_each_temperature(num))
    return writing.by_temperature([_drawable(text) for text in texts], num)


@partial(jax.jit, static_argnums=0)
def _next_probabilities(module, params, tokens, lengths):
    """Returns the probabilities (B, V) of the token after the first `lengths` (B,) of tokens (B, T)."""
    states, _ = module.apply({"params": params}, tokens, train=False, method="states")
    last = jnp.take_along_axis(states, lengths[:, None, None] - 1, axis=1)
    return jax.nn.softmax(module.apply({"params": params}, last, method="predict")[:, 0])


@dataclass(frozen=True)
class TextWriter:
    """Writer with a run of gpt2; its tokens are their ids. See `writing.Writer`."""

    run: Run
    end: None = None

    def prompt(self, text: str) -> list[int]:
        return read_prompts(self.run, Options(prompt=text))[0].tolist()

    def read(self, text: str) -> list[int]:
        return self.run.data.tokenizer.encode(text).tolist()

    def tokens(self, numbers: Iterable[int]) -> list[int]:
        return [int(number) for number in numbers]

    def name(self, token: int) -> str:
        return repr(self.run.data.tokenizer.decode([token]))

    def text(self, story: Sequence[int]) -> str:
        return self.run.data.tokenizer.decode(story)

    def probabilities(self, story: Sequence[int]) -> np.ndarray:
        config, latest = self.run.config, story[-self.run.config.context :]
        tokens = np.zeros((1, config.context), np.int32)
        tokens[0, : len(latest)] = latest
        module, params = network(config, self.run.data), self.run.state.params["network"]
        return np.asarray(_next_probabilities(module, params, tokens, np.array([len(latest)])))[0]


def draw_next_tokens(run: Run, path: Path) -> None:
    """Draws the likeliest tokens after some held-out passages, with their probabilities."""
    source = held_out(run)
    places = np.linspace(0, len(source) - 1, CONTEXTS).astype(np.int64)
    tokens = source.take(places)["tokens"][:, :-1]
    decode, panels = run.data.tokenizer.decode, {}
    params = run.state.params["network"]
    lengths = np.full(len(tokens), tokens.shape[1])
    found = _next_probabilities(network(run.config, run.data), params, tokens, lengths)
    for row, shares in zip(tokens, found, strict=True):
        likeliest = np.argsort(-np.asarray(shares), kind="stable")[:OFFERED]
        title = "... " + _shown(decode(row.tolist())[-TITLE:])
        panels[title] = {_shown(decode([number])): [float(shares[number])] for number in likeliest.tolist()}
    next_tokens(panels, ["probability"], path)


def _drawable(text: str) -> str:
    """Returns a text with dots for characters that no font has."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "·" for letter in text)


def _shown(text: str) -> str:
    """Returns a text for a label: newlines are made visible, too."""
    return _drawable(text).replace("\n", "⏎")


@partial(jax.jit, static_argnums=0)
def _token_losses(module, params, tokens):
    return token_cross_entropy(module.apply({"params": params}, tokens[:, :-1], train=False), tokens[:, 1:])


def sliding_loss(run: Run, source: Windows) -> float:
    """Returns the mean loss of tokens, each predicted from at least half a context before it, in nats.

    Windows overlap by half; the first half of a window counts for the first window only.
    """
    context = run.config.context
    tokens = source.sequences["tokens"]
    stride = max(context // 2, 1)
    starts = np.arange(0, len(tokens) - context, stride)
    windows = Windows({"tokens": tokens}, starts, context + 1)
    module, params = network(run.config, run.data), run.state.params["network"]
    losses = in_batches(
        lambda index: _token_losses(module, params, jnp.asarray(windows.take(index)["tokens"])),
        np.arange(len(windows)),
        BATCH,
    )
    return float(np.concatenate([losses[0, : context - stride], losses[:, context - stride :].ravel()]).mean())


def _scaled(loss: float, size: TextSize) -> dict[str, float]:
    """Returns a loss in nats per token as perplexities and bits; see `TextSize`."""
    return {
        "perplexity": float(np.exp(loss)),
        "word_perplexity": float(np.exp(loss * size.tokens / size.words)),
        "bits_per_byte": loss * size.tokens / size.bytes / float(np.log(2)),
    }


def perplexities(run: Run) -> Results:
    """Returns perplexities and bits per byte of the held-out splits, by windows and by sliding windows.

    "unigram" is the baseline of the frequencies of a split's own tokens.
    """
    results: dict[str, Any] = {}
    sizes: Mapping[str, TextSize | None] = {"validation": run.data.validation_size, "test": run.data.test_size}
    for split, size in sizes.items():
        source = getattr(run.data, split)
        if source is None or size is None:
            continue
        loss = float(run.losses(source).mean())
        results |= {f"{split}/{name}": value for name, value in _scaled(loss, size).items()}
        sliding = sliding_loss(run, source)
        results[f"{split}/sliding_loss"] = sliding
        results |= {f"{split}/sliding_{name}": value for name, value in _scaled(sliding, size).items()}
        results["unigram/loss"] = unigram_entropy(source.sequences["tokens"])
    windows = f"windows of {run.config.context} tokens side by side; sliding: overlapping by half, each token once"
    words = "words are separated by white space; bytes in UTF-8"
    return results | {"protocol": {"validation": f"{windows}; {words}", "test": f"{windows}; {words}"}}
