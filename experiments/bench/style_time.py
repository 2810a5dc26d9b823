"""Times an evaluation of style transfer's loss and gradient, next to hand-written PyTorch, in alternating windows.

    python -m experiments.bench.style_time                        256x341 pixels, the book's loss; 3 minutes
    python -m experiments.bench.style_time --image_height=400

Both programs have the same VGG16 weights, layers, targets and picture, and start with the same loss, which is checked.
Windows alternate, so that both see the same state of the machine; the ratio is the median over pairs of neighbours.
"""

import dataclasses
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from jax import lax

from experiments import style_transfer
from experiments.benchmarks import environment
from experiments.style import objective
from gdl_jax.core.errors import UserError
from gdl_jax.learners.style_transfer import StyleState, picture_loss
from gdl_jax.models import vgg
from gdl_jax.runs import command
from gdl_jax.runs.tables import as_table

PEER = "experiments.bench.peers.torch_style"
TOLERANCE = 1e-3  # between the two losses


def first_state(config: style_transfer.Config) -> StyleState:
    """Returns the state before the first update: the picture, the features to match, and the unit of the loss."""
    data = style_transfer.load(config)
    learner = style_transfer.build(config, data, None)
    batch = data.transform(data.train.take(np.zeros(1, np.int64)))
    return jax.jit(learner.init)(jax.random.key(config.seed), batch)


def problem(config: style_transfer.Config, state: StyleState) -> dict[str, Any]:
    """Returns arrays that define the loss for another program."""
    deepest = max(map(vgg.LAYERS.index, (*config.content_layers, *config.style_layers)))
    layers, params, targets = vgg.LAYERS[: 1 + deepest], vgg.bundled_weights()["params"], state.targets[-1]
    weights = {
        "content": config.content_weight,
        "style": config.style_weight,
        "total_variation": config.tv_weight,
    }
    return {
        "layers": layers,
        "content_layers": config.content_layers,
        "style_layers": config.style_layers,
        "image": state.params[-1],
        "mean_bgr": vgg.MEAN_BGR,
        "unit": state.units[-1],
        **{f"{part}/{name}": params[name][part] for name in layers for part in ("kernel", "bias")},
        **{f"content/{name}": array for name, array in targets.content.items()},
        **{f"gram/{name}": array for name, array in targets.grams.items()},
        **{f"factor/{name}": array for name, array in targets.factors.items()},
        **{f"weight/{name}": weight for name, weight in weights.items()},
    }


class Ours:
    """Our evaluations, in a compiled loop as in training."""

    def __init__(self, config: style_transfer.Config, state: StyleState, evaluations: int):
        features, weights = objective.make_features(config), objective.make_weights(config)
        loss = partial(picture_loss, features, weights, state.targets[-1])
        evaluate = jax.value_and_grad(lambda image: loss(image) / state.units[-1])

        def window(image, scale):
            def body(_, carry):
                value, gradient = evaluate(image + scale * carry[1])  # depends on the one before
                return value, gradient

            return lax.fori_loop(0, evaluations, body, (0.0, jax.numpy.zeros_like(image)))

        self._image, self._evaluations = state.params[-1], evaluations
        self._window = jax.jit(window).lower(self._image, 0.0).compile()

    def loss(self) -> float:
        """Returns the loss of the picture."""
        return float(self._window(self._image, 0.0)[0])

    def milliseconds(self) -> float:
        """Returns the time of an evaluation, over a window."""
        began = time.perf_counter()
        jax.block_until_ready(self._window(self._image, 0.0))
        return 1000 * (time.perf_counter() - began) / self._evaluations


def measure(config: style_transfer.Config, evaluations: int, windows: int) -> tuple[list[float], list[float]]:
    """Returns milliseconds per evaluation of ours and of PyTorch's, for each pair of windows after the first.

    Raises:
      UserError: PyTorch is not installed, or computes another loss.
    """
    if importlib.util.find_spec("torch") is None:
        raise UserError("torch is not installed: pip install 'gdl_jax[bench]'")
    state = first_state(config)
    ours, times = Ours(config, state, evaluations), ([], [])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        np.savez(path, **problem(config, state))
        line = [sys.executable, "-m", PEER, f"--problem={path}", f"--evaluations={evaluations}"]
        with subprocess.Popen(
            line, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as peer:
            assert peer.stdin is not None and peer.stdout is not None
            theirs = json.loads(peer.stdout.readline())["loss"]
            if abs(theirs - ours.loss()) > TOLERANCE * abs(theirs):
                raise UserError(f"PyTorch's loss is {theirs}, ours {ours.loss()}")
            for window in range(1 + windows):
                mine = ours.milliseconds()
                peer.stdin.write("\n")
                peer.stdin.flush()
                other = json.loads(peer.stdout.readline())["ms_per_step"]
                if window:  # the first warms up
                    times[0].append(mine)
                    times[1].append(other)
            peer.stdin.close()
    return times


def multiplications(config: style_transfer.Config, height: int, width: int) -> int:
    """Returns the multiplications of VGG16's convolutions in an evaluation, forward and backward."""
    deepest = max(map(vgg.LAYERS.index, (*config.content_layers, *config.style_layers)))
    total, channels = 0, 3
    for name in vgg.LAYERS[: 1 + deepest]:
        block, layer = int(name[5]), int(name[-1])
        if block > 1 and layer == 1:
            height, width = height // 2, width // 2
        features = vgg.BLOCKS[block - 1][layer - 1]
        total += 2 * height * width * 9 * channels * features
        channels = features
    return total


def _main(values: flags.FlagValues) -> None:
    config = dataclasses.replace(style_transfer.PRESETS["book"], image_height=values.image_height)
    mine, theirs = measure(config, values.evaluations, values.windows)
    ratios = sorted(other / own for own, other in zip(mine, theirs, strict=True))
    height, width = style_transfer.load(config).example()["content"].shape[1:3]
    rate = 2 * multiplications(config, height, width) / (statistics.median(mine) * 1e6)
    spread = f"{statistics.median(ratios):.2f}x ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    label = f"style transfer evaluation, {height}x{width}"
    cells = [label, f"{statistics.median(mine):.4g}", f"{statistics.median(theirs):.4g}", spread, f"{rate:.0f}"]
    sys.stdout.write(as_table(["ms per evaluation", "gdl_jax", "PyTorch", "over PyTorch", "GFLOP/s"], [cells]))


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.bench.style_time`."""
    values = command.new_flags()
    flags.DEFINE_integer("image_height", 256, "height of the picture", lower_bound=32, flag_values=values)
    flags.DEFINE_integer("evaluations", 2, "evaluations per window", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("windows", 7, "pairs of windows", lower_bound=1, flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
