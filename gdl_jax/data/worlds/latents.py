"""Rollouts as an encoder sees them: shards of whole episodes of codes.

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
    """Whole episodes of latents, each a row.

    Attributes:
      shards: {name: (E, T, ...)} of each shard, on disk.
      place: (N, 2) int32, shard and episode in it of every row.
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
        """Mean and log-variance (N, z) of the first frame of at most `count` episodes."""
        indices = np.arange(min(count, len(self)))
        mean, log_var = (
            self._gather(name, indices, lambda array, rows: array[rows, 0]) for name in ("mean", "log_var")
        )
        return mean, log_var

    def _gather(
        self, name: str, indices: np.ndarray, read: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """What `read` makes of a shard's array and of rows of it, in the order of `indices`."""
        shard, episode = self.place[indices].T
        order = np.argsort(shard, kind="stable")
        parts = [read(self.shards[i][name].open(), episode[shard == i]) for i in np.unique(shard)]
        return np.concatenate(parts)[np.argsort(order)]

    def labels(self) -> np.ndarray:
        raise UserError("episodes of rollouts have no labels")


def transitions(rows: Rows) -> Rows:
    """Rows of latents as a sequence learner wants them: T - 1 transitions, and which of them belong to the episode.

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
    """Episodes of codes.

    Attributes:
      made_by: what their maker wrote beside them: "vision", the digest of what encoded them; "frames", of what kind.
    """

    made_by: Mapping[str, Any]


def load(root: Path, image_size: int | None = None) -> LatentData:
    """The episodes of a folder of latents.

    Raises:
      UserError: no shards there, a damaged one, those of several makers, or too few episodes to hold some out.
    """
    if image_size is not None:
        raise ConfigError("image_size", image_size, f"{root} holds codes, not images")
    shards = open_shards(root, "mean")
    notes = [read_notes(root, number) for number in range(len(shards))]
    for number, note in enumerate(notes):
        for name, what in (("vision", "was encoded by another vision"), ("frames", "is of another kind of frames")):
            if note.get(name) != notes[0].get(name):
                raise UserError(f"{root}: shard {number} {what} than shard 0; delete one of them")
    place, split = places(shards)
    sources = {name: Episodes(shards, place[split == name]) for name in ("train", "validation", "test")}
    for name, source in sources.items():
        if not len(source):
            raise UserError(f"{root}: {len(place)} episodes are too few: none is left for the {name} split")
    return LatentData(
        f"latents:{root}",
        **sources,
        transform=transitions,
        digest=digest(root),
        check=partial(check_shards, root),
        made_by=notes[0],
    )
