"""Writing with text models: prompts and turns; stories of experiments.text_rnn, next tokens, and their figures."""

import itertools
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol

import jax
import numpy as np

from gdl_jax.core.config_flags import Above, AtLeast, Below
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.text.text_files import read
from gdl_jax.data.text.tokens import SEPARATOR, TextData, join, tokenise
from gdl_jax.models.text_rnn import TextRNN, allowed_logits
from gdl_jax.nn.sampling import SamplingConfig
from gdl_jax.plots.text import next_tokens
from gdl_jax.runs.config import DTYPES
from gdl_jax.runs.experiment import Run, SampleOptions

LENGTHS = {"word": 100, "character": 500}  # most tokens of a generated story
TEMPERATURES = (0.2, 0.5, 1.0)
OFFERED = 10  # likeliest tokens in the menu of `experiments.write` and in the figure of next tokens
CONTEXTS = 4  # contexts in that figure
NAMES = {SEPARATOR: "(the end)", " ": "(space)"}  # of invisible tokens
TITLE = 6  # last tokens of a context, its title in the figure


@dataclass(frozen=True, kw_only=True)
class WritingOptions(SampleOptions):
    """Options of text generation."""

    prompt: str = ""  # text to continue; empty: begin a story
    temperature: Annotated[float, AtLeast(0)] = 1.0  # divides the logits; 0: always the likeliest token
    top_k: Annotated[int, AtLeast(0), Below(2**31)] = 0  # sample from this many likeliest tokens only; 0: from all
    # sample from the smallest set of likeliest tokens with this total probability; 1: from all
    top_p: Annotated[float, Above(0)] = 1.0

    def __post_init__(self):
        super().__post_init__()
        if self.top_p > 1:
            raise ConfigError("top_p", self.top_p, "must be at most 1")

    @property
    def sampling(self) -> SamplingConfig:
        """Temperature, top_k and top_p."""
        return SamplingConfig(self.temperature, self.top_k, self.top_p)


def network(config: Any, data: TextData) -> TextRNN:
    """Returns the network of a run with this config."""
    return TextRNN(config, len(data.vocabulary), DTYPES[config.precision])


class Writer(Protocol):
    """A text model, token by token, for `experiments.write`.

    Attributes:
      run: of the model.
      end: the token that ends a story, or None.
    """

    run: Run
    end: Any

    def prompt(self, text: str) -> list[Any]:
        """Returns the tokens of a prompt, which may be empty."""

    def read(self, text: str) -> list[Any]:
        """Returns the tokens of typed text; raises UserError if one of them is unknown."""

    def tokens(self, numbers: Iterable[int]) -> list[Any]:
        """Returns the tokens with these ids."""

    def name(self, token: Any) -> str:
        """Returns a token as shown in a menu."""

    def text(self, story: Sequence[Any]) -> str:
        """Returns the text of tokens."""

    def probabilities(self, story: Sequence[Any]) -> np.ndarray:
        """Returns the probabilities (V,) of the next token."""


def at_each_temperature(num: int) -> SamplingConfig:
    """Returns the sampling of `num` texts at each of TEMPERATURES, in one batch."""
    return SamplingConfig(np.repeat(np.float32(TEMPERATURES), num))


def by_temperature(texts: Sequence[str], num: int) -> dict[str, list[str]]:
    """Returns {heading: texts} of texts sampled by `at_each_temperature`."""
    return {f"temperature {t}": list(texts[i * num : (i + 1) * num]) for i, t in enumerate(TEMPERATURES)}


def read_prompts(options: Any, keep: Callable[[str], Any] = bool) -> list[str]:
    """Returns the prompts of the options `prompt` and `prompts`; [] if neither is given.

    Args:
      options: with the fields `prompt`, a text, and `prompts`, the path of a file with a prompt in each line.
      keep: true for the lines that count.

    Raises:
      ConfigError: both are given, or the file has no line that counts.
      UserError: the file cannot be read.
    """
    if not options.prompts:
        return [options.prompt] if options.prompt else []
    if options.prompt:
        raise ConfigError("prompts", options.prompts, "give prompt or prompts, not both")
    lines = [line for line in read(Path(options.prompts)).splitlines() if keep(line)]
    if not lines:
        raise ConfigError("prompts", options.prompts, "has no line with a prompt")
    return lines


def read_prompt(run: Run, prompt: str) -> list[str]:
    """Returns the tokens of a prompt that are in the vocabulary.

    Reports the skipped ones on standard error, and a prompt that is longer than the context.

    Raises:
      ConfigError: none of its tokens is in the vocabulary.
    """
    token_type, vocabulary = run.data.token_type, run.data.vocabulary
    tokens = tokenise(prompt, token_type)
    known = [token for token in tokens if token in vocabulary.index]
    if tokens and not known:
        raise ConfigError("prompt", prompt, f"none of these {token_type}s is in the model's vocabulary")
    if unknown := dict.fromkeys(token for token in tokens if token not in vocabulary.index):
        sys.stderr.write(f"not in the model's vocabulary, skipped: {' '.join(unknown)}\n")
    if len(known) > (length := run.config.sequence_length):
        sys.stderr.write(f"the prompt has {len(known)} {token_type}s; only the last {length} are used\n")
    return known


def context_of(run: Run, tokens: Sequence[str]) -> np.ndarray:
    """Returns the context (sequence_length,) of a story that starts with these tokens."""
    length = run.config.sequence_length
    return run.data.vocabulary.encode([*[SEPARATOR] * length, *tokens])[-length:]


@partial(jax.jit, static_argnums=0)
def _probabilities(module, params, contexts, unknown, separator):
    logits = module.apply({"params": params}, contexts, train=False)[:, 0]
    return jax.nn.softmax(allowed_logits(logits, contexts[:, -1], unknown, separator))


def next_probabilities(run: Run, contexts: np.ndarray) -> np.ndarray:
    """Returns the sampling probabilities (N, V) of the next token after contexts (N, sequence_length)."""
    vocabulary = run.data.vocabulary
    module, params = network(run.config, run.data), run.state.params["network"]
    return np.asarray(_probabilities(module, params, contexts, vocabulary.unknown, vocabulary.index[SEPARATOR]))


@dataclass(frozen=True)
class StoryWriter:
    """Writer with a run of text_rnn; its tokens are words or characters. See `Writer`."""

    run: Run
    end: str = SEPARATOR

    def prompt(self, text: str) -> list[str]:
        return read_prompt(self.run, text)

    def read(self, text: str) -> list[str]:
        tokens = tokenise(text, self.run.data.token_type)
        if unknown := dict.fromkeys(token for token in tokens if token not in self.run.data.vocabulary.index):
            raise UserError(f"not in the model's vocabulary: {' '.join(unknown)}")
        return tokens

    def tokens(self, numbers: Iterable[int]) -> list[str]:
        return self.run.data.vocabulary.decode(numbers)

    def name(self, token: str) -> str:
        return NAMES.get(token, token)

    def text(self, story: Sequence[str]) -> str:
        return join(story, self.run.data.token_type)

    def probabilities(self, story: Sequence[str]) -> np.ndarray:
        return next_probabilities(self.run, context_of(self.run, story)[None])[0]


def likeliest_tokens(run: Run, probabilities: np.ndarray) -> dict[str, float]:
    """Returns the OFFERED likeliest tokens and their probabilities, in descending order; `probabilities` is (V,)."""
    numbers = np.argsort(-probabilities, kind="stable")[:OFFERED]
    return dict(zip(run.data.vocabulary.decode(numbers), probabilities[numbers].tolist(), strict=True))


def generate_stories(run: Run, num: int, start: Sequence[str], sampling: SamplingConfig) -> np.ndarray:
    """Generates `num` continuations (num, length) of a story that starts with these tokens."""
    length = LENGTHS[run.config.token_type]
    return np.asarray(run.learner.sample(run.state, run.key, num, context_of(run, start), length, sampling))


def as_text(run: Run, start: Sequence[str], numbers: np.ndarray) -> str:
    """Returns a story as text: its start and its continuation (T,) up to the end of the story."""
    tokens = itertools.takewhile(lambda token: token != SEPARATOR, run.data.vocabulary.decode(numbers))
    return join([*start, *tokens], run.data.token_type)


def stories_at_temperatures(run: Run, num: int) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Generates `num` whole stories at each of TEMPERATURES; returns token ids (3 num, T) and {heading: texts}."""
    numbers = generate_stories(run, num * len(TEMPERATURES), (), at_each_temperature(num))
    return numbers, by_temperature([as_text(run, (), row) for row in numbers], num)


def draw_next_tokens(run: Run) -> None:
    """Draws next-token probabilities at the beginning of a story and in held-out stories, as next_tokens.png.

    Each at temperature 1, as trained, and at the lowest of TEMPERATURES.
    """
    held_out = run.data.train if run.data.test is None else run.data.test
    vocabulary, token_type = run.data.vocabulary, run.data.token_type
    places = np.linspace(0, len(held_out) - 1, CONTEXTS + 1, dtype=np.int64)[1:-1]
    contexts = np.concatenate([context_of(run, ())[None], held_out.take(places)["tokens"][:, :-1]])
    panels = {}
    for context, probabilities in zip(contexts, next_probabilities(run, contexts), strict=True):
        cautious = probabilities ** (1 / TEMPERATURES[0])
        cautious /= cautious.sum()
        tokens = [token for token in vocabulary.decode(context) if token != SEPARATOR][-TITLE:]
        title = f"... {join(tokens, token_type)}" if tokens else "at the beginning"
        panels[title] = {
            token: (share, float(cautious[vocabulary.index[token]]))
            for token, share in likeliest_tokens(run, probabilities).items()
        }
    series = [f"temperature {t}" for t in (TEMPERATURES[-1], TEMPERATURES[0])]
    next_tokens(panels, series, run.figures / "next_tokens.png")
