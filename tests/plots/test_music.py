"""Figures of music show each note at its position; scores contain all notes."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from music21 import converter
from PIL import Image

from gdl_jax.plots import music, score
from gdl_jax.plots.figure import COLORS
from tests.plots.pixels import has_color, read

# start, length (quarter notes), pitch, track
NOTES = np.array([[0, 1, 60, 0], [1, 0.5, 62, 0], [0, 4, 48, 1], [4, 2, 50, 1], [6, 1 / 3, 66, 0]])


def _rectangles(axes):
    """Returns {(start, pitch): (end, colour)} of all boxes."""
    found = {}
    for collection in axes.collections:
        colors = np.resize(collection.get_facecolor(), (len(collection.get_paths()), 4))
        for path, color in zip(collection.get_paths(), colors, strict=True):
            (left, low), (right, high) = path.vertices.min(0), path.vertices.max(0)
            if high > low:
                found[float(left), (low + high) / 2] = float(right), tuple(color[:3])
    return found


def test_each_note_is_a_box_in_the_colour_of_its_track(tmp_path, drawn):
    music.piano_rolls({"Real": NOTES, "Generated": NOTES[:2]}, tmp_path / "roll.png", ["soprano", "bass"])
    real, generated = drawn[0].axes
    assert (real.get_title("left"), generated.get_title("left")) == ("Real", "Generated")
    boxes = _rectangles(real)
    assert boxes.keys() == {(start, pitch) for start, _, pitch, _ in NOTES.tolist()}
    for start, length, pitch, track in NOTES.tolist():
        end, color = boxes[start, pitch]
        assert start + length / 2 <= end < start + length  # with a gap before the next note
        assert color == to_rgba(COLORS[int(track)])[:3]
    assert len(_rectangles(generated)) == 2 and generated.get_ylim() == real.get_ylim()
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["soprano", "bass"]
    names = {label.get_text(): place for label, place in zip(real.get_yticklabels(), real.get_yticks(), strict=True)}
    assert names == {"C3": 48, "C4": 60}
    assert [label.get_text() for label in real.get_xticklabels()] == ["1", "2"] and real.get_xlim() == (0, 8)
    pixels = read(tmp_path / "roll.png")
    assert has_color(pixels, COLORS[0], 40).sum() > 100 and has_color(pixels, COLORS[1], 40).sum() > 100


def test_labels_of_many_bars_are_thinned(tmp_path, drawn):
    long = np.stack([np.arange(0, 160, 4), np.full(40, 4), np.full(40, 60), np.zeros(40)], axis=1)
    music.piano_rolls({"Long": long}, tmp_path / "roll.png")
    assert [label.get_text() for label in drawn[0].axes[0].get_xticklabels()][:3] == ["1", "4", "7"]
    assert drawn[0].axes[0].get_xlim() == (0, 160)


def test_silence_can_be_drawn(tmp_path):
    music.piano_rolls({"Nothing": np.zeros((0, 4))}, tmp_path / "roll.png")
    music.note_probabilities(np.zeros((3, 128)), np.zeros((3, 128), bool), tmp_path / "heat.png")
    assert read(tmp_path / "roll.png").size and read(tmp_path / "heat.png").size


def test_probabilities_are_at_their_pitch_and_played_notes_framed(tmp_path, drawn):
    probabilities = np.zeros((3, 128))
    probabilities[0, 60], probabilities[1, 64], probabilities[2, 55] = 0.5, 0.9, 0.2
    probabilities[1, 100] = 0.001  # too small to extend the axis
    played = np.zeros((3, 128), bool)
    played[0, 60] = played[1, 62] = True
    music.note_probabilities(probabilities, played, tmp_path / "heat.png")
    cell = drawn[0].axes[0]
    (image,) = cell.images
    left, right, low, high = image.get_extent()
    assert (left, right, low, high) == (-0.5, 2.5, 54.5, 64.5)
    shown = np.asarray(image.get_array())  # (pitch, chord)
    found = {(int(low + 0.5) + row, column): shown[row, column] for row, column in np.argwhere(shown > 0).tolist()}
    assert found == {(60, 0): 0.5, (64, 1): 0.9, (55, 2): 0.2}
    assert {(left + 0.5, pitch) for left, pitch in _rectangles(cell)} == {(0, 60), (1, 62)}


def test_attention_has_a_column_per_generated_chord(tmp_path, drawn):
    weights = np.array([[0.25, 0.75, np.nan], [0.1, 0.2, 0.7]])
    music.attention(weights, ["START", "E-3.G#4", "C~1"], ["G2", "B-3"], tmp_path / "attention.png")
    cell = drawn[0].axes[0]
    shown = np.ma.filled(np.ma.asarray(cell.images[0].get_array(), float), np.nan)
    np.testing.assert_array_equal(shown, weights.T)
    assert [label.get_text() for label in cell.get_xticklabels()] == ["G2", "B♭3"]
    assert [label.get_text() for label in cell.get_yticklabels()] == ["START", "E♭3.G♯4", "C~1"]
    assert cell.get_ylim()[0] > cell.get_ylim()[1]  # the first chord is at the top


def heard(text):
    """Returns [(part, start, length, pitches)] of MusicXML as read by music21, with tied notes joined."""
    found = []
    for number, part in enumerate(converter.parseData(text, format="musicxml").parts):
        for element in part.stripTies().flatten().notes:
            pitches = tuple(sorted(pitch.midi for pitch in element.pitches))
            found.append((number, float(element.offset), float(element.quarterLength), pitches))
    return sorted(found)


def test_score_contains_all_notes():
    rng = np.random.default_rng(0)
    expected, rows = [], []
    for track in range(3):
        now = 0.0
        while now < 20:
            length = float(rng.choice([0.25, 0.5, 0.75, 1, 1.5, 2, 3]))
            pitches = tuple(sorted(rng.choice(np.arange(40, 80), rng.integers(1, 4), replace=False).tolist()))
            rows += [(now, length, pitch, track) for pitch in pitches]
            expected.append((track, now, length, pitches))
            now += length + float(rng.choice([0, 0, 1]))  # sometimes a rest
    assert heard(score.to_musicxml(np.array(rows))) == sorted(expected)


def test_triplets_are_written():
    rows = [(i / 3, 1 / 3, 60 + i, 0) for i in range(6)] + [(2, 2, 60, 0)]
    found = heard(score.to_musicxml(np.array(rows)))
    assert [(start, pitches) for _, start, _, pitches in found] == [
        (pytest.approx(start, abs=1e-6), (pitch,)) for start, _, pitch, _ in rows
    ]


MAJOR = (0, 2, 4, 5, 7, 9, 11, 12, 7, 4, 0, -1)
MINOR = (0, 2, 3, 5, 7, 8, 10, 12, 7, 3, 0, -2)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [MAJOR, MINOR], ids=["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_scales_are_spelled_in_their_key(tonic, steps):
    scale = [tonic + 60 + step for step in steps]
    rows = np.array([(i, 1, pitch, 0) for i, pitch in enumerate([*scale, tonic + 60])], float)
    text = score.to_musicxml(rows)
    part = converter.parseData(text, format="musicxml").parts[0].flatten()
    names = [pitch.name for note in part.notes for pitch in note.pitches]
    assert [pitch.midi for note in part.notes for pitch in note.pitches] == rows[:, 2].tolist()
    assert len({name[0] for name in names}) == 7 == len(set(names))  # each letter once: no A sharp together with B flat
    (signature,) = part.getElementsByClass("KeySignature")
    assert abs(signature.sharps) <= 6
    assert text.count("<accidental>") == 0  # all are in the key signature


def test_engraved_score_is_black_on_white(tmp_path):
    pages = []
    for names in (["soprano", "bass"], []):
        score.engrave(NOTES, tmp_path / "score.png", names)
        with Image.open(tmp_path / "score.png") as image:
            assert image.format == "PNG" and image.mode == "L"
            pages.append(np.asarray(image))
    named, page = pages
    assert page[0, 0] == 255 and 0.01 < (page < 128).mean() < 0.2
    ink = (page < 230).sum(axis=1)
    staff_lines = ink > 0.8 * ink.max()
    assert (np.diff(staff_lines.astype(int)) == 1).sum() == 10  # two staves of five lines
    assert (named < 128).sum() > (page < 128).sum() + 100  # names of the staves
