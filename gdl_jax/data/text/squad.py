"""Reader of SQuAD's JSON, version 1.1 or 2.0 (Rajpurkar et al. 2016): texts, questions and the answers' places."""

from pathlib import Path
from typing import Any, NamedTuple

from gdl_jax.core.errors import UserError
from gdl_jax.data.text.text_files import read_json


class Answer(NamedTuple):
    """A part of a text, and the position of its first character there."""

    text: str
    start: int

    def is_in(self, context: str) -> bool:
        """True if the answer stands in a text where it says, and is not empty."""
        return self.start >= 0 and bool(self.text) and context.startswith(self.text, self.start)


class Asked(NamedTuple):
    """A question and its answers by several people, perhaps none."""

    question: str
    answers: tuple[Answer, ...]


class Paragraph(NamedTuple):
    """A text and the questions about it."""

    context: str
    asked: tuple[Asked, ...]


def read_paragraphs(path: Path) -> list[Paragraph]:
    """Returns the paragraphs of all articles of a file.

    Raises:
      UserError: the file cannot be read, is no JSON, or has another form.
    """
    contents = read_json(path)
    try:
        return [_paragraph(entry) for article in contents["data"] for entry in article["paragraphs"]]
    except (LookupError, TypeError) as error:
        raise UserError(f"{path}: not SQuAD's JSON: data, paragraphs, context, qas, question, answers") from error


def _paragraph(entry: Any) -> Paragraph:
    asked = (
        Asked(
            _of_type(str, question["question"]),
            tuple(
                Answer(_of_type(str, answer["text"]), _of_type(int, answer["answer_start"]))
                for answer in question["answers"]
            ),
        )
        for question in entry["qas"]
    )
    return Paragraph(_of_type(str, entry["context"]), tuple(asked))


def _of_type(kind: type, value: Any) -> Any:
    """Returns a value of a type.

    Raises:
      TypeError: it is of another type.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
