"""Figures of music, and of the predictions and attention of music models (book chapter 7).

Notes are (N, 4): start and length in quarter notes, MIDI pitch, track.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.patches import Patch, Rectangle

from gdl_jax.plots.figure import COLORS, FAINT, drawing

WIDTH = 10.8  # inches
BAR = 4  # quarter notes
OCTAVE = 12
GAP = 0.06  # quarter notes between consecutive notes of a pitch, to keep them distinguishable
SEMITONE, LEAST_HEIGHT = 0.075, 1.6  # inches
LABELLED_CHORDS, LABELLED_BARS = 64, 16  # most tick labels
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#cfdcf9", COLORS[0], "#16306e"])
GAMMA = 0.5  # of the colour scale, to make small probabilities visible


def piano_rolls(pieces: Mapping[str, np.ndarray], path: Path, tracks: Sequence[str] = ()) -> None:
    """Draws piano rolls with bars of four quarter notes: one panel per piece, one colour per track.

    Args:
      pieces: title -> notes (N, 4).
      path: of the PNG.
      tracks: names for the legend, or none.
    """
    pitches = np.concatenate([notes[:, 2] for notes in pieces.values()])
    low, high = (pitches.min(), pitches.max()) if len(pitches) else (48, 72)
    height = max(LEAST_HEIGHT, SEMITONE * (high - low + 3)) + 0.7
    with drawing(path, WIDTH, height * len(pieces) + 0.4, len(pieces), 1) as (figure, axes):
        for cell, (title, notes) in zip(axes[:, 0], pieces.items(), strict=True):
            end = (notes[:, 0] + notes[:, 1]).max(initial=BAR)
            _pitch_axis(cell, low - 1, high + 1)
            _bar_axis(cell, end)
            for track in np.unique(notes[:, 3]).astype(int):
                _rectangles(cell, notes[notes[:, 3] == track], COLORS[track % len(COLORS)])
            cell.set_title(title)
        axes[-1, 0].set_xlabel("bar")
        if tracks:
            patches = [Patch(color=COLORS[i % len(COLORS)], label=name) for i, name in enumerate(tracks)]
            figure.legend(handles=patches, loc="outside lower center", ncols=len(tracks))


def _rectangles(axes, notes: np.ndarray, color: str) -> None:
    boxes = [
        Rectangle((start, pitch - 0.5), max(length - GAP, length / 2), 1.0)
        for start, length, pitch, _ in notes.tolist()
    ]
    axes.add_collection(PatchCollection(boxes, facecolor=color, linewidth=0, alpha=0.9))


def _pitch_axis(axes, low: float, high: float) -> None:
    """Sets a vertical axis from pitch `low` to `high`, with a label and a line at each C."""
    cs = np.arange(-(-low // OCTAVE) * OCTAVE, high + 1, OCTAVE)
    axes.set_ylim(low - 0.5, high + 0.5)
    axes.set_yticks(cs, [f"C{int(pitch) // OCTAVE - 1}" for pitch in cs])
    axes.hlines(cs, 0, 1, color=FAINT, linewidth=0.8, transform=axes.get_yaxis_transform(), zorder=0)
    axes.tick_params(axis="y", length=0)


def _bar_axis(axes, end: float) -> None:
    """Sets a time axis up to the end of the last bar, with numbered lines at bars."""
    bars = int(np.ceil(end / BAR))
    every = -(-bars // LABELLED_BARS)
    starts = np.arange(0, bars, every)
    axes.set_xlim(0, bars * BAR)
    axes.set_xticks(starts * BAR, [str(bar + 1) for bar in starts])
    axes.grid(axis="x")


def note_probabilities(probabilities: np.ndarray, played: np.ndarray, path: Path) -> None:
    """Draws the predicted probability of each pitch in each chord, with the played ones framed (the book's heat map).

    Args:
      probabilities: (T, P) in [0, 1], predicted that chord t contains pitch p.
      played: (T, P) bool, pitches that the chord contains.
      path: of the PNG.
    """
    seen = np.flatnonzero((probabilities > 0.01).any(0) | played.any(0))
    low, high = (int(seen[0]), int(seen[-1])) if len(seen) else (48, 72)
    height = max(LEAST_HEIGHT, 2 * SEMITONE * (high - low + 3)) + 0.7
    with drawing(path, WIDTH, height) as (figure, axes):
        cell = axes[0, 0]
        extent = (-0.5, len(probabilities) - 0.5, low - 0.5, high + 0.5)
        image = cell.imshow(
            probabilities.T[low : high + 1],
            origin="lower",
            aspect="auto",
            cmap=HEAT,
            norm=PowerNorm(GAMMA, 0, 1),
            extent=extent,
            interpolation="nearest",
        )
        _pitch_axis(cell, low, high)
        boxes = [Rectangle((t - 0.5, pitch - 0.5), 1, 1) for t, pitch in np.argwhere(played).tolist()]
        cell.add_collection(PatchCollection(boxes, facecolor="none", edgecolor=COLORS[2], linewidth=1.1))
        cell.set_title("Probability of each pitch (played notes framed)")
        cell.set_xlabel("chord")
        figure.colorbar(image, ax=cell, pad=0.01, aspect=30)


def attention(weights: np.ndarray, earlier: Sequence[str], generated: Sequence[str], path: Path) -> None:
    """Draws attention weights: one column per generated chord, one row per earlier chord.

    Args:
      weights: (generated, earlier) in [0, 1]; NaN where attention is masked.
      earlier: names of the rows, as in a chord vocabulary ("B-2.F3").
      generated: names of the columns.
      path: of the PNG.
    """
    rows, columns = len(earlier), len(generated)
    size = np.clip(0.19 * max(rows, columns), 4.5, WIDTH)
    scale = size / max(rows, columns)
    with drawing(path, max(scale * columns, 3.0) + 2.2, max(scale * rows, 2.0) + 1.4) as (figure, axes):
        cell = axes[0, 0]
        image = cell.imshow(weights.T, cmap=HEAT, norm=PowerNorm(GAMMA, 0, np.nanmax(weights)), interpolation="nearest")
        every = -(-max(rows, columns) // LABELLED_CHORDS)
        for axis, names in ((cell.xaxis, generated), (cell.yaxis, earlier)):
            places = np.arange(0, len(names), every)
            axis.set_ticks(places, [_with_accidentals(names[place]) for place in places], fontsize=7)
            axis.set_tick_params(length=0)
        cell.tick_params(axis="x", rotation=90)
        cell.set_xlabel("generated chord")
        cell.set_ylabel("earlier chord")
        cell.set_facecolor(FAINT)
        cell.set_title("Attention weights" + (" (grey: masked)" if np.isnan(weights).any() else ""))
        figure.colorbar(image, ax=cell, pad=0.02, aspect=30, shrink=0.8)


def _with_accidentals(name: str) -> str:
    """Returns a chord's name with ♯ and ♭ signs."""
    return re.sub("(?<=[A-G])-", "♭", name).replace("#", "♯")
