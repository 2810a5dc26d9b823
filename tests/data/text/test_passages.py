"""Tests of the readers of NewsQA's csv and SQuAD's JSON."""

import csv
import json
import re
import unicodedata

import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.text import bulletins
from gdl_jax.data.text.passages import Passage, Question, clip, merge, read_newsqa, read_squad, words_of
from tests.data.text.marked_words import WORDS
from tests.data.text.question_files import STORY, write_csv, write_squad


def test_newsqa_answers_are_positions_of_words(tmp_path):
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


def test_newsqa_questions_without_an_answer_are_counted(tmp_path):
    rows = [("a", STORY, "Why ?", ranges) for ranges in ("", "None", "18:20", "4:4", "90:95", "0:999999999")]
    rows += [("a", STORY, "", "0:1"), ("a", STORY, "Where ?", "4:5"), ("b", "", "Where ?", "4:5")]
    passages, left_out = read_newsqa(write_csv(tmp_path / "n.csv", rows))
    assert [passage.questions for passage in passages] == [(Question(("Where", "?"), (4,)),)]
    assert left_out == 8


HEADER = "story_id,story_text,question,answer_token_ranges"


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda path: write_csv(path, [("a", "b", "c", "1:x")]), "line 2: answer_token_ranges.*1:x"),
        (lambda path: write_csv(path, [("a", "b", "c", "0:" + "9" * 5000)]), "line 2: answer_token_ranges"),
        (lambda path: write_csv(path, [("a", "b", "c", "1:2|3:4")]), "line 2: answer_token_ranges"),
        (lambda path: write_csv(path, [("a", "b")], ("story_id", "story_text")), "question, answer_token_ranges"),
        (lambda path: write_csv(path, [("a", "b\nb", "c", "0:1"), ("a", "b", "c", "5:3")]), "line 4: .*5:3"),
        (lambda path: write_csv(path, [("a", "b\nb", "c", "0:1"), ("a", "b")]), "line 4: 2 "),
        (lambda path: write_csv(path, [("a", "b", "c", "0:1", "more")]), "line 2: 5 "),
        (lambda path: path.write_text(f'{HEADER}\n1,b,c,0:1\n2,"never\nclosed\n,c,0:1\n'), "line 3: "),
        (lambda path: path.write_text(f'{HEADER}\n1,"b"b,c,0:1\n'), "line 2: "),
        (lambda path: path.write_text(f"{HEADER}\n1,b\0,c,0:1\n"), "line 2: "),
        (lambda path: path.write_bytes(f"{HEADER}\n1,b,c,0:1\n2,é,c,0:1\n".encode("latin-1")), "line 3, byte "),
        (lambda path: path.write_bytes(b"\x00\x01\xff"), "n.csv"),
        (lambda path: path.write_text(""), "n.csv"),
        (lambda path: path.write_text("{}"), "story_id"),
        (lambda path: path.mkdir(), "n.csv"),
        (lambda path: None, "n.csv"),
    ],
)
def test_damaged_newsqa_files_are_refused_by_line(tmp_path, make, named):
    make(tmp_path / "n.csv")
    with pytest.raises(UserError, match=named) as raised:
        read_newsqa(tmp_path / "n.csv")
    assert str(raised.value).startswith(f"{tmp_path}/n.csv: ") and "\n" not in str(raised.value)


def test_newsqa_stories_of_any_length_are_read(tmp_path):
    before = csv.field_size_limit()
    rows = [("1", "word " * 30_000, "Which ?", "1:2"), ("2", STORY, "Who ?", "10:12")]
    (long, short), left_out = read_newsqa(write_csv(tmp_path / "n.csv", rows))
    assert len(long.words) == 30_000 and short.words == tuple(STORY.split()) and left_out == 0
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_newsqa_from_other_systems(tmp_path, encoding):
    text = f'{HEADER}\n\n1,"a ""quoted""\nété",Wann ?,2:3\n\n'
    (tmp_path / "n.csv").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    (passage,), _ = read_newsqa(tmp_path / "n.csv")
    assert passage == Passage(("a", '"quoted"', "été"), (Question(("Wann", "?"), (2,)),))


def test_words_are_cut_as_for_glove():
    text = "Don't pay $1,200.50 (3.5%) at 10:30 in the U.S., it’s Beyoncé's—the 1980s' 20th-century tune."
    expected = (
        "Do n't pay $ 1,200.50 ( 3.5 % ) at 10:30 in the U.S. , it 's Beyoncé 's — the 1980s ' 20th - century tune ."
    )
    assert words_of(text) == tuple(expected.split())


@pytest.mark.parametrize("script", WORDS)
def test_marks_and_joiners_do_not_cut_words(script):
    first, second = WORDS[script].split()
    assert words_of(f"{first} {second}") == (first, second)
    assert words_of(f"«{first}», {second}?") == ("«", first, "»", ",", second, "?")


def test_marks_do_not_change_how_words_are_cut():
    """Decomposed letters are cut as composed ones, and letters in upper case like those in lower case."""
    text = "É.U. n’était pas l’été; don't DON’T 1,5 3é «ιδέα», Beyoncé's 10:30é"
    decomposed = unicodedata.normalize("NFD", text)
    assert [unicodedata.normalize("NFC", word) for word in words_of(decomposed)] == list(words_of(text))
    assert words_of("DON’T it'S") == ("DO", "N'T", "it", "'S")


def test_answers_in_marked_words_are_found(tmp_path):
    first, second = WORDS["Hindi"].split()
    context = f"{first} {second}, {first}."
    path = write_squad(tmp_path / "s.json", (context, [("?", second, context.index(second)), ("?", first, 0)]))
    (passage,), left_out = read_squad(path)
    assert [passage.answer_words(question) for question in passage.questions] == [(second,), (first,)] and not left_out


def test_squad_answers_are_the_words_that_they_overlap(tmp_path):
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


def test_squad_questions_without_an_answer_are_counted(tmp_path):
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
def test_files_that_are_not_squads_are_refused(tmp_path, content):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(UserError) as raised:
        read_squad(tmp_path / "s.json")
    assert str(raised.value).startswith(f"{tmp_path}/s.json: ") and "\n" not in str(raised.value)
    assert "set_int_max_str_digits" not in str(raised.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_squad_with_a_byte_order_mark(tmp_path, encoding):
    path = write_squad(tmp_path / "s.json", ("Été à Oslo.", [("Où?", "Oslo", 6)]))
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    (passage,), _ = read_squad(path)
    assert passage.answer_words(passage.questions[0]) == ("Oslo",)


def test_the_line_of_a_damaged_json_is_named(tmp_path):
    (tmp_path / "s.json").write_text('{"data": [\n')
    with pytest.raises(UserError, match=r"s\.json: line 2: "):
        read_squad(tmp_path / "s.json")


def test_clipping_keeps_questions_with_their_whole_answer():
    questions = tuple(Question((str(places),), places) for places in ((0,), (3, 4), (4, 5), (0, 9), (9,)))
    long, gone = Passage(tuple("abcdefghij"), questions), Passage(tuple("xyxyxyxyxy"), questions[-1:])
    passages, left_out = clip([long, gone], 5)
    assert passages == (Passage(tuple("abcde"), questions[:2]),) and left_out == 4


def test_equal_texts_become_one_passage():
    first, second = Question(("a",), (0,)), Question(("b",), (1,))
    words, other = ("x", "y"), ("x", "z")
    merged = merge([Passage(words, (first,)), Passage(other, (first,)), Passage(words, (first, second))])
    assert merged == (Passage(words, (first, second)), Passage(other, (first,)))


def test_bulletins_state_the_answers_to_their_questions():
    """Extracts the answers from the sentences by independent patterns."""
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
                    stated = re.search(says.format(asked[1]), " ".join(passage.words))
                    assert stated and stated[1] == " ".join(passage.answer_words(question))
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
    """Each answer's words, joined, contain the answer, and in more than 98.5 % of cases equal it."""
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
