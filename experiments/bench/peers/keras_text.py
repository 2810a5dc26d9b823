"""Times text generation by the book's network in Keras 3; as in the book, the window is read again for each word.

python -m experiments.bench.peers.keras_text --backend=jax --model=text_rnn --batch_size=64
"""

import json
import os
import statistics
import time

import numpy as np

from experiments.bench.peers import keras_models, timing


def write(network, window: np.ndarray, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Samples `steps` words at temperature 1 after each row of the window (B, T); returns the last T words."""
    for _ in range(steps):
        probabilities = network.predict_on_batch(window)
        drawn = (probabilities.cumsum(axis=1) > rng.random((len(window), 1))).argmax(axis=1)
        window = np.concatenate([window[:, 1:], drawn[:, None]], axis=1)
    return window


def main():
    options = timing.parse(__doc__, backend=keras_models.BACKENDS)
    os.environ["KERAS_BACKEND"] = options.backend  # Keras reads it when it is imported
    import keras

    network, rng = keras_models.MODELS[options.model](keras), np.random.default_rng(0)
    window = np.ones((options.batch_size, timing.TOKENS), np.int32)
    seconds = []
    for _ in range(options.windows + 1):
        began = time.perf_counter()
        window = write(network, window, options.steps, rng)
        seconds.append(time.perf_counter() - began)
    rate = options.batch_size * options.steps / statistics.median(seconds[1:])
    name = f"Keras {keras.__version__} on {options.backend}"
    print(json.dumps({"name": name, "texts": options.batch_size, "tokens_per_second": rate}))


if __name__ == "__main__":
    main()
