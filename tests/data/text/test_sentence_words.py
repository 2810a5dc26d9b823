"""Cutting sentences into words and joining them: sentences cut by hand and by spaCy, and published counts."""

import gzip
from collections import Counter

import pytest

from gdl_jax.data.text.sentence_words import cut_coarsely, cut_finely, join
from tests.data.text.marked_words import WORDS

FINE = [  # (language, sentence, words) the first eight as spaCy 3.8 cuts them
    ("en", "A man isn’t in his T-shirt, it's (very) old!", "A man is n’t in his T - shirt , it 's ( very ) old !"),
    ("en", "They cannot read Mr. Brown's sign ...", "They can not read Mr. Brown 's sign ..."),
    ("en", "The 2nd K-9 dog pays $2.50 at 10:30.", "The 2nd K-9 dog pays $ 2.50 at 10:30 ."),
    ("en", 'A U.S. flag says "Go!" - twice', 'A U.S. flag says " Go ! " - twice'),
    ("de", "Ein Mann, z.B. im T-Shirt, geht.", "Ein Mann , z.B. im T-Shirt , geht ."),
    ("de", "Obst- und Gemüsehändler am 3. Stand", "Obst- und Gemüsehändler am 3. Stand"),
    ("de", "Die „Stop“-Tafel bei McDonald's.", "Die „ Stop“-Tafel bei McDonald's ."),
    ("de", "Er hat 2,5 bzw. 3 Äpfel.", "Er hat 2,5 bzw. 3 Äpfel ."),
    ("fr", "L'été, c'est 3,5 degrés.", "L ' été , c ' est 3,5 degrés ."),
]


@pytest.mark.parametrize(("language", "sentence", "words"), FINE)
def test_fine_words(language, sentence, words):
    assert cut_finely(sentence, language) == words.split(" ")


@pytest.mark.parametrize(("language", "sentence", "words"), FINE[:8])
def test_fine_words_are_spacys(language, sentence, words):
    spacy = pytest.importorskip("spacy")
    assert [token.text for token in spacy.blank(language)(sentence)] == words.split(" ")


def test_unusual_white_space_is_a_word():
    assert cut_finely(" a  b\xa0c \n", "en") == ["a", " ", "b", "\xa0", "c"]
    assert cut_coarsely(" a  b\xa0c \n") == ["a", "b", "c"]


def test_coarse_words():
    sentence = "a man isn't in his t-shirt , he's at mr. brown's 10:30 ( 2.50 ) show ..."
    words = "a man isn 't in his t-shirt , he 's at mr. brown 's 10:30 ( 2.50 ) show ..."
    assert cut_coarsely(sentence) == words.split()
    assert " ".join(cut_coarsely("die „stop“-tafel, am 3. stand.")) == "die „ stop “ -tafel , am 3. stand ."


@pytest.mark.parametrize("script", WORDS)
def test_marks_do_not_cut_words(script):
    words = WORDS[script].split()
    for language in ("de", "en", "xx"):
        assert cut_finely(WORDS[script], language) == words
    assert cut_coarsely(WORDS[script]) == words


READABLE = [
    ("en", "A man isn't in his T-shirt, it's (very) old!"),
    ("en", 'They read "Go home!" and "Stop", didn\'t they?'),
    ("en", "It costs 50% at and/or near McDonald’s ..."),
    ("de", "Die „Stop“-Tafel steht im Obst- und Gemüsegeschäft, usw."),
    ("de", "Er sagt: «Ja, um 10:30 Uhr!» Der 3. Mann sagt nichts."),
]


@pytest.mark.parametrize(("language", "sentence"), READABLE)
def test_joining_inverts_cutting(language, sentence):
    expected = sentence.replace(" ...", "...")
    assert join(cut_finely(sentence, language), language, fine=True) == expected
    assert join(cut_coarsely(sentence), language, fine=False) == expected


def test_joined_hyphens():
    words = ["a", "T", "-", "shirt"]
    assert join(words, "en", fine=True) == "a T-shirt"
    assert join(words, "en", fine=False) == join(words, "de", fine=True) == "a T - shirt"
    assert join([], "de", fine=True) == ""


def _lines(data_dir, split, language):
    with gzip.open(data_dir / "multi30k" / f"{split}.{language}.gz", "rt", encoding="utf-8") as file:
        return file.read().removesuffix("\n").split("\n")


@pytest.mark.parametrize(("language", "frequent", "coarse"), [("de", 7849, 360_755), ("en", 5889, 377_523)])
def test_words_of_multi30k(data_dir, language, frequent, coarse):
    """bentrevett/pytorch-seq2seq: 7,853 German and 5,893 English tokens, four special ones among them."""
    lines = _lines(data_dir, "train", language)
    counts = Counter(word.lower() for line in lines for word in cut_finely(line, language))
    assert sum(count >= 2 for count in counts.values()) == frequent
    assert sum(len(cut_coarsely(line.lower())) for line in lines) == coarse


@pytest.mark.parametrize("language", ["de", "en"])
def test_sentences_of_multi30k_are_restored(data_dir, language):
    lines = [line.strip() for line in _lines(data_dir, "test_2016_flickr", language)]
    fine = [join(cut_finely(line, language), language, fine=True) for line in lines]
    coarse = [join(cut_coarsely(line), language, fine=False) for line in lines]
    for joined in (fine, coarse):
        assert sum(a == b for a, b in zip(joined, lines, strict=True)) >= 993
