"""NewsQA's csv and SQuAD's json as passages."""

import json
import re

import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.text import bulletins
from gdl_jax.data.text.passages import Passage, Question, clip, merge, read_newsqa, read_squad, words_of
from tests.data.text.question_files import STORY, write_csv, write_squad


def test_newsqa_answers_are_places_of_words(tmp_path):
    rows = [
        ("a", STORY, "When did the ship sink ?", "6:9"),
        ("a", STORY, "Who was saved ?", "10:12,13:15"),
        ("b", 'A "quoted"\nstory , here .', "What ?", "0:2"),
    ]
    passages, left_out = read_newsqa(write_csv(tmp_path / "n.csv", rows))
    assert left_out == 0 and [len(passage.questions) for passage in passages] == [2, 1]
    assert passages[0].words == tuple(STORY.split())
    answers = [passage.answer_words(question) for passage in passages for question in passage.questions]
    assert [" ".join(words) for words in answers] == ["3 May 1999", "Its captain Nils Berg", 'A "quoted"']
    assert passages[0].questions[1].words == ("Who", "was", "saved", "?")


def test_newsqa_questions_without_an_answer_are_left_out_and_counted(tmp_path):
    rows = [("a", STORY, "Why ?", ranges) for ranges in ("", "None", "18:20", "4:4", "90:95", "0:999999999")]
    rows += [("a", STORY, "", "0:1"), ("a", STORY, "Where ?", "4:5"), ("b", "", "Where ?", "4:5")]
    passages, left_out = read_newsqa(write_csv(tmp_path / "n.csv", rows))
    assert [passage.questions for passage in passages] == [(Question(("Where", "?"), (4,)),)]
    assert left_out == 8


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda path: write_csv(path, [("a", "b", "c", "1:x")]), "line 2: answer_token_ranges.*1:x"),
        (lambda path: write_csv(path, [("a", "b", "c", "0:" + "9" * 5000)]), "line 2: answer_token_ranges"),
        (lambda path: write_csv(path, [("a", "b", "c", "1:2|3:4")]), "line 2: answer_token_ranges"),
        (lambda path: write_csv(path, [("a", "b")], ("story_id", "story_text")), "question, answer_token_ranges"),
        (lambda path: path.write_bytes(b"\x00\x01\xff"), ""),
        (lambda path: path.write_text(""), ""),
        (lambda path: path.write_text("{}"), "story_id"),
        (lambda path: write_csv(path, [("a", "long " * 50_000, "c", "1:2")]), ""),
        (lambda path: None, ""),
    ],
)
def test_files_that_are_not_newsqas(tmp_path, make, named):
    make(tmp_path / "n.csv")
    with pytest.raises(UserError, match=named) as raised:
        read_newsqa(tmp_path / "n.csv")
    assert str(raised.value).startswith(f"{tmp_path}/n.csv: ") and "\n" not in str(raised.value)


def test_words_are_cut_as_gloves_were():
    text = "Don't pay $1,200.50 (3.5%) at 10:30 in the U.S., it’s Beyoncé's—the 1980s' 20th-century tune."
    expected = (
        "Do n't pay $ 1,200.50 ( 3.5 % ) at 10:30 in the U.S. , it 's Beyoncé 's — the 1980s ' 20th - century tune ."
    )
    assert words_of(text) == tuple(expected.split())


def test_squad_answers_are_all_words_that_they_overlap(tmp_path):
    context = "In 1858 Saint Bernadette didn't leave Lourdes, it is said; 3,500 did."
    asked = [
        ("When?", "1858", 3),
        ("Who stayed?", "Saint Bernadette", 8),
        ("Who, in part?", "nadette", 17),
        ("Where?", "Lourdes", context.index("Lourdes")),
        ("How many left?", "3,500", context.index("3,500")),
    ]
    passages, left_out = read_squad(write_squad(tmp_path / "s.json", (context, asked)))
    (passage,) = passages
    answers = [" ".join(passage.answer_words(question)) for question in passage.questions]
    assert answers == ["1858", "Saint Bernadette", "Bernadette", "Lourdes", "3,500"] and left_out == 0
    assert passage.questions[1].words == ("Who", "stayed", "?")


def test_squad_questions_without_an_answer_are_left_out_and_counted(tmp_path):
    asked = [("None?", "", None), ("Misplaced?", "b", 0), ("Empty?", "", 1), ("", "a", 0), ("Fine?", "a", 0)]
    path = write_squad(tmp_path / "s.json", ("a b", asked), ("c d", [("None?", "", None)]))
    passages, left_out = read_squad(path)
    assert passages == (Passage(("a", "b"), (Question(("Fine", "?"), (0,)),)),) and left_out == 5


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"data": [{"paragraphs": [{"context": "a"}]}]}',
        '{"data": [{"paragraphs": [{"context": 3, "qas": []}]}]}',
        '{"data": [{"paragraphs": [{"context": "a", "qas": [{"question": "q", "answers": ["a"]}]}]}]}',
        '{"data": {"paragraphs": 1}}',
        '{"data": ' + "[" * 100_000,
        '{"data": ' + "9" * 5000 + "}",
        "",
    ],
)
def test_files_that_are_not_squads(tmp_path, content):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(UserError) as raised:
        read_squad(tmp_path / "s.json")
    assert str(raised.value).startswith(f"{tmp_path}/s.json: ") and "\n" not in str(raised.value)


def test_the_line_where_a_json_is_damaged_is_named(tmp_path):
    (tmp_path / "s.json").write_text('{"data": [\n')
    with pytest.raises(UserError, match=r"s\.json: line 2: "):
        read_squad(tmp_path / "s.json")


def test_clipping_keeps_questions_whose_whole_answer_remains():
    questions = tuple(Question((str(places),), places) for places in ((0,), (3, 4), (4, 5), (0, 9), (9,)))
    long, gone = Passage(tuple("abcdefghij"), questions), Passage(tuple("xyxyxyxyxy"), questions[-1:])
    passages, left_out = clip([long, gone], 5)
    assert passages == (Passage(tuple("abcde"), questions[:2]),) and left_out == 4


def test_equal_texts_become_one_passage():
    first, second = Question(("a",), (0,)), Question(("b",), (1,))
    words, other = ("x", "y"), ("x", "z")
    merged = merge([Passage(words, (first,)), Passage(other, (first,)), Passage(words, (first, second))])
    assert merged == (Passage(words, (first, second)), Passage(other, (first,)))


def test_bulletins_are_answered_by_what_they_say():
    """Reads the answers from the sentences by patterns of its own."""
    patterns = {
        r"who won the (\w+) prize \?": r"(\w+ \w+) won the {} prize",
        r"when did \w+ win the (\w+) prize \?": r"On (\w+ \d+) , \w+ \w+ won the {} prize",
        r"how many houses did the (\w+) destroy \?": r"A {} destroyed (\d+) houses",
        r"where did \w+ found a (\w+) \?": r"founded a {} in (\w+) in",
        r"when did (\w+) sign \w+ \?": r"{} signed .* pounds in (\w+) \.",
        r"where will the (\w+) be built \?": r"A factory in (\w+) will build \d+ {}",
        r"when were the (\w+) counted \?": r"counted \d+ {} in (\d+)",
    }
    checked = dict.fromkeys(patterns, 0)
    passages = bulletins.make(200, seed=3)
    for passage in passages:
        for question in passage.questions:
            for pattern, says in patterns.items():
                if asked := re.fullmatch(pattern, " ".join(question.words)):
                    told = re.search(says.format(asked[1]), " ".join(passage.words))
                    assert told and told[1] == " ".join(passage.answer_words(question))
                    checked[pattern] += 1
    assert min(checked.values()) > 20
    assert len({passage.words for passage in passages}) == len(passages) > 190
    assert passages == bulletins.make(200, seed=3) != bulletins.make(200, seed=4)


@pytest.mark.parametrize(
    ("file", "paragraphs", "questions"),
    [
        ("xquad.en.json", 240, 1190),
        ("squad_v1.1_train_part.json", 678, 4370),
        ("squad_dev_answerable.json", 568, 2575),
    ],
)
def test_the_real_squad(data_dir, file, paragraphs, questions):
    """Each answer's words, without the spaces, hold the answer, and nearly always are it and no more."""
    path = data_dir / "qa" / file
    passages, left_out = read_squad(path)
    assert left_out == 0 and len(passages) == paragraphs
    texts = {}
    for article in json.loads(path.read_text())["data"]:
        for paragraph in article["paragraphs"]:
            words = "".join(paragraph["context"].split()).replace("’", "'")
            texts.setdefault(words, set()).update(entry["answers"][0]["text"] for entry in paragraph["qas"])
    counted = exact = 0
    for passage in passages:
        known = {"".join(text.split()).replace("’", "'") for text in texts["".join(passage.words)]}
        for question in passage.questions:
            answer = "".join(passage.answer_words(question))
            assert any(text in answer for text in known)
            exact += answer in known
            counted += 1
    assert questions - 10 <= counted <= questions  # a question that is asked twice counts once
    assert exact / counted > 0.985
