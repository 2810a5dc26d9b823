"""Tests of the book's chorales, of music21's corpus against music21 itself, and of the bars cut from them."""

import difflib
import json
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.music import chorales, musicxml
from gdl_jax.data.music.notes import TICKS, as_notes, from_rolls, to_steps

CORPUS = Path(find_spec("music21").origin).parent / "corpus" / "bach"
RNG = np.random.default_rng(0)


def everything(source):
    return source.take(np.arange(len(source)))


def write_json(root, train, valid=None, test=None, name="Jsb16thSeparated.json"):
    splits = {"train": train, "valid": valid or train, "test": test or train}
    text = json.dumps({split: [np.asarray(piece).tolist() for piece in pieces] for split, pieces in splits.items()})
    (root / name).write_text(text)
    return str(root)


def piece(steps):
    return RNG.integers(36, 82, (steps, 4))


def test_first_bars_start_where_all_voices_sound():
    whole = piece(48)
    np.testing.assert_array_equal(chorales.first_bars(whole, 2), whole[:32])
    late = whole.copy()
    late[3, 1] = late[7, 2] = -1  # in the first beat and in the second
    np.testing.assert_array_equal(chorales.first_bars(late, 2), late[8:40])
    late[20, 0] = -1  # a later rest stays
    np.testing.assert_array_equal(chorales.first_bars(late, 2), late[8:40])
    assert chorales.first_bars(late, 3) is None and chorales.first_bars(whole, 3) is not None
    assert chorales.first_bars(np.full((64, 4), -1), 1) is None


def test_rows_become_rolls(tmp_path):
    first, second = piece(40), piece(40)
    first[9, 2] = -1
    data = chorales.load("chorales", data_dir=write_json(tmp_path, [first, second]))
    roll = np.asarray(data.transform(everything(data.train))["roll"])
    assert roll.shape == (2, 2, 16, 84, 4) and roll.dtype == np.float32
    expected = np.full(roll.shape, -1.0)
    for number, whole in enumerate((first, second)):
        for step in range(32):
            for voice in range(4):
                if whole[step, voice] >= 0:
                    expected[number, step // 16, step % 16, whole[step, voice], voice] = 1
    np.testing.assert_array_equal(roll, expected)
    np.testing.assert_array_equal(to_steps(from_rolls(roll[0].reshape(32, 84, 4)), 4), first[:32])


@pytest.mark.parametrize("bars", [1, 2, 3])
def test_chorales_with_fewer_bars_are_left_out(tmp_path, bars):
    pieces = [piece(steps) for steps in (16, 32, 100, 48)]
    data = chorales.load("chorales", data_dir=write_json(tmp_path, pieces, [piece(64)], [piece(64)]), bars=bars)
    rows = [whole[: 16 * bars] for whole in pieces if len(whole) >= 16 * bars]
    np.testing.assert_array_equal(everything(data.train)["pitches"], rows)
    assert data.note == "" if bars == 1 else f"{4 - len(rows)} of train" in data.note
    assert [len(whole) for whole in data.pieces["train"]] == [16, 32, 100, 48]


def test_splits_are_those_of_the_file(tmp_path):
    train, valid, test = [piece(32) for _ in range(3)], [piece(32)], [piece(32)] * 2
    data = chorales.load("chorales", data_dir=write_json(tmp_path, train, valid, test))
    for source, pieces in ((data.train, train), (data.validation, valid), (data.test, test)):
        np.testing.assert_array_equal(everything(source)["pitches"], pieces)


def test_errors_name_the_field(tmp_path):
    with pytest.raises(ConfigError, match=r"^dataset=chorales: .*data_dir"):
        chorales.load("chorales")
    with pytest.raises(ConfigError, match=rf"^data_dir={tmp_path}: .*chorales/Jsb16thSeparated\.json"):
        chorales.load("chorales", data_dir=str(tmp_path))
    with pytest.raises(ConfigError, match=r"^dataset=choral: .*corpus_chorales, chorales"):
        chorales.load("choral")
    directory = write_json(tmp_path, [piece(40)])
    with pytest.raises(UserError, match=r"^bars=3: .*train"):
        chorales.load("chorales", data_dir=directory, bars=3)
    with pytest.raises(UserError, match=r"^bars=0: "):
        chorales.load("chorales", data_dir=directory, bars=0)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", '{"train": 1}', '{"train": [], "valid": []}', '{"train": [[[1, 2, 3]]], "valid": [], "test": []}'),
        '{"train": [[[60, 61, 62, 84]]], "valid": [], "test": []}',
        '{"train": [[[60, 61, 62, null]]], "valid": [], "test": []}',
        '{"train": [[[60, 61], [60]]], "valid": [], "test": []}',
        '{"train": [[[60, 61, 62, 60.5]]], "valid": [], "test": []}',
        '{"train": [[[60, 61, 62, 1e400]]], "valid": [], "test": []}',
        '{"train": [[[60, 61, 62, 99999999999999999999]]], "valid": [], "test": []}',
        "[" * 100_000,
    ],
)
def test_files_with_other_contents_are_refused(tmp_path, text):
    (tmp_path / "Jsb16thSeparated.json").write_text(text)
    with pytest.raises(UserError, match=r"Jsb16thSeparated\.json") as raised:
        chorales.load("chorales", data_dir=str(tmp_path))
    assert "\n" not in str(raised.value)


def test_byte_order_marks_do_not_matter(tmp_path):
    path = Path(write_json(tmp_path, [piece(40)])) / "Jsb16thSeparated.json"
    plain = chorales.load("chorales", data_dir=str(tmp_path)).digest
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert chorales.load("chorales", data_dir=str(tmp_path)).digest == plain


def cut_as_in_the_book(pieces, bars):
    """Returns the rolls of the book's loader (07_04), in plain loops: -1 and 1; a rest is an 85th class, dropped."""
    rolls = []
    for whole in pieces:
        start = 0
        while any(value < 0 for step in whole[start : start + 4] for value in step):
            start += 4
        if len(whole) > bars * 16:
            classes = np.full((bars * 16, 4, 85), -1)
            for step, values in enumerate(whole[start : start + bars * 16]):
                for voice, value in enumerate(values):
                    classes[step, voice, value if value >= 0 else 84] = 1
            rolls.append(classes[..., :84].reshape(bars, 16, 4, 84).transpose(0, 1, 3, 2))
    return np.array(rolls)


@pytest.mark.slow
def test_the_books_chorales(data_dir):
    data = chorales.load("chorales", data_dir=str(data_dir))
    assert [len(source) for source in (data.train, data.validation, data.test)] == [229, 76, 77] and data.note == ""
    stored = json.loads((data_dir / "chorales" / "Jsb16thSeparated.json").read_text())
    expected = cut_as_in_the_book(stored["train"], 2)
    assert expected.shape == (229, 2, 16, 84, 4)
    np.testing.assert_array_equal(data.transform(everything(data.train))["roll"], expected)
    pitches = np.concatenate(data.pieces["train"])
    assert (pitches[pitches >= 0].min(), pitches.max()) == (36, 81)
    assert min(map(len, data.pieces["train"])) == 100


def notes_of_music21(path):
    """Returns music21's notes, tied ones joined: sorted (start, length, pitch, part) in ticks."""
    from music21 import converter

    found = []
    for number, part in enumerate(converter.parse(path).parts):
        for element in part.stripTies().flatten().notes:
            if not element.duration.isGrace:
                times = element.offset * TICKS, element.duration.quarterLength * TICKS
                found += [(*times, pitch.midi, number) for pitch in element.pitches]
    return sorted(found)


# Ties; a tie without a second note; grace notes; five parts with different divisions.
@pytest.mark.parametrize("name", ["bwv269", "bwv362", "bwv299", "bwv1.6"])
def test_scores_are_read_as_music21_reads_them(name):
    notes = musicxml.read_notes(CORPUS / f"{name}.mxl")
    assert sorted(map(tuple, notes.tolist())) == notes_of_music21(CORPUS / f"{name}.mxl")


SCORE = """<score-partwise><part id="P1"><measure><attributes><divisions>2</divisions></attributes>
<note><pitch><step>C</step><octave>4</octave></pitch><duration>2</duration><tie type="start"/></note>
<note><chord/><pitch><step>E</step><alter>-1</alter><octave>4</octave></pitch><duration>2</duration></note>
<backup><duration>2</duration></backup>
<note><pitch><step>G</step><octave>3</octave></pitch><duration>1</duration></note>
<forward><duration>1</duration></forward></measure>
<measure><note><grace/><pitch><step>B</step><octave>3</octave></pitch></note>
<note><pitch><step>C</step><octave>4</octave></pitch><duration>1</duration><tie type="stop"/></note>
<note><rest/><duration>1</duration></note>
<note><pitch><step>F</step><alter>1</alter><octave>4</octave></pitch><duration>LAST</duration></note>
</measure></part></score-partwise>"""


def test_chords_voices_ties_and_grace_notes(tmp_path):
    path = tmp_path / "a.musicxml"
    path.write_text(SCORE.replace("LAST", "3"))
    assert musicxml.read_notes(path).tolist() == [[0, 12, 55, 0], [0, 36, 60, 0], [0, 24, 63, 0], [48, 36, 66, 0]]


@pytest.mark.parametrize("content", ["", "<score-partwise><part>", SCORE.replace("LAST", "x"), SCORE[:-30]])
def test_damaged_scores_are_refused(tmp_path, content):
    (tmp_path / "a.xml").write_text(content)
    (tmp_path / "b.mxl").write_text(content)
    with zipfile.ZipFile(tmp_path / "c.mxl", "w") as archive:
        archive.writestr("other.xml", content)
    for name in ("a.xml", "b.mxl", "c.mxl", "missing.mxl"):
        with pytest.raises(UserError, match=name):
            musicxml.read_notes(tmp_path / name)


def test_finer_times_are_refused(tmp_path):
    (tmp_path / "a.xml").write_text(SCORE.replace("<divisions>2<", "<divisions>32<").replace("LAST", "1"))
    with pytest.raises(UserError, match=r"a\.xml: .*1/24"):
        musicxml.read_notes(tmp_path / "a.xml")


def _leaps(soprano):
    """Returns the intervals of a melody (steps,) between consecutive different notes."""
    leaps = np.diff(soprano[soprano >= 0].astype(int))
    return leaps[leaps != 0].tolist()


def test_the_bundled_chorales():
    data = chorales.load("corpus_chorales")
    assert [len(source) for source in (data.train, data.validation, data.test)] == [291, 36, 36]
    begin = {
        split: {tuple(np.diff(piece[:64], axis=0).ravel()) for piece in data.pieces[split]} for split in data.pieces
    }
    assert not begin["train"] & (begin["validation"] | begin["test"])  # four bars of four voices, in any key
    tunes = {split: [_leaps(piece[:, 0]) for piece in members] for split, members in data.pieces.items()}
    matcher = difflib.SequenceMatcher(autojunk=False)
    for held_out in tunes["validation"] + tunes["test"]:
        matcher.set_seq2(held_out)
        for trained_on in tunes["train"]:
            matcher.set_seq1(trained_on)
            alike = matcher.real_quick_ratio() > 0.8 and matcher.quick_ratio() > 0.8 and matcher.ratio() > 0.8
            assert not alike, (held_out, trained_on)
    pieces = [piece for split in data.pieces.values() for piece in split]
    assert len({piece.tobytes() for piece in pieces}) == 363
    assert {int(pitch) for piece in pieces for pitch in piece.ravel()} <= {-1, *range(36, 82)}
    bach = to_steps(musicxml.read_notes(CORPUS / "bwv269.mxl"), 4)
    assert any(np.array_equal(bach, piece) for piece in pieces)


def test_hymns_are_recognised_in_any_key_and_rhythm():
    def chorale(pitches, length, bass):
        lines = ((pitches, 0), ([bass] * len(pitches), 3))
        return as_notes([(i * length, length, pitch, track) for line, track in lines for i, pitch in enumerate(line)])

    line = [60, 62, 64, 65, 67, 69, 71]
    long = [60, 67, 64, 65, 62, 69, 65, 67, 71, 72, 74, 60, 59, 62, 60, 55]
    halves = [pitch for pitch in long for _ in range(2)]
    halves[5] += 1  # an ornament between two beats
    scores = [
        chorale([*line, 72], 6, 48),
        chorale([*line[:-1], 70], 6, 48),
        chorale([pitch + 5 for pitch in [*line, 50]], 12, 40),  # begins as the first
        chorale(long, 24, 48),
        chorale([70, 66, *(pitch - 3 for pitch in long[:13]), 66, 67], 12, 40),  # an upbeat, notes of half the length
        chorale(halves, 12, 43),
        chorale([51, *(pitch - 3 for pitch in long[:12]), 48], 12, 40),  # a run that is too short
    ]
    assert chorales.tunes(scores) == [0, 1, 0, 3, 3, 3, 6]


def test_pieces_with_one_tune_are_in_one_split():
    tunes = np.random.default_rng(0).integers(0, 40, 100).tolist()
    places = chorales.split_by_tune(tunes)
    assert sorted(np.concatenate(list(places.values()))) == list(range(100))
    found = {split: {tunes[place] for place in members} for split, members in places.items()}
    assert sum(map(len, found.values())) == len(set(tunes)) < 40 + 1
    most = max(map(tunes.count, tunes))
    assert all(10 <= len(places[split]) < 10 + most for split in ("validation", "test"))
    alone = chorales.split_by_tune(range(35))
    assert [len(alone[split]) for split in ("train", "validation", "test")] == [29, 3, 3]


NOTE = "<note><pitch><step>{}</step><octave>4</octave></pitch><duration>{}</duration></note>"


def score_of(*parts):
    """Returns a score in MusicXML whose parts are lists of notes."""
    divisions = "<attributes><divisions>1</divisions></attributes>"
    measures = [f"<measure>{divisions}{''.join(notes)}</measure>" for notes in parts]
    numbered = (f'<part id="P{number}">{measure}</part>' for number, measure in enumerate(measures))
    return f"<score-partwise>{''.join(numbered)}</score-partwise>"


def test_only_different_scores_of_four_voices_are_kept(tmp_path, monkeypatch):
    c, d, e, f, g = ([NOTE.format(step, 1)] for step in "CDEFG")
    scores = {
        "a": score_of(c, d, e, f),
        "b": score_of(c, d, e),
        "c": score_of(c, d, e, f, g),
        "d": score_of(c, d, e, [NOTE.format("F", 2), "<backup><duration>1</duration></backup>", *g]),  # two at once
        "e": score_of(c, d, e, [*f, *g]),  # one after the other
        "f": score_of(c, d, e, f),
    }
    folder = tmp_path / "corpus" / "bach"
    folder.mkdir(parents=True)
    for name, score in scores.items():
        (folder / f"{name}.xml").write_text(score)
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(chorales, "locate", lambda package, extra: tmp_path)
    kept = [sorted(notes[:, 2].tolist()) for notes in chorales.corpus_notes()]
    assert kept == [[60, 62, 64, 65], [60, 62, 64, 65, 67]]
