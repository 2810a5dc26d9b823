"""Passages, questions about them and the answers' positions, read from NewsQA's csv or SQuAD's JSON (book 06_02)."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gdl_jax.core.errors import UserError
from gdl_jax.data.text.characters import extending, symbol
from gdl_jax.data.text.squad import Answer, read_paragraphs
from gdl_jax.data.text.text_files import read

COLUMNS = ("story_id", "story_text", "question", "answer_token_ranges")
RANGES = re.compile(r"\d{1,9}:\d{1,9}(,\d{1,9}:\d{1,9})*")


class Question(NamedTuple):
    """A question and the positions of its answer's words in the passage: ascending, at least one."""

    words: tuple[str, ...]
    answer: tuple[int, ...]


class Passage(NamedTuple):
    """A text as words in their original case, and the questions about it."""

    words: tuple[str, ...]
    questions: tuple[Question, ...]

    def answer_words(self, question: Question) -> tuple[str, ...]:
        """Returns the words of the answer."""
        return tuple(self.words[place] for place in question.answer)


class Selection(NamedTuple):
    """Passages with different texts, and the count of questions skipped because the passage lacks their answer."""

    passages: tuple[Passage, ...]
    left_out: int


@cache
def _word() -> re.Pattern[str]:
    part = rf"[\w{extending()}]"  # a character within a word
    not_ = rf"[nN]['’][tT](?!{part})"
    return re.compile(
        rf"\d+(?:[.,:]\d+)*(?!{part})"  # 1,200 and 3.5 and 10:30
        rf"|(?:[^\W\d_][{extending()}]*\.){{2,}}"  # u.s.
        rf"|{not_}|{part}+?(?={not_})|['’](?i:s|re|ve|ll|d|m)(?!{part})"  # do n't, it 's
        rf"|{part}+|{symbol()}"
    )


def tokenise(text: str) -> list[re.Match]:
    """Returns a match for each word and punctuation mark, cut as for GloVe: do n't, it 's, u.s., 1,200.

    Combining marks and zero-width joiners belong to the character before them.
    """
    return list(_word().finditer(text))


def words_of(text: str) -> tuple[str, ...]:
    """Returns the words of a text; apostrophes are '."""
    return tuple(match.group().replace("’", "'") for match in tokenise(text))


def read_newsqa(path: Path) -> Selection:
    """Reads NewsQA's csv, whose texts have spaces between words.

    Its columns are story_id, story_text, question and answer_token_ranges: like 24:27,30:31, ends excluded, or empty.

    Raises:
      UserError: the file cannot be read, is no such csv, or has ranges in another form; names the line.
    """
    text = read(path)
    stories: dict[tuple[str, ...], list[Question]] = {}
    left_out = 0
    with _fields_up_to(len(text)):
        for where, row in _rows(path, text):
            words = tuple(row["story_text"].split())
            answer = _places(row["answer_token_ranges"].strip(), len(words), where)
            asked = tuple(row["question"].split())
            if not asked or not answer:
                left_out += 1
            else:
                stories.setdefault(words, []).append(Question(asked, answer))
    return Selection(tuple(Passage(words, tuple(asked)) for words, asked in stories.items()), left_out)


@contextmanager
def _fields_up_to(length: int) -> Iterator[None]:
    """Lets csv files have fields of this many characters; the default is 131,072."""
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, length))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yields "FILE: line N" and {column: field} of each row."""
    reader = csv.reader(io.StringIO(text), strict=True)
    header: list[str] = []
    line = 1  # where the row begins
    try:
        for row in reader:
            where, line = f"{path}: line {line}", reader.line_num + 1
            if not row:  # an empty line
                continue
            if not header:
                header = row
                if missing := [name for name in COLUMNS if name not in header]:
                    raise UserError(f"{path}: not NewsQA's csv: no column {', '.join(missing)}")
            elif len(row) != len(header):
                raise UserError(f"{where}: {len(row)} fields, but the first line names {len(header)} columns")
            else:
                yield where, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}: line {line}: not a readable csv: {error}") from error


def _places(ranges: str, length: int, where: str) -> tuple[int, ...]:
    """Returns the positions in ranges like 24:27,30:31, ascending; () if there are no ranges, or some exceed the text.

    Raises:
      UserError: the ranges have another form, or one ends before it starts.
    """
    if ranges.lower() in ("", "none"):
        return ()
    if not RANGES.fullmatch(ranges):
        raise UserError(f"{where}: answer_token_ranges is {ranges[:40]!r}, not like 24:27,30:31")
    bounds = [tuple(map(int, part.split(":"))) for part in ranges.split(",")]
    if any(start > end for start, end in bounds):
        raise UserError(f"{where}: answer_token_ranges is {ranges[:40]!r}, which ends before it starts")
    if any(end > length for _, end in bounds):
        return ()
    return tuple(sorted({place for start, end in bounds for place in range(start, end)}))


def read_squad(path: Path) -> Selection:
    """Reads SQuAD's JSON, version 1.1 or 2.0: the first answer of each question; those without one are skipped.

    All words that overlap the answer's characters belong to it.

    Raises:
      UserError: the file cannot be read, is no JSON, or has another form.
    """
    passages, left_out = [], 0
    for paragraph in read_paragraphs(path):
        found = tokenise(paragraph.context)
        questions = []
        for entry in paragraph.asked:
            asked, answer = words_of(entry.question), _first_answer(paragraph.context, found, entry.answers)
            if asked and answer:
                questions.append(Question(asked, answer))
            else:
                left_out += 1
        if questions:
            passages.append(Passage(words_of(paragraph.context), tuple(questions)))
    return Selection(merge(passages), left_out)


def _first_answer(context: str, found: Sequence[re.Match], answers: Sequence[Answer]) -> tuple[int, ...]:
    """Returns the positions of the first answer's words; () if there is none, or not where it says."""
    if not answers or not answers[0].is_in(context):
        return ()
    start, end = answers[0].start, answers[0].start + len(answers[0].text)
    return tuple(place for place, match in enumerate(found) if match.start() < end and match.end() > start)


def merge(passages: Iterable[Passage]) -> tuple[Passage, ...]:
    """Returns one passage for each text, with the questions of all passages that have this text, each once."""
    questions: dict[tuple[str, ...], dict[Question, None]] = {}
    for passage in passages:
        questions.setdefault(passage.words, {}).update(dict.fromkeys(passage.questions))
    return tuple(Passage(words, tuple(asked)) for words, asked in questions.items())


def clip(passages: Iterable[Passage], length: int) -> Selection:
    """Returns the first `length` words of each passage, and the questions whose whole answer is among them."""
    kept, left_out = [], 0
    for passage in passages:
        questions = tuple(question for question in passage.questions if question.answer[-1] < length)
        left_out += len(passage.questions) - len(questions)
        if questions:
            kept.append(Passage(passage.words[:length], questions))
    return Selection(merge(kept), left_out)
