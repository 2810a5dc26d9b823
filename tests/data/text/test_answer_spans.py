"""Tests of windows of passages with questions, and of answers read from scores."""

import json

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.json_files import to_json
from gdl_jax.data.description import describe, described
from gdl_jax.data.text import answer_spans
from gdl_jax.data.text.answer_spans import (
    EncodedQuestion,
    SpanQuestion,
    Spans,
    WindowSizes,
    answer_texts,
    answer_tokens,
    best_spans,
    load,
    make_windows,
    passage_spans,
    people_spans,
    window_starts,
)
from gdl_jax.data.text.bert_rows import SpecialIds
from gdl_jax.data.text.squad import Answer
from gdl_jax.data.text.subword import WordPieceTokenizer
from tests.data.text.question_files import write_squad

SPECIAL = SpecialIds(padding=0, start=2, separator=3, mask=4)
LETTERS = "abcdefghijklmnopqrstuvwxyzé0123456789"
PIECES = (*LETTERS, *(f"##{letter}" for letter in LETTERS), *",.?'-", "##on", "##ton")
TOKENIZER = WordPieceTokenizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES))


def test_windows_cover_a_passage():
    for count in range(1, 40):
        for room in range(1, 12):
            for stride in range(1, room + 1):
                starts = list(window_starts(count, room, stride))
                assert starts == list(range(0, starts[-1] + 1, stride))
                assert starts[-1] + room >= count and (starts[-1] == 0 or starts[-2] + room < count)


def test_windows_worked_by_hand():
    question, passage = np.array([20, 21, 22]), np.arange(50, 57)
    sizes = WindowSizes(max_length=9, max_question=2, stride=2)  # leaves 4 tokens for the passage
    rows = make_windows([EncodedQuestion(question, passage, (3, 4))], SPECIAL, sizes).arrays
    assert rows["tokens"].tolist() == [
        [2, 20, 21, 3, 50, 51, 52, 53, 3],
        [2, 20, 21, 3, 52, 53, 54, 55, 3],
        [2, 20, 21, 3, 54, 55, 56, 3, 0],
    ]
    assert rows["segments"].tolist() == [[0] * 4 + [1] * 5, [0] * 4 + [1] * 5, [0] * 4 + [1] * 4 + [0]]
    assert rows["start"].tolist() == [0, 5, 0] and rows["end"].tolist() == [0, 6, 0]
    assert rows["length"].tolist() == [9, 9, 8] and rows["first"].tolist() == [4, 4, 4]
    assert rows["offset"].tolist() == [0, 2, 4] and rows["question"].tolist() == [0, 0, 0]
    short = EncodedQuestion(question[:1], passage[:3], (0, 2))
    both = make_windows([short, short], SPECIAL, WindowSizes(max_length=64, max_question=2, stride=2)).arrays
    assert both["tokens"].tolist() == [[2, 20, 3, 50, 51, 52, 3, 0]] * 2  # no longer than necessary
    assert both["start"].tolist() == [3, 3] and both["end"].tolist() == [5, 5] and both["question"].tolist() == [0, 1]


def test_an_answer_has_the_tokens_that_it_touches():
    places = np.array([[0, 4], [4, 6], [7, 8], [8, 8], [9, 12]])
    for start, end, tokens in ((0, 4, (0, 0)), (5, 6, (1, 1)), (3, 8, (0, 2)), (6, 9, (2, 2)), (8, 12, (4, 4))):
        assert answer_tokens(places, Answer("x" * (end - start), start)) == tokens
    assert answer_tokens(places, Answer(" ", 6)) is None and answer_tokens(places[:0], Answer("x", 0)) is None


def plain_best(start, end, first, last, longest):
    """Returns the span of one row by trying all."""
    spans = [(i, j) for i in range(first, last + 1) for j in range(i, min(last + 1, i + longest))]
    return max(spans, key=lambda span: start[span[0]] + end[span[1]])


def test_the_best_span_is_that_of_trying_all():
    rng = np.random.default_rng(0)
    start, end = rng.normal(size=(2, 60, 24)).astype(np.float32)
    first, length = rng.integers(1, 9, 60), rng.integers(12, 25, 60)
    for longest in (1, 3, 99):
        spans = best_spans(start, end, {"first": first, "length": length}, longest)
        for row in range(60):
            expected = plain_best(start[row], end[row], first[row], length[row] - 2, longest)
            assert (spans.start[row], spans.end[row]) == expected
            assert spans.score[row] == start[row, expected[0]] + end[row, expected[1]]


def test_the_answer_is_of_the_best_window():
    context = "In 1858 she left."
    places = np.array([[0, 2], [3, 7], [8, 11], [12, 16], [16, 17]])
    asked = [SpanQuestion(context, places, "?", ("1858",))] * 3
    rows = {"question": np.array([0, 0, 1, 0]), "first": np.array([3, 3, 4, 3]), "offset": np.array([0, 2, 0, 3])}
    spans = Spans(np.array([4, 3, 5, 3]), np.array([4, 4, 7, 4]), np.array([1.0, 3.0, 0.5, 3.0]))
    assert answer_texts(rows, spans, asked) == {0: "she left", 1: "1858 she left"}
    assert passage_spans(rows, spans) == {0: (2, 3), 1: (1, 3)}
    nothing = spans._replace(score=np.array([1.0, -np.inf, -np.inf, -np.inf]))
    assert answer_texts(rows, nothing, asked) == {0: "1858"}


def paragraphs(count):
    """Returns passages that say when someone came and left, with accents before the answers."""
    made = []
    for number in range(count):
        context = f"Été{number}, it's said. Then Wellington-{number} came in {1000 + number}, and 7 left Boston."
        asked = [("When?", str(1000 + number)), ("Who left?", "7 left")]
        made.append((context, [(question, answer, context.index(answer)) for question, answer in asked]))
    return made


@pytest.fixture
def squad(tmp_path):
    """Returns a file in SQuAD's format with 20 passages, and three questions without answers."""
    made = paragraphs(20)
    made[3][1].append(("None?", "", None))
    made[4][1].append(("Misplaced?", "Boston", 2))
    made[5][1].append(("A space?", " ", made[5][0].index(" ")))
    return write_squad(tmp_path / "s.json", *made)


SIZES = WindowSizes(max_length=40, max_question=6, stride=10)


def everything(data, split):
    return getattr(data, split).arrays


def test_targets_decode_to_the_answers(squad):
    data = load(f"squad:{squad}", tokenizer=TOKENIZER, sizes=SIZES)
    assert data.note.startswith("3 questions ")
    assert {split: len(asked) for split, asked in data.asked.items()} == {"train": 32, "validation": 4, "test": 4}
    contexts = [{one.context for one in asked} for asked in data.asked.values()]
    assert len(set.union(*contexts)) == sum(map(len, contexts)) == 20
    for split, asked in data.asked.items():
        rows = everything(data, split)
        count, length = rows["tokens"].shape
        assert length == 40 and count > 2 * len(asked)
        scores = np.zeros((2, count, length), np.float32)
        scores[0, np.arange(count), rows["start"]] = scores[1, np.arange(count), rows["end"]] = 1.0
        answers = answer_texts(rows, best_spans(*scores, rows), asked)
        assert [answers[number] for number in range(len(asked))] == [one.answers[0] for one in asked]
        assert answer_texts(rows, people_spans(rows), asked) == answers
        found = rows["start"] > 0
        assert set(rows["question"][found].tolist()) == set(range(len(asked))) and not found.all()
        assert not rows["end"][~found].any()
        for row in range(count):
            one = asked[rows["question"][row]]
            offset, window = rows["offset"][row], rows["tokens"][row][rows["first"][row] : rows["length"][row] - 1]
            assert window.tolist() == TOKENIZER.encode(one.context)[offset : offset + len(window)].tolist()
            begin, end = one.places[offset, 0], one.places[offset + len(window) - 1, 1]
            start = one.context.index(one.answers[0])
            assert found[row] == (begin <= start and start + len(one.answers[0]) <= end)


def test_batches_have_masks(squad):
    data = load(f"squad:{squad}", tokenizer=TOKENIZER, sizes=SIZES)
    batch = data.transform(data.test.take(np.arange(3)))
    assert batch["mask"].sum(axis=1).tolist() == batch["length"].tolist()
    assert {"tokens", "segments", "mask", "start", "end"} <= batch.keys()


def test_all_answers_are_kept_and_the_first_in_place_is_the_target(tmp_path):
    made = paragraphs(3)
    path = write_squad(tmp_path / "s.json", *made)
    contents = json.loads(path.read_text())
    for paragraph in contents["data"][0]["paragraphs"]:
        start = paragraph["context"].index("Boston")
        texts = [("Boston", 1), ("left Boston", start - 5), ("Boston", start), ("Boston", start)]
        paragraph["qas"] = [{"question": "Where?", "answers": [{"text": t, "answer_start": s} for t, s in texts]}]
    path.write_text(json.dumps(contents))
    data = load(f"squad:{path}", tokenizer=TOKENIZER)
    assert data.asked["test"][0].answers == ("left Boston", "Boston")
    rows = everything(data, "test")
    target = rows["tokens"][0][rows["start"][0] : rows["end"][0] + 1]
    assert target.tolist() == TOKENIZER.encode("left Boston").tolist()


def test_files_with_squads_names_are_the_splits(tmp_path):
    made = paragraphs(9)
    (tmp_path / "squad").mkdir()
    write_squad(tmp_path / "squad" / "train-v1.1.json", *made[:6])
    write_squad(tmp_path / "squad" / "dev-v1.1.json", *made[5:])
    data = load("squad", data_dir=str(tmp_path), tokenizer=TOKENIZER)
    assert {split: len(asked) for split, asked in data.asked.items()} == {"train": 10, "validation": 8}
    assert data.test is None  # and a text in both files is for validation


def test_the_tokenizer_is_learned_from_the_training_split(squad):
    data = load(f"squad:{squad}", tokenizer="wordpiece:90", sizes=SIZES)
    assert data.tokenizer.size == 90
    copy = described(json.loads(to_json(describe(data))), lambda: data)
    assert copy.tokenizer == data.tokenizer and copy.sizes == SIZES and copy.digest == data.digest
    other = load(f"squad:{squad}", tokenizer="wordpiece:90", sizes=WindowSizes(40, 6, 9))
    assert len({data.digest, other.digest, load(f"squad:{squad}", tokenizer=data.tokenizer, sizes=SIZES).digest}) == 2


def test_the_bundled_questions(monkeypatch):
    monkeypatch.setattr(answer_spans, "BULLETINS", 60)
    data = load("bulletins", tokenizer="wordpiece:300")
    assert len(data.asked["train"]) > 300 and data.note == ""
    for one in data.asked["train"]:
        assert one.context.count(" ") > 20 and one.question.endswith("?") and one.answers[0] in one.context
    answers = {one.answers[0] for one in data.asked["train"] if one.question.startswith("who founded")}
    assert answers and all(len(answer.split()) == 2 and answer.istitle() for answer in answers)
    rows = everything(data, "train")
    assert (rows["start"] > 0).all() and len(rows["tokens"]) == len(data.asked["train"])


@pytest.mark.parametrize(
    ("name", "options", "field"),
    [
        ("newsqa", {}, "dataset"),
        ("squad:", {}, "dataset"),
        ("squad", {}, "dataset"),
        ("squad", {"data_dir": "/absent"}, "data_dir"),
        ("bulletins", {"tokenizer": "word"}, "tokenizer"),
    ],
)
def test_errors_name_the_field(monkeypatch, name, options, field):
    monkeypatch.setattr(answer_spans, "BULLETINS", 20)
    with pytest.raises(ConfigError) as raised:
        load(name, **options)
    assert raised.value.field == field and "\n" not in str(raised.value)


def test_too_few_passages_are_refused(tmp_path):
    path = write_squad(tmp_path / "s.json", *paragraphs(2), ("none", []))
    with pytest.raises(ConfigError, match="2 passages"):
        load(f"squad:{path}")
    write_squad(path, *[(context, [("?", "", None)]) for context, _ in paragraphs(5)])
    with pytest.raises(ConfigError, match="no question of the train split"):
        load(f"squad:{path}", tokenizer=TOKENIZER)
    path.write_text('{"data": [{"paragraphs": [{"context": "a", "qas": [{"question": "q", "answers": [{}]}]}]}]}')
    with pytest.raises(UserError, match=r"s\.json: not SQuAD"):
        load(f"squad:{path}")


@pytest.mark.parametrize(
    ("sizes", "field"),
    [((66, 64, 1), "max_length"), ((68, 64, 2), "stride"), ((384, 64, 0), "stride"), ((9, 0, 1), "max_question")],
)
def test_impossible_sizes_name_the_field(sizes, field):
    with pytest.raises(ConfigError) as raised:
        WindowSizes(*sizes)
    assert raised.value.field == field
    assert WindowSizes(68, 64, 1).stride == 1


@pytest.mark.slow
def test_the_real_squad(data_dir):
    """Nearly all answers are whole WordPieces; the others are parts of words, such as Tibet of Tibetan."""
    data = load("squad", data_dir=str(data_dir), tokenizer=f"wordpiece:{data_dir}/bert_vocab/vocab.txt")
    assert sum(map(len, data.asked.values())) > 8_115 and len(data.train) > len(data.asked["train"]) > 6_000
    rows, asked = everything(data, "train"), data.asked["train"]
    scores = np.zeros((2, *rows["tokens"].shape), np.float32)
    scores[0, np.arange(len(data.train)), rows["start"]] = scores[1, np.arange(len(data.train)), rows["end"]] = 1.0
    answers = answer_texts(rows, best_spans(*scores, rows, longest=60), asked)
    exact = np.array([answers[number] == one.answers[0] for number, one in enumerate(asked)])
    assert exact.mean() > 0.996
    assert all(asked[number].answers[0] in answers[number] for number in np.flatnonzero(~exact))
