"""Labels that BERT gives to sentences: their probabilities, a table of them, and the confusion matrix."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np

from experiments.language import bert_tuning
from experiments.language.writing import read_prompts
from gdl_jax.core.config_flags import IsPath
from gdl_jax.data.dataset import Rows
from gdl_jax.data.text.bert_rows import OF_ONE, features, row_length, special_ids, to_rows
from gdl_jax.data.text.sentences import SentenceData
from gdl_jax.evaluation.classification import confusion_matrix
from gdl_jax.learners.gradient import apply_eval
from gdl_jax.models.bert_heads import TextClassifier, inputs_of
from gdl_jax.plots import classification
from gdl_jax.plots.text import passages
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.experiment import Results, Run, SampleOptions, SampleRequest

BATCH = 100  # sentences per call, outside training
SHOWN = 8  # sentences of a figure, and of each of its two parts


@dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Options of sampling; `num` is the number of held-out sentences if there is no prompt."""

    prompt: str = ""  # sentence to label; empty: held-out sentences
    prompts: Annotated[str, IsPath()] = ""  # a text file with a sentence in each line


def network(config: Any, data: SentenceData, axis_name: str | None = None) -> TextClassifier:
    """Returns the network of a run with this config."""
    return bert_tuning.network(TextClassifier, config, data, len(data.classes), axis_name)


@partial(jax.jit, static_argnums=0)
def _probabilities(module, params, rows):
    return jax.nn.softmax(apply_eval(module, params, {}, *inputs_of(features(rows))))


def probabilities(run: Run, rows: Rows) -> np.ndarray:
    """Returns the probability (N, K) of each class for N rows with "tokens" and "length"."""
    read = {name: rows[name] for name in ("tokens", "length")}
    module = network(run.config, run.data)
    return in_batches(lambda some: _probabilities(module, run.state.params, some), read, BATCH)


def encode(run: Run, sentences: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns sentences as rows, cut like those of the data; says so of a sentence that is cut."""
    tokenizer, most = run.data.tokenizer, run.config.max_length - OF_ONE
    ids = [tokenizer.encode(sentence) for sentence in sentences]
    for sentence, tokens in zip(sentences, ids, strict=True):
        if len(tokens) > most:
            sys.stderr.write(f"{sentence[:40]!a}... has {len(tokens)} tokens; only the first {most} are read\n")
    length = row_length(max(map(len, ids)) + OF_ONE, run.config.max_length)
    return to_rows([tokens[:most] for tokens in ids], None, special_ids(tokenizer.special), length)


def held_out(data: SentenceData) -> str:
    """Returns the split that is measured: test, or validation if the data have no test split."""
    return "validation" if data.test is None else "test"


def line(classes: Sequence[str], shares: np.ndarray, label: int | None = None) -> str:
    """Returns the likeliest classes with their probabilities (K,), such as "positive 98%, negative 2%"."""
    likeliest = np.argsort(-shares, kind="stable")[:SHOWN]
    text = ", ".join(f"{classes[one]} {shares[one]:.0%}" for one in likeliest.tolist())
    return text if label is None or label == likeliest[0] else f"{text}; right: {classes[label]}"


def table(run: Run, split: str, index: np.ndarray) -> dict[str, list[str]]:
    """Returns {sentence: [its likeliest classes]} of rows of a split."""
    rows, sentences = getattr(run.data, split).take(index), run.data.sentences[split]
    found = zip(index.tolist(), probabilities(run, rows), rows["label"].tolist(), strict=True)
    return {sentences[row]: [line(run.data.classes, shares, label)] for row, shares, label in found}


def draw_sentences(run: Run, path: Path) -> None:
    """Draws sentences from all over a held-out split with their likeliest classes."""
    count = len(getattr(run.data, run.split))
    index = np.unique(np.linspace(0, count - 1, SHOWN).astype(np.int64))
    passages(table(run, run.split, index), path)


def measure(run: Run) -> Results:
    """Draws confusion matrix and surest mistakes; returns the accuracy of always saying the commonest class."""
    split, classes = held_out(run.data), run.data.classes
    source = getattr(run.data, split)
    rows = source.take(np.arange(len(source)))
    shares, labels = probabilities(run, rows), rows["label"]
    predicted = shares.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, len(classes))
    classification.confusion_matrix(matrix, classes, run.figures / "confusion_matrix.png")
    wrong = np.flatnonzero(predicted != labels)
    surest = wrong[np.argsort(-shares[wrong].max(axis=1), kind="stable")][:SHOWN]
    mistakes = table(run, split, surest) if len(surest) else {"no mistakes": []}
    passages(mistakes, run.figures / "mistakes.png")
    commonest = np.bincount(run.data.train.labels()).argmax()
    return {
        "majority/accuracy": float((labels == commonest).mean()),
        "protocol": {"majority": f"the commonest class of the training split, on the {split} split"},
    }


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes the probabilities of the labels of sentences, to a file and to standard error."""
    if sentences := read_prompts(request.options, keep=str.strip):
        found = probabilities(run, encode(run, sentences))
        lines = {text: [line(run.data.classes, one)] for text, one in zip(sentences, found, strict=True)}
    else:
        split = held_out(run.data)
        count = len(getattr(run.data, split))
        lines = table(run, split, np.linspace(0, count - 1, min(request.num, count)).astype(np.int64))
    text = "".join(f"{sentence}\n  {shares}\n" for sentence, (shares,) in lines.items())
    sys.stderr.write(text)
    path = request.out / "labels.txt"
    path.write_text(text, encoding="utf-8")
    return [path]


def export(run: Run, folder: Path) -> list[Path]:
    """Writes the network for Hugging Face's transformers; returns the paths."""
    names: Mapping[str, str] = {str(number): name for number, name in enumerate(run.data.classes)}
    about = {
        "architectures": ["BertForSequenceClassification"],
        "id2label": names,
        "label2id": {name: number for number, name in enumerate(run.data.classes)},
    }
    return bert_tuning.export(run, folder, run.state.params, about)
