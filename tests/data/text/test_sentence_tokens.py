"""Tokenizers for translation: vocabularies, byte-pair merges against a plain implementation, special tokens."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.text import phrases
from gdl_jax.data.text.sentence_tokens import (
    END,
    PADDING,
    SPECIAL,
    START,
    UNKNOWN,
    WORD_END,
    make_tokenizers,
    train_joint,
    train_words,
)
from gdl_jax.data.text.sentence_words import cut_coarsely

PAIRS = phrases.make(200, seed=3)
ENGLISH, GERMAN = zip(*PAIRS, strict=True)
BOTH = [*GERMAN, *ENGLISH]


@pytest.fixture(scope="module", params=["word", "bpe:150"])
def tokenizers(request):
    return make_tokenizers(request.param, GERMAN, ENGLISH, ("de", "en"), unknown_below=1)


def test_words_are_in_order_of_frequency():
    tokenizer = train_words(["A dog, a cat.", "a  dog sees a cat", "<unk> no"], "en", unknown_below=2)
    assert tokenizer.vocabulary.words == (*SPECIAL, "a", "dog", "cat")
    assert tokenizer.encode("A cat and a dog.").tolist() == [4, 6, UNKNOWN, 4, 5, UNKNOWN]
    cased = train_words(["A dog", "a dog"], "en", unknown_below=1, lower_case=False)
    assert cased.vocabulary.words == (*SPECIAL, "dog", "A", "a")


def test_special_tokens_are_the_first(tokenizers):
    for tokenizer in tokenizers:
        assert tokenizer.special == {"<pad>": PADDING, "<unk>": UNKNOWN, "<start>": START, "<end>": END}
        assert sorted(tokenizer.special.values()) == [0, 1, 2, 3]


def test_decoding_inverts_encoding(tokenizers):
    for tokenizer, sentences in zip(tokenizers, (GERMAN, ENGLISH), strict=True):
        for sentence in sentences:
            ids = tokenizer.encode(sentence)
            assert ids.dtype == np.int32 and ids.min() >= len(SPECIAL) and ids.max() < tokenizer.size
            assert tokenizer.words_of(ids) == tokenizer.words(sentence)
            assert tokenizer.decode(ids) == sentence.lower()


def test_ids_after_the_end_are_ignored(tokenizers):
    for tokenizer, sentences in zip(tokenizers, (GERMAN, ENGLISH), strict=True):
        ids = tokenizer.encode(sentences[0])
        padded = np.array([START, *ids, END, *ids, PADDING])
        assert tokenizer.words_of(padded) == tokenizer.words(sentences[0])
        assert tokenizer.words_of([START, END]) == [] and tokenizer.decode([]) == ""
        assert tokenizer.encode("").tolist() == []


def test_unknown_text(tokenizers):
    for tokenizer in tokenizers:
        ids = tokenizer.encode("東 montag \udcff")
        assert ids[0] == UNKNOWN and tokenizer.words_of(ids)[0] == "<unk>"
        assert len(tokenizer.words_of(ids)) == 3


def test_merges_are_the_most_frequent_pairs():
    """Each merge is a pair that is as frequent as any other, given the merges before it."""
    tokenizer = train_joint(BOTH, 60)
    counts = Counter(word for line in BOTH for word in cut_coarsely(line.lower()))
    words = {word: [*word[:-1], word[-1] + WORD_END] for word in counts}
    for merge in tokenizer.merges:
        pairs = Counter()
        for word, parts in words.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[word]
        first, second = merge.split(" ")
        assert pairs[first, second] == max(pairs.values())
        words = {word: merged(parts, first, second) for word, parts in words.items()}
    for line in BOTH[:50]:
        expected = [part for word in cut_coarsely(line.lower()) for part in words[word]]
        assert [tokenizer.tokens[number] for number in tokenizer.encode(line)] == expected
    used = Counter(part for word, parts in words.items() for part in parts for _ in range(counts[word]))
    assert set(tokenizer.tokens) == {*SPECIAL, *used}
    frequencies = [used[part] for part in tokenizer.tokens[len(SPECIAL) :]]
    assert frequencies == sorted(frequencies, reverse=True)


def merged(parts, first, second):
    """Returns parts with each `first` before `second` joined to it, from left to right."""
    made = []
    for part in parts:
        if made and made[-1] == first and part == second:
            made[-1] = first + second
        else:
            made.append(part)
    return made


def test_parts_that_no_training_word_has_are_unknown():
    tokenizer = train_joint(["abab abab ab", "abab"], 2)
    assert tokenizer.merges == ("a b", "a b" + WORD_END) or tokenizer.merges == ("a b" + WORD_END, "a b")
    assert set(tokenizer.tokens) == {*SPECIAL, "ab", "ab" + WORD_END}
    assert tokenizer.encode("aab").tolist() == [UNKNOWN, tokenizer.tokens.index("ab" + WORD_END)]


def test_learning_is_the_same_each_time():
    assert train_joint(BOTH, 200) == train_joint(BOTH, 200)


def test_words_of_ends_unfinished_words():
    tokenizer = train_joint(BOTH, 150)
    ids = [number for number in tokenizer.encode("montag elf") if not tokenizer.tokens[number].endswith(WORD_END)]
    assert tokenizer.words_of([*ids[:1], UNKNOWN, *ids[:1]]) == [
        tokenizer.tokens[ids[0]],
        "<unk>",
        tokenizer.tokens[ids[0]],
    ]


@pytest.mark.parametrize("name", ["words", "bpe", "bpe:", "bpe:x", "bpe:-1", "word:", f"bpe:{10**9}", ""])
def test_unknown_names_are_refused(name):
    with pytest.raises(ConfigError, match=f"^tokens={name}: "):
        make_tokenizers(name, GERMAN, ENGLISH, ("de", "en"))


def test_too_many_merges_are_refused():
    with pytest.raises(ConfigError, match=r"^tokens=bpe:9000000: "):
        train_joint(BOTH, 9_000_000)


def test_spacy_cuts_words():
    pytest.importorskip("spacy")
    german, english = make_tokenizers("word:spacy", GERMAN, ENGLISH, ("de", "en"))
    assert english.words("It isn't a T-shirt.") == ["it", "is", "n't", "a", "t", "-", "shirt", "."]
    assert german.words("Kein T-Shirt.") == ["kein", "t-shirt", "."]
    with pytest.raises(UserError, match=r"^tokens=word:spacy: .*qq"):
        train_words(["a"], "qq", by_spacy=True)
