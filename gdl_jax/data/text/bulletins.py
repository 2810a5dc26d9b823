"""Synthetic news bulletins with questions: sentence templates whose blanks are filled at random.

They replace NewsQA where no data set is available. The questions ask who, when, where and how many, and their answers
are known exactly. Scores on them show that a model works, but nothing about real news.
"""

import numpy as np

from gdl_jax.data.text.passages import Passage, Question, merge

SENTENCES = (3, 4, 5)  # possible numbers of sentences in a bulletin
VALUES = {
    "first": "Anna Boris Carlos Diana Edward Fatima George Helen Igor Julia Kevin Laura Martin Nina Oscar Paula Robert "
    "Sofia Thomas Victoria",
    "last": "Adams Brown Costa Duncan Evans Fischer Garcia Hansen Ivanov Johnson Kelly Lopez Moore Novak Olsen Perez "
    "Quinn Rossi Santos Turner",
    "city": "Athens Berlin Boston Cairo Dublin Geneva Havana Istanbul Lagos Lima Lisbon London Madrid Manila Moscow "
    "Oslo Paris Prague Rome Sydney Tokyo Vienna Warsaw Zurich",
    "club": "Arsenal Barcelona Celtic Everton Juventus Liverpool Porto Sevilla",
    "month": "January February March April May June July August September October November December",
    "weekday": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "year": " ".join(str(year) for year in range(1950, 2020)),
    "day": " ".join(str(day) for day in range(1, 29)),
    "number": " ".join(str(number) for number in (*range(2, 30), *range(30, 100, 5), *range(100, 1000, 50))),
    "company": "bank bakery brewery hospital hotel newspaper orchestra school theatre university",
    "animal": "bears eagles elephants lions monkeys penguins seals tigers whales wolves",
    "goods": "bicycles boats books cars computers engines phones ships telescopes trains",
    "disaster": "earthquake fire flood hurricane storm tornado",
    "prize": "chess cooking cycling drama music poetry science sailing swimming",
}
VALUES = {blank: tuple(values.split()) for blank, values in VALUES.items()}
EVENTS = (  # (sentence, (question, blanks that answer it), ...); some sentences have no questions
    (
        "{first} {last} founded a {company} in {city} in {year} .",
        ("who founded the {company} in {city} ?", "first last"),
        ("when was the {company} founded ?", "year"),
        ("where did {last} found a {company} ?", "city"),
    ),
    (
        "A {disaster} destroyed {number} houses near {city} last {weekday} .",
        ("how many houses did the {disaster} destroy ?", "number"),
        ("when did the {disaster} strike ?", "weekday"),
        ("where were {number} houses destroyed ?", "city"),
    ),
    (
        "{club} signed the striker {first} {last} for {number} million pounds in {month} .",
        ("who signed for {club} ?", "first last"),
        ("how many million pounds did {club} pay ?", "number"),
        ("when did {club} sign {last} ?", "month"),
    ),
    (
        "On {month} {day} , {first} {last} won the {prize} prize in {city} .",
        ("who won the {prize} prize ?", "first last"),
        ("when did {last} win the {prize} prize ?", "month day"),
        ("where was the {prize} prize won ?", "city"),
    ),
    (
        "Scientists led by {first} {last} counted {number} {animal} in {year} .",
        ("who led the scientists ?", "first last"),
        ("how many {animal} were counted ?", "number"),
        ("when were the {animal} counted ?", "year"),
    ),
    (
        "A factory in {city} will build {number} {goods} before {year} .",
        ("how many {goods} will the factory build ?", "number"),
        ("where will the {goods} be built ?", "city"),
        ("when will the {goods} be ready ?", "year"),
    ),
    ("The mayor of {city} , {first} {last} , had nothing to say about it .",),
    ("It was the worst {weekday} for {company} owners since {month} {year} .",),
)


def _blanks(sentence: str) -> dict[str, int]:
    """Returns {blank: position among the words} of a sentence."""
    return {word[1:-1]: place for place, word in enumerate(sentence.split()) if word[0] == "{"}


def _fill(sentence: str, values: dict[str, str]) -> tuple[str, ...]:
    """Returns the words of a sentence with its blanks filled."""
    return tuple(sentence.format(**values).split())


def make(count: int, seed: int) -> tuple[Passage, ...]:
    """Returns at most `count` bulletins of three to five sentences on different subjects, with one question or more."""
    rng = np.random.default_rng(seed)
    bulletins = []
    for _ in range(count):
        words, questions = [], []
        for event in rng.permutation(len(EVENTS))[: rng.choice(SENTENCES)]:
            sentence, *asked = EVENTS[event]
            places = _blanks(sentence)
            values = {blank: VALUES[blank][rng.integers(len(VALUES[blank]))] for blank in places}
            for question, answer in asked:
                answer_places = tuple(len(words) + places[blank] for blank in answer.split())
                questions.append(Question(_fill(question, values), answer_places))
            words += _fill(sentence, values)
        if questions:
            bulletins.append(Passage(tuple(words), tuple(questions)))
    return merge(bulletins)
