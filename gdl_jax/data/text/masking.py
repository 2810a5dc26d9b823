"""BERT's pre-training examples: two passages, of which some tokens are to be predicted (Devlin et al. 2019, A.2).

The recipe is that of the paper's program, create_pretraining_data.py. A and B are consecutive in half of the examples
that could have it so; a chunk of one sentence is always followed by another document's, so that B is random in more
than half of the examples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.dataset import ArraySource
from gdl_jax.data.text.bert_rows import OF_ONE, OF_TWO, SpecialIds, to_rows

SHORTEST = OF_TWO + 2  # max_length, with a token for each of A and B
MASKED, KEPT = 0.8, 0.1  # shares of the chosen tokens that become [MASK], and that stay; the others become random
Document = Sequence[np.ndarray]  # the ids of each sentence


@dataclass(frozen=True)
class MaskingRecipe:
    """Settings of the examples made from texts; the defaults are those of the paper's program.

    Attributes:
      max_length: T, tokens of an example, special ones included.
      max_predictions: P, the most tokens to predict.
      masked_share: of an example's tokens, special ones included, that are to be predicted.
      short_share: of the documents, cut into examples of a random, smaller length.
      duplicates: times that each document is used, with other pairs and masks.
      whole_words: all WordPieces of a word are predicted or none.
    """

    max_length: int = 128
    max_predictions: int = 20
    masked_share: float = 0.15
    short_share: float = 0.1
    duplicates: int = 10
    whole_words: bool = False

    def __post_init__(self):
        for field, least in (("max_length", SHORTEST), ("max_predictions", 1), ("duplicates", 1)):
            if getattr(self, field) < least:
                raise ConfigError(field, getattr(self, field), f"must be at least {least}")
        if not 0 < self.masked_share <= 1:
            raise ConfigError("masked_share", self.masked_share, "must be above 0 and at most 1")
        if not 0 <= self.short_share <= 1:
            raise ConfigError("short_share", self.short_share, "must be in [0, 1]")

    def predictions(self, length: int) -> int:
        """Returns the number of tokens to predict in an example of `length` tokens, special ones included."""
        return min(self.max_predictions, max(1, round(self.masked_share * length)))


class PassagePair(NamedTuple):
    """A and B as ids, and whether B follows A in the text."""

    first: np.ndarray
    second: np.ndarray
    is_next: bool


def make_examples(
    documents: Sequence[Document],
    special: SpecialIds,
    continues_word: np.ndarray,
    recipe: MaskingRecipe,
    rng: np.random.Generator,
) -> ArraySource:
    """Returns the examples of documents in random order.

    Rows hold, with T = recipe.max_length and P = recipe.max_predictions:
      tokens (T,), segments (T,), length (): as `bert_rows.to_rows`.
      positions (P,) int32: of the tokens to predict, ascending; 0 where there are fewer.
      targets (P,) int32: the original tokens there; 0 where there are fewer.
      weights (P,) float32: 1, and 0 where there are fewer.
      is_next () int32: 1 if B follows A, else 0. (The label of BERT's own weights is 1 - is_next.)

    Args:
      documents: at least two that aren't empty; ids of sentences without special tokens.
      special: ids of the special tokens.
      continues_word: (V,) bool, see `bert_rows.continues_word`; V is the size of the vocabulary.
      recipe: how examples are made.
      rng: is advanced.

    Raises:
      UserError: there are fewer than two documents.
    """
    documents = [[sentence for sentence in document if len(sentence)] for document in documents]
    documents = [document for document in documents if document]
    if len(documents) < 2:
        raise UserError(f"{len(documents)} documents: pairs of passages need two, with a blank line between them")
    pairs = [
        pair
        for _ in range(recipe.duplicates)
        for number in range(len(documents))
        for pair in make_pairs(documents, number, recipe, rng)
    ]
    pairs = [pairs[number] for number in rng.permutation(len(pairs))]
    rows = to_rows([pair.first for pair in pairs], [pair.second for pair in pairs], special, recipe.max_length)
    shape = (len(pairs), recipe.max_predictions)
    rows |= {"positions": np.zeros(shape, np.int32), "targets": np.zeros(shape, np.int32)}
    rows |= {"weights": np.zeros(shape, np.float32), "is_next": np.array([pair.is_next for pair in pairs], np.int32)}
    for row, pair in enumerate(pairs):
        tokens = rows["tokens"][row]
        second = len(pair.first) + OF_ONE  # where B begins
        candidates = np.concatenate([np.arange(1, second - 1), np.arange(second, second + len(pair.second))])
        inner = continues_word[tokens[candidates]] if recipe.whole_words else np.zeros(len(candidates), bool)
        chosen = choose_positions(candidates, inner, recipe.predictions(int(rows["length"][row])), rng)
        rows["positions"][row, : len(chosen)] = chosen
        rows["targets"][row, : len(chosen)] = tokens[chosen]
        rows["weights"][row, : len(chosen)] = 1.0
        tokens[chosen] = replace_tokens(tokens[chosen], special.mask, len(continues_word), rng)
    return ArraySource(rows)


def make_pairs(
    documents: Sequence[Document], number: int, recipe: MaskingRecipe, rng: np.random.Generator
) -> Iterator[PassagePair]:
    """Yields the pairs of passages whose A is in a document.

    The document is cut into chunks of sentences with at least as many tokens as fit into an example. A is a random
    number of a chunk's sentences, but not all; B is the others, or another document's sentences. In the second case, or
    if the chunk is one sentence, the next chunk begins after A.

    Args:
      documents: at least two, of sentences that aren't empty.
      number: the document.
      recipe: see MaskingRecipe.
      rng: is advanced.
    """
    sentences, most = documents[number], recipe.max_length - OF_TWO
    target = int(rng.integers(2, most + 1)) if rng.random() < recipe.short_share else most  # tokens of a chunk
    begin = 0
    while begin < len(sentences):
        end = begin + len(_first_sentences(sentences[begin:], target))
        middle = begin + (int(rng.integers(1, end - begin)) if end - begin > 1 else 1)
        first = np.concatenate(sentences[begin:middle])
        is_next = end - begin > 1 and rng.random() >= 0.5
        if is_next:
            second, begin = np.concatenate(sentences[middle:end]), end
        else:
            second, begin = _from_another(documents, number, target - len(first), rng), middle
        yield PassagePair(*truncate(first, second, most, rng), is_next)


def _first_sentences(sentences: Document, target: int) -> Document:
    """Returns the first sentences that have at least `target` tokens together, at least one; all if they have fewer."""
    size = 0
    for count, sentence in enumerate(sentences, start=1):
        size += len(sentence)
        if size >= target:
            return sentences[:count]
    return sentences


def _from_another(documents: Sequence[Document], number: int, target: int, rng: np.random.Generator) -> np.ndarray:
    """Returns at least `target` tokens, if there are, from a random sentence on of a document other than `number`."""
    other = int(rng.integers(len(documents) - 1))
    sentences = documents[other + (other >= number)]
    return np.concatenate(_first_sentences(sentences[int(rng.integers(len(sentences))) :], target))


def truncate(
    first: np.ndarray, second: np.ndarray, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns A and B shortened to `most` tokens together.

    Tokens are taken from the longer of the two, or from B if they are equally long, until they fit: each from its front
    or from its end, at random.
    """
    if len(first) + len(second) <= most:
        return first, second
    size = min(len(first), max(most - len(second), (most + 1) // 2))
    return _shorten(first, size, rng), _shorten(second, most - size, rng)


def _shorten(ids: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    front = int(rng.binomial(len(ids) - size, 0.5))
    return ids[front : front + size]


def choose_positions(positions: np.ndarray, inner: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns at most `count` random positions, ascending, that make whole words.

    Words are taken in random order; one that would exceed the count is passed over.

    Args:
      positions: (N,) ascending.
      inner: (N,) bool: the token there belongs to the word of the token at the position before, if that is given too.
      count: at least 1.
      rng: is advanced.
    """
    begins = ~inner
    begins[1:] |= positions[1:] != positions[:-1] + 1
    begins[0] = True
    word = np.cumsum(begins) - 1  # of each position
    sizes = np.bincount(word)
    chosen = np.zeros(len(sizes), bool)
    for number in rng.permutation(len(sizes)):
        if sizes[number] <= count:
            chosen[number] = True
            count -= sizes[number]
        if count == 0:
            break
    return positions[chosen[word]]


def replace_tokens(ids: np.ndarray, mask: int, vocabulary_size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns ids of which 80 % are replaced by `mask` and 10 % by random ids of the whole vocabulary."""
    drawn = rng.random(len(ids))
    random = rng.integers(vocabulary_size, size=len(ids))
    return np.where(drawn < MASKED, mask, np.where(drawn < MASKED + KEPT, ids, random))
