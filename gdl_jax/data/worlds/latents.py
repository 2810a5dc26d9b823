"""Encoded rollouts: shards of whole episodes of latent codes.

A shard has the arrays of a shard of rollouts (`gdl_jax.data.worlds.rollouts`), with `mean` and `log_var` (E, T, z)
float32 in place of the frames.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.dataset import DataSet, Rows
from gdl_jax.data.shards import OnDisk, check_shards, digest, read_notes
from gdl_jax.data.worlds.rollouts import open_shards, places


@dataclass(frozen=True)
class Episodes:
    """Source whose rows are whole episodes of latent codes.

    Attributes:
      shards: {name: (E, T, ...)} of each shard, on disk.
      place: (N, 2) int32, the shard of every row and its episode in the shard.
    """

    shards: Sequence[Mapping[str, OnDisk]]
    place: np.ndarray

    @property
    def nbytes(self) -> int:
        arrays = self.shards[0].values()
        return len(self) * sum(int(np.prod(array.shape[1:])) * array.dtype.itemsize for array in arrays)

    def __len__(self) -> int:
        return len(self.place)

    def take(self, indices: np.ndarray) -> Rows:
        return {name: self._gather(name, indices, lambda array, rows: array[rows]) for name in self.shards[0]}

    def first_codes(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and log-variance (N, z) of the first frames of at most `count` episodes."""
        indices = np.arange(min(count, len(self)))
        mean, log_var = (
            self._gather(name, indices, lambda array, rows: array[rows, 0]) for name in ("mean", "log_var")
        )
        return mean, log_var

    def _gather(
        self, name: str, indices: np.ndarray, read: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Returns the rows at `indices`, in that order; `read` maps a shard's array and row numbers to its rows."""
        shard, episode = self.place[indices].T
        order = np.argsort(shard, kind="stable")
        parts = [read(self.shards[i][name].open(), episode[shard == i]) for i in np.unique(shard)]
        return np.concatenate(parts)[np.argsort(order)]

    def labels(self) -> np.ndarray:
        raise UserError("episodes of rollouts have no labels")


def transitions(rows: Rows) -> Rows:
    """Converts rows of latents to a batch of T - 1 transitions, with a mask of those before the episode's end.

    Returns:
      {"mean", "log_var" (B, T, z); "action" (B, T - 1, A); "reward", "done", "mask" (B, T - 1)}, float32: transition t
      leads from z_t by action_t to z_{t+1}.
    """
    steps = rows["action"].shape[1] - 1
    inside = jnp.arange(steps) < rows["length"][:, None]
    return {
        "mean": rows["mean"],
        "log_var": rows["log_var"],
        "action": rows["action"][:, :-1],
        "reward": rows["reward"][:, :-1],
        "done": rows["done"][:, :-1].astype(jnp.float32),
        "mask": inside.astype(jnp.float32),
    }


@dataclass(frozen=True, kw_only=True)
class LatentData(DataSet):
    """Data set of encoded episodes.

    Attributes:
      made_by: notes of the encoding: "vision", the digest of the encoder; "frames", the kind of frames.
    """

    made_by: Mapping[str, Any]


def load(root: Path, image_size: int | None = None) -> LatentData:
    """Loads the episodes of a folder of latents.

    Raises:
      UserError: no shards there, a damaged one, shards of different encoders, or too few episodes to hold some out.
    """
    if image_size is not None:
        raise ConfigError("image_size", image_size, f"{root} has latent codes, not images")
    shards = open_shards(root, ("mean", "log_var", "action", "reward", "done", "length"))
    notes = [read_notes(root, number) for number in range(len(shards))]
    for number, note in enumerate(notes):
        for name, what in (("vision", "was encoded by another VAE"), ("frames", "has frames of another kind")):
            if note.get(name) != notes[0].get(name):
                raise UserError(f"{root}: shard {number} {what} than shard 0; delete one of them")
    place, split = places(shards)
    sources = {name: Episodes(shards, place[split == name]) for name in ("train", "validation", "test")}
    for name, source in sources.items():
        if not len(source):
            raise UserError(f"{root}: {len(place)} episodes are too few: none falls into the {name} split")
    return LatentData(
        f"latents:{root}",
        **sources,
        transform=transitions,
        digest=digest(root),
        check=partial(check_shards, root),
        made_by=notes[0],
    )
