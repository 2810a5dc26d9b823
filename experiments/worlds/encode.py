"""World models, stage 3 (book chapter 8): frames of all rollouts as means and log-variances of their codes.

    python -m experiments.worlds.encode --rollouts=runs/world/rollouts --vision=runs/world/vae --out=runs/world/latents

Each shard of frames becomes a shard of codes, written atomically; rerun the same command to resume. --rollouts may list
several folders (A,B); their shards are concatenated.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from absl import flags

from experiments.worlds.agent import load_vision
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.loop import Stop
from gdl_jax.core.paths import expand_user
from gdl_jax.core.progress import progress_bar
from gdl_jax.data.shards import check_shard, count_shards, digest, has_shard, read_notes, read_shard, write_shard
from gdl_jax.data.worlds.rollouts import FRAMES
from gdl_jax.models.world_vae import encode_frames
from gdl_jax.runs import command
from gdl_jax.runs.batches import in_batches

BATCH = 512  # frames per call


def _check_same(out: Path, number: int, now: dict[str, Any]) -> None:
    """Checks that an existing shard was encoded by this vision from these rollouts.

    Raises:
      ConfigError: it was not.
    """
    was = read_notes(out, number)
    for name, what in (("vision", f"another vision than {now['named']}"), ("rollouts", "other rollouts")):
        if was.get(name) != now[name]:
            raise ConfigError("out", out, f"shard {number} has codes of {what}; delete the folder or choose another")


def _kind_of_frames(shards: Sequence[tuple[Path, int]]) -> str | None:
    """Returns the kind of frames of all shards.

    Raises:
      ConfigError: a shard has frames of another kind, or episodes of another length, than the first.
    """
    made = [tuple(read_notes(*shard).get(name) for name in ("frames", "steps")) for shard in shards]
    for (root, place), (kind, steps) in zip(shards, made, strict=True):
        if (kind, steps) != made[0]:
            first = f"{shards[0][0]} has {made[0][1]} steps of kind {made[0][0]}"
            raise ConfigError("rollouts", root, f"shard {place} has {steps} steps of kind {kind}, but {first}")
    return made[0][0]


def _main(values: flags.FlagValues) -> None:
    out = Path(values.out)
    roots = [Path(expand_user(folder, "rollouts")) for folder in values.rollouts]
    vision = load_vision(values.vision)
    encode = jax.jit(lambda frames: encode_frames(vision.encoder, vision.encoder_params, frames))
    shards = [(root, place) for root in roots for place in range(count_shards(root))]
    kind = _kind_of_frames(shards)
    if has_shard(out, len(shards)):
        raise ConfigError("out", out, "has more shards than the rollouts; delete the folder or choose another")
    with Stop() as stop:
        for number, (rollouts, place) in enumerate(progress_bar(shards, unit="shards")):
            command.stop_if_requested(stop)
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
                raise ConfigError("rollouts", rollouts, f"shard {place} has no frames")
            frames = shard.pop(FRAMES)  # (E, T, H, W, C)
            codes = in_batches(encode, frames.reshape(-1, *frames.shape[2:]), BATCH)
            mean, log_var = (array.reshape(*frames.shape[:2], -1) for array in codes)  # (E, T, z) each
            write_shard(out, number, shard | {"mean": mean, "log_var": log_var}, notes, of=len(shards))
        command.stop_if_requested(stop)
    sys.stderr.write(f"{len(shards)} shards: {out}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.worlds.encode`."""
    values = command.new_flags()
    folders = "folders written by `experiments.worlds.rollouts`"
    flags.DEFINE_list("rollouts", ["runs/world/rollouts"], folders, flag_values=values)
    command.define_path("vision", "runs/world/vae", "workdir of world_vae", values)
    command.define_path("out", "runs/world/latents", "folder for the codes", values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
