"""Tests of tiny music models from the command line: their files, metrics and samples."""

import contextlib
import dataclasses
import io
import json
from fractions import Fraction

import mido
import numpy as np
import pytest

from experiments import music_rnn, phrase_rnn, sample
from experiments.music import events, passage_metrics
from gdl_jax.data.dataset import ArraySource
from gdl_jax.data.music import midi
from gdl_jax.data.music.events import Music
from gdl_jax.data.music.notes import TICKS, as_notes
from gdl_jax.data.text.windows import Windows
from gdl_jax.models.events import Events, Passage
from gdl_jax.runs.main import main
from gdl_jax.runs.summary import count_parameters

pytestmark = pytest.mark.slow

EXPERIMENTS = {"music_rnn": music_rnn.EXPERIMENT, "phrase_rnn": phrase_rnn.EXPERIMENT}
TINY = ["--config=tiny", "--steps=2", "--log_every=1", "--eval_every=1", "--checkpoint_every=1"]
MAJOR = (0, 2, 4, 5, 7, 9, 11)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve MIDI files, each of 60 random notes of another major scale, and a broken one."""
    root, rng = tmp_path_factory.mktemp("midi"), np.random.default_rng(0)
    for tonic in range(12):
        pitches = 48 + tonic + rng.choice(MAJOR, 60)
        rows = [(step * TICKS // 2, TICKS // 2, int(pitch), 0) for step, pitch in enumerate(pitches)]
        midi.write_notes(as_notes(rows), root / f"piece{tonic:02}.mid")
    (root / "broken.mid").write_bytes((root / "piece00.mid").read_bytes()[:40])
    return root


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GDL_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", params=[("music_rnn", True), ("phrase_rnn", False)], ids=str)
def finished(request, folder, own_cache, tmp_path_factory):
    """Name, attention, workdir and standard error of a short run."""
    name, attention = request.param
    workdir, said = tmp_path_factory.mktemp(name) / "run", io.StringIO()
    flags = [*TINY, f"--dataset=midi:{folder}", f"--attention={attention}"]
    with contextlib.redirect_stderr(said):
        main(EXPERIMENTS[name], "about", ["program", f"--workdir={workdir}", *flags])
    return name, attention, workdir, said.getvalue()


def test_a_run_writes_sound_scores_and_metrics(finished):
    name, attention, workdir, _ = finished
    made = {path.name for path in (workdir / "figures").iterdir()}
    assert {f"passages{end}" for end in ("_1.mid", "_3.mid", ".mp3", "_roll.png", "_score.png")} <= made
    thought = "passage" if name == "music_rnn" else "continuation"
    assert f"{thought}_probabilities.png" in made and (f"{thought}_attention.png" in made) == attention
    results = json.loads((workdir / "results.json").read_text())
    assert results["training_pieces/share_in_key"] == pytest.approx(1.0)
    for kind in ("written", "shuffled_notes"):
        assert 7 / 12 <= results[f"{kind}/share_in_key"] < 0.95
    assert 1 < results["written/events_per_passage"] <= events.EVENTS
    assert {"share_in_key", "copied_share"} <= set(results["protocol"])
    if name == "phrase_rnn":
        shares = [results[f"{kind}_continuations/share_in_phrase_key"] for kind in ("real", "written")]
        assert shares[1] < shares[0] and shares[0] > 0.85  # the key of a short phrase may be ambiguous
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").open()]
    held_out = [row for row in rows if "validation/loss" in row]
    assert len(held_out) >= 3
    for metric in ("loss", "note_loss", "duration_loss"):
        logged = [row[f"validation/{metric}"] for row in held_out]
        assert any(results[f"validation/{metric}"] == pytest.approx(value, rel=1e-4) for value in logged)
    total = results["test/note_loss"] + results["test/duration_loss"]
    assert results["test/loss"] == pytest.approx(total, rel=1e-5)


def test_a_broken_file_among_good_ones_is_one_line(finished):
    _, _, _, said = finished
    lines = [line for line in said.splitlines() if "broken.mid" in line]
    assert len(lines) == 1 and "Traceback" not in said


def test_samples_are_midi_sound_and_scores(finished, capsys):
    _, _, workdir, _ = finished
    sample.main(["program", f"--workdir={workdir}", "--num=5"])
    written = [path.rpartition("/")[2] for path in capsys.readouterr().out.split()]
    assert written == [
        *(f"passage_{i}.mid" for i in range(1, 6)),
        "passage.mp3",
        "passage_roll.png",
        "passage_score.png",
    ]
    file = mido.MidiFile(workdir / "samples" / "passage_1.mid")
    struck = [message for message in file.tracks[1] if message.type == "note_on" and message.velocity]
    assert 1 <= len(struck) <= events.EVENTS


def toy(notes=("C4", "D4", "F#4", "START", "rest"), train=(), validation=()):
    """Returns a data set of the given tokens: note 3 is START; duration 1 is a quarter note, 2 is two."""

    def windows(tokens):
        note, duration = np.array(tokens, np.int32).reshape(-1, 2).T
        return Windows({"note": note, "duration": duration}, np.arange(max(0, len(note) - 2)), 3)

    return Music(
        "toy",
        windows(train),
        None,
        windows(validation),
        notes=notes,
        durations=(Fraction(0), Fraction(1), Fraction(2)),
    )


def rows(note, duration):
    return Events(np.array(note, np.int32), np.array(duration, np.int32))


def test_a_passage_ends_with_start():
    passages = events.until_end(toy(), rows([[0, 3, 1], [3, 0, 0], [0, 1, 2]], [[1, 1, 2], [2, 1, 1], [1, 2, 1]]))
    np.testing.assert_array_equal(passages.note, [[0, 3, 3], [3, 3, 3], [0, 1, 2]])
    np.testing.assert_array_equal(passages.duration, [[1, 0, 0], [0, 0, 0], [1, 2, 1]])
    one = events.first_passage(toy(), Passage(passages, np.ones((3, 3, 5)), np.ones((3, 3, 4))))
    assert (one.events.note.tolist(), one.probabilities.shape, one.attention.shape) == ([0], (1, 5), (1, 4))
    assert [len(notes) for notes in events.notes_of(toy(), passages)] == [1, 0, 3]


def test_shares_in_key_are_weighted_by_duration():
    data = toy()
    passages = rows([[0, 1, 1, 4], [0, 2, 3, 3], [3, 3, 3, 3]], [[1, 1, 2, 2], [2, 2, 0, 0], [0, 0, 0, 0]])
    counts = passage_metrics.pitch_classes(data, passages)
    expected = np.zeros((3, 12))
    expected[0, [0, 2]], expected[1, [0, 6]] = (1, 3), (2, 2)
    np.testing.assert_array_equal(counts, expected)
    # C and D are in one scale; so are C and F sharp, in G major
    assert passage_metrics.share_in_key(counts) == pytest.approx(1.0)
    f_major = np.zeros((3, 12))
    f_major[:, [5, 7, 9, 10, 0, 2, 4]] = 1
    assert passage_metrics.share_in_key_of(counts, f_major) == pytest.approx(
        (1.0 + 0.5) / 2
    )  # a silent one doesn't count
    assert np.isnan(passage_metrics.share_in_key(counts[2:]))


def test_training_passages_are_within_a_piece():
    data = toy(train=[(3, 0), (0, 1), (1, 1), (2, 1), (3, 0), (1, 2), (2, 2), (3, 0), (0, 1), (0, 2), (0, 1), (1, 1)])
    found = passage_metrics.training_passages(data, 3)
    assert sorted(map(tuple, found.note.tolist())) == [(0, 0, 0), (0, 0, 1), (0, 1, 2)]
    assert (found.duration[(found.note == [0, 0, 1]).all(axis=1)] == [2, 1, 1]).all()
    assert len(passage_metrics.training_passages(data, 5).note) == 0


def test_passages_are_truncated_to_the_generated_length():
    stretches, written = rows([[0, 1, 2]], [[1, 2, 1]]), rows([[1, 3, 3], [3, 3, 3]], [[2, 0, 0], [0, 0, 0]])
    cut = passage_metrics.truncate_like(toy(), stretches, written)
    assert (cut.note.tolist(), cut.duration.tolist()) == ([[0, 3, 3]], [[1, 0, 0]])


def test_attention_is_arranged_by_position_in_the_passage():
    weights = np.array([[0.5, 0.2, 0.3], [0.1, 0.3, 0.6], [0.7, 0.1, 0.2], [0.2, 0.3, 0.5]])
    nan = np.nan
    expected = [[1.0, nan, nan, nan], [0.4, 0.6, nan, nan], [0.7, 0.1, 0.2, nan], [nan, 0.2, 0.3, 0.5]]
    np.testing.assert_allclose(music_rnn.attention_over_passage(weights), expected)


def test_held_out_phrases_come_from_within_pieces():
    note = np.array([[3, 0, 1, 2], [0, 1, 2, 0], [1, 2, 0, 1], [1, 2, 3, 3]], np.int32)
    source = ArraySource({"note": note, "duration": note * 0 + 1})
    data = dataclasses.replace(toy(), test=source)
    config = phrase_rnn.Config(phrase_length=3, continuation_length=1)

    class Run:
        pass

    run = Run()
    run.data, run.config = data, config
    phrases, continuations = phrase_rnn.held_out(run, 2)
    whole = np.concatenate([phrases.note, continuations.note], axis=1)
    assert sorted(whole.tolist()) == [[0, 1, 2, 0], [1, 2, 0, 1]]
    assert phrases.note.shape == (2, 3) and continuations.note.shape == (2, 1)
    run.data = dataclasses.replace(toy(), validation=source, test=None)  # held-out windows: no test split
    phrases, _ = phrase_rnn.held_out(run, 2)
    assert sorted(phrases.note.tolist()) == [[0, 1, 2], [1, 2, 0]]


def test_a_continuation_is_a_separate_track():
    phrases, continuations = rows([[0, 4], [1, 0]], [[2, 1], [1, 1]]), rows([[1, 2], [3, 3]], [[1, 2], [0, 0]])
    first, second = phrase_rnn.joined(toy(), phrases, continuations)
    # C for two quarter notes, a rest of one, then D and F sharp; D and C, and the end
    q = TICKS
    np.testing.assert_array_equal(first, [[0, 2 * q, 60, 0], [3 * q, q, 62, 1], [4 * q, 2 * q, 66, 1]])
    np.testing.assert_array_equal(second, [[0, q, 62, 0], [q, q, 60, 0]])


def test_the_book_s_parameter_counts_need_no_data():
    for config, count in ((music_rnn.PRESETS["cello"], 1_138_122), (music_rnn.PRESETS["cello_regularised"], 1_670_052)):
        parts = music_rnn.networks(config, music_rnn.spec(config))
        assert count_parameters(parts).total == count
    assert music_rnn.PRESETS["cello"].recurrent_activation == "hard_sigmoid"  # the default of the book's Keras
    plain = dataclasses.replace(music_rnn.PRESETS["cello"], attention=False)
    assert count_parameters(music_rnn.networks(plain, music_rnn.spec(plain))).total == 1_137_865


@pytest.mark.parametrize("preset", ["cello", "cello_regularised"])
def test_the_book_s_run_has_its_data(preset, data_dir):
    config = dataclasses.replace(music_rnn.PRESETS[preset], data_dir=str(data_dir))
    data = music_rnn.load(config)
    stand_in = music_rnn.spec(config)
    assert (len(data.notes), len(data.durations)) == (len(stand_in.notes), len(stand_in.durations))
    keys = 12 if preset == "cello_regularised" else 1
    assert (len(data.train), len(data.validation), data.test) == (22_376 * keys, 5_595, None)
    assert (config.optimizer, config.learning_rate, config.batch_size) == ("rmsprop", 1e-3, 32)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("music_rnn", ["--dataset=cello"]),
        ("music_rnn", ["--dataset=digits"]),
        ("music_rnn", ["--transpose=3"]),
        ("music_rnn", ["--transpose=1,3"]),
        ("music_rnn", ["--hold_out=songs"]),
        ("music_rnn", ["--sequence_length=0"]),
        ("music_rnn", ["--note_temperature=-1"]),
        ("music_rnn", ["--note_temperature=inf"]),
        ("music_rnn", ["--dropout_rate=1"]),
        ("music_rnn", ["--train_examples=99999"]),
        ("phrase_rnn", ["--phrase_length=0"]),
        ("phrase_rnn", ["--continuation_length=0"]),
        ("phrase_rnn", ["--attention=false", "--attention_units=9"]),
    ],
)
def test_bad_flags_are_one_line(name, flags, folder, own_cache, tmp_path, capsys):
    workdir = tmp_path / "run"
    with pytest.raises(SystemExit, match="2"):
        main(
            EXPERIMENTS[name],
            "about",
            ["program", f"--workdir={workdir}", *TINY, f"--dataset=midi:{folder}", *flags],
        )
    (line,) = (text for text in capsys.readouterr().err.splitlines() if text.startswith("error: "))
    assert flags[-1] in line
    assert not (workdir / "flags.json").exists()


def test_a_folder_of_broken_files_is_one_line(own_cache, tmp_path, capsys):
    (tmp_path / "broken.mid").write_bytes(b"MThd and then nothing")
    with pytest.raises(SystemExit, match="2"):
        main(music_rnn.EXPERIMENT, "about", ["program", f"--workdir={tmp_path}/run", f"--dataset=midi:{tmp_path}"])
    (line,) = (text for text in capsys.readouterr().err.splitlines() if text.startswith("error: "))
    assert "broken.mid" in line and str(tmp_path) in line


@pytest.mark.parametrize("experiment", [music_rnn, phrase_rnn])
def test_the_cello_presets_are_built_without_their_data(experiment):
    config = experiment.PRESETS["cello"]
    data = experiment.spec(config)
    experiment.build(config, data, None)
    assert data.begin == {"note": 386 if experiment is music_rnn else 1904, "duration": 0}
