"""Writing with a network of experiments.text_rnn: prompts, stories, the likeliest next tokens, and figures of them."""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import jax
import numpy as np

from gdl_jax.core.config_flags import Above, AtLeast, Below
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.text.tokens import SEPARATOR, TextData, join, tokenise
from gdl_jax.models.text_rnn import SamplingConfig, TextRNN, writable
from gdl_jax.plots.text import next_tokens
from gdl_jax.runs.config import DTYPES
from gdl_jax.runs.experiment import Run, SampleOptions

LENGTHS = {"word": 100, "character": 500}  # most tokens of a story that is written
TEMPERATURES = (0.2, 0.5, 1.0)
OFFERED = 10  # likeliest tokens that a writer is offered, and that a figure shows
CONTEXTS = 4  # contexts of that figure
TITLE = 6  # last tokens of each context that its title shows


@dataclass(frozen=True, kw_only=True)
class WritingOptions(SampleOptions):
    """How text is continued."""

    prompt: str = ""  # text to continue; empty: begin a story
    temperature: Annotated[float, AtLeast(0)] = 1.0  # divides the logits; 0: always the likeliest token
    top_k: Annotated[int, AtLeast(0), Below(2**31)] = 0  # sample from this many likeliest tokens only; 0: from all
    # sample from the fewest likeliest tokens that have this probability together; at most 1: from all
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
    """Returns the network that a run of this config trains."""
    return TextRNN(config, len(data.vocabulary), DTYPES[config.precision])


def read_prompt(run: Run, prompt: str) -> list[str]:
    """Returns the tokens of a prompt that are in the vocabulary.

    Says on standard error which are not and left out, and where the prompt is longer than the context.

    Raises:
      ConfigError: none of its tokens is in the vocabulary.
    """
    token_type, vocabulary = run.data.token_type, run.data.vocabulary
    tokens = tokenise(prompt, token_type)
    known = [token for token in tokens if token in vocabulary.index]
    if tokens and not known:
        raise ConfigError("prompt", prompt, f"the model knows none of these {token_type}s")
    if unknown := dict.fromkeys(token for token in tokens if token not in vocabulary.index):
        sys.stderr.write(f"unknown to the model, and left out: {' '.join(unknown)}\n")
    if len(known) > (length := run.config.sequence_length):
        sys.stderr.write(f"of the prompt's {len(known)} {token_type}s the model reads the last {length}\n")
    return known


def context_of(run: Run, tokens: Sequence[str]) -> np.ndarray:
    """Returns the context from which a story that starts with these tokens is continued: (sequence_length,)."""
    length = run.config.sequence_length
    return run.data.vocabulary.encode([*[SEPARATOR] * length, *tokens])[-length:]


@partial(jax.jit, static_argnums=0)
def _probabilities(module, params, contexts, unknown, separator):
    logits = module.apply({"params": params}, contexts, train=False)[:, 0]
    return jax.nn.softmax(writable(logits, contexts[:, -1], unknown, separator))


def next_probabilities(run: Run, contexts: np.ndarray) -> np.ndarray:
    """Returns the probabilities (N, V) with which each token is sampled after contexts (N, sequence_length)."""
    vocabulary = run.data.vocabulary
    module, params = network(run.config, run.data), run.state.params["network"]
    return np.asarray(_probabilities(module, params, contexts, vocabulary.unknown, vocabulary.index[SEPARATOR]))


def likeliest_tokens(run: Run, probabilities: np.ndarray) -> dict[str, float]:
    """Returns the OFFERED most probable of all tokens (V,) and their probabilities, in descending order."""
    numbers = np.argsort(-probabilities, kind="stable")[:OFFERED]
    return dict(zip(run.data.vocabulary.decode(numbers), probabilities[numbers].tolist(), strict=True))


def write_stories(run: Run, num: int, start: Sequence[str], sampling: SamplingConfig) -> np.ndarray:
    """Returns `num` continuations (num, length) of a story that starts with these tokens."""
    length = LENGTHS[run.config.token_type]
    return np.asarray(run.learner.sample(run.state, run.key, num, context_of(run, start), length, sampling))


def as_text(run: Run, start: Sequence[str], numbers: np.ndarray) -> str:
    """Returns a story's start and its continuation (T,) up to the end of the story."""
    tokens = itertools.takewhile(lambda token: token != SEPARATOR, run.data.vocabulary.decode(numbers))
    return join([*start, *tokens], run.data.token_type)


def stories_at_temperatures(run: Run, num: int) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Returns `num` whole stories at each of TEMPERATURES, as numbers (3 num, T) and as {heading: texts}."""
    sampling = SamplingConfig(np.repeat(np.float32(TEMPERATURES), num))
    numbers = write_stories(run, num * len(TEMPERATURES), (), sampling)
    texts = [as_text(run, (), row) for row in numbers]
    return numbers, {f"temperature {t}": texts[i * num : (i + 1) * num] for i, t in enumerate(TEMPERATURES)}


def draw_next_tokens(run: Run) -> None:
    """Draws the probabilities of the next token at the beginning of a story and in held-out ones.

    Each at the highest of TEMPERATURES, as it was trained, and at the lowest; writes next_tokens.png.
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
