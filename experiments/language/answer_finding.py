"""Answers that BERT finds in passages: their scores, and pictures of them in their passages."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.language import bert_tuning
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.dataset import Source, Subset
from gdl_jax.data.text.answer_spans import (
    LONGEST_ANSWER,
    AnswerData,
    EncodedQuestion,
    SpanQuestion,
    best_spans,
    make_windows,
    passage_spans,
    people_spans,
)
from gdl_jax.data.text.bert_rows import special_ids
from gdl_jax.data.text.text_files import read
from gdl_jax.evaluation.answers import span_scores
from gdl_jax.evaluation.text import answer_scores
from gdl_jax.learners.gradient import apply_eval
from gdl_jax.models.bert_heads import AnswerFinder, inputs_of
from gdl_jax.plots.answers import Answered, answers_in_passages
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.experiment import Results, Run, SampleOptions, SampleRequest

BATCH = 32  # windows per call, outside training
SHOWN = 4  # questions of a picture
Found = dict[int, tuple[int, int]]  # {index of a question: first and last token of its answer in the passage}


@dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Options of sampling; `num` is the number of held-out questions if there is no prompt."""

    prompt: str = ""  # question about the passage; empty: held-out questions
    passage: str = ""  # a text in which to find the answer, or the path of a file with it


def network(config: Any, data: AnswerData, axis_name: str | None = None) -> AnswerFinder:
    """Returns the network of a run with this config."""
    return bert_tuning.network(AnswerFinder, config, data, 2, axis_name)


@partial(jax.jit, static_argnums=(0, 1))
def _logits(module, transform, params, rows):
    return apply_eval(module, params, {}, *inputs_of(transform(rows)))


def find(run: Run, source: Source) -> Found:
    """Returns the answers to the questions of whole passages, which have all their windows in a source."""
    rows = source.take(np.arange(len(source)))
    module, params = network(run.config, run.data), run.state.params["network"]
    logits = in_batches(lambda some: _logits(module, run.data.transform, params, some), dict(rows), BATCH)
    return passage_spans(rows, best_spans(logits[:, 0], logits[:, 1], rows))


def people(source: Source) -> Found:
    """Returns the answers of people, where a window has the whole of one."""
    rows = source.take(np.arange(len(source)))
    return passage_spans(rows, people_spans(rows))


def _tags(found: Found, asked: Sequence[SpanQuestion]) -> np.ndarray:
    """Returns (N, D), 1 at the tokens of each question's answer."""
    tags = np.zeros((len(asked), max(len(one.places) for one in asked)), np.int8)
    for number, (start, end) in found.items():
        tags[number, start : end + 1] = 1
    return tags


def score(found: Found, right: Found, asked: Sequence[SpanQuestion]) -> dict[str, float]:
    """Returns SQuAD's exact match and F1, and the F1 of tokens as chapter 6 measures it: by place, all together."""
    texts = [one.text(found[number]) if number in found else "" for number, one in enumerate(asked)]
    mask = np.arange(max(len(one.places) for one in asked)) < np.array([[len(one.places)] for one in asked])
    by_place = answer_scores(_tags(found, asked), _tags(right, asked), mask)
    return {**span_scores(texts, [one.answers for one in asked]), "token_f1": by_place["f1"]}


def measure(run: Run) -> Results:
    """Draws answers found in held-out passages; returns scores of all held-out questions, and of whole passages."""
    results: dict[str, Any] = {"protocol": {}}
    for split in ("validation", "test"):
        if (source := getattr(run.data, split)) is None:
            continue
        found, asked = find(run, source), run.data.asked[split]
        results |= {f"{split}/{name}": value for name, value in score(found, people(source), asked).items()}
        whole = span_scores([one.context for one in asked], [one.answers for one in asked])
        results["whole_passage/f1"] = whole["f1"]
        results["protocol"][split] = (
            f"{len(asked)} questions; the best span of at most {LONGEST_ANSWER} tokens over all windows of a passage; "
            "exact_match and f1 as SQuAD 1.1's; token_f1 over all tokens together; loss and accuracy of windows"
        )
    draw_held_out(run, SHOWN, run.figures / "answers.png")
    return results


def held_out(data: AnswerData) -> str:
    """Returns the split whose questions are shown: test, or validation if the data have no test split."""
    return "validation" if data.test is None else "test"


def draw_held_out(run: Run, count: int, path: Path) -> None:
    """Draws questions from all over a held-out split in their passages, with the answers found and people's."""
    split = held_out(run.data)
    source, asked = getattr(run.data, split), run.data.asked[split]
    chosen = np.unique(np.linspace(0, len(asked) - 1, count).astype(int))
    rows = source.take(np.arange(len(source)))["question"]
    windows = Subset(source, np.flatnonzero(np.isin(rows, chosen)))
    found, right = find(run, windows), people(windows)
    entries = [
        Answered(one.question, one.context, one.characters(span), one.characters(right[n]) if n in right else None)
        for n, span in sorted(found.items())
        for one in [asked[n]]
    ]
    answers_in_passages(entries, path)


def ask(run: Run, question: str, passage: str) -> Answered:
    """Returns the answer to a question in a passage.

    Raises:
      ConfigError: the passage has no token; names passage.
    """
    tokenizer = run.data.tokenizer
    ids, places = tokenizer.encode_with_places(passage)
    if not len(ids):
        raise ConfigError("passage", passage, "has no token")
    windows = make_windows(
        [EncodedQuestion(tokenizer.encode(question), ids, (0, 0))], special_ids(tokenizer.special), run.data.sizes
    )
    one = SpanQuestion(passage, places, question, ())
    return Answered(question, passage, one.characters(find(run, windows)[0]))


def _text_of(passage: str) -> str:
    """Returns the text of a file, if there is one of that name, or else the name itself.

    Raises:
      UserError: the file cannot be read.
    """
    try:
        is_file = Path(passage).is_file()
    except (OSError, ValueError):  # no name of a file: too long, or with a character that names lack
        is_file = False
    return read(Path(passage)) if is_file else passage


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Draws the answer in the given passage, and writes it to standard error; or answers to held-out questions."""
    options, path = request.options, request.out / "answers.png"
    if bool(options.prompt) != bool(options.passage):
        lacking = "passage" if options.prompt else "prompt"
        raise ConfigError(lacking, "", "give both prompt, a question, and passage")
    if options.prompt:
        passage = _text_of(options.passage)
        answered = ask(run, options.prompt, passage)
        start, end = answered.found
        sys.stderr.write(f"{passage[start:end]}\n")
        answers_in_passages([answered], path)
    else:
        draw_held_out(run, request.num, path)
    return [path]


def export(run: Run, folder: Path) -> list[Path]:
    """Writes the network for Hugging Face's transformers; returns the paths."""
    about = {"architectures": ["BertForQuestionAnswering"]}
    return bert_tuning.export(run, folder, run.state.params["network"], about)
