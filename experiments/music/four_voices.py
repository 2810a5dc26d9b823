"""Pieces for four voices as rolls, scores, MIDI and sound, and metrics that compare them.

Rolls are (N, bars, 16, 84, 4), in [-1, 1]; a voice plays its highest pitch where that is positive.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from experiments.music.render import write_music
from gdl_jax.data.dataset import Source
from gdl_jax.data.music.chorales import BAR, BEAT, SILENT, VOICES, first_bars
from gdl_jax.data.music.notes import PITCHES, from_rolls, in_quarters
from gdl_jax.evaluation.music import note_lengths, pitch_class_counts, shuffled
from gdl_jax.evaluation.pieces import nearest_pieces, share_changed
from gdl_jax.learners.adversarial import generate
from gdl_jax.models.musegan import Noise, continue_pieces, draw_noise, pitches_of, sounding
from gdl_jax.plots.bars import probability_bars
from gdl_jax.plots.music import piano_rolls
from gdl_jax.plots.shares import share_table
from gdl_jax.runs.experiment import Run

SHOWN = 4
TEMPO = 66.0  # quarter notes per minute, as in the book
COMPARED = 64  # most pieces over which the shares of changed cells are averaged
COPIED = 0.1  # a piece counts as a copy of another if a smaller share of its cells differs
LONG_BARS = 16
LONGEST = 12  # steps of a note; longer notes are counted together
PITCH_CLASSES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "G♯", "A", "B♭", "B")


def continuations(members: Sequence[np.ndarray], before: int, bars: int) -> np.ndarray:
    """Returns all stretches of `before` + `bars` bars of the chorales (steps, 4), as (N, steps, 4).

    Each chorale is preceded by silence.
    """
    silence = np.full((before * BAR, len(VOICES)), SILENT, np.int8)
    length = (before + bars) * BAR
    rows = []
    for piece in members:
        counts = range(len(piece) // BAR, 0, -1)
        whole = next((cut for count in counts if (cut := first_bars(piece, count)) is not None), piece[:0])
        heard = np.concatenate([silence, whole])
        rows += [heard[first : first + length] for first in range(0, len(heard) - length + 1, BAR)]
    return np.stack(rows)


def notes_of(roll: np.ndarray) -> np.ndarray:
    """Returns the notes (N, 4) in ticks of a piece (bars, 16, 84, 4); each beat strikes notes anew, as in the book."""
    heard = np.asarray(sounding(jnp.asarray(roll)))
    return from_rolls(heard.reshape(-1, *heard.shape[2:]), restruck=BEAT)


def show_samples(rolls: np.ndarray, path: Path) -> None:
    """Draws piano rolls of a few samples."""
    piano_rolls({f"sample {i + 1}": in_quarters(notes_of(roll)) for i, roll in enumerate(rolls)}, path, VOICES)


def write_pieces(rolls: np.ndarray, folder: Path, name: str) -> list[Path]:
    """Writes MIDI, sound, piano roll and score; returns their paths, as `render.write_music` does."""
    return write_music([notes_of(roll) for roll in rolls], folder, name, quarters_per_minute=TEMPO, tracks=VOICES)


def compare(drawn: np.ndarray, real: jax.Array, key: jax.Array, figures: Path) -> None:
    """Draws real, generated and shuffled pieces next to each other: one of each, and the distributions of notes."""
    mixed = jax.jit(jax.vmap(shuffled))(jax.random.split(key, len(real)), real)
    kinds = {"test chorale": real, "sample": sounding(jnp.asarray(drawn)), "shuffled test chorale": mixed}
    firsts = {name: in_quarters(notes_of(rolls[0])) for name, rolls in kinds.items()}
    piano_rolls(firsts, figures / "real_generated_shuffled.png", VOICES)

    @jax.jit
    def distributions(rolls):
        flat = jnp.moveaxis(rolls, -1, 1).reshape(-1, rolls.shape[1] * rolls.shape[2], rolls.shape[3])
        lengths = jax.vmap(note_lengths)(flat).sum(axis=0)
        lengths = jnp.append(lengths[: LONGEST - 1], lengths[LONGEST - 1 :].sum())
        classes = jax.vmap(pitch_class_counts)(flat).sum(axis=0)
        return [counts / counts.sum() for counts in (classes, lengths)]

    features = {"pitch class": PITCH_CLASSES, "steps a note": (*map(str, range(1, LONGEST)), f"{LONGEST}+")}
    series = {f"{name}s": list(map(np.asarray, distributions(rolls))) for name, rolls in kinds.items()}
    probability_bars(features, series, figures / "distributions.png")


def nearest(drawn: np.ndarray, real: jax.Array, train: Source, figures: Path) -> dict[str, Any]:
    """Compares samples and test pieces with their nearest training pieces in any key; draws the nearest pair.

    The least distance is over equally many samples and test pieces, as a minimum falls with their number. A much larger
    share of copies among the samples than among the test pieces means that the generator has memorised.

    Returns:
      {KIND/NAME} for the kinds "samples" and "real_pieces" (test pieces), and the protocol.
    """
    bars = drawn.shape[1]
    references = train.take(np.arange(len(train)))["pitches"][:, -bars * BAR :]
    samples, held_out = map(_pitches, (drawn, real))
    found = {"samples": nearest_pieces(samples, references), "real_pieces": nearest_pieces(held_out, references)}
    numbers, compared = {}, min(len(samples), len(held_out))
    for kind, (_, _, distance) in found.items():
        numbers[f"{kind}/distance_to_nearest_training_piece"] = float(distance.mean())
        numbers[f"{kind}/least_distance_to_nearest_training_piece"] = float(distance[:compared].min())
        numbers[f"{kind}/share_of_copies"] = float((distance < COPIED).mean())
    protocol = {
        "distance_to_nearest_training_piece": "share of cells that differ from the nearest training piece in any key, "
        f"mean over {len(samples)} samples and {len(held_out)} test pieces",
        "least_distance_to_nearest_training_piece": f"of the first {compared} of each",
        "share_of_copies": f"share of pieces of which fewer than {COPIED:.0%} of cells differ",
    }
    index, semitones, distance = found["samples"]
    closest = int(distance.argmin())
    neighbour = references[index[closest]]
    moved = np.where(neighbour == SILENT, SILENT, neighbour + semitones[closest]).reshape(bars, BAR, -1)
    neighbour = 2 * jax.nn.one_hot(moved, PITCHES, axis=-2) - 1  # transposition may move a voice out of the roll
    panels = {
        f"the sample nearest to a training piece ({distance[closest]:.0%} of cells differ)": drawn[closest],
        f"that training piece, transposed by {semitones[closest]:+d} semitones": neighbour,
    }
    shown = {title: in_quarters(notes_of(roll)) for title, roll in panels.items()}
    piano_rolls(shown, figures / "nearest_training_piece.png", VOICES)
    return numbers | {"protocol": protocol}


def _pitches(rolls: jax.Array) -> np.ndarray:
    return np.asarray(pitches_of(jnp.asarray(rolls)))


def variations(noise: Noise, other: Noise) -> dict[str, Noise]:
    """Returns copies of `noise`, each with one vector taken from `other`: chords, style, a voice's melody or groove."""
    varied = {name: noise._replace(**{name: getattr(other, name)}) for name in ("chords", "style")}
    for name in ("melody", "groove"):
        for track, voice in enumerate(VOICES):
            old, new = getattr(noise, name), getattr(other, name)
            varied[f"{name}, {voice}"] = noise._replace(**{name: old.at[:, track].set(new[:, track])})
    return varied


def noise_changes(run: Run, generator: nn.Module, previous: jax.Array) -> dict[str, Any]:
    """Resamples one noise vector at a time and measures what changes; draws a table of all pieces, and one piece.

    Args:
      run: its state has the generator's parameters.
      generator: its module.
      previous: (N, condition_bars, ...), the bars that conditional generators continue; min(N, COMPARED) pieces are
        compared.

    Returns:
      {"VECTOR/cells_changed..."} for the vectors "chords", "style", "melody" and "groove", and the protocol.
    """
    previous = previous[:COMPARED]
    noise, other = (
        draw_noise(run.config, len(VOICES), jax.random.split(key, len(previous))) for key in jax.random.split(run.key)
    )

    heard = (previous,) if run.config.condition_bars else ()
    play = jax.jit(lambda state, noise, *heard: generate(generator, state, noise, *heard))
    before = play(run.state, noise, *heard)
    after = {name: play(run.state, varied, *heard) for name, varied in variations(noise, other).items()}
    changed = {name: share_changed(*map(_pitches, (before, rolls))) for name, rolls in after.items()}
    columns = [f"{voice}\nbar {bar + 1}" for voice in VOICES for bar in range(before.shape[1])]
    table = np.stack([shares.T.ravel() for shares in changed.values()])
    title = f"Share of cells that a new noise vector changes ({len(previous)} pieces)"
    share_table(table, list(changed), columns, title, run.figures / "what_each_noise_changes.png")
    shown = {"a sample": before, "other chords": after["chords"], "another style": after["style"]}
    shown |= {f"another {name}": after[name] for name in (f"melody, {VOICES[-1]}", f"groove, {VOICES[0]}")}
    panels = {title: in_quarters(notes_of(rolls[0])) for title, rolls in shown.items()}
    piano_rolls(panels, run.figures / "one_noise_changed.png", VOICES)
    numbers = {f"{name}/cells_changed": float(changed[name].mean()) for name in ("chords", "style")}
    for name in ("melody", "groove"):
        shares = np.stack([changed[f"{name}, {voice}"].mean(axis=0) for voice in VOICES])  # (vector's, cells')
        numbers[f"{name}/cells_changed_in_own_voice"] = float(np.diag(shares).mean())
        others = shares[~np.eye(len(shares), dtype=bool)]
        numbers[f"{name}/cells_changed_in_other_voices"] = float(others.mean())
    how = f"share of cells that a new vector of that name changes, mean over {len(previous)} pieces"
    return numbers | {"protocol": {"cells_changed": how}}


def long_pieces(run: Run, generator: nn.Module, previous: jax.Array) -> np.ndarray:
    """Generates pieces of LONG_BARS bars or more autoregressively; style and grooves stay the same throughout.

    Args:
      run: its state has the parameters of a conditional generator.
      generator: its module.
      previous: the bars to continue, (N, condition_bars, 16, 84, 4) of -1 and 1.

    Returns:
      (N, condition_bars + at least LONG_BARS, 16, 84, 4); without the `previous` bars if they are silent.
    """
    rounds = -(-LONG_BARS // generator.shape.bars)
    keys = jax.random.split(run.key, (rounds, len(previous)))
    noises = jax.vmap(lambda keys: draw_noise(run.config, len(VOICES), keys))(keys)
    style, groove = (jnp.broadcast_to(of_rounds[:1], of_rounds.shape) for of_rounds in (noises.style, noises.groove))

    @jax.jit
    def play(state, noises, previous):
        return continue_pieces(lambda noise, before: generate(generator, state, noise, before), noises, previous)

    made = play(run.state, noises._replace(style=style, groove=groove), previous)
    return np.asarray(jnp.concatenate([previous, made], axis=1) if (previous > 0).any() else made)
