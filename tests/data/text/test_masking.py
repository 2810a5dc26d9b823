"""Tests of BERT's pre-training examples: pairs, truncation, chosen tokens and what replaces them."""

import dataclasses

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.text.bert_rows import SpecialIds
from gdl_jax.data.text.masking import MaskingRecipe, choose_positions, make_examples, make_pairs, truncate

SPECIAL = SpecialIds(padding=0, start=1, separator=2, mask=3)
SIZE = 1000  # of the vocabulary; ids of texts begin at 10


class Scripted:
    """Generator whose draws are given beforehand as (method, value)."""

    def __init__(self, *draws):
        self.draws = list(draws)

    def __getattr__(self, method):
        def draw(*args, **kwargs):
            expected, value = self.draws.pop(0)
            assert expected == method, (expected, method, args, kwargs)
            return np.array(value) if isinstance(value, list) else value

        return draw


def documents(rng, count=30, sentences=(1, 12), words=(1, 25), first=10):
    """Returns random documents of ids, as lists of arrays."""
    return [
        [rng.integers(first, SIZE, rng.integers(*words)).astype(np.int32) for _ in range(rng.integers(*sentences))]
        for _ in range(count)
    ]


def examples(texts, recipe, seed=0, continues=None):
    continues = np.zeros(SIZE, bool) if continues is None else continues
    return make_examples(texts, SPECIAL, continues, recipe, np.random.default_rng(seed)).arrays


def restored(rows):
    """Returns the tokens before masking, without padding, of each row."""
    texts = []
    for row in range(len(rows["tokens"])):
        tokens, known = rows["tokens"][row].copy(), rows["weights"][row] > 0
        tokens[rows["positions"][row][known]] = rows["targets"][row][known]
        texts.append(tokens[: rows["length"][row]])
    return texts


def test_an_example_worked_by_hand():
    """Two documents in examples of at most 10 tokens, 7 without special ones."""
    texts = [[[10, 11], [12, 13, 14], [15], [16, 17]], [[20, 21], [22], [23, 24, 25, 26]]]
    texts = [[np.array(sentence, np.int32) for sentence in document] for document in texts]
    recipe = MaskingRecipe(max_length=10, max_predictions=3, masked_share=0.2, short_share=0.1, duplicates=1)
    rng = Scripted(
        ("random", 0.5),  # document 0: not short, chunks of 7 tokens
        ("integers", 1),  # chunk 10 to 17 (all: 10..15 are only 6): A is one sentence, 10 11
        ("random", 0.4),  # B is random: at least 7 - 2 tokens
        ("integers", 0),  # from the other document
        ("integers", 1),  # from its second sentence on: 22, 23 24 25 26
        ("integers", 2),  # the chunk begins again, at 12 (6 tokens, so with 16 17): A is 12 13 14 15
        ("random", 0.5),  # B is next: 16 17; nothing to truncate
        ("random", 0.05),  # document 1: short,
        ("integers", 2),  # in chunks of 2 tokens: 20 21, which is one sentence, so that B is random
        ("integers", 0),
        ("integers", 0),  # 10 11, at least 2 - 2 tokens
        ("integers", 1),  # chunk 22, 23..26: A is 22,
        ("random", 0.9),  # B is next, 23..26
        ("permutation", [3, 0, 1, 2]),  # order of examples
        # [CLS] 22 [SEP] 23 24 25 26 [SEP]: 8 tokens, round(1.6) = 2 of positions 1, 3, 4, 5, 6
        ("permutation", [4, 0, 1, 2, 3]),  # 26 and 22
        ("random", [0.79, 0.81]),  # 22 becomes [MASK], 26 stays
        ("integers", [500, 501]),
        # [CLS] 10 11 [SEP] 22 23 24 25 26 [SEP]: 10 tokens, 2 of positions 1, 2, 4..8
        ("permutation", [1, 5, 0, 2, 3, 4, 6]),  # 11 and 25
        ("random", [0.91, 0.0]),  # 11 becomes random, 25 [MASK]
        ("integers", [502, 503]),
        # [CLS] 12 13 14 15 [SEP] 16 17 [SEP]: 9 tokens, round(1.8) = 2
        ("permutation", [0, 1, 2, 3, 4, 5]),  # 12 and 13
        ("random", [0.0, 0.0]),
        ("integers", [504, 505]),
        # [CLS] 20 21 [SEP] 10 11 [SEP]: 7 tokens, round(1.4) = 1
        ("permutation", [2, 0, 1, 3]),  # 10
        ("random", [0.95]),
        ("integers", [506]),
    )
    rows = make_examples(texts, SPECIAL, np.zeros(SIZE, bool), recipe, rng).arrays
    assert not rng.draws
    assert rows["tokens"].tolist() == [
        [1, 3, 2, 23, 24, 25, 26, 2, 0, 0],
        [1, 10, 502, 2, 22, 23, 24, 3, 26, 2],
        [1, 3, 3, 14, 15, 2, 16, 17, 2, 0],
        [1, 20, 21, 2, 506, 11, 2, 0, 0, 0],
    ]
    assert rows["segments"].tolist() == [
        [0, 0, 0, 1, 1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0, 1, 1, 1, 0],
        [0, 0, 0, 0, 1, 1, 1, 0, 0, 0],
    ]
    assert rows["length"].tolist() == [8, 10, 9, 7]
    assert rows["positions"].tolist() == [[1, 6, 0], [2, 7, 0], [1, 2, 0], [4, 0, 0]]
    assert rows["targets"].tolist() == [[22, 26, 0], [11, 25, 0], [12, 13, 0], [10, 0, 0]]
    assert rows["weights"].tolist() == [[1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert rows["is_next"].tolist() == [1, 0, 1, 0]
    assert {name: array.dtype for name, array in rows.items()} == {
        name: np.float32 if name == "weights" else np.int32 for name in rows
    }


def test_shares_of_masked_kept_and_random_tokens():
    rows = examples(documents(np.random.default_rng(1)), MaskingRecipe(duplicates=20))
    known = rows["weights"] > 0
    shown = np.take_along_axis(rows["tokens"], rows["positions"], axis=1)[known]
    targets = rows["targets"][known]
    share = {"mask": shown == SPECIAL.mask, "kept": shown == targets}
    share["random"] = ~(share["mask"] | share["kept"])
    tolerance = 4 * np.sqrt(0.8 * 0.2 / len(targets))
    assert len(targets) > 5000
    for name, expected in (("mask", 0.8), ("kept", 0.1), ("random", 0.1)):
        assert abs(share[name].mean() - expected) < tolerance, name
    drawn = shown[share["random"]]
    assert (drawn < 10).any() and abs(drawn.mean() - SIZE / 2) < 4 * SIZE / np.sqrt(12 * len(drawn))


@pytest.mark.parametrize(
    ("length", "count"), [(5, 1), (9, 1), (10, 2), (30, 4), (50, 8), (128, 19), (133, 20), (512, 20)]
)
def test_the_number_of_predictions_rounds_halves_to_even(length, count):
    assert MaskingRecipe().predictions(length) == count
    assert dataclasses.replace(MaskingRecipe(), max_predictions=3).predictions(length) == min(3, count)


def test_each_example_predicts_fifteen_per_cent_of_its_text():
    recipe = MaskingRecipe(max_length=64, duplicates=2)
    rows = examples(documents(np.random.default_rng(2)), recipe)
    for row, length in enumerate(rows["length"]):
        count = recipe.predictions(int(length))
        assert rows["weights"][row].tolist() == [1.0] * count + [0.0] * (20 - count)
        places = rows["positions"][row][:count]
        assert (np.diff(places) > 0).all() and places[0] >= 1 and places[-1] < length - 1
        assert not rows["positions"][row][count:].any() and not rows["targets"][row][count:].any()
        assert (rows["targets"][row][:count] >= 10).all()  # no special token
    share = rows["weights"].sum() / rows["length"].sum()
    assert abs(share - 0.15) < 0.01
    texts = restored(rows)
    assert all((text[[0, -1]] == [1, 2]).all() and (text == 2).sum() == 2 for text in texts)
    assert all((text[1:] >= 10)[text[1:] != 2].all() for text in texts)


def test_all_positions_are_equally_likely():
    rng = np.random.default_rng(0)
    counts = np.zeros(12)
    positions = np.arange(3, 15)
    for _ in range(3000):
        chosen = choose_positions(positions, np.zeros(12, bool), 3, rng)
        assert len(chosen) == 3
        counts[chosen - 3] += 1
    assert np.abs(counts / 3000 - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 3000)


def test_whole_words_are_chosen_or_passed_over():
    positions = np.array([1, 2, 3, 4, 7, 8, 9])
    inner = np.array([1, 0, 1, 1, 1, 0, 1], bool)  # words 1, 2-4, 7 (after a gap), 8-9
    words = [{1}, {2, 3, 4}, {7}, {8, 9}]
    seen = set()
    for seed in range(200):
        chosen = set(choose_positions(positions, inner, 4, np.random.default_rng(seed)).tolist())
        assert len(chosen) == 4 and all(word <= chosen or not word & chosen for word in words)
        seen.add(frozenset(chosen))
    assert seen == {frozenset({1, 2, 3, 4}), frozenset({2, 3, 4, 7}), frozenset({1, 7, 8, 9})}
    assert not len(choose_positions(positions[1:4], inner[1:4], 2, np.random.default_rng(0)))


def test_examples_with_whole_words():
    continues = np.arange(SIZE) % 3 == 2
    texts = documents(np.random.default_rng(3))
    continues[SPECIAL.separator] = False
    split = {}  # pieces that are chosen without the one before, or the other way round
    for whole in (True, False):
        rows = examples(texts, MaskingRecipe(whole_words=whole, duplicates=1), continues=continues)
        split[whole] = 0
        for row, text in enumerate(restored(rows)):
            chosen = np.isin(np.arange(len(text)), rows["positions"][row][rows["weights"][row] > 0])
            inner = continues[text[1:]] & (text[:-1] >= 10)
            split[whole] += ((chosen[1:] != chosen[:-1]) & inner).sum()
        assert abs(rows["weights"].sum() / rows["length"].sum() - 0.15) < 0.01
    assert split[True] == 0 and split[False] > 100


def plain_truncation(first, second, most):
    """Returns the lengths after taking one token after the other from the longer."""
    while first + second > most:
        if first > second:
            first -= 1
        else:
            second -= 1
    return first, second


def test_truncated_lengths_are_those_of_taking_tokens_one_by_one():
    rng = np.random.default_rng(0)
    for most in (2, 3, 7, 8):
        for first in range(1, 14):
            for second in range(1, 14):
                parts = truncate(np.arange(first), np.arange(second), most, rng)
                assert tuple(map(len, parts)) == plain_truncation(first, second, most)
                assert all((np.diff(part) == 1).all() for part in parts)


def test_tokens_are_taken_from_both_ends_alike():
    rng = np.random.default_rng(0)
    starts = np.array([truncate(np.arange(20), np.arange(6), 16, rng)[0][0] for _ in range(2000)])
    assert set(starts.tolist()) >= {2, 3, 4, 5, 6, 7, 8} and starts.max() <= 10  # 10 tokens, each with probability 1/2
    assert abs(starts.mean() - 5) < 4 * np.sqrt(2.5 / 2000) and abs(starts.var() - 2.5) < 0.4


def test_a_document_is_used_up_in_order():
    """The text after an A whose B is random begins the next chunk."""
    rng = np.random.default_rng(4)
    texts = documents(rng, count=12)
    recipe = MaskingRecipe(max_length=2000, short_share=0.5)  # too long to be truncated
    for number, document in enumerate(texts):
        used, others = [], []
        for pair in make_pairs(texts, number, recipe, rng):
            used += [*pair.first, *(pair.second if pair.is_next else ())]
            others += [] if pair.is_next else [pair.second]
        assert used == np.concatenate(document).tolist()
        starts = {
            tuple(np.concatenate(other[i:])) for other in texts for i in range(len(other)) if other is not document
        }
        assert all(any(start[: len(second)] == tuple(second) for start in starts) for second in others)


def test_half_of_the_chunks_of_several_sentences_have_their_own_b():
    rng = np.random.default_rng(5)
    texts = documents(rng, count=40, sentences=(60, 80), words=(3, 6))
    pairs = []
    for number, document in enumerate(texts):
        document[-1] = np.array([SIZE + number])  # a chunk of this sentence alone has a random B
        pairs += [
            pair
            for pair in make_pairs(texts, number, MaskingRecipe(max_length=43, short_share=0), rng)
            if pair.first[-1] < SIZE
        ]
    share = np.mean([pair.is_next for pair in pairs])
    assert len(pairs) > 300 and abs(share - 0.5) < 4 * np.sqrt(0.25 / len(pairs))
    assert max(len(pair.first) + len(pair.second) for pair in pairs) == 40


def test_a_chunk_of_one_sentence_has_a_random_b():
    texts = documents(np.random.default_rng(6), count=20, words=(200, 210))
    rows = examples(texts, MaskingRecipe(duplicates=1))
    assert not rows["is_next"].any() and len(rows["tokens"]) == sum(map(len, texts)) and (rows["length"] == 128).any()


def test_short_examples_are_of_all_lengths():
    texts = documents(np.random.default_rng(7), count=40, sentences=(80, 90), words=(2, 5))
    lengths = {share: examples(texts, MaskingRecipe(duplicates=1, short_share=share))["length"] for share in (0.0, 1.0)}
    assert len(lengths[1.0]) > 1.5 * len(lengths[0.0]) and np.median(lengths[1.0]) < 0.8 * np.median(lengths[0.0])
    assert lengths[1.0].min() < 12 and max(map(np.max, lengths.values())) == 128


def test_duplicates_use_each_document_again():
    texts = documents(np.random.default_rng(8), count=9, words=(200, 210))
    rows = examples(texts, MaskingRecipe(duplicates=3))
    assert len(rows["tokens"]) == 3 * sum(map(len, texts))
    assert len(np.unique(rows["tokens"], axis=0)) > 0.9 * len(rows["tokens"])


def test_the_seed_decides():
    texts = documents(np.random.default_rng(9))
    before = [[sentence.copy() for sentence in document] for document in texts]
    one, same, other = (examples(texts, MaskingRecipe(duplicates=2), seed) for seed in (0, 0, 1))
    assert all((one[name] == same[name]).all() for name in one)
    assert one["tokens"].shape != other["tokens"].shape or (one["tokens"] != other["tokens"]).any()
    assert all((a == b).all() for old, new in zip(before, texts, strict=True) for a, b in zip(old, new, strict=True))


def test_empty_documents_and_sentences_are_skipped():
    empty, one, two = np.zeros(0, np.int32), np.array([10, 11]), np.array([12])
    rows = examples([[], [empty], [empty, one, empty], [two]], MaskingRecipe(duplicates=1))
    assert sorted(restored(rows)[row].tolist() for row in range(2)) == [[1, 10, 11, 2, 12, 2], [1, 12, 2, 10, 11, 2]]
    with pytest.raises(UserError, match=r"^1 documents: "):
        examples([[], [empty], [one, two]], MaskingRecipe())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("max_length", 4), ("max_predictions", 0), ("duplicates", 0), ("masked_share", 0.0), ("masked_share", 1.5)],
        *[("short_share", -0.1), ("short_share", 1.1)],
    ],
)
def test_impossible_recipes_name_the_field(field, value):
    with pytest.raises(ConfigError) as raised:
        MaskingRecipe(**{field: value})
    assert (raised.value.field, raised.value.value) == (field, value)


def test_the_shortest_examples_have_two_tokens_of_text():
    rows = examples(documents(np.random.default_rng(0), count=4), MaskingRecipe(max_length=5, duplicates=1))
    assert (rows["length"] == 5).all() and (rows["weights"].sum(axis=1) == 1).all()
