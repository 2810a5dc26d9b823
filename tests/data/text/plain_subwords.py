"""Slow, plain statements of byte-level BPE, of WordPiece and of how both are trained, to compare with."""

import unicodedata
from collections import Counter
from itertools import pairwise

import regex

PRE_TOKENS = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
CHARACTERS = {byte: chr(byte) for byte in PRINTABLE} | {byte: chr(256 + i) for i, byte in enumerate(OTHERS)}
IDEOGRAPHS = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF))  # Chinese, without rare planes


def byte_words(text):
    """Returns the parts of a text within which BPE merges, as tuples of characters for bytes."""
    return [tuple(CHARACTERS[byte] for byte in part.encode()) for part in PRE_TOKENS.findall(text)]


def merged(word, pair, product):
    """Returns a word with every occurrence of a pair replaced, from the left."""
    out, i = [], 0
    while i < len(word):
        both = tuple(word[i : i + 2]) == pair
        out.append(product if both else word[i])
        i += 1 + both
    return tuple(out)


def bpe(text, merges):
    """Returns the tokens of a text: the pair of highest priority is merged until none is left."""
    rank = {pair: place for place, pair in enumerate(merges)}
    tokens = []
    for word in byte_words(text):
        while pairs := [pair for pair in pairwise(word) if pair in rank]:
            pair = min(pairs, key=rank.__getitem__)
            word = merged(word, pair, "".join(pair))
        tokens += word
    return tokens


def learn(words, first, size, prefix=""):
    """Returns (tokens, merges) of BPE's training: the commonest pair is merged; of equal ones, that of lowest ids."""
    counts, tokens, merges = Counter(words), list(first), []
    while len(tokens) < size:
        pairs = Counter()
        for word, count in counts.items():
            for pair in pairwise(word):
                pairs[pair] += count
        if not pairs or max(pairs.values()) < 2:
            break
        pair = min(pairs, key=lambda pair: (-pairs[pair], tokens.index(pair[0]), tokens.index(pair[1])))
        product = pair[0] + pair[1].removeprefix(prefix)
        merges.append(pair)
        if product not in tokens:
            tokens.append(product)
        counts = Counter({merged(word, pair, product): count for word, count in counts.items()})
    return tokens, merges


def _is_punctuation(c):
    return (c.isascii() and c.isprintable() and not c.isalnum()) or unicodedata.category(c)[0] == "P"


def bert_words(text, lower_case=True):
    """Returns a text's words after BERT's normalisation: no control characters, punctuation and ideographs apart."""
    spaced = ""
    for c in text:
        if c in "\t\n\r" or unicodedata.category(c) == "Zs":
            spaced += " "
        elif c not in "\0\ufffd" and unicodedata.category(c) not in ("Cc", "Cf"):
            spaced += f" {c} " if any(a <= ord(c) <= b for a, b in IDEOGRAPHS) else c
    words = []
    for word in spaced.split():
        if lower_case:
            word = "".join(c for c in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(c) != "Mn")
        words += "".join(f" {c} " if _is_punctuation(c) else c for c in word).split()
    return words


def wordpiece(text, vocabulary, lower_case=True):
    """Returns the tokens of a text: of each word, the longest piece from the left, again and again."""
    tokens = []
    for word in bert_words(text, lower_case):
        pieces, rest = [], word
        while rest:
            starts = [("##" if pieces else "") + rest[:n] for n in range(len(rest), 0, -1)]
            if (piece := next((piece for piece in starts if piece in vocabulary), None)) is None:
                break
            pieces.append(piece)
            rest = rest[len(piece.removeprefix("##")) if len(pieces) > 1 else len(piece) :]
        tokens += pieces if not rest and len(word) <= 100 else ["[UNK]"]
    return tokens
