"""Questions about passages as arrays: the book's five features (06_02), masks, and token ids for a copying decoder.

Token ids below V = len(vocabulary) are the vocabulary's, of words in lower case. For copying, a word of a passage that
is not in the vocabulary has the id V + the position of its first occurrence, so that equal words have equal ids.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.paths import expand_user
from gdl_jax.data.dataset import CONTENTS, ArraySource, DataSet
from gdl_jax.data.text import bulletins, glove
from gdl_jax.data.text.passages import Passage, Question, Selection, clip, read_newsqa, read_squad
from gdl_jax.data.text.splits import FEWEST, hold_out_tenths
from gdl_jax.data.text.text_files import files_of, find
from gdl_jax.data.text.vocabulary import Vocabulary

DATASETS = {
    "bulletins": "synthetic news of a few sentences, with questions (bundled)",
    "newsqa": "NewsQA, newsqa/*.csv or qa/*.csv in data_dir",
    "squad": "SQuAD 1.1, squad/*.json or qa/*.json in data_dir",
    "newsqa:PATH": "a csv in NewsQA's format, or a folder of such files",
    "squad:PATH": "a JSON in SQuAD's format, or a folder of such files",
}
PATH_KINDS = ("newsqa", "squad")  # of DATASETS, the kinds KIND:PATH
READERS = {"newsqa": (read_newsqa, ".csv"), "squad": (read_squad, ".json")}
PADDING, UNKNOWN, START, END = range(4)
SPECIAL = ("<PAD>", "<UNK>", "<START>", "<END>")
SPECIAL_VECTOR_SCALE = 0.02  # standard deviation of the special tokens' vectors (book)
NOT_AN_ANSWER = -1  # pads the positions of an answer
BULLETINS = 2000


@dataclass(frozen=True)
class Lengths:
    """Maximum lengths in tokens; longer sequences are cut."""

    document: int = 200  # book; questions whose answer is not entirely within are skipped
    question: int = 30  # with the end token
    answer: int = 30


@dataclass(frozen=True, kw_only=True)
class QuestionData(DataSet):
    """Questions with their passages, a row each.

    Batches hold, with B questions, D = lengths.document, Q = lengths.question, A = lengths.answer:
      document_tokens (B, D) int32: the passage, padded.
      document_mask (B, D) bool: False at padding.
      document_copy_tokens (B, D) int32: the passage with the ids for copying.
      question_input_tokens (B, Q) int32: decoder inputs (teacher forcing): the start token and the question without its
        last word.
      question_output_tokens (B, Q) int32: decoder targets: the question and the end token.
      question_copy_tokens (B, Q) int32: the targets with the ids for copying.
      question_mask (B, Q) bool: False where question_output_tokens are padding.
      answer_labels (B, D) int32: 1 where a word belongs to the answer of any question about this passage.
      answer_indices (B, A) int32: the positions of this question's answer.
      answer_mask (B, A) bool: False where answer_indices are padding. The book's answer_masks (B, A, D) is
        one_hot(answer_indices, D) * answer_mask[..., None]; a gather needs neither its memory nor a matrix product.

    Attributes:
      vocabulary: of words in lower case; the first four are SPECIAL.
      word_vectors: (V, E) float32, GloVe's, and random ones of the special tokens; None if they are to be trained.
      lengths: the sizes of the arrays.
      asked: for each split, the passage and the question of each row, as words.
    """

    vocabulary: Vocabulary
    word_vectors: np.ndarray | None = field(default=None, metadata=CONTENTS)
    lengths: Lengths
    asked: Mapping[str, Sequence[tuple[Passage, Question]]] = field(metadata=CONTENTS)


def commonest_words(passages: Iterable[Passage], size: int) -> list[str]:
    """Returns at most `size` words in lower case: the most common of questions, up to half, then those of passages."""
    in_questions, in_passages = Counter(), Counter()
    for passage in passages:
        in_passages.update(map(str.lower, passage.words))
        for question in passage.questions:
            in_questions.update(map(str.lower, question.words))
    chosen = dict.fromkeys(word for word, _ in in_questions.most_common(size // 2))
    for word, _ in in_passages.most_common():
        if len(chosen) >= size:
            break
        chosen[word] = None
    return list(chosen)


def make_vocabulary(passages: Iterable[Passage], size: int, vectors: str) -> tuple[Vocabulary, np.ndarray | None]:
    """Returns a vocabulary of the special tokens and `commonest_words`, and their vectors (V, E) if there are any.

    Args:
      passages: the training split's.
      size: number of words to choose from.
      vectors: source for `glove.read`; words without a vector are dropped. "": none, they are to be trained.
    """
    words = tuple(word for word in commonest_words(passages, size) if word not in SPECIAL)
    if not vectors:
        return Vocabulary((*SPECIAL, *words), UNKNOWN), None
    known, values = glove.read(vectors, set(words))
    special = np.random.default_rng(0).normal(0.0, SPECIAL_VECTOR_SCALE, (len(SPECIAL), values.shape[1]))
    return Vocabulary((*SPECIAL, *known), UNKNOWN), np.concatenate([special.astype(np.float32), values])


def encode_document(words: Sequence[str], vocabulary: Vocabulary, length: int) -> np.ndarray:
    """Returns the ids for copying (length,) int32 of a passage's first words, padded."""
    places = _first_places(words[:length])
    numbers = [vocabulary.index.get(word, len(vocabulary) + place) for word, place in places.items()]
    of_word = dict(zip(places, numbers, strict=True))
    return _padded([of_word[word.lower()] for word in words[:length]], length, PADDING)


def words_of(numbers: Iterable[int], vocabulary: Vocabulary, document: Sequence[str]) -> list[str]:
    """Returns the words of token ids up to the end token; ids for copying are looked up in the passage's words."""
    words = []
    for number in map(int, numbers):
        if number == END:
            break
        known = number < len(vocabulary)
        words.append(vocabulary.words[number] if known else document[number - len(vocabulary)].lower())
    return words


def encode(passages: Sequence[Passage], vocabulary: Vocabulary, lengths: Lengths) -> ArraySource:
    """Returns a row for each question of each passage (clipped already), in order.

    Rows are {"document" (D,), "question" (Q,), "answer_labels" (D,), "answer_indices" (A,), "passage" ()}, int32, with
    the ids for copying; "passage" is the passage's index.
    """
    names = ("document", "question", "answer_labels", "answer_indices", "passage")
    rows: dict[str, list] = {name: [] for name in names}
    for number, passage in enumerate(passages):
        document = encode_document(passage.words, vocabulary, lengths.document)
        of_word = {word: int(document[place]) for word, place in _first_places(passage.words).items()}
        labels = np.zeros(lengths.document, np.int32)
        labels[[place for question in passage.questions for place in question.answer]] = 1
        for question in passage.questions:
            words = [word.lower() for word in question.words]
            spoken = [vocabulary.index.get(word, of_word.get(word, UNKNOWN)) for word in words]
            rows["document"].append(document)
            rows["question"].append(_padded([*spoken, END], lengths.question, PADDING))
            rows["answer_labels"].append(labels)
            rows["answer_indices"].append(_padded(question.answer, lengths.answer, NOT_AN_ANSWER))
            rows["passage"].append(number)
    return ArraySource({name: np.array(values, np.int32) for name, values in rows.items()})


def features(rows: Mapping[str, Any], vocabulary_size: int) -> dict[str, Any]:
    """Returns the batch that QuestionData describes, from rows of `encode`."""
    document, question, answer = (jnp.asarray(rows[name]) for name in ("document", "question", "answer_indices"))
    question_mask = question != PADDING
    output = jnp.where(question < vocabulary_size, question, UNKNOWN)
    before = jnp.concatenate([jnp.full_like(output[:, :1], START), output[:, :-1]], axis=1)  # (B, Q)
    return {
        "document_tokens": jnp.where(document < vocabulary_size, document, UNKNOWN),
        "document_mask": document != PADDING,
        "document_copy_tokens": document,
        "question_input_tokens": jnp.where(question_mask, before, PADDING),
        "question_output_tokens": output,
        "question_copy_tokens": question,
        "question_mask": question_mask,
        "answer_labels": jnp.asarray(rows["answer_labels"]),
        "answer_indices": jnp.maximum(answer, 0),
        "answer_mask": answer != NOT_AN_ANSWER,
    }


def load(
    name: str,
    *,
    data_dir: str | None = None,
    vectors: str = "",
    vocabulary_size: int = 10_000,
    lengths: Lengths = Lengths(),
) -> QuestionData:
    """Returns the questions `name`, with the passages of all files split 80 / 10 / 10 with a fixed seed.

    A text is in one split only, even if it is in several files. The vocabulary is the training split's.

    Args:
      name: one of DATASETS.
      data_dir: directory of the sets that are not bundled.
      vectors: "bundled" or the path of GloVe vectors; words without a vector are unknown. "": vectors are trained.
      vocabulary_size: number of words to choose the vocabulary from (book: 10,000, of which GloVe has 9,980).
      lengths: maximum lengths.

    Raises:
      UserError: unknown name; missing or unreadable files, or files in another format; too few questions with answers.
    """
    whole = _read(name, data_dir)
    selection = clip(whole.passages, lengths.document)
    left_out = whole.left_out + selection.left_out
    note = f"{left_out} questions without an answer in the first {lengths.document} words skipped"
    if len(selection.passages) < FEWEST:
        few = f"{len(selection.passages)} passages with an answer in the first {lengths.document} words"
        raise ConfigError("dataset", name, f"{few}; needs {FEWEST}, one per split ({left_out} questions skipped)")
    splits = hold_out_tenths(selection.passages)
    vocabulary, word_vectors = make_vocabulary(splits["train"], vocabulary_size, vectors)
    contents = repr((vocabulary.words, selection.passages)).encode(errors="surrogatepass")
    return QuestionData(
        name,
        **{split: encode(passages, vocabulary, lengths) for split, passages in splits.items()},
        transform=partial(features, vocabulary_size=len(vocabulary)),
        note=note if left_out else "",
        digest=blake2b(contents, digest_size=6).hexdigest(),
        vocabulary=vocabulary,
        word_vectors=word_vectors,
        lengths=lengths,
        asked={split: [(p, q) for p in passages for q in p.questions] for split, passages in splits.items()},
    )


def _first_places(words: Sequence[str]) -> dict[str, int]:
    """Returns {word in lower case: position of its first occurrence}."""
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        places.setdefault(word.lower(), place)
    return places


def _padded(numbers: Sequence[int], length: int, padding: int) -> np.ndarray:
    """Returns numbers cut or padded to (length,) int32."""
    row = np.full(length, padding, np.int32)
    row[: len(numbers)] = numbers[:length]
    return row


def _read(name: str, data_dir: str | None) -> Selection:
    """Returns all passages of a set, file after file."""
    kind, _, path = name.partition(":")
    if name == "bulletins":
        return Selection(bulletins.make(BULLETINS, seed=0), 0)
    if kind not in PATH_KINDS or (":" in name and not path):
        raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")
    reader, suffix = READERS[kind]
    place = Path(expand_user(path)) if path else find(name, data_dir, (kind, "qa"))
    selections = [reader(file) for file in files_of(place, suffix, name)]
    passages = tuple(passage for selection in selections for passage in selection.passages)
    return Selection(passages, sum(selection.left_out for selection in selections))
