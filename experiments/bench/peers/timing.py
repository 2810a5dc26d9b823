"""Command line, random data and stopwatch of the peers; a result is one line of JSON."""

import argparse
import json
import statistics
import time
from collections.abc import Sequence

import numpy as np

IMAGE_SHAPES = {
    **{"mlp": (32, 32, 3), "cnn": (32, 32, 3), "vae": (28, 28, 1), "gan": (28, 28, 1), "wgan_gp": (64, 64, 3)},
    **{"cyclegan": (128, 128, 3), "pix2pix": (128, 128, 3)},
}
OF_TWO_IMAGES = ("cyclegan", "pix2pix")  # whose examples are an image of each domain
TOKENS, VOCABULARY = 20, 4169  # of "text_rnn": tokens of a window, and vocabulary size
MODELS = (*IMAGE_SHAPES, "text_rnn")
BATCHES = {"wgan_gp": 5}  # batches per step, if more than one
WARM_UP = 2  # ignored windows: they compile or allocate


def parse(about: str, **more: Sequence[str]) -> argparse.Namespace:
    """Parses a peer's command line: --model, --batch_size, --steps (per window), --windows; `more` adds choices."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--model", choices=MODELS, required=True)
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
