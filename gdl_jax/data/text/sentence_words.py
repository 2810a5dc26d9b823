"""Words of a sentence, cut as in published translation results, and joined again to readable text.

Two ways of cutting are imitated, each by a regular expression. On Multi30k's training sentences, in lower case:

                                    ours: German, English       published
    `cut_finely`, like spaCy
      words that occur twice or more      7,849    5,889           7,849    5,889
    `cut_coarsely`, like Moses
      words                             360,755  377,523
      parts after 10,000 joint merges   400,420  397,692         400,507  397,793

Of Multi30k's 31,014 sentences, spaCy 3.8 itself cuts 5 German and 4 English ones otherwise.
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache

from gdl_jax.data.text.characters import extending, symbol

CHUNK = re.compile(r"\S+|(?<= )\s+|[^\S ]\s*")  # white space beyond a single space is a word, as for spaCy
OPENING, CLOSING = "([{¿¡„", ".,;:?!%)]}…”»"  # marks with no space after them, and with none before them
EITHER = '"“«'  # these open and close in turn
ENDINGS = re.compile(r"n['’]t|['’](?:d|ll|m|re|s|t|ve)|\.{2,}", re.IGNORECASE)  # they have no space before them
QUOTES = '"“”'


def _part() -> str:
    """Returns a regular expression of one character of a word."""
    return rf"[\w{extending()}]"


@cache
def _fine(language: str) -> re.Pattern[str]:
    w = _part()
    end = rf"(?!{w})"
    shared = rf"\.{{2,}}|{w}+(?:\.{w}+)*\.(?:com|de|net|org){end}|(?:[^\W\d_]\.)+(?:[^\W\d_]{end}|{end})"
    if language == "de":  # hyphens and apostrophes are parts of words
        kinds = (
            rf"(?:bzw|ca|dr|etc|evtl|mr|mrs|nr|st|usw|vs)\.{end}",
            rf"\d+(?:[.,:]\d+)*\.?(?![{QUOTES}-]|{w})",
            rf"-*{w}+(?:(?:[{QUOTES}]?-+|[&']){w}+)*-*",
            rf"[’']s{end}|@+",
        )
    elif language == "en":  # do n't, it 's, can not, t - shirt
        kinds = (
            rf"(?:dr|etc|jr|mr|mrs|ms|mt|st|vs)\.{end}",
            rf"\d+(?:[.,:/]\d+)*(?:(?:st|nd|rd|th|s|d|ers){end})?",
            rf"o['’]clock{end}|{w}+?(?=n['’]t{end})|n['’]t{end}|['’](?:d|em|ll|re|s|ve){end}",
            rf"(?<!{w})(?:can(?=not{end})|i(?=[dm]{end})|(?:s?he|that|what)(?=s{end}))",
            rf"{w}+-\d+{end}|{w}+(?:&(?:amp;)?{w}+)*(?:-$)?",
        )
    else:
        kinds = (rf"\d+(?:[.,:]\d+)*{end}", rf"{w}+")
    return re.compile("|".join((shared, *kinds, symbol())), re.IGNORECASE)


@cache
def _coarse() -> re.Pattern[str]:
    w = _part()
    kinds = (
        r"\.{2,}",
        r"(?:dr|mr|mrs|st|bzw|ca|usw|etc)\.(?=\s)",
        rf"\d+(?:[.,:]\d+)+(?!{w})|\d+\.(?=\s)",
        rf"(?:[^\W\d_]\.)+(?=\s|{w}(?!{w})){w}?",
        rf"o['’]clock(?!{w})|['’](?:s|t|re|ve|ll|d|m|em)(?!{w})",
        rf"(?:{w}|-)+(?:&{w}+)*",
        symbol(),
    )
    return re.compile("|".join(kinds), re.IGNORECASE)


def cut_finely(sentence: str, language: str) -> list[str]:
    """Returns the words and punctuation marks of a sentence, cut as by spaCy's blank pipeline of the language.

    Args:
      sentence: a line of text.
      language: "de", "en", or another, for which each run of letters and each symbol is a word.
    """
    return [word for chunk in CHUNK.findall(sentence.strip()) for word in _cut_fine_chunk(chunk, language)]


@lru_cache(maxsize=2**16)
def _cut_fine_chunk(chunk: str, language: str) -> tuple[str, ...]:
    """Returns the words of text without white space; white space is a word."""
    return (chunk,) if chunk.isspace() else tuple(_fine(language).findall(chunk))


def cut_coarsely(sentence: str) -> list[str]:
    """Returns the words and punctuation marks of a sentence, cut nearly as by Moses's tokenizer.perl.

    Hyphenated words stay whole. White space is lost.
    """
    chunks = sentence.split()
    return [word for place, chunk in enumerate(chunks, 1) for word in _cut_coarse_chunk(chunk, place == len(chunks))]


@lru_cache(maxsize=2**16)
def _cut_coarse_chunk(chunk: str, last: bool) -> tuple[str, ...]:
    """Returns the words of text without white space. The full stop of an abbreviation is cut off in the last chunk."""
    return tuple(_coarse().findall(chunk if last else chunk + " "))


def join(words: Sequence[str], language: str, *, fine: bool) -> str:
    """Returns words as readable text: the inverse of cutting, except for case and ambiguous marks.

    A quotation mark that can open or close does so in turn.

    Args:
      words: of one sentence.
      language: as in `cut_finely`.
      fine: they come from `cut_finely`, where an English hyphen joins its neighbours; else it stands alone.
    """
    joining = "-/" if fine and language != "de" else "/"
    text, glued, inside = "", True, False  # glued: no space follows
    for word in words:
        inside ^= word in EITHER or word in "„”"
        opens = word in joining or word in OPENING or (word in EITHER and inside)
        closes = word in joining or word in CLOSING or (word in EITHER and not inside) or ENDINGS.fullmatch(word)
        compound = len(word) > 1 and word[0] == "-" and text[-1:] in QUOTES  # „Rauchen verboten“-Schild
        text += word if glued or closes or compound or word.isspace() else " " + word
        glued = opens or word[-1] == "\N{NO-BREAK SPACE}"
    return text
