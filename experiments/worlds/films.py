"""Figures and films of a controller: episodes as the agent sees them, large views, and dreams."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from experiments.worlds.agent import make_dream, mean_controller
from experiments.worlds.driving import dream_film, film, views
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.core.progress import progress_bar
from gdl_jax.models import mdn_rnn
from gdl_jax.plots import images
from gdl_jax.plots.curves import generations
from gdl_jax.runs.experiment import Results, Run, SampleRequest

SHOWN_EPISODE = 400  # steps of the films
FILM_STRIDE, FRAMES_PER_SECOND, ENLARGED = 2, 25, 2
VIEW = 200, 300  # pixels of the films of episodes
STRIP = 10  # frames of an episode in a preview

_film_compiled = jax.jit(film, static_argnames=("agent", "frames", "steps"))


def _until_its_end(shot: dict[str, Any]) -> dict[str, Any]:
    length = int(shot["running"].sum())
    return jax.tree.map(lambda array: array[:length], shot)


def _dreamt(run: Run, key: jax.Array, steps: int) -> dict[str, np.ndarray]:
    """Returns a dream of the mean controller, up to its end."""
    dream, params = make_dream(run.config, run.data)
    shot = jax.jit(lambda controller: dream_film(run.data.agent, dream, params, controller, key, steps))
    return _until_its_end(jax.device_get(shot(mean_controller(run))))


def _episode(run: Run, key: jax.Array, steps: int) -> dict[str, np.ndarray]:
    """Returns an episode of the mean controller, up to its end."""
    data = run.data
    shot = _film_compiled(data.agent, data.params, mean_controller(run), key, run.config.frames, steps)
    return _until_its_end(jax.device_get(shot))


@partial(jax.jit, static_argnames="decoder")
def _decode(decoder: nn.Module, params: Any, z: jax.Array) -> jax.Array:
    return decoder.apply({"params": params}, z, train=False)


def _decoded(run: Run, z: np.ndarray) -> np.ndarray:
    """Returns decoded codes (N, z): frames (N, H, W, C) in (0, 1)."""
    vision = run.data.vision
    return np.asarray(_decode(vision.decoder, vision.decoder_params, z))


def preview(run: Run) -> None:
    """Draws frames of an episode and their reconstructions, on the same track at every step."""
    shot = _episode(run, run.key, run.config.max_steps)
    rows = np.linspace(0, len(shot["frame"]) - 1, STRIP).astype(int)
    seen, decoded = shot["frame"][rows] / 255.0, _decoded(run, shot["z"][rows])
    path = run.figures / f"samples_at_{run.step:07d}.png"
    images.rows([seen, decoded], ["frame", "decoded"], path, headings=[f"step {row}" for row in rows])


def _enlarged(frames: np.ndarray) -> np.ndarray:
    return frames.repeat(ENLARGED, axis=1).repeat(ENLARGED, axis=2)


def _write_film(frames: np.ndarray, path: Path, headings: Sequence[str] = ()) -> None:
    """Writes an animation of frames (T, H, W, 3), uint8 or in [0, 1]: every FILM_STRIDE-th of an episode."""
    scale = np.float32(255 if frames.dtype == np.uint8 else 1)
    images.animation([frame / scale for frame in frames], path, FRAMES_PER_SECOND, headings)


def _large(run: Run, shot: dict[str, Any], key: jax.Array) -> np.ndarray:
    """Returns large views of an episode, every FILM_STRIDE-th step: (T, *VIEW, 3) uint8."""
    times = np.arange(1, len(shot["reward"]) + 1)
    chosen = jax.tree.map(lambda array: array[::FILM_STRIDE], (shot["car"], times))
    draw = jax.jit(lambda cars, times: views(cars, times, key, run.config.frames, *VIEW))
    return np.asarray(draw(*chosen))


def _write_dream(run: Run, key: jax.Array, path: Path) -> None:
    steps = min(SHOWN_EPISODE, run.config.dream_steps)
    _write_film(_enlarged(_decoded(run, _dreamt(run, key, steps)["z"][::FILM_STRIDE])), path)


def _has_dreams(run: Run) -> bool:
    return run.data.agent.memory.config.reward_head


def analyse(run: Run) -> Results:
    """Draws the search; an episode next to its reconstruction and to a dream with the same actions; and a dream."""
    generations(read_rows(run.figures.parent / "metrics.jsonl"), run.figures / "generations.png")
    steps = min(SHOWN_EPISODE, run.config.max_steps)
    shot = _episode(run, run.key, steps)
    variables, draws = {"params": run.data.params.memory}, (run.config.temperature, run.config.draw_rewards)
    along = mdn_rnn.dream_along
    dreamt = along(run.data.agent.memory, variables, run.key, shot["z"][0], shot["action"], *draws)
    seen = shot["frame"][::FILM_STRIDE] / np.float32(255)
    decoded = [_decoded(run, np.asarray(z)[::FILM_STRIDE]) for z in (shot["z"], dreamt)]
    panels = _enlarged(np.concatenate([seen, *decoded], axis=2))
    _write_film(panels, run.figures / "drive.gif", ["frame", "decoded", "dreamt"])
    if _has_dreams(run):
        _write_dream(run, run.key, run.figures / "dream.gif")
    return {}


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes films of episodes and of dreams of the mean controller."""
    written = []
    for number in progress_bar(range(request.num), unit="episodes"):
        key, steps = jax.random.fold_in(run.key, number), run.config.max_steps
        written.append(request.out / f"drive_{number}.gif")
        _write_film(_large(run, _episode(run, key, steps), key), written[-1])
        if _has_dreams(run):
            written.append(request.out / f"dream_{number}.gif")
            _write_dream(run, key, written[-1])
    return written
