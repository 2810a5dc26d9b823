"""Questions for BERT, whose answers are spans of a passage: rows [CLS] question [SEP] passage [SEP] of WordPieces.

A passage that is too long for a row is cut into overlapping windows, a row each (Devlin et al. 2019, 4.2). Scores for
the tokens of all windows become one answer: the passage's characters under the best span.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.paths import expand_user
from gdl_jax.data.dataset import CONTENTS, ArraySource, DataSet, Rows, digest_of
from gdl_jax.data.files import printable
from gdl_jax.data.text import bulletins
from gdl_jax.data.text.bert_rows import OF_ONE, OF_TWO, SpecialIds, features, row_length, special_ids, to_rows
from gdl_jax.data.text.splits import FEWEST, hold_out_tenths
from gdl_jax.data.text.squad import Answer, Asked, Paragraph, read_paragraphs
from gdl_jax.data.text.subword import WordPieceTokenizer
from gdl_jax.data.text.text_files import files_of, find
from gdl_jax.data.text.tokenizers import make_tokenizer

DATASETS = {
    "bulletins": "synthetic news of a few sentences, with questions (bundled)",
    "squad": "SQuAD 1.1, squad/*.json or qa/*.json in data_dir",
    "squad:PATH": "a JSON in SQuAD's format, or a folder of such files",
}
PATH_KINDS = ("squad",)  # of DATASETS, the kinds KIND:PATH
BULLETINS = 2000
LONGEST_ANSWER = 30  # tokens (the paper's program)


@dataclass(frozen=True)
class WindowSizes:
    """Sizes of rows, in tokens; the defaults are the paper's.

    Attributes:
      max_length: of a row.
      max_question: of a question; longer ones are cut.
      stride: from the beginning of one window of a passage to that of the next.
    """

    max_length: int = 384
    max_question: int = 64
    stride: int = 128

    def __post_init__(self):
        if self.max_question < 1:
            raise ConfigError("max_question", self.max_question, "must be at least 1")
        room = self.max_length - self.max_question - OF_TWO
        if room < 1:
            least = self.max_question + OF_TWO + 1
            raise ConfigError("max_length", self.max_length, f"must be at least {least}, to leave room for the passage")
        if not 1 <= self.stride <= room:
            reason = f"must be in [1, {room}], or tokens are skipped after a question of {self.max_question} tokens"
            raise ConfigError("stride", self.stride, reason)


class SpanQuestion(NamedTuple):
    """A question about a passage.

    Attributes:
      context: the passage.
      places: (N, 2) int32, where the characters of its tokens are in it, ends excluded.
      question: its text.
      answers: different people's, at least one.
    """

    context: str
    places: np.ndarray
    question: str
    answers: tuple[str, ...]

    def characters(self, span: tuple[int, int]) -> tuple[int, int]:
        """Returns where the characters of a span of tokens are in the passage, the end excluded."""
        return int(self.places[span[0], 0]), int(self.places[span[1], 1])

    def text(self, span: tuple[int, int]) -> str:
        """Returns the characters of a span of tokens, given by its first and last position."""
        start, end = self.characters(span)
        return self.context[start:end]


@dataclass(frozen=True, kw_only=True)
class AnswerData(DataSet):
    """Windows of passages with a question each, a row for each pair. Batches are those of `bert_rows.features`.

    Rows hold, int32:
      tokens (T,), segments (T,), length (): as `bert_rows.to_rows`.
      start, end (): positions in the row of the answer's first and last token; 0, which is [CLS], if the window lacks
        part of the answer.
      question (): the index of the question in `asked`.
      first (): position in the row of the window's first token.
      offset (): position in the passage of the window's first token.

    Attributes:
      tokenizer: of the tokens.
      sizes: the most tokens of the rows' parts.
      asked: for each split, its questions.
    """

    tokenizer: WordPieceTokenizer
    sizes: WindowSizes
    asked: Mapping[str, Sequence[SpanQuestion]] = field(metadata=CONTENTS)


def load(
    name: str,
    *,
    data_dir: str | None = None,
    tokenizer: str | WordPieceTokenizer = "wordpiece:4000",
    sizes: WindowSizes = WindowSizes(),
) -> AnswerData:
    """Returns the questions `name`.

    If a folder has files called train... and dev..., like SQuAD's own, the second are for validation. Otherwise the
    passages of all files are split 80 / 10 / 10 with a fixed seed. A text is in one split only.

    Args:
      name: one of DATASETS.
      data_dir: directory of the sets that are not bundled.
      tokenizer: one of tokenizers.TOKENIZERS, of WordPieces, learned from the training split; or a tokenizer.
      sizes: the most tokens of the rows' parts. Rows are no longer than the longest one needs.

    Raises:
      UserError: unknown name or tokenizer; missing or unreadable files, or files in another format; too few passages
        with an answer.
    """
    splits = _read(name, data_dir)
    if isinstance(tokenizer, str):
        passages = splits["train"]
        texts = [text for one in passages for text in (one.context, *(asked.question for asked in one.asked))]
        tokenizer = make_tokenizer(tokenizer, texts)
    special = special_ids(tokenizer.special)
    sources: dict[str, ArraySource | None] = {"validation": None, "test": None}
    asked, left_out = {}, 0
    for split, paragraphs in splits.items():
        encoded, asked[split] = _encode(paragraphs, tokenizer)
        left_out += sum(len(one.asked) for one in paragraphs) - len(encoded)
        if not encoded:
            raise ConfigError("dataset", name, f"no question of the {split} split has an answer in its passage")
        sources[split] = make_windows(encoded, special, sizes)
    note = f"{left_out} questions without an answer in their passage skipped" if left_out else ""
    if note:
        sys.stderr.write(f"{printable(name)}: {note}\n")
    arrays = [array for source in sources.values() if source for array in source.arrays.values()]
    return AnswerData(
        name,
        **sources,
        transform=features,
        note=note,
        digest=digest_of([repr((tokenizer, sizes)).encode(), *arrays]),
        tokenizer=tokenizer,
        sizes=sizes,
        asked=asked,
    )


class EncodedQuestion(NamedTuple):
    """Ids of a question and of its passage, and the positions of the answer's first and last token in the latter."""

    question: np.ndarray
    passage: np.ndarray
    answer: tuple[int, int]


def _encode(
    paragraphs: Iterable[Paragraph], tokenizer: WordPieceTokenizer
) -> tuple[list[EncodedQuestion], list[SpanQuestion]]:
    """Returns the questions with an answer in their passage, as ids and as texts; the first such answer counts."""
    encoded, texts = [], []
    for paragraph in paragraphs:
        ids, places = tokenizer.encode_with_places(paragraph.context)
        for asked in paragraph.asked:
            known = [answer for answer in asked.answers if answer.is_in(paragraph.context)]
            span = answer_tokens(places, known[0]) if known else None
            if span is not None:
                encoded.append(EncodedQuestion(tokenizer.encode(asked.question), ids, span))
                answers = tuple(dict.fromkeys(answer.text for answer in known))
                texts.append(SpanQuestion(paragraph.context, places, asked.question, answers))
    return encoded, texts


def answer_tokens(places: np.ndarray, answer: Answer) -> tuple[int, int] | None:
    """Returns the positions of the first and the last token that share a character with an answer; None if none does.

    Args:
      places: (N, 2) where the tokens' characters are, ends excluded, ascending.
      answer: a part of the same text.
    """
    end = answer.start + len(answer.text)
    found = np.flatnonzero((places[:, 0] < end) & (places[:, 1] > answer.start) & (places[:, 1] > places[:, 0]))
    return (int(found[0]), int(found[-1])) if len(found) else None


def make_windows(questions: Sequence[EncodedQuestion], special: SpecialIds, sizes: WindowSizes) -> ArraySource:
    """Returns the rows that AnswerData describes: the windows of each question's passage, in order."""
    firsts, seconds, numbers = [], [], []
    for number, (question, passage, (start, end)) in enumerate(questions):
        asked = question[: sizes.max_question]
        room, first = sizes.max_length - len(asked) - OF_TWO, len(asked) + OF_ONE
        for offset in window_starts(len(passage), room, sizes.stride):
            window = passage[offset : offset + room]
            inside = offset <= start and end < offset + len(window)
            span = (start - offset + first, end - offset + first) if inside else (0, 0)
            firsts.append(asked)
            seconds.append(window)
            numbers.append((*span, number, first, offset))
    longest = max(len(asked) + len(window) for asked, window in zip(firsts, seconds, strict=True)) + OF_TWO
    rows = to_rows(firsts, seconds, special, row_length(longest, sizes.max_length))
    columns = np.array(numbers, np.int32).T
    named = zip(("start", "end", "question", "first", "offset"), columns, strict=True)
    return ArraySource({**rows, **{name: np.ascontiguousarray(column) for name, column in named}})


def window_starts(count: int, room: int, stride: int) -> range:
    """Returns where windows of `room` tokens begin in a passage of `count` tokens; the last one reaches its end."""
    return range(0, max(0, count - room) + stride, stride)


class Spans(NamedTuple):
    """Positions in the row of the first and last token of a span, and its score: start's plus end's, all (N,)."""

    start: np.ndarray
    end: np.ndarray
    score: np.ndarray


def best_spans(
    start_scores: np.ndarray, end_scores: np.ndarray, rows: Rows | Mapping[str, Any], longest: int = LONGEST_ANSWER
) -> Spans:
    """Returns the span of a window of each row that has the highest score, start's plus end's.

    Args:
      start_scores, end_scores: (N, T), of each token as the first and as the last of the answer (logits).
      rows: N rows as AnswerData describes them.
      longest: the most tokens of a span.
    """
    start_scores, end_scores = np.asarray(start_scores, np.float32), np.asarray(end_scores, np.float32)
    count, length = start_scores.shape
    places = np.arange(length)
    first, last = (
        np.asarray(rows["first"])[:, None],
        np.asarray(rows["length"])[:, None] - 2,
    )  # the last is before [SEP]
    usable = (places >= first) & (places <= last)
    start_scores, end_scores = (np.where(usable, scores, -np.inf) for scores in (start_scores, end_scores))
    best = Spans(np.zeros(count, int), np.zeros(count, int), np.full(count, -np.inf, np.float32))
    for more in range(min(longest, length)):
        scores = start_scores[:, : length - more] + end_scores[:, more:]
        start = scores.argmax(axis=1)
        score = scores[np.arange(count), start]
        better = score > best.score
        best = Spans(
            np.where(better, start, best.start),
            np.where(better, start + more, best.end),
            np.where(better, score, best.score),
        )
    return best


def passage_spans(rows: Rows | Mapping[str, Any], spans: Spans) -> dict[int, tuple[int, int]]:
    """Returns {index of a question: positions in its passage of the first and last token of its windows' best span}.

    Of equal scores, the first counts. Questions without a finite score among the rows are left out.

    Args:
      rows: as AnswerData describes them, in any order.
      spans: of the rows.
    """
    found: dict[int, tuple[int, int]] = {}
    numbers = np.asarray(rows["question"])
    shift = np.asarray(rows["offset"]) - np.asarray(rows["first"])  # from positions in the row to those in the passage
    for row in np.argsort(-spans.score, kind="stable"):
        if np.isfinite(spans.score[row]):
            found.setdefault(int(numbers[row]), (int(spans.start[row] + shift[row]), int(spans.end[row] + shift[row])))
    return found


def people_spans(rows: Rows | Mapping[str, Any]) -> Spans:
    """Returns the spans that the rows have as targets; windows without an answer have the score -inf."""
    start, end = (np.asarray(rows[name]) for name in ("start", "end"))
    return Spans(start, end, np.where(start > 0, 0.0, -np.inf))


def answer_texts(rows: Rows | Mapping[str, Any], spans: Spans, asked: Sequence[SpanQuestion]) -> dict[int, str]:
    """Returns {index of a question: the characters of its passage under the best span}; see `passage_spans`.

    Args:
      rows, spans: as for `passage_spans`.
      asked: all questions of the rows' split.
    """
    return {number: asked[number].text(span) for number, span in passage_spans(rows, spans).items()}


def _read(name: str, data_dir: str | None) -> dict[str, list[Paragraph]]:
    """Returns the paragraphs of each split."""
    kind, _, path = name.partition(":")
    if name == "bulletins":
        return hold_out_tenths(_bulletins())
    if kind not in PATH_KINDS or (":" in name and not path):
        raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")
    place = Path(expand_user(path, "dataset", name)) if path else find(name, data_dir, (kind, "qa"))
    files = files_of(place, ".json", name)
    own = {
        split: [file for file in files if file.name.startswith(beginning)]
        for split, beginning in (("train", "train"), ("validation", "dev"))
    }
    if all(own.values()):
        held_out = merge(paragraph for file in own["validation"] for paragraph in read_paragraphs(file))
        known = {paragraph.context for paragraph in held_out}
        train = merge(paragraph for file in own["train"] for paragraph in read_paragraphs(file))
        return {"train": [one for one in train if one.context not in known], "validation": held_out}
    paragraphs = merge(paragraph for file in files for paragraph in read_paragraphs(file))
    if len(paragraphs) < FEWEST:
        raise ConfigError("dataset", name, f"{len(paragraphs)} passages with questions; needs {FEWEST}, one per split")
    return hold_out_tenths(paragraphs)


def merge(paragraphs: Iterable[Paragraph]) -> list[Paragraph]:
    """Returns a paragraph for each text with questions: all paragraphs' questions about this text, each once."""
    asked: dict[str, dict[Asked, None]] = {}
    for paragraph in paragraphs:
        asked.setdefault(paragraph.context, {}).update(dict.fromkeys(paragraph.asked))
    return [Paragraph(context, tuple(questions)) for context, questions in asked.items() if questions]


def _bulletins() -> list[Paragraph]:
    """Returns the bundled bulletins; their answers are consecutive words."""
    paragraphs = []
    for passage in bulletins.make(BULLETINS, seed=0):
        asked = []
        for question in passage.questions:
            before = "".join(f"{word} " for word in passage.words[: question.answer[0]])
            answer = Answer(" ".join(passage.answer_words(question)), len(before))
            asked.append(Asked(" ".join(question.words), (answer,)))
        paragraphs.append(Paragraph(" ".join(passage.words), tuple(asked)))
    return paragraphs
