"""Tests of a tiny MuseGAN from the command line: its files, conditions, and bad flags."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import mido
import numpy as np
import pytest

from experiments import musegan, sample
from experiments.music import four_voices, render
from gdl_jax.core.learner import Learner
from gdl_jax.core.parallel import UNOPTIMISED
from gdl_jax.data.dataset import ArraySource
from gdl_jax.data.music.chorales import VOICES
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.models.musegan import Noise, pitches_of
from gdl_jax.runs.experiment import Run
from gdl_jax.runs.main import main
from gdl_jax.runs.summary import count_parameters

pytestmark = pytest.mark.slow

SHORT = ["--config=tiny", "--steps=2", "--log_every=1", "--eval_every=1", "--checkpoint_every=1"]
TINY = musegan.PRESETS["tiny"]


def train(workdir, experiment=musegan.EXPERIMENT):
    """Trains a short run conditioned on one bar; test_contract.py has an unconditional one."""
    main(experiment, "about", ["program", f"--workdir={workdir}", *SHORT, "--condition_bars=1"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Workdir of such a run."""
    workdir = tmp_path_factory.mktemp("musegan") / "run"
    train(workdir)
    return workdir


def pitches_in(path):
    """Returns {track: set of pitches} of a MIDI file."""
    file = mido.MidiFile(path)
    names = {i: track.name for i, track in enumerate(file.tracks)}
    return {names[i]: {m.note for m in track if m.type == "note_on"} for i, track in enumerate(file.tracks) if i}


def test_a_run_writes_its_metrics_figures_and_music(finished):
    results = json.loads((finished / "results.json").read_text())
    for name in ("melody", "groove"):
        assert results[f"{name}/cells_changed_in_own_voice"] > 0
        assert results[f"{name}/cells_changed_in_other_voices"] == 0
    assert all(0 < results[f"{name}/cells_changed"] < 1 for name in ("chords", "style"))
    numbers = {name.partition("/")[2] for name in results if name.startswith("shuffled_pieces/")}
    for kind in ("samples", "real_pieces"):
        assert {f"{kind}/{name}" for name in numbers} <= set(results)
    # shuffling keeps the pitches and breaks up the notes
    assert results["real_pieces/pitch_range"] == pytest.approx(results["shuffled_pieces/pitch_range"])
    assert results["real_pieces/steps_a_note"] > 2 * results["shuffled_pieces/steps_a_note"]
    figures = finished / "figures"
    made = {path.name for path in figures.iterdir()}
    assert {"samples.mp3", "samples_1.mid", "what_each_noise_changes.png", "one_noise_changed.png"} <= made
    assert {"real_generated_shuffled.png", "distributions.png", "nearest_training_piece.png"} <= made
    assert {"long_piece.mp3", "continued_1.mid"} <= made
    voices = pitches_in(figures / "samples_1.mid")
    assert set(voices) == set(VOICES) and all(voices.values())


def test_a_killed_run_resumes_bit_for_bit(finished, tmp_path, capsys):
    def killed(run):
        if run.step == 2:
            raise RuntimeError("killed")

    nothing_shown = dataclasses.replace(
        musegan.EXPERIMENT, preview=lambda run: None, analyse=lambda run: {}, sample_metrics=None
    )
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path, dataclasses.replace(nothing_shown, preview=killed))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]
    train(tmp_path, nothing_shown)
    assert "resuming from step 1" in capsys.readouterr().err
    of_end = [
        json.loads((workdir / "checkpoints" / "2" / "meta" / "metadata").read_text())["checksums"]
        for workdir in (finished, tmp_path)
    ]
    assert of_end[0] and of_end[0] == of_end[1]


def test_samples_of_a_conditioned_run_are_long_pieces(finished, capsys):
    sample.main(["program", f"--workdir={finished}", "--num=3"])
    written = [path.rpartition("/")[2] for path in capsys.readouterr().out.split()]
    assert written[:3] == [f"long_piece_{i}.mid" for i in (1, 2, 3)] and "long_piece.mp3" in written
    seconds = mido.MidiFile(finished / "samples" / "long_piece_2.mid").length
    assert seconds * four_voices.TEMPO / 60 / 4 == pytest.approx(four_voices.LONG_BARS, abs=0.5)


def built(config) -> tuple[Learner, dict]:
    """Returns the learner and a batch of 4 training pieces."""
    data = musegan.load(config)
    return musegan.build(config, data, None), {"roll": musegan.rolls(data, data.train, np.arange(4))}


def test_samples_continue_the_held_out_pieces_they_are_compared_with(monkeypatch):
    config = dataclasses.replace(TINY, condition_bars=1)
    data, asked = musegan.load(config), []

    def draw_outputs(run, key, num, conditions):
        asked.append(conditions(key, np.arange(num + 2))["roll"])

    monkeypatch.setattr(musegan.rules, "draw_outputs", draw_outputs)
    for split in ("test", "validation"):
        musegan.draw(Run(config, data, None, None, None, 0, None, split), None, musegan.COMPARED)
    of_test, of_validation = (np.asarray(rolls) for rolls in asked)
    assert len(data.test) > musegan.COMPARED
    np.testing.assert_array_equal(of_test[: musegan.COMPARED], musegan.test_pieces(data))
    np.testing.assert_array_equal(of_test[musegan.COMPARED :], of_test[:2])  # indices beyond the end start over
    held_out = data.validation.take(np.arange(len(data.validation)))["pitches"]
    known = {row.tobytes() for row in np.asarray(pitches_of(of_validation), np.int8)}
    assert known <= {row.tobytes() for row in held_out.reshape(len(held_out), -1, 16, 4)}


def test_undefined_metrics_are_omitted():
    numbers = musegan.describe(np.full((3, 2, 16, 84, 4), -1.0, np.float32))
    assert numbers == {"pitch_classes_a_bar": 0.0, "silent_share": 1.0}


def test_both_networks_see_the_previous_bars():
    learner, batch = built(dataclasses.replace(TINY, condition_bars=1, n_critic=1))
    assert batch["roll"].shape == (4, 3, 16, 84, 4)
    state = jax.jit(learner.init, compiler_options=UNOPTIMISED)(jax.random.key(0), batch)

    @jax.jit
    def play(state, roll):
        return learner.sample(state, jax.random.key(1), 4, {"roll": roll})

    plain = play(state, batch["roll"])
    assert plain.shape == (4, 2, 16, 84, 4)
    np.testing.assert_array_equal(play(state, batch["roll"].at[:, 1:].set(jnp.nan)), plain)
    assert np.isnan(play(state, batch["roll"].at[:, :1].set(jnp.nan))).all()

    @jax.jit
    def losses(roll):
        return learner.evaluate(state, {"roll": roll}, jax.random.key(1))

    before, after = (batch["roll"].at[:, bars].multiply(-1) for bars in (slice(0, 1), slice(2, 3)))
    plain, other_condition, other_answer = map(losses, (batch["roll"], before, after))
    for name, changed in (("critic_loss_real", True), ("critic_loss_fake", False)):
        assert not np.allclose(plain[name], other_condition[name], rtol=1e-3)
        assert np.allclose(plain[name], other_answer[name], rtol=1e-5) != changed


def test_continuations_cover_a_chorale_and_the_silence_before_it():
    def bar(number):
        return np.full((16, 4), number, np.int8)

    upbeat = np.full((4, 4), 50, np.int8)
    upbeat[:, 2] = -1  # a beat in which a voice is silent is skipped
    chorale = np.concatenate([upbeat, bar(60), bar(61), bar(62), bar(63)[:5]])
    rows = four_voices.continuations([chorale, np.concatenate([bar(70), bar(71)])], before=2, bars=1)
    expected = [(-1, -1, 60), (-1, 60, 61), (60, 61, 62), (-1, -1, 70), (-1, 70, 71)]
    np.testing.assert_array_equal(rows, [np.concatenate(list(map(bar, numbers))) for numbers in expected])


def test_variations_change_one_vector_each():
    def noise(value):
        return Noise(*(jnp.full(shape, value) for shape in ((2, 3), (2, 3), (2, 4, 3), (2, 4, 3))))

    varied = four_voices.variations(noise(0.0), noise(1.0))
    assert len(varied) == 2 + 2 * len(VOICES)
    for name, values in varied.items():
        kind, _, voice = name.partition(", ")
        for field, array in values._asdict().items():
            expected = np.zeros(array.shape)
            if field == kind:
                expected[:, VOICES.index(voice) if voice else slice(None)] = 1
            np.testing.assert_array_equal(array, expected)


def test_copies_of_training_pieces_are_counted(tmp_path):
    train = np.random.default_rng(0).integers(40, 60, (6, 16, len(VOICES))).astype(np.int8)
    drawn, real = train[:4].copy(), np.random.default_rng(1).integers(40, 60, (2, 16, len(VOICES)))
    drawn[0, :6, 0] = 60  # 6 of 64 changed cells: a copy; 7: not a copy
    drawn[1, :7, 0] = 60
    as_rolls = (2 * jax.nn.one_hot(pitches[:, None], 84, axis=-2) - 1 for pitches in (drawn, real))
    numbers = four_voices.nearest(*as_rolls, ArraySource({"pitches": train}), tmp_path)
    assert numbers["samples/share_of_copies"] == 3 / 4
    assert numbers["real_pieces/share_of_copies"] == 0


def test_concatenated_pieces_start_at_bars_after_a_rest():
    first = np.array([[0, 24, 60, 0], [24, 24, 62, 0]], np.int32)
    joined = render.concatenate_pieces([first, first[:0], first])
    # the first piece is in bar 0, the empty one would start in bar 2, the third starts in bar 3
    np.testing.assert_array_equal(joined[2:, 0] - joined[:2, 0], 3 * 4 * 24)
    np.testing.assert_array_equal(joined[2:, 1:], first[:, 1:])


def test_a_piece_without_notes_is_only_a_midi_file(tmp_path):
    paths = four_voices.write_pieces(np.full((2, 1, 16, 84, 4), -0.5, np.float32), tmp_path, "silent")
    assert [path.name for path in paths] == ["silent_1.mid", "silent_2.mid"]
    assert not pitches_in(paths[0])


def test_adam_has_the_book_s_decays():
    """Two steps with gradients 1 and 3: m = 1.75 / (1 - 0.25), v = 0.99 / (1 - 0.81)."""
    optimizer = make_optimizer(TINY, "generator_")
    state = optimizer.init(jnp.zeros(()))
    for gradient in (1.0, 3.0):
        change, state = optimizer.update(jnp.asarray(gradient), state)
    np.testing.assert_allclose(change, -0.001 * (1.75 / 0.75) / np.sqrt(0.99 / 0.19), rtol=1e-5)


def test_the_book_s_parameter_counts_need_no_data():
    config = musegan.PRESETS["chorales"]
    count = count_parameters(musegan.networks(config, musegan.spec(config)))
    assert (count.total, count.trainable) == (6_605_604 + 1_446_401, 6_576_612 + 1_446_401)


@pytest.mark.parametrize("condition_bars", [0, 1])
def test_the_spec_has_the_shapes_of_the_data(condition_bars):
    config = dataclasses.replace(TINY, condition_bars=condition_bars)
    for data in (musegan.load(config), musegan.spec(config)):
        assert musegan.rolls(data, data.train, np.zeros(1, int)).shape == (1, 2 + condition_bars, 16, 84, 4)


def test_the_book_s_run_has_its_pieces(data_dir):
    config = dataclasses.replace(musegan.PRESETS["chorales"], data_dir=str(data_dir))
    assert len(musegan.load(config).train) == 229
    assert (config.steps, config.batch_size, config.n_critic, config.gradient_penalty) == (6000, 64, 5, 10)
    assert (config.generator_learning_rate, config.critic_learning_rate) == (1e-3, 1e-3)


@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        (["--dataset=chorales"], ["--dataset=chorales", "data_dir"]),
        (["--dataset=digits"], ["--dataset=digits", "corpus_chorales"]),
        (["--bars=0"], ["--bars=0"]),
        (["--bars=900"], ["--bars=900"]),
        (["--bar_filters=8,8,8,8,8,8"], ["--bar_filters=8,8,8,8,8,8", "16", "32"]),
        (["--bar_filters=8,0"], ["--bar_filters=8,0"]),
        (["--critic_step_filters=4,4,4"], ["--critic_step_kernel_sizes", "critic_step_filters"]),
        (["--train_examples=9999"], ["--train_examples=9999"]),
        (["--train_examples=7"], ["--batch_size=8", "7"]),
        (["--batch_norm_momentum=1"], ["--batch_norm_momentum=1"]),
        (["--clip_biases=false"], ["--clip_biases=False", "clip"]),
        (["--condition_filters=8"], ["--condition_filters=8", "condition_bars"]),
        (["--critic_learning_rate=0"], ["--critic_learning_rate=0"]),
    ],
)
def test_bad_flags_are_one_line(tmp_path, capsys, flags, texts):
    with pytest.raises(SystemExit, match="2"):
        main(musegan.EXPERIMENT, "about", ["program", f"--workdir={tmp_path}/run", *SHORT, *flags])
    (line,) = (text for text in capsys.readouterr().err.splitlines() if text.startswith("error: "))
    assert all(text in line for text in texts), line
    assert not (tmp_path / "run" / "flags.json").exists()
