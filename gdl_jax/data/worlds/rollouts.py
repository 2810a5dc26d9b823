"""Rollouts of a policy, episode by episode, in shards on disk.

A shard of rollouts has the arrays
  frames  (E, T, H, W, 3) uint8   observation before each action
  action  (E, T, A) float32
  reward  (E, T) float32
  done    (E, T) bool             True at the step that ended the episode
  length  (E,) int32              steps until then, T if the episode did not end; later frames repeat the last state
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.dataset import DataSet, Rows
from gdl_jax.data.images.pixels import to_float
from gdl_jax.data.shards import OnDisk, check_shards, count_shards, digest, open_shard

FRAMES = "frames"
HELD_OUT = 20  # of every 20 consecutive episodes, the last is for testing and the one before it for validation


def split_of(episode: np.ndarray) -> np.ndarray:
    """Returns the split of each episode, by its number in the folder; whole episodes are held out."""
    place = episode % HELD_OUT
    return np.where(place == HELD_OUT - 1, "test", np.where(place == HELD_OUT - 2, "validation", "train"))


@dataclass(frozen=True)
class Frames:
    """Source whose rows are single frames, "image".

    Attributes:
      shards: frames (E, T, H, W, 3) of each shard, on disk.
      place: (N, 3) int32: shard, episode in the shard, and step of every row.
    """

    shards: Sequence[OnDisk]
    place: np.ndarray

    @property
    def nbytes(self) -> int:
        return len(self) * int(np.prod(self.shards[0].shape[2:]))

    def __len__(self) -> int:
        return len(self.place)

    def take(self, indices: np.ndarray) -> Rows:
        images = np.empty((len(indices), *self.shards[0].shape[2:]), np.uint8)
        shard, episode, step = self.place[indices].T
        for number in np.unique(shard):
            here = shard == number
            images[here] = self.shards[number].open()[episode[here], step[here]]
        return {"image": images}

    def labels(self) -> np.ndarray:
        raise UserError("frames of rollouts have no labels")


def open_shards(root: Path, needed: Sequence[str]) -> list[dict[str, OnDisk]]:
    """Opens all shards of a folder.

    Args:
      root: the folder.
      needed: arrays (E, ...) that every shard must have; all but the first axis must be the same in all shards.

    Raises:
      UserError: no shards there, a damaged one, or one that lacks an array or has one of another shape.
    """
    shards = [open_shard(root, number) for number in range(count_shards(root))]
    for number, arrays in enumerate(shards):
        for name in needed:
            if name not in arrays:
                raise UserError(f"{root}: shard {number} has {', '.join(arrays)}, no {name}")
            if arrays[name].shape[1:] != shards[0][name].shape[1:]:
                raise UserError(f"{root}: shard {number} has {name} of {arrays[name].shape[1:]}, unlike shard 0")
    return shards


def places(shards: Sequence[Mapping[str, OnDisk]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the shard and number in it of every episode, (N, 2) int32, and its split, (N,)."""
    counts = [arrays["length"].shape[0] for arrays in shards]
    shard = np.repeat(np.arange(len(counts)), counts)
    episode = np.concatenate([np.arange(count) for count in counts])
    return np.stack([shard, episode], 1).astype(np.int32), split_of(np.arange(len(shard)))


def load(root: Path, image_size: int | None = None) -> DataSet:
    """Loads the frames of a folder of rollouts, without those after the end of an episode.

    Raises:
      UserError: no shards there, a damaged one, too few episodes to hold some out, or another image size requested.
    """
    shards = open_shards(root, (FRAMES, "length"))
    size = shards[0][FRAMES].shape[2]
    if image_size not in (None, size):
        raise ConfigError("image_size", image_size, f"the frames in {root} are {size} pixels wide")
    place, split = places(shards)
    lengths = np.concatenate([arrays["length"].open() for arrays in shards])
    frames = [arrays[FRAMES] for arrays in shards]

    def source(name):
        chosen = np.flatnonzero(split == name)
        if not chosen.size:
            raise UserError(f"{root}: {len(place)} episodes are too few to hold some out; collect {HELD_OUT} or more")
        rows = np.repeat(place[chosen], lengths[chosen], axis=0)
        steps = np.concatenate([np.arange(length) for length in lengths[chosen]])
        return Frames(frames, np.concatenate([rows, steps[:, None].astype(np.int32)], axis=1))

    sources = {name: source(name) for name in ("train", "validation", "test")}
    return DataSet(
        f"rollouts:{root}", **sources, transform=to_float, digest=digest(root), check=partial(check_shards, root)
    )
