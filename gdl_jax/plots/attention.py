"""Pictures of attention weights and of positional encodings (book figures 9-3 and 9-5)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gdl_jax.plots.figure import drawing

PANEL, TOKEN, LABEL = 1.2, 0.15, 7  # inches of a panel without tokens, of a token; points
COLUMNS = 4  # panels in a row


def heads(weights: np.ndarray, queries: Sequence[str], keys: Sequence[str], path: Path) -> None:
    """Draws the attention weights of each head.

    Args:
      weights: (H, T, S) in [0, 1]; each query's sum to 1.
      queries: the T tokens that attend, the rows.
      keys: the S tokens attended to, the columns.
      path: of the PNG.
    """
    columns = min(COLUMNS, len(weights))
    rows = -(-len(weights) // columns)
    width, height = (PANEL + TOKEN * len(tokens) for tokens in (keys, queries))
    with drawing(path, width * columns, height * rows, rows, columns) as (_, axes):
        for number, panel in enumerate(axes.ravel()):
            if number >= len(weights):
                panel.axis("off")
                continue
            panel.imshow(weights[number], vmin=0, vmax=1, cmap="Blues", aspect="auto")
            panel.set_xticks(range(len(keys)), keys, rotation=90, fontsize=LABEL, parse_math=False)
            panel.set_yticks(range(len(queries)), queries, fontsize=LABEL, parse_math=False)
            panel.grid(visible=False)
            panel.set_title(f"head {number + 1}")


def positional_encoding(embeddings: np.ndarray, positions: np.ndarray, path: Path) -> None:
    """Draws token embeddings, the positions' encoding and their sum, each (T, W)."""
    pictures = {"embeddings": embeddings, "positions": positions, "sum": embeddings + positions}
    with drawing(path, 4 * len(pictures), 3, 1, len(pictures)) as (_, axes):
        for panel, (title, picture) in zip(axes.ravel(), pictures.items(), strict=True):
            panel.imshow(picture, cmap="Greys", aspect="auto")
            panel.grid(visible=False)
            panel.set_title(title)
            panel.set_xlabel("feature")
            panel.set_ylabel("position")
