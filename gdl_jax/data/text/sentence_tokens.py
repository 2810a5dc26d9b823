"""Tokenizers of sentences for translation: words of each language, or parts of words that both languages share.

With Multi30k, "word" gives the vocabularies of bentrevett/pytorch-seq2seq: 7,853 German and 5,893 English tokens, the
special ones included. "bpe:10000" follows LividWo/Revisit-MMT: 9,749 tokens for both languages, published: 9,712.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.extras import extra
from gdl_jax.data.text.sentence_words import cut_coarsely, cut_finely, join
from gdl_jax.data.text.text_files import without_surrogates
from gdl_jax.data.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

TOKENS = {
    "word": "the training sentences' words, cut as by spaCy; a vocabulary for each language",
    "word:spacy": "the same, cut by spaCy itself",
    "bpe:MERGES": "parts of words, by byte-pair merges learned from both languages; one vocabulary",
}
PADDING, UNKNOWN, START, END = range(4)
SPECIAL = ("<pad>", "<unk>", "<start>", "<end>")
WORD_END = "</w>"  # ends the last part of a word
LEAST_FREQUENCY = 2  # of a pair that is merged


class SentenceTokenizer(Protocol):
    """Form of both tokenizers: frozen dataclasses. Ids are 0 to size - 1, of which SPECIAL have the first four."""

    @property
    def size(self) -> int:
        """Number of ids."""

    @property
    def special(self) -> Mapping[str, int]:
        """Ids of SPECIAL; `encode` only gives that of <unk>."""

    def words(self, text: str) -> list[str]:
        """Returns the words and punctuation marks of a sentence: a reference for BLEU."""

    def encode(self, text: str) -> np.ndarray:
        """Returns the ids (N,) int32 of a sentence, without start and end."""

    def words_of(self, ids: Iterable[int]) -> list[str]:
        """Returns the words of ids up to the end token, without start and padding: a hypothesis for BLEU."""

    def decode(self, ids: Iterable[int]) -> str:
        """Returns these words as readable text."""


def _special() -> dict[str, int]:
    return {token: number for number, token in enumerate(SPECIAL)}


def _meant(ids: Iterable[int]) -> list[int]:
    """Returns the ids before the end token, without start and padding."""
    return [int(number) for number in takewhile(lambda number: number != END, ids) if number not in (START, PADDING)]


@dataclass(frozen=True)
class WordTokenizer:
    """Ids of words and punctuation marks of one language.

    Attributes:
      vocabulary: begins with SPECIAL.
      language: such as "de"; decides how words are cut.
      by_spacy: spaCy cuts the words, instead of `sentence_words.cut_finely`.
      lower_case: words are in lower case.
    """

    vocabulary: Vocabulary
    language: str
    by_spacy: bool = False
    lower_case: bool = True

    @property
    def size(self) -> int:
        return len(self.vocabulary)

    @property
    def special(self) -> Mapping[str, int]:
        return _special()

    def words(self, text: str) -> list[str]:
        return _cutter(self.language, self.by_spacy, self.lower_case)(text)

    def encode(self, text: str) -> np.ndarray:
        return self.vocabulary.encode(self.words(text))

    def words_of(self, ids: Iterable[int]) -> list[str]:
        return self.vocabulary.decode(_meant(ids))

    def decode(self, ids: Iterable[int]) -> str:
        return join(self.words_of(ids), self.language, fine=True)


@dataclass(frozen=True)
class JointTokenizer:
    """Ids of parts of words, by byte-pair merges of characters (Sennrich et al. 2016), for both languages.

    The last part of a word ends in </w>.

    Attributes:
      tokens: SPECIAL, then all parts that occur in the training sentences; the part with id i is tokens[i].
      characters: from which merging begins; others are unknown.
      merges: "A B" in order of priority.
      lower_case: words are in lower case.
    """

    tokens: tuple[str, ...]
    characters: tuple[str, ...]
    merges: tuple[str, ...]
    lower_case: bool = True

    @property
    def size(self) -> int:
        return len(self.tokens)

    @property
    def special(self) -> Mapping[str, int]:
        return _special()

    @cached_property
    def _parts(self) -> tuple["Engine", np.ndarray]:
        """The engine, and our id of each of its own; merges that no training sentence ends with are unknown."""
        engine = _engine(self.characters, self.merges)
        known = {token: number for number, token in enumerate(self.tokens)}
        parts = engine.get_vocab()
        return engine, np.array([known.get(part, UNKNOWN) for part in sorted(parts, key=parts.__getitem__)], np.int32)

    def words(self, text: str) -> list[str]:
        return _coarse_words(text, self.lower_case)

    def encode(self, text: str) -> np.ndarray:
        engine, numbers = self._parts
        return numbers[np.array(engine.encode(_line(self.words(text))).ids, np.int64)]

    def words_of(self, ids: Iterable[int]) -> list[str]:
        parts = (WORD_END + SPECIAL[i] + WORD_END if i == UNKNOWN else self.tokens[i] for i in _meant(ids))
        return [word for word in "".join(parts).split(WORD_END) if word]

    def decode(self, ids: Iterable[int]) -> str:
        return join(self.words_of(ids), "", fine=False)


@cache
def _cutter(language: str, by_spacy: bool, lower_case: bool) -> Callable[[str], list[str]]:
    """Returns the function that cuts a sentence into words."""
    cut = _spacy_cutter(language) if by_spacy else lambda text: cut_finely(text, language)
    return (lambda text: [word.lower() for word in cut(text)]) if lower_case else cut


def _spacy_cutter(language: str) -> Callable[[str], list[str]]:
    with extra("spacy"):
        import spacy
    try:
        tokenizer = spacy.blank(language).tokenizer
    except ImportError as error:
        raise ConfigError("tokens", "word:spacy", f"spaCy cannot cut the language {language}") from error
    return lambda text: [token.text for token in tokenizer(text.strip())]


def _coarse_words(text: str, lower_case: bool) -> list[str]:
    return cut_coarsely(text.lower() if lower_case else text)


def _line(words: Iterable[str]) -> str:
    """Returns words separated by spaces; surrogates become question marks."""
    return without_surrogates(" ".join(words))


def _engine(characters: Sequence[str], merges: Sequence[str]) -> "Engine":
    with extra("text"):
        from tokenizers import Tokenizer, models, pre_tokenizers
    pairs = [tuple(merge.split(" ")) for merge in merges]
    parts = dict.fromkeys((SPECIAL[UNKNOWN], *characters, *("".join(pair) for pair in pairs)))
    numbers = {part: number for number, part in enumerate(parts)}
    engine = Tokenizer(models.BPE(numbers, pairs, unk_token=SPECIAL[UNKNOWN], end_of_word_suffix=WORD_END))
    engine.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return engine


def train_words(
    texts: Iterable[str], language: str, *, unknown_below: int = 2, by_spacy: bool = False, lower_case: bool = True
) -> WordTokenizer:
    """Returns the tokenizer of the words of sentences, by descending frequency.

    Args:
      texts: the training sentences of one language.
      language: such as "de".
      unknown_below: words that occur fewer times than this are unknown.
      by_spacy, lower_case: as WordTokenizer's.

    Raises:
      UserError: spaCy is not installed or cannot cut the language.
    """
    cut = _cutter(language, by_spacy, lower_case)
    counts = Counter(word for text in texts for word in cut(text))
    kept = [word for word, count in counts.most_common() if count >= unknown_below and word not in SPECIAL]
    return WordTokenizer(Vocabulary((*SPECIAL, *kept), UNKNOWN), language, by_spacy, lower_case)


def train_joint(texts: Iterable[str], merges: int, *, lower_case: bool = True) -> JointTokenizer:
    """Returns the tokenizer of parts of words, by descending frequency.

    Args:
      texts: the training sentences of both languages.
      merges: number of merges to learn.
      lower_case: as JointTokenizer's.

    Raises:
      UserError: the sentences give fewer merges; the package `tokenizers` is not installed.
    """
    lines = [_line(_coarse_words(text, lower_case)) for text in texts]
    characters = sorted(
        {letter for line in lines for word in line.split() for letter in (*word[:-1], word[-1] + WORD_END)}
    )
    learned = _learn(lines, characters, merges)
    if len(learned) < merges:
        few = f"the training sentences give only {len(learned):,} merges"
        raise ConfigError("tokens", f"bpe:{merges}", few)
    engine = _engine(characters, learned)
    counts = Counter(part for line in lines for part in engine.encode(line).tokens)
    return JointTokenizer(
        (*SPECIAL, *(part for part, _ in counts.most_common())), tuple(characters), tuple(learned), lower_case
    )


def _learn(lines: Sequence[str], characters: Sequence[str], merges: int) -> list[str]:
    """Returns the first `merges` merges "A B", or all if there are fewer.

    The trainer counts tokens: characters within and at the end of words, and merges, of which several may give the same
    token; hence it is asked for more than enough. It would number characters in the random order of a hash table, and
    thereby choose among equally frequent pairs; named as special tokens, they have an order.
    """
    with extra("text"):
        from tokenizers import trainers
    most = min(merges, sum(map(len, lines)))  # the trainer reserves memory for all that it is asked for
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(characters) + most + most // 20,
        min_frequency=LEAST_FREQUENCY,
        show_progress=False,
        end_of_word_suffix=WORD_END,
        special_tokens=list(characters),
    )
    engine = _engine(characters, ())
    engine.train_from_iterator(lines, trainer)
    pairs = json.loads(engine.to_str())["model"]["merges"]
    return [" ".join(pair) for pair in pairs[:merges]]


def make_tokenizers(
    name: str,
    sources: Sequence[str],
    targets: Sequence[str],
    languages: tuple[str, str],
    *,
    unknown_below: int = 2,
    lower_case: bool = True,
) -> tuple[SentenceTokenizer, SentenceTokenizer]:
    """Returns the tokenizers of the source and of the target; equal ones if they share a vocabulary.

    Args:
      name: one of TOKENS, with a number for MERGES.
      sources, targets: the training sentences.
      languages: of the source and of the target.
      unknown_below: words that occur fewer times than this are unknown; not for parts of words.
      lower_case: words are in lower case.

    Raises:
      UserError: unknown name; too many merges; a package is not installed.
    """
    if name in ("word", "word:spacy"):
        options = {"unknown_below": unknown_below, "by_spacy": name == "word:spacy", "lower_case": lower_case}
        return train_words(sources, languages[0], **options), train_words(targets, languages[1], **options)
    kind, _, number = name.partition(":")
    if kind == "bpe" and number.isdecimal() and len(number) < 8:
        tokenizer = train_joint([*sources, *targets], int(number), lower_case=lower_case)
        return tokenizer, tokenizer
    raise ConfigError("tokens", name, f"unknown; choose one of {', '.join(TOKENS)}")
