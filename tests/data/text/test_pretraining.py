"""Tests of BERT's pre-training examples of texts: documents, held-out ones, unknown words, and descriptions."""

import json

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.json_files import to_json
from gdl_jax.data.description import describe, described
from gdl_jax.data.text import pretraining
from gdl_jax.data.text.masking import MaskingRecipe
from gdl_jax.data.text.pretraining import load
from gdl_jax.data.text.subword import WORDPIECE_SPECIAL, WordPieceTokenizer

RECIPE = MaskingRecipe(max_length=24, max_predictions=4, duplicates=2)
WORDS = [f"{a}{b}" for a in "bcdfghjklm" for b in "aeiou"]
TOKENIZER = WordPieceTokenizer((*WORDPIECE_SPECIAL, ".", "=", *WORDS))


SENTENCES = ("The <unk> {0} .", "The {0} .", "{0} {0}", "It has 2.5 {0} .")  # of an article of WikiText


def sentence(word, length=4):
    """Returns a sentence of one word, so that examples tell which documents they are of."""
    return " ".join([word] * length) + " ."


def words_of(source):
    """Returns the words in the examples of a split; a mask may hide a document's only ones."""
    rows = source.take(np.arange(len(source)))
    return {TOKENIZER.tokens[one] for one in rows["targets"][rows["weights"] > 0]} & set(WORDS)


@pytest.fixture
def stories(tmp_path):
    """Returns the name of a text of 30 stories with different words, one of them twice."""
    texts = ["\n\n".join(sentence(word).capitalize() for _ in range(3)) for word in [*WORDS[:30], WORDS[0]]]
    (tmp_path / "stories.txt").write_text("\n\n\n\n\n".join(texts))
    return f"text:{tmp_path}/stories.txt"


def test_whole_documents_are_held_out(stories):
    data = load(stories, tokenizer=TOKENIZER, recipe=RECIPE)
    found = {split: words_of(getattr(data, split)) for split in ("train", "validation", "test")}
    assert {split: len(words) for split, words in found.items()} == {"train": 24, "validation": 3, "test": 3}
    assert not found["train"] & (found["validation"] | found["test"])
    assert not found["validation"] & found["test"]


def test_a_batch_has_what_the_network_reads(stories):
    data = load(stories, tokenizer=TOKENIZER, recipe=RECIPE)
    batch = data.transform(data.train.take(np.arange(3)))
    assert batch["mask"].sum(1).tolist() == batch["length"].tolist()
    assert batch["segments"].shape == batch["tokens"].shape == (3, 24)
    assert batch["positions"].shape == batch["targets"].shape == batch["weights"].shape == (3, 4)


def test_paragraphs_are_the_documents_of_a_text_without_stories(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(sentence(word) for word in WORDS[:8]))
    data = load(f"text:{tmp_path}/a.txt", tokenizer=TOKENIZER, recipe=RECIPE)
    assert words_of(data.train) == set(WORDS[:8]) - words_of(data.validation) - words_of(data.test)


def test_lines_are_sentences_as_for_berts_own_program(tmp_path):
    lines = ["ba be bi", "bo bu ca"]  # no marks
    (tmp_path / "a.txt").write_text("\n\n".join("\n".join([*lines, word]) for word in WORDS[8:16]))
    name = f"text:{tmp_path}/a.txt"
    assert pretraining._documents([(tmp_path / "a.txt").read_text()], by_line=True)[0] == [*lines, WORDS[8]]
    train = load(name, tokenizer=TOKENIZER, recipe=RECIPE, by_line=True).train
    assert 0 < train.take(np.arange(len(train)))["is_next"].mean() < 1


def test_wikitext_has_articles_of_sentences_and_unknown_words(tmp_path):
    folder = tmp_path / "wikitext2"
    folder.mkdir()
    article = " \n = {0} = \n \n The <unk> {0} . The {0} . \n \n = = {0} {0} = = \n \n It has 2 @.@ 5 {0} . \n"
    for split, words in (("train", WORDS[:5]), ("valid", WORDS[5:10]), ("test", WORDS[10:15])):
        (folder / f"{split}.txt").write_text("".join(map(article.format, words)))
    documents, note = pretraining._read("wikitext2", str(tmp_path), by_line=False)
    assert note == ""
    assert documents["validation"][0] == [WORDS[5], *(one.format(WORDS[5]) for one in SENTENCES)]
    assert {split: len(texts) for split, texts in documents.items()} == {"train": 5, "validation": 5, "test": 5}
    ids = pretraining._encode(TOKENIZER, "ba <unk> <unk> be")
    assert [TOKENIZER.tokens[one] for one in ids] == ["ba", "[UNK]", "[UNK]", "be"]


def test_wikitext_without_its_training_text_is_split_by_articles(data_dir):
    documents, note = pretraining._read("wikitext2", str(data_dir), by_line=False)
    assert (note == "") == (len(documents["train"]) > 60)
    assert len(documents["test"]) == 60
    assert len(documents["train"]) + len(documents["validation"]) >= 60
    texts = {split: {tuple(document) for document in some} for split, some in documents.items()}
    assert not texts["train"] & (texts["validation"] | texts["test"])


def test_pieces_of_words_are_learned_from_the_training_documents():
    data = load("lady_susan", tokenizer="wordpiece:300", recipe=RECIPE)
    assert data.tokenizer.size == 300
    assert len(data.train) > 5 * len(data.test) > 0


def test_a_description_has_the_tokenizer(stories):
    data = load(stories, tokenizer=TOKENIZER, recipe=RECIPE)
    found = described(json.loads(to_json(describe(data))), load=lambda: data)
    assert found.tokenizer == TOKENIZER
    assert found.example()["positions"].shape == (1, 4)


@pytest.mark.parametrize(
    ("text", "flags", "named"),
    [
        ("ba be .\n\nbi .", {}, "dataset"),
        ("\n\n".join(WORDS), {"tokenizer": "character"}, "tokenizer"),
        ("\n\n".join(WORDS), {"tokenizer": "wordpiece:100000"}, "tokenizer"),
    ],
    ids=["few_documents", "characters", "large_vocabulary"],
)
def test_what_cannot_be_used_is_refused_by_flag(tmp_path, text, flags, named):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ConfigError, match=named):
        load(f"text:{tmp_path}/a.txt", recipe=RECIPE, **{"tokenizer": TOKENIZER} | flags)
