"""Tests of pieces as excerpts of tokens: headers, splits by piece, folders of composers, and clear errors."""

import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.music.musical_tokens import BEGIN, GRID_BEGIN
from gdl_jax.data.music.performances import as_performance, write_midi
from gdl_jax.data.music.token_sets import SPLITS, Excerpts, blank, load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of twelve pieces by two composers; each has pitches of its own."""
    root = tmp_path_factory.mktemp("music")
    for number in range(12):
        place = root / ("Anna" if number % 2 else "Ben")
        place.mkdir(exist_ok=True)
        rows = [(20 * n, 10, 30 + 5 * number + n % 5, 80, 0) for n in range(60)]
        write_midi(as_performance(rows), place / f"{number}.mid")
    return root


def test_a_row_begins_with_the_header_of_its_piece():
    tokens = np.array([100, 101, 1, 2, 3, 4, 100, 102, 5, 6, 7, 8, 9])
    source = Excerpts(tokens, np.array([0, 6]), np.array([2, 2]), np.arange(len(tokens) - 4), 5)
    rows = source.take(np.arange(len(source)))["tokens"]
    assert rows[:3].tolist() == [[100, 101, 1, 2, 3]] * 3
    assert rows[3].tolist() == [100, 101, 2, 3, 4] and rows[5].tolist() == [100, 101, 4, 100, 102]
    assert rows[7].tolist() == [100, 102, 5, 6, 7] and rows[8].tolist() == [100, 102, 5, 6, 7]
    assert source.first(3).take(np.array([2]))["tokens"].tolist() == [[100, 101, 1, 2, 3]]


def test_folders_are_composers_and_pieces_are_held_out_whole(folder):
    data = load(f"midi:{folder}", sequence_length=16)
    assert data.tokenizer.composers == ("anna", "ben")
    counts = {split: len(data.pieces[split]) for split in SPLITS}
    assert sum(counts.values()) == 12 and min(counts.values()) >= 1
    pitches = {split: {t % 128 for _, tokens in data.pieces[split] for t in tokens if t < 3968} for split in SPLITS}
    assert not pitches["train"] & (pitches["validation"] | pitches["test"])
    row = data.train.take(np.array([40]))["tokens"][0]
    assert len(row) == 17 and row[0] == BEGIN and row[1] in (BEGIN + 1, BEGIN + 2)


def test_every_held_out_token_is_in_one_row(folder):
    data = load(f"midi:{folder}", sequence_length=16)
    rows = data.validation.take(np.arange(len(data.validation)))["tokens"]
    header = 3
    found = rows[:, header:].ravel()
    ((_, tokens),) = data.pieces["validation"]
    assert len(tokens) - len(found) < 17
    np.testing.assert_array_equal(found, tokens[: len(found)])


def test_the_bundled_pieces_have_composers_and_instruments():
    data = load("composers", sequence_length=64)
    assert data.tokenizer.composers == ("bach", "beethoven", "haydn", "monteverdi", "mozart", "trecento")
    assert data.tokenizer.ensembles[1] == (1, 2)  # violins and a cello
    assert sum(len(data.pieces[split]) for split in SPLITS) > 500
    assert blank("composers", "events", 64).tokenizer.size == data.tokenizer.size


def test_the_performed_piano_pieces_have_a_token_for_each_folder(data_dir):
    folders = [path for path in (data_dir / "piano_midi_de" / "midis").iterdir() if path.is_dir()]
    assert len(blank("piano_midi_de", "events", 64).tokenizer.composers) == len(folders)


def test_the_grid_of_chorales_begins_each_piece_with_a_step_and_each_row_with_the_soprano():
    data = load("corpus_chorales", encoding="grid", sequence_length=32)
    row = data.train.take(np.zeros(1, int))["tokens"][0]
    assert row[:4].tolist() == [GRID_BEGIN] * 4
    _, first = data.pieces["train"][0]
    np.testing.assert_array_equal(row[4:], first[:29])
    np.testing.assert_array_equal(data.train.take(np.array([3]))["tokens"][0], first[8:41])
    predicted = data.test.take(np.arange(len(data.test)))["tokens"][:, 1:].ravel()
    assert len(predicted) >= sum(len(tokens) + 4 for _, tokens in data.pieces["test"]) - 33


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("songs", {}, "dataset"),
        ("midi:/nowhere", {}, "/nowhere"),
        ("composers", {"encoding": "grid"}, "encoding"),
        ("corpus_chorales", {"encoding": "grid", "sequence_length": 30}, "context"),
        ("corpus_chorales", {"sequence_length": 10**6}, "dataset"),
    ],
)
def test_what_cannot_be_read_is_named(name, options, named):
    with pytest.raises(UserError, match=named):
        load(name, **options)


def test_broken_files_are_left_out_and_named(folder, tmp_path, capsys):
    for number, path in enumerate(sorted(folder.rglob("*.mid"))):
        (tmp_path / f"{number}.mid").write_bytes(path.read_bytes())
    (tmp_path / "bad.mid").write_bytes(b"MThd")
    data = load(f"midi:{tmp_path}", sequence_length=16)
    assert data.tokenizer.composers == ("unknown",) and sum(len(data.pieces[split]) for split in SPLITS) == 12
    assert "bad.mid" in capsys.readouterr().err
