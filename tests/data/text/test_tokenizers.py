"""Tests of tokenizers by characters and words, of the flag's form, and of tokenizers described in JSON."""

import json

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.json_files import to_json
from gdl_jax.data.dataset import ArraySource
from gdl_jax.data.description import describe, described
from gdl_jax.data.text.corpus import Corpus
from gdl_jax.data.text.subword import train_bpe
from gdl_jax.data.text.tokenizers import CharacterTokenizer, make_tokenizer, train_characters, train_words

TEXT = 'He said: "It\'s a café…"\n\nShe said   nothing (at all); he — Émile — said it’s\n'
NAMES = ("character", "word", "word:8", "bpe:260", "wordpiece:41")


def never():
    pytest.fail("the data were loaded")


def rebuilt(tokenizer):
    """Returns a tokenizer made from the JSON of a description."""
    row = ArraySource({"tokens": np.zeros((1, 5), np.int32)})
    described_as = describe(Corpus("x", row, None, tokenizer=tokenizer))
    return described(json.loads(to_json(described_as)), never).tokenizer


@pytest.mark.parametrize("name", NAMES)
def test_all_kinds_are_rebuilt_from_json(name):
    tokenizer = make_tokenizer(name, [TEXT])
    copy = rebuilt(tokenizer)
    ids = tokenizer.encode(TEXT)
    assert copy == tokenizer and copy.size == tokenizer.size and copy.special == tokenizer.special
    assert copy.encode(TEXT).tolist() == ids.tolist() and copy.decode(ids) == tokenizer.decode(ids)
    assert ids.dtype == np.int32 and ids.min() >= 0 and ids.max() < tokenizer.size
    assert tokenizer.decode(ids.tolist()) == tokenizer.decode(ids)
    if name.partition(":")[2]:
        assert tokenizer.size == int(name.partition(":")[2])


@pytest.mark.parametrize("name", ["character", "bpe:260"])
def test_characters_and_bytes_are_decoded_as_they_were(name):
    tokenizer = make_tokenizer(name, [TEXT])
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


def test_characters_are_in_order_of_their_codes():
    tokenizer = train_characters(["ba\n", "Bé東🚀"])
    assert tokenizer == CharacterTokenizer("\nBabé東🚀") and tokenizer.special == {} and tokenizer.size == 7
    assert tokenizer.encode("🚀bB\n").tolist() == [6, 3, 1, 0]
    assert tokenizer.encode("").tolist() == [] and tokenizer.encode("").dtype == np.int32


@pytest.mark.parametrize("unknown", ["z", "\t", "東", "\udcff"])
def test_unknown_characters_have_an_id_only_if_asked_for(unknown):
    with pytest.raises(UserError) as raised:
        train_characters(["abc"]).encode(f"a{unknown}b")
    assert ascii(unknown) in str(raised.value) and "\n" not in str(raised.value)
    tokenizer = train_characters(["abc"], with_unknown=True)
    assert tokenizer.encode(f"a{unknown}b").tolist() == [0, 3, 1] and tokenizer.size == 4
    assert tokenizer.special == {"<unk>": 3} and tokenizer.decode([0, 3, 1]) == "a\ufffdb"


def test_words_are_by_frequency_and_keep_their_case():
    tokenizer = train_words(["The cat\nthe cat, the dog", "The end, the"])
    assert tokenizer.vocabulary.words == ("<unk>", "the", "The", "cat", ",", "\n", "dog", "end")
    assert tokenizer.special == {"<unk>": 0}
    assert tokenizer.encode("The  cow,\n").tolist() == [2, 0, 4, 5]
    assert tokenizer.decode([2, 0, 4, 5, 1, 6]) == "The <unk>,\nthe dog"
    few = train_words(["The cat\nthe cat, the dog", "The end, the"], 3)
    assert few.vocabulary.words == ("<unk>", "the", "The")


def test_joined_words_have_the_same_ids():
    tokenizer = make_tokenizer("word", [TEXT])
    ids = tokenizer.encode(TEXT)
    assert tokenizer.encode(tokenizer.decode(ids)).tolist() == ids.tolist()
    assert {"It's", "it’s", "—", "Émile", "\n"} <= set(tokenizer.vocabulary.words)


def test_words_that_spaces_separate_already():
    text = " A <unk> @-@ B. 's \n \n A C \n"
    tokenizer = make_tokenizer("word", [text], spaced=True)
    assert tokenizer.vocabulary.words == ("<unk>", "\n", "A", "@-@", "B.", "'s", "C")
    assert tokenizer.encode(text).tolist() == [2, 0, 3, 4, 5, 1, 1, 2, 6, 1]
    assert tokenizer.decode(tokenizer.encode(text)) == "A <unk> @-@ B. 's\n\nA C\n"


def test_only_characters_are_of_the_whole_text():
    whole, training = ["aab", "xyz"], ["aab"]
    assert make_tokenizer("character", whole, training).characters == "abxyz"
    assert make_tokenizer("word", whole, training).vocabulary.words == ("<unk>", "aab")
    assert make_tokenizer("bpe:257", whole, training) == train_bpe(training, 257)
    assert make_tokenizer("wordpiece:9", whole, training).tokens[5:] == ("##a", "##b", "a", "b")


def test_paths_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tokenizer = make_tokenizer("bpe:258", ["aaab"] * 9)
    (tmp_path / "12").mkdir()
    (tmp_path / "12" / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokenizer.tokens)}))
    (tmp_path / "12" / "merges.txt").write_text("\n".join(tokenizer.merges))
    monkeypatch.chdir(tmp_path)
    for path in (f"{tmp_path}/12", "~/12", "./12"):
        assert make_tokenizer(f"bpe:{path}", []) == tokenizer


@pytest.mark.parametrize(
    "name", ["", "letter", "bpe", "bpe:", "wordpiece:", "character:5", "word:", "word:x", "word:1", "word:99"]
)
def test_unknown_names_and_impossible_sizes_name_the_flag(name):
    with pytest.raises(ConfigError) as raised:
        make_tokenizer(name, [TEXT])
    assert (raised.value.field, raised.value.value) == ("tokenizer", name) and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["bpe:/absent", "wordpiece:/absent", "bpe:~no_such_user/x", f"bpe:{'9' * 5000}"])
def test_missing_vocabularies_are_one_line(name):
    with pytest.raises(UserError) as raised:
        make_tokenizer(name, [TEXT])
    assert name.partition(":")[2] in str(raised.value) and "\n" not in str(raised.value)
