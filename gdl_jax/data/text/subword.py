"""Tokenizers of parts of words: GPT-2's byte-level BPE and BERT's WordPiece, read from files or trained.

The package `tokenizers` does the work. Of a vocabulary, the fields keep only what its files contain.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.extras import extra
from gdl_jax.data.files import first_few
from gdl_jax.data.text.text_files import is_folder, read, read_json, without_surrogates
from gdl_jax.data.text.tokens import join

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

END_OF_TEXT = "<|endoftext|>"
PADDING, UNKNOWN, START, SEPARATOR, MASK = WORDPIECE_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
INNER = "##"  # begins a WordPiece that does not begin a word
LONGEST_WORD = 100  # characters; longer ones are unknown
LEAST_FREQUENCY = 2  # of a pair that training merges
BPE_FILES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))  # of Hugging Face, and of OpenAI
MERGES_HEADER = "#version: 0.2"
WORDPIECE_FILE = "vocab.txt"  # of Hugging Face and of the paper's authors
PIECE = 100_000  # characters that are encoded at once, at least


@dataclass(frozen=True)
class BPETokenizer:
    """Byte-level BPE (Radford et al. 2019); decoding inverts encoding, except for ids that cut a character in two.

    Attributes:
      tokens: bytes as GPT-2's printable characters; the token with id i is tokens[i].
      merges: "A B" in order of priority.
      special_tokens: those of the tokens that no text is encoded to, such as <|endoftext|>.
    """

    tokens: tuple[str, ...]
    merges: tuple[str, ...]
    special_tokens: tuple[str, ...] = (END_OF_TEXT,)

    @property
    def size(self) -> int:
        return len(self.tokens)

    @cached_property
    def special(self) -> Mapping[str, int]:
        return {token: self.tokens.index(token) for token in self.special_tokens}

    @cached_property
    def _engine(self) -> "Engine":
        return _bpe_engine(_numbered(self.tokens), [tuple(merge.split(" ")) for merge in self.merges])

    def encode(self, text: str) -> np.ndarray:
        return _encode(self._engine, text)

    def decode(self, ids: Iterable[int]) -> str:
        return self._engine.decode([int(number) for number in ids], skip_special_tokens=False)

    def files(self) -> dict[str, str]:
        """Returns {name: contents} of the files that `read_bpe` and Hugging Face's GPT2Tokenizer read."""
        vocabulary, merges = BPE_FILES[0]
        return {vocabulary: json.dumps(_numbered(self.tokens)), merges: "\n".join([MERGES_HEADER, *self.merges, ""])}


@dataclass(frozen=True)
class WordPieceTokenizer:
    """WordPiece with BERT's normalisation (Devlin et al. 2019); decoding guesses spaces as for words.

    Attributes:
      tokens: the token with id i is tokens[i]; WORDPIECE_SPECIAL are among them.
      lower_case: texts are encoded in lower case and without accents.
    """

    tokens: tuple[str, ...]
    lower_case: bool = True

    @property
    def size(self) -> int:
        return len(self.tokens)

    @cached_property
    def special(self) -> Mapping[str, int]:
        return {token: self.tokens.index(token) for token in WORDPIECE_SPECIAL}

    @cached_property
    def _engine(self) -> "Engine":
        return _wordpiece_engine(_numbered(self.tokens), self.lower_case)

    def encode(self, text: str) -> np.ndarray:
        return _encode(self._engine, text)

    def encode_with_places(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the ids (N,) int32 of a text, and the first and the end (N, 2) int32 of their characters in it."""
        pieces = list(_pieces(text))
        encodings = self._engine.encode_batch(pieces, add_special_tokens=False)
        starts = np.cumsum([0, *map(len, pieces[:-1])])
        places = [np.array(one.offsets).reshape(-1, 2) + at for one, at in zip(encodings, starts, strict=True)]
        return np.concatenate([np.array(one.ids, np.int32) for one in encodings]), np.concatenate(places).astype(
            "int32"
        )

    def decode(self, ids: Iterable[int]) -> str:
        words: list[str] = []
        for token in (self.tokens[number] for number in ids):
            if token.startswith(INNER) and words:
                words[-1] += token.removeprefix(INNER)
            else:
                words.append(token)
        return join(words, "word")

    def files(self) -> dict[str, str]:
        """Returns {name: contents} of the file that `read_wordpiece` and Hugging Face's BertTokenizer read."""
        return {WORDPIECE_FILE: "\n".join([*self.tokens, ""])}


def _numbered(tokens: Iterable[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens)}


def _bpe_engine(numbers: Mapping[str, int], merges: Sequence[tuple[str, ...]]) -> "Engine":
    with extra("text"):
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    engine = Tokenizer(models.BPE(dict(numbers), list(merges)))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    return engine


def _wordpiece_engine(numbers: Mapping[str, int], lower_case: bool) -> "Engine":
    with extra("text"):
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    model = models.WordPiece(dict(numbers), unk_token=UNKNOWN, max_input_chars_per_word=LONGEST_WORD)
    engine = Tokenizer(model)
    engine.normalizer = normalizers.BertNormalizer(lowercase=lower_case)
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return engine


def _encode(engine: "Engine", text: str) -> np.ndarray:
    encodings = engine.encode_batch_fast(list(_pieces(text)), add_special_tokens=False)
    return np.concatenate([np.zeros(0, np.int32), *(np.array(one.ids, np.int32) for one in encodings)])


def _pieces(text: str) -> Iterator[str]:
    """Yields a text in pieces, cut before newlines after a visible character, where no token goes on in either kind.

    Surrogates become question marks.
    """
    text = without_surrogates(text)
    start = 0
    for match in re.finditer(r"(?<=\S)(?=\n)", text):
        if match.start() - start >= PIECE:
            yield text[start : match.start()]
            start = match.start()
    yield text[start:]


def check_size(kind: str, size: int, made: int) -> None:
    """Checks that a vocabulary made from a text has the size asked for.

    Raises:
      ConfigError: it is smaller or larger; names tokenizer.
    """
    if made < size:
        raise ConfigError("tokenizer", f"{kind}:{size}", f"the training text gives only {made:,} tokens")
    if made > size:
        few = f"needs at least {made:,} tokens, for the special ones and the single characters"
        raise ConfigError("tokenizer", f"{kind}:{size}", few)


def train_bpe(texts: Iterable[str], size: int) -> BPETokenizer:
    """Returns byte-level BPE with `size` tokens: the bytes, merges learned from the texts, and <|endoftext|>, the last.

    Raises:
      UserError: the texts give fewer tokens; the package `tokenizers` is not installed.
    """
    alphabet = _byte_characters()
    with extra("text"):
        from tokenizers import trainers
    texts = list(texts)
    trainer = trainers.BpeTrainer(
        vocab_size=_bounded(size - 1, texts),
        min_frequency=LEAST_FREQUENCY,
        show_progress=False,
        initial_alphabet=sorted(alphabet),
    )
    model = _trained(_bpe_engine({}, []), texts, trainer)
    tokens = (*model["vocab"], END_OF_TEXT)
    check_size("bpe", size, len(tokens))
    return BPETokenizer(tokens, tuple(map(" ".join, model["merges"])))


def train_wordpiece(texts: Iterable[str], size: int) -> WordPieceTokenizer:
    """Returns lower-case WordPiece with `size` tokens: the special ones, the characters, and merges of them.

    Pairs are merged in order of frequency, as for BPE.

    Raises:
      UserError: the texts give fewer tokens, or more characters; the package `tokenizers` is not installed.
    """
    engine = _wordpiece_engine({UNKNOWN: 0}, lower_case=True)
    with extra("text"):
        from tokenizers import trainers
    texts = list(texts)
    # The trainer numbers characters within words in the random order of a hash table, and thereby chooses among
    # equally frequent pairs. Named as special tokens, they have an order.
    inner = {character for text in texts for word in _bare_words(engine, text) for character in word[1:]}
    trainer = trainers.WordPieceTrainer(
        vocab_size=_bounded(size, texts),
        min_frequency=LEAST_FREQUENCY,
        show_progress=False,
        special_tokens=[*WORDPIECE_SPECIAL, *(INNER + character for character in sorted(inner))],
    )
    tokens = tuple(_trained(engine, texts, trainer)["vocab"])
    check_size("wordpiece", size, len(tokens))
    return WordPieceTokenizer(tokens)


def _byte_characters() -> set[str]:
    """Returns the 256 characters that stand for bytes."""
    with extra("text"):
        from tokenizers import pre_tokenizers
    return set(pre_tokenizers.ByteLevel.alphabet())


def _bounded(size: int, texts: Sequence[str]) -> int:
    """Returns a size that is not beyond what texts can give: trainers reserve memory for all tokens asked for."""
    return min(max(size, 0), 1000 + 4 * sum(map(len, texts)))


def _bare_words(engine: "Engine", text: str) -> set[str]:
    """Returns the different words of a text after normalisation."""
    cut = (engine.pre_tokenizer.pre_tokenize_str(engine.normalizer.normalize_str(piece)) for piece in _pieces(text))
    return {word for words in cut for word, _ in words}


def _trained(engine: "Engine", texts: Iterable[str], trainer: Any) -> dict[str, Any]:
    """Trains an engine; returns its model's JSON, with the vocabulary in order of ids."""
    engine.train_from_iterator((piece for text in texts for piece in _pieces(text)), trainer)
    model = json.loads(engine.to_str())["model"]
    return model | {"vocab": sorted(model["vocab"], key=model["vocab"].__getitem__)}


def read_bpe(folder: Path) -> BPETokenizer:
    """Reads GPT-2's files: vocab.json and merges.txt (Hugging Face), or encoder.json and vocab.bpe (OpenAI).

    Raises:
      UserError: a file is missing or damaged, or they do not belong together; the package is not installed.
    """
    if not is_folder(folder):
        raise UserError(f"{folder}: no such folder with {' and '.join(BPE_FILES[0])}")
    vocabulary, merges = next((names for names in BPE_FILES if (folder / names[0]).exists()), BPE_FILES[0])
    numbers = read_json(folder / vocabulary)
    tokens = _in_order(folder / vocabulary, numbers)
    pairs = _read_merges(folder / merges, numbers, vocabulary)
    made = {"".join(pair) for pair in pairs}
    alphabet = _byte_characters()
    if lacking := sorted(alphabet - set(tokens)):
        raise UserError(f"{folder / vocabulary}: lacks bytes: {first_few(lacking, ', ')}")
    special = [token for token in tokens if token not in made and token not in alphabet]
    if strange := [token for token in special if not re.fullmatch(r"<.+>|\[.+\]", token)]:
        listed = first_few([ascii(token) for token in strange], ", ")
        raise UserError(f"{folder / merges}: of another vocabulary, or cut off: no merge gives {listed}")
    return BPETokenizer(tokens, tuple(map(" ".join, pairs)), tuple(special))


def _in_order(path: Path, numbers: Any) -> tuple[str, ...]:
    """Returns the tokens of {token: id} in the order of ids 0, 1, 2, ..."""
    if not isinstance(numbers, dict) or not all(type(number) is int for number in numbers.values()):
        raise UserError(f"{path}: is not a JSON object of integers, {{token: id}}")
    if strange := [token for token in numbers if not token or re.search("[\ud800-\udfff]", token)]:
        raise UserError(f"{path}: {strange[0][:40]!a} is not a token")
    tokens = sorted(numbers, key=numbers.__getitem__)
    for place, token in enumerate(tokens):
        if numbers[token] != place:
            repeated = place and numbers[token] == numbers[tokens[place - 1]]
            fault = f"id {numbers[token]} is given twice" if repeated else f"id {place} is missing"
            raise UserError(f"{path}: {fault}; ids must be 0 to {len(tokens) - 1:,}")
    return tuple(tokens)


def _read_merges(path: Path, numbers: Mapping[str, int], vocabulary: str) -> list[tuple[str, str]]:
    """Returns the pairs of a file with a line "A B" for each, whose parts and results are in the vocabulary."""
    pairs = []
    for number, line in enumerate(read(path).split("\n"), start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        parts = line.rstrip(" ").split(" ")
        if len(parts) != 2:
            raise UserError(f"{path}: line {number}: {line[:40]!a} is not a pair of tokens")
        if lacking := [token for token in (*parts, "".join(parts)) if token not in numbers]:
            other = f"{vocabulary} lacks {lacking[0][:40]!a}, so it is of another vocabulary"
            raise UserError(f"{path}: line {number}: {other}")
        pairs.append((parts[0], parts[1]))
    return pairs


def read_wordpiece(path: Path) -> WordPieceTokenizer:
    """Reads BERT's vocab.txt, with a token in each line, from the file or its folder; one with capitals is cased.

    Raises:
      UserError: the file is missing or damaged, or lacks special tokens.
    """
    path = path / WORDPIECE_FILE if is_folder(path) else path
    lines = [line.strip(" \t") for line in read(path).rstrip("\n").split("\n")]
    first: dict[str, int] = {}
    for number, token in enumerate(lines, start=1):
        if not token:
            raise UserError(f"{path}: line {number}: is empty, so that later tokens have doubtful ids")
        if first.setdefault(token, number) != number:
            raise UserError(f"{path}: line {number}: {token[:40]!a} is in line {first[token]} already")
    if lacking := [token for token in WORDPIECE_SPECIAL if token not in first]:
        raise UserError(f"{path}: is not a vocabulary of WordPieces: lacks {', '.join(lacking)}")
    cased = any(re.search("[A-Z]", token) for token in lines if not re.fullmatch(r"\[.+\]", token))
    return WordPieceTokenizer(tuple(lines), lower_case=not cased)
