"""Passages, questions about them, and the answers' places: NewsQA's csv and SQuAD's json in one form (book 06_02)."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from gdl_jax.core.errors import UserError
from gdl_jax.data.text.text_files import read

COLUMNS = ("story_id", "story_text", "question", "answer_token_ranges")
RANGES = re.compile(r"\d{1,9}:\d{1,9}(,\d{1,9}:\d{1,9})*")
WORD = re.compile(
    r"\d+(?:[.,:]\d+)*(?!\w)"  # 1,200 and 3.5 and 10:30
    r"|(?:[^\W\d_]\.){2,}"  # u.s.
    r"|n['’]t\b|\w+?(?=n['’]t\b)|['’](?:s|re|ve|ll|d|m)\b"  # do n't, it 's
    r"|\w+|[^\w\s]",
    re.IGNORECASE,
)


class Question(NamedTuple):
    """A question, and the places of its answer's words in the passage, ascending; at least one."""

    words: tuple[str, ...]
    answer: tuple[int, ...]


class Passage(NamedTuple):
    """A text in words, in upper and lower case as it is written, and the questions asked about it."""

    words: tuple[str, ...]
    questions: tuple[Question, ...]

    def answer_words(self, question: Question) -> tuple[str, ...]:
        """The words of the answer."""
        return tuple(self.words[place] for place in question.answer)


class Selection(NamedTuple):
    """Passages without duplicates, and how many questions were left out for want of an answer in the passage."""

    passages: tuple[Passage, ...]
    left_out: int


def tokenise(text: str) -> list[re.Match]:
    """The words of a text and, by their spans, where they stand; cut as GloVe's were: do n't, it 's, u.s., 1,200."""
    return list(WORD.finditer(text))


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(match.group().replace("’", "'") for match in tokenise(text))


def read_newsqa(path: Path) -> Selection:
    """NewsQA's csv, whose texts have a space between words: columns story_id, story_text, question and
    answer_token_ranges, which is like 24:27,30:31, ends excluded, or empty.

    Raises:
      UserError: the file can't be read, is no such csv, or has ranges of another form; names the line.
    """
    reader = csv.DictReader(io.StringIO(read(path)))
    stories: dict[tuple[str, ...], list[Question]] = {}
    left_out = 0
    try:
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise UserError(f"{path}: not NewsQA's csv: no column {', '.join(missing)}")
        for row in reader:
            words, ranges = tuple((row["story_text"] or "").split()), (row["answer_token_ranges"] or "").strip()
            answer = _places(ranges, len(words), f"{path}: line {reader.line_num}")
            asked = tuple((row["question"] or "").split())
            if not asked or not answer:
                left_out += 1
            else:
                stories.setdefault(words, []).append(Question(asked, answer))
    except csv.Error as error:
        raise UserError(f"{path}: not a readable csv: {error}") from error
    return Selection(tuple(Passage(words, tuple(asked)) for words, asked in stories.items()), left_out)


def _places(ranges: str, length: int, where: str) -> tuple[int, ...]:
    """The places that ranges like 24:27,30:31 cover, ascending; none where there are no ranges, or not in the text."""
    if ranges.lower() in ("", "none"):
        return ()
    if not RANGES.fullmatch(ranges):
        raise UserError(f"{where}: answer_token_ranges is {ranges[:40]!r}, not like 24:27,30:31")
    bounds = [tuple(map(int, part.split(":"))) for part in ranges.split(",")]
    if any(end > length for _, end in bounds):
        return ()
    return tuple(sorted({place for start, end in bounds for place in range(start, end)}))


def read_squad(path: Path) -> Selection:
    """SQuAD's json, version 1.1 (of 2.0, the questions that have answers): the first answer of each question.

    An answer's words are all those that overlap its characters.

    Raises:
      UserError: the file can't be read, is no json, or one of another form.
    """
    text = read(path)
    passages, left_out = [], 0
    try:
        paragraphs = [paragraph for article in json.loads(text)["data"] for paragraph in article["paragraphs"]]
        for paragraph in paragraphs:
            context, found = paragraph["context"], tokenise(paragraph["context"])
            questions = []
            for entry in paragraph["qas"]:
                asked, answer = words_of(entry["question"]), _first_answer(context, found, entry["answers"])
                if asked and answer:
                    questions.append(Question(asked, answer))
                else:
                    left_out += 1
            if questions:
                passages.append(Passage(words_of(context), tuple(questions)))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {error.lineno}: not a readable json: {error.msg}") from error
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not SQuAD's json: data, paragraphs, context, qas, question, answers") from error
    return Selection(merge(passages), left_out)


def _first_answer(context: str, found: Sequence[re.Match], answers: Sequence[dict]) -> tuple[int, ...]:
    """Places of the first answer's words; none where there is no answer, or not where it is said to be."""
    if not answers:
        return ()
    text, start = answers[0]["text"], answers[0]["answer_start"]
    end = start + len(text)
    if not text or context[start:end] != text:
        return ()
    return tuple(place for place, match in enumerate(found) if match.start() < end and match.end() > start)


def merge(passages: Iterable[Passage]) -> tuple[Passage, ...]:
    """One passage for each text, with the questions of all passages that have it, none twice."""
    questions: dict[tuple[str, ...], dict[Question, None]] = {}
    for passage in passages:
        questions.setdefault(passage.words, {}).update(dict.fromkeys(passage.questions))
    return tuple(Passage(words, tuple(asked)) for words, asked in questions.items())


def clip(passages: Iterable[Passage], length: int) -> Selection:
    """The first `length` words of each passage, and the questions whose whole answer is among them."""
    kept, left_out = [], 0
    for passage in passages:
        questions = tuple(question for question in passage.questions if question.answer[-1] < length)
        left_out += len(passage.questions) - len(questions)
        if questions:
            kept.append(Passage(passage.words[:length], questions))
    return Selection(merge(kept), left_out)
