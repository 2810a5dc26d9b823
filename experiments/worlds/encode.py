"""World models, stage 3 (book chapter 8): the frames of all rollouts as mean and log-variance of their codes.

    python -m experiments.worlds.encode --rollouts=runs/world/rollouts --vision=runs/world/vae --out=runs/world/latents

A shard of codes is made of each shard of frames, whole or not at all; the same command again goes on where it was.
--rollouts may name several folders (A,B): the shards of all of them come one after the other.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags

from experiments.worlds.agent import load_vision
from gdl_jax.core.errors import UserError
from gdl_jax.core.loop import Stop
from gdl_jax.core.progress import progress_bar
from gdl_jax.data.shards import check_shard, count_shards, digest, has_shard, read_notes, read_shard, write_shard
from gdl_jax.data.worlds.rollouts import FRAMES
from gdl_jax.models.world_vae import encode_frames
from gdl_jax.runs import command

BATCH = 512


def _check_same(out: Path, number: int, now: dict[str, Any]) -> None:
    """A shard that is there must be of this vision, and of these frames.

    Raises:
      UserError: it is of others.
    """
    was = read_notes(out, number)
    for name, what in (("vision", f"another vision than {now['named']}"), ("rollouts", "other rollouts")):
        if was.get(name) != now[name]:
            raise UserError(f"--out={out}: shard {number} has the codes of {what}; delete the folder, or give another")


def _kind_of_frames(shards: Sequence[tuple[Path, int]]) -> str | None:
    """What the frames of all shards are.

    Raises:
      UserError: those of a shard are not of the first one's kind, or not as many steps of each episode.
    """
    made = [tuple(read_notes(*shard).get(name) for name in ("frames", "steps")) for shard in shards]
    for (root, place), (kind, steps) in zip(shards, made, strict=True):
        if (kind, steps) != made[0]:
            first = f"{shards[0][0]} has {made[0][1]} steps of kind {made[0][0]}"
            raise UserError(f"--rollouts={root}: shard {place} has {steps} steps of kind {kind}, but {first}")
    return made[0][0]


def _encoded(encode: Callable, frames: np.ndarray) -> list[np.ndarray]:
    """Mean and log-variance (E, T, z) of frames (E, T, ...), BATCH at a time."""
    flat, parts = frames.reshape(-1, *frames.shape[2:]), []
    for first in range(0, len(flat), BATCH):
        batch = flat[first : first + BATCH]
        padded = np.pad(batch, ((0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)))
        parts.append([np.asarray(array)[: len(batch)] for array in encode(padded)])
    return [np.concatenate(arrays).reshape(*frames.shape[:2], -1) for arrays in zip(*parts, strict=True)]


def _main(values: flags.FlagValues) -> None:
    out = Path(values.out)
    vision = load_vision(values.vision)
    encode = jax.jit(lambda frames: encode_frames(vision.encoder, vision.encoder_params, frames))
    shards = [(root, place) for root in map(Path, values.rollouts) for place in range(count_shards(root))]
    kind = _kind_of_frames(shards)
    if has_shard(out, len(shards)):
        raise UserError(f"--out={out}: has more shards than --rollouts; delete the folder, or give another")
    with Stop() as stop:
        for number, (rollouts, place) in enumerate(progress_bar(shards, unit="shards")):
            command.leave_if_asked(stop)
            notes = {
                "vision": vision.digest,
                "named": vision.name,
                "rollouts": digest(rollouts, place),
                "frames": kind,
            }
            if has_shard(out, number):
                _check_same(out, number, notes)
                check_shard(out, number)
                continue
            shard = read_shard(rollouts, place)
            if FRAMES not in shard:
                raise UserError(f"--rollouts={rollouts}: shard {place} has no frames")
            mean, log_var = _encoded(encode, shard.pop(FRAMES))
            write_shard(out, number, shard | {"mean": mean, "log_var": log_var}, notes, of=len(shards))
        command.leave_if_asked(stop)
    sys.stderr.write(f"{len(shards)} shards: {out}\n")


def main(argv=None) -> None:
    """What `python -m experiments.worlds.encode` does."""
    values = command.new_flags()
    folders = "folders that world_rollouts wrote"
    flags.DEFINE_list("rollouts", ["runs/world/rollouts"], folders, flag_values=values)
    flags.DEFINE_string("vision", "runs/world/vae", "workdir of world_vae", flag_values=values)
    flags.DEFINE_string("out", "runs/world/latents", "folder for the codes", flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
