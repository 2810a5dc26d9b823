"""Sentences of the small grammar: correct German, one translation for each, and the order of words that differs."""

import re
from collections import defaultdict

import numpy as np
import pytest

from gdl_jax.data.text import phrases
from gdl_jax.data.text.phrases import (
    EVENTS,
    MODALS,
    MONTHS,
    PARTS_OF_DAY,
    REPORTS,
    WEEKDAYS,
    Writer,
    date,
    event,
    forms,
    number,
    ordinal,
    time_of_day,
)


@pytest.fixture(scope="module")
def made():
    return phrases.make(3000, seed=0)


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (0, ("zero", "null")),
        (1, ("one", "eins")),
        (16, ("sixteen", "sechzehn")),
        (21, ("twenty-one", "einundzwanzig")),
        (30, ("thirty", "dreißig")),
        (47, ("forty-seven", "siebenundvierzig")),
        (99, ("ninety-nine", "neunundneunzig")),
    ],
)
def test_numbers(n, words):
    assert number(n) == words


def test_numbers_are_all_different():
    for language in range(2):
        assert len({number(n)[language] for n in range(100)}) == 100


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (1, ("first", "ersten")),
        (3, ("third", "dritten")),
        (7, ("seventh", "siebten")),
        (8, ("eighth", "achten")),
        (12, ("twelfth", "zwölften")),
        (17, ("seventeenth", "siebzehnten")),
        (20, ("twentieth", "zwanzigsten")),
        (21, ("twenty-first", "einundzwanzigsten")),
        (30, ("thirtieth", "dreißigsten")),
        (31, ("thirty-first", "einunddreißigsten")),
    ],
)
def test_days_of_the_month(n, words):
    assert ordinal(n) == words


@pytest.mark.parametrize(
    ("hour", "twelfth", "english", "german"),
    [
        (9, 3, "at a quarter past nine", "um Viertel nach neun"),
        (9, 6, "at half past nine", "um halb zehn"),
        (9, 7, "at twenty-five to ten", "um fünf nach halb zehn"),
        (12, 6, "at half past twelve", "um halb eins"),
        (12, 9, "at a quarter to one", "um Viertel vor eins"),
        (1, 0, "at one o'clock", "um ein Uhr"),
        (1, 1, "at five past one", "um fünf nach eins"),
    ],
)
def test_times(hour, twelfth, english, german):
    assert time_of_day(hour, twelfth) == (english, german)


def test_parts_of_the_day_and_dates():
    evening, tuesday, march = PARTS_OF_DAY[2][0], WEEKDAYS[1], MONTHS[2]
    assert time_of_day(9, 4, evening) == ("at twenty past nine in the evening", "abends um zwanzig nach neun")
    assert date(tuesday, 3, None) == ("on Tuesday", "am Dienstag")
    assert date(None, 3, march) == ("on the third of March", "am dritten März")
    assert date(tuesday, 3, march) == ("on Tuesday, the third of March,", "am Dienstag, dem dritten März,")


def verb_and_subject(name, subject):
    verb = next(event for event in EVENTS if event.en.startswith(name))
    return verb, next(pair for pair in verb.subjects if pair.en == subject)


@pytest.mark.parametrize(
    ("order", "tense", "name", "subject", "english", "german"),
    [
        (
            *("statement", "present", "leaves", "the train"),
            "The train leaves at half past nine on Tuesday.",
            "Der Zug fährt am Dienstag um halb zehn ab.",
        ),
        (
            *("question", "past", "begins", "the concert"),
            "Did the concert begin at half past nine on Tuesday?",
            "Hat das Konzert am Dienstag um halb zehn angefangen?",
        ),
        (
            *("question", "modal", "opens", "the bank"),
            "Does the bank have to open at half past nine on Tuesday?",
            "Muss die Bank am Dienstag um halb zehn aufmachen?",
        ),
        (
            *("date first", "modal", "gets_up", "my sister"),
            "On Tuesday, my sister has to get up at half past nine.",
            "Am Dienstag muss meine Schwester um halb zehn aufstehen.",
        ),
        (
            *("subordinate", "present", "takes_place", "the wedding"),
            "I know that the wedding takes place at half past nine on Tuesday.",
            "Ich weiß, dass die Hochzeit am Dienstag um halb zehn stattfindet.",
        ),
        (
            *("subordinate", "past", "arrives", "the parcel"),
            "I know that the parcel arrived at half past nine on Tuesday.",
            "Ich weiß, dass das Paket am Dienstag um halb zehn angekommen ist.",
        ),
        (
            *("subordinate", "modal", "falls_asleep", "the baker"),
            "I know that the baker has to fall asleep at half past nine on Tuesday.",
            "Ich weiß, dass der Bäcker am Dienstag um halb zehn einschlafen muss.",
        ),
    ],
)
def test_orders_of_words(order, tense, name, subject, english, german):
    verb, who = verb_and_subject(name, subject)
    when, at = date(WEEKDAYS[1], 1, None), time_of_day(9, 6)
    assert event(order, who, forms(verb, tense, MODALS[0]), when, at, REPORTS[0]) == (english, german)


def test_a_date_with_a_weekday_has_commas_within_a_sentence_only():
    verb, who = verb_and_subject("calls", "my brother")
    when, at, present = date(WEEKDAYS[1], 3, MONTHS[2]), time_of_day(8, 0), forms(verb, "present", MODALS[0])
    assert event("statement", who, present, when, at, REPORTS[0]) == (
        "My brother calls at eight o'clock on Tuesday, the third of March.",
        "Mein Bruder ruft am Dienstag, dem dritten März, um acht Uhr an.",
    )
    assert event("date first", who, present, when, at, REPORTS[0]) == (
        "On Tuesday, the third of March, my brother calls at eight o'clock.",
        "Am Dienstag, dem dritten März, ruft mein Bruder um acht Uhr an.",
    )


def test_each_sentence_has_one_translation():
    writer, german, english = Writer(np.random.default_rng(1)), defaultdict(set), defaultdict(set)
    for _ in range(20_000):
        pair = writer.sentence()
        german[pair.en].add(pair.de)
        english[pair.de].add(pair.en)
    assert {len(known) for known in (*german.values(), *english.values())} == {1}


def test_sentences_are_different_and_the_same_each_time(made):
    assert phrases.make(3000, seed=0) == made
    assert phrases.make(50, seed=1) != made[:50]
    assert len({pair.en for pair in made}) == len({pair.de for pair in made}) == 3000


def test_sentences_are_well_formed(made):
    for sentence in (side for pair in made for side in pair):
        assert re.fullmatch(r"[A-ZÄÖÜ][^.?_={}]*[.?]", sentence), sentence
        assert not re.search(r"  |,[^ ]|,$| ,", sentence), sentence
    assert all(pair.en[-1] == pair.de[-1] for pair in made)


def test_german_ends_with_prefix_participle_or_whole_verb(made):
    ends = {pair.de[:-1].split()[-1] for pair in made if re.search(r" the (?:last )?(?:train|bus|coach) ", pair.en)}
    assert ends <= {"ab", "abgefahren", "abfahren", "abfährt", "ist", "muss", "wird", "sollte"}
    assert {"ab", "abgefahren", "abfährt"} <= ends
