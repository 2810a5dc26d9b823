"""Rollouts as an encoder sees them: shards of whole episodes of codes.

A shard has the arrays of a shard of rollouts (`gdl_jax.data.rollouts`), with `mean` and `log_var` (E, T, z) float32 in
place of the frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import DataSet, Rows
from gdl_jax.data.rollouts import places, read_shards


@dataclass(frozen=True)
class Episodes:
    """Whole episodes of latents, each a row.

    Attributes:
      shards: {name: (E, T, ...)} of each shard.
      place: (N, 2) int32, shard and episode in it of every row.
    """

    shards: Sequence[Rows]
    place: np.ndarray

    @property
    def nbytes(self) -> int:
        return len(self) * sum(array[0].nbytes for array in self.shards[0].values())

    def __len__(self) -> int:
        return len(self.place)

    def take(self, indices: np.ndarray) -> Rows:
        places = self.place[indices]
        return {name: np.stack([self.shards[i][name][j] for i, j in places]) for name in self.shards[0]}

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


def load(root: Path, image_size: int | None = None) -> DataSet:
    """The episodes of a folder of latents.

    Raises:
      UserError: no shards there, a damaged one, or too few episodes to hold some out.
    """
    if image_size is not None:
        raise UserError(f"--image_size={image_size}: {root} holds codes, not images")
    shards = read_shards(root, "mean")
    place, split = places(shards)
    sources = {name: Episodes(shards, place[split == name]) for name in ("train", "validation", "test")}
    for name, source in sources.items():
        if not len(source):
            raise UserError(f"{root}: {len(place)} episodes are too few: none is left for the {name} split")
    return DataSet(f"latents:{root}", **sources, transform=transitions)
