"""Pairs of sentences as arrays of token ids, for models that translate.

Shapes are static, so sentences are padded to the longest of their split: 70 % of Multi30k's training arrays are
padding, with words or with 10,000 joint merges. A smaller `max_tokens` saves more than it costs: with 30, 55 % (words)
and 52 % (parts of words) are padding, and 0.3 % and 0.8 % of the pairs are left out of training.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.data.dataset import CONTENTS, ArraySource, DataSet
from gdl_jax.data.files import printable
from gdl_jax.data.text import sentence_pairs
from gdl_jax.data.text.sentence_pairs import SentencePair
from gdl_jax.data.text.sentence_tokens import END, PADDING, START, SentenceTokenizer, make_tokenizers

MULTIPLE = 8  # to which widths are rounded up
LONGEST = 1000  # tokens of a sentence that is held out; none is left out


@dataclass(frozen=True)
class Widths:
    """Number of tokens of the padded sentences."""

    source: int
    target: int


@dataclass(frozen=True, kw_only=True)
class TranslationData(DataSet):
    """Sentences and their translations, a row for each pair.

    Rows hold, int32:
      source (S,), target (T,): START, the tokens, END and padding, as wide as the split's longest sentences need. S and
        T - 1 are multiples of 8: the decoder's inputs are target[:-1], its labels target[1:].
      source_length, target_length (): number of tokens that are not padding, with START and END.

    Attributes:
      languages: of the source and of the target, such as ("de", "en").
      source_tokenizer, target_tokenizer: equal if they share a vocabulary.
      widths: the largest S and T of all splits.
      sentences: split -> the text of each row.
    """

    languages: tuple[str, str]
    source_tokenizer: SentenceTokenizer
    target_tokenizer: SentenceTokenizer
    widths: Widths
    sentences: Mapping[str, Sequence[SentencePair]] = field(metadata=CONTENTS)

    @property
    def shared(self) -> bool:
        """True if source and target have one vocabulary."""
        return self.source_tokenizer == self.target_tokenizer


def load(
    name: str,
    *,
    data_dir: str | None = None,
    source: str = "de",
    target: str = "en",
    tokens: str = "word",
    max_tokens: int = 50,
    unknown_below: int = 2,
    lower_case: bool = True,
) -> TranslationData:
    """Returns the pairs of `name`. Vocabularies are made from all pairs of the training split.

    Args:
      name: one of `sentence_pairs.DATASETS`.
      data_dir: directory of the sets that are not bundled.
      source, target: languages; the model translates from the source to the target.
      tokens: one of `sentence_tokens.TOKENS`.
      max_tokens: pairs with a longer sentence, START and END not counted, are left out of training, but not of the
        other splits.
      unknown_below: words that occur fewer times than this in training are unknown; not for parts of words.
      lower_case: words are in lower case.

    Raises:
      UserError: as `sentence_pairs.read` and `make_tokenizers`; no training pair is short enough; a held-out sentence
        has more than a thousand tokens.
    """
    read = sentence_pairs.read(name, data_dir, source, target)
    sources, targets = zip(*read.pairs["train"], strict=True)
    made = make_tokenizers(
        tokens, sources, targets, (source, target), unknown_below=unknown_below, lower_case=lower_case
    )
    kept, encoded = {}, {}
    for split, pairs in read.pairs.items():
        ids = [tuple(one.encode(side) for one, side in zip(made, pair, strict=True)) for pair in pairs]
        lengths = [max(map(len, both)) for both in ids]
        if split == "train":
            chosen = [row for row, both in enumerate(ids) if min(map(len, both)) and lengths[row] <= max_tokens]
        else:
            _check(name, split, lengths)
            chosen = list(range(len(ids)))
        kept[split], encoded[split] = [pairs[row] for row in chosen], [ids[row] for row in chosen]
    if not encoded["train"]:
        raise ConfigError("max_tokens", max_tokens, f"no training pair of {name} is so short")
    whole, used = len(read.pairs["train"]), len(kept["train"])
    dropped = f"{whole - used:,} of {whole:,} training pairs left out: blank, or longer than {max_tokens} tokens"
    note = "; ".join(filter(None, (read.note, dropped if used < whole else "")))
    if note:
        sys.stderr.write(f"{printable(name)}: {note}\n")
    splits = {split: to_rows(ids) for split, ids in encoded.items()}
    return TranslationData(
        name,
        **({"validation": None} | splits),
        note=note,
        digest=read.digest,
        languages=(source, target),
        source_tokenizer=made[0],
        target_tokenizer=made[1],
        widths=Widths(*(max(one.arrays[side].shape[1] for one in splits.values()) for side in ("source", "target"))),
        sentences=kept,
    )


def _check(name: str, split: str, lengths: Sequence[int]) -> None:
    """Raises a ConfigError if a held-out sentence is longer than LONGEST."""
    for row, length in enumerate(lengths, start=1):
        if length > LONGEST:
            long = f"sentence {row} of the {split} split has {length:,} tokens; at most {LONGEST:,} are allowed"
            raise ConfigError("dataset", name, long)


def to_rows(ids: Sequence[tuple[np.ndarray, np.ndarray]]) -> ArraySource:
    """Returns the rows that TranslationData describes, of at least one pair of ids without START and END."""
    sources, targets = zip(*ids, strict=True)
    arrays = {}
    for side, sentences, extra in (("source", sources, 0), ("target", targets, 1)):
        lengths = np.array([len(one) + 2 for one in sentences], np.int32)
        width = -(-(int(lengths.max()) - extra) // MULTIPLE) * MULTIPLE + extra
        arrays |= {side: padded(sentences, width), f"{side}_length": lengths}
    return ArraySource(arrays)


def padded(sentences: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Returns rows (N, width) int32 of START, a sentence's ids, END and padding."""
    rows = np.full((len(sentences), width), PADDING, np.int32)
    for row, one in zip(rows, sentences, strict=True):
        row[: len(one) + 2] = (START, *one, END)
    return rows


def padding_share(source: ArraySource) -> float:
    """Returns the share of padding in the token arrays of a split, in [0, 1]."""
    used = sum(int(source.arrays[f"{side}_length"].sum()) for side in ("source", "target"))
    return 1 - used / sum(source.arrays[side].size for side in ("source", "target"))
