"""Command line, random data and stopwatch of the peers; a result is one line of JSON."""

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

IMAGE_SHAPES = {
    **{"mlp": (32, 32, 3), "cnn": (32, 32, 3), "vae": (28, 28, 1), "gan": (28, 28, 1), "wgan_gp": (64, 64, 3)},
    **{"cyclegan": (128, 128, 3), "pix2pix": (128, 128, 3)},
}
OF_TWO_IMAGES = ("cyclegan", "pix2pix")  # whose examples are an image of each domain
TOKENS, VOCABULARY = 20, 4169  # of "text_rnn": tokens of a window, and vocabulary size


class GPT(NamedTuple):
    """Sizes of a GPT.

    Attributes:
      context: tokens of a window.
      layers, heads, width: of the network; its feed-forward networks are four times as wide.
      vocabulary: number of tokens.
      dropout: rate on embeddings, attention weights and sublayers.
    """

    context: int
    layers: int
    heads: int
    width: int
    vocabulary: int
    dropout: float = 0.0


class Translator(NamedTuple):
    """Sizes of an encoder-decoder transformer.

    Attributes:
      layers: of the encoder, and of the decoder.
      heads, width, hidden: of each layer.
      source, target: sizes of the vocabularies.
      length: tokens of a sentence, padded.
      dropout: rate on embeddings, attention weights, hidden units and sublayers.
    """

    layers: int
    heads: int
    width: int
    hidden: int
    source: int
    target: int
    length: int
    dropout: float = 0.0


GPTS = {"gpt_cpu": GPT(64, 4, 4, 128, 65), "gpt": GPT(256, 6, 6, 384, 65, 0.2)}  # nanoGPT's of Shakespeare's characters
TRANSFORMER = Translator(3, 8, 256, 512, 7853, 5893, 48, 0.1)  # of Multi30k's words
GENERATORS = {"gpt": GPTS["gpt"], "gpt2": GPT(1024, 12, 12, 768, 50257)}  # that one's sizes, and GPT-2's smallest
PROMPT = 16  # tokens that are continued
OF_TOKENS = (*GPTS, "transformer")
MODELS = (*IMAGE_SHAPES, "text_rnn", *OF_TOKENS)
BATCHES = {"wgan_gp": 5}  # batches per step, if more than one
WARM_UP = 2  # ignored windows: they compile or allocate


def parse(about: str, models: Iterable[str] = MODELS, **more: Sequence[str]) -> argparse.Namespace:
    """Parses a peer's command line: --model, --batch_size, --steps (per window), --windows; `more` adds choices."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--model", choices=[*models], required=True)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--windows", type=int, default=5)
    for name, choices in more.items():
        parser.add_argument(f"--{name}", choices=choices, required=True)
    return parser.parse_args()


def random_images(model: str, count: int, seed: int = 0) -> np.ndarray:
    """Returns noise (count, H, W, C), float32 in [0, 1]; a step takes as long as on real images."""
    return np.random.default_rng(seed).random((count, *IMAGE_SHAPES[model]), np.float32)


def random_labels(count: int) -> np.ndarray:
    """Returns random labels (count,), int32 of ten classes."""
    return np.random.default_rng(1).integers(0, 10, count, np.int32)


def random_tokens(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns random windows (count, TOKENS) of int32 tokens, and the token after each, (count,)."""
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (count, TOKENS + 1), np.int32)
    return tokens[:, :-1], tokens[:, -1]


def random_windows(model: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns random int32 windows (count, T) of a GPT's tokens, and the token after each, (count, T)."""
    sizes = GPTS[model]
    tokens = np.random.default_rng(0).integers(0, sizes.vocabulary, (count, sizes.context + 1), np.int32)
    return tokens[:, :-1], tokens[:, 1:]


def random_pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns random int32 sentences (count, S), and translations (count, S + 1) with a start."""
    rng, sizes = np.random.default_rng(0), TRANSFORMER
    source = rng.integers(0, sizes.source, (count, sizes.length), np.int32)
    return source, rng.integers(0, sizes.target, (count, sizes.length + 1), np.int32)


class Stopwatch:
    """Stopwatch of windows of `steps` training steps."""

    def __init__(self, steps: int):
        self._steps = steps
        self._marks = [time.perf_counter()]

    def mark(self) -> None:
        """Ends a window."""
        self._marks.append(time.perf_counter())

    def report(self, name: str) -> None:
        """Prints {"name", "ms_per_step"}: the median over windows after the warm-up."""
        seconds = np.diff(self._marks)[WARM_UP:]
        print(json.dumps({"name": name, "ms_per_step": 1000 * statistics.median(seconds) / self._steps}))
