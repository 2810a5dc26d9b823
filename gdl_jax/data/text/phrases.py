"""English and German sentences made by a small grammar: times, dates, prices, durations and number words.

They replace a corpus of translations where no data set is available. The two languages differ in the order of words:

    The train leaves at twenty-five to ten on Tuesday, the third of March.
    Der Zug fährt am Dienstag, dem dritten März, um fünf nach halb zehn ab.

German puts the date before the time, units before tens (fünfundzwanzig is five-and-twenty), the prefix of a separable
verb or the participle at the end, and the whole verb at the end of a subordinate clause. Within the grammar, each
sentence has exactly one translation, so that a perfect model has a BLEU of 100. Scores on them show that a model works,
but nothing about translating real texts.
"""

from typing import NamedTuple

import numpy as np


class Pair(NamedTuple):
    """A sentence or phrase in English and in German."""

    en: str
    de: str


def _pairs(text: str) -> tuple[Pair, ...]:
    """Returns the pairs in a text like "Monday=Montag; Tuesday=Dienstag"."""
    return tuple(Pair(*pair.strip().split("=")) for pair in text.split(";"))


class Event(NamedTuple):
    """An intransitive verb with a separable prefix in German, and subjects for it.

    Attributes:
      en: present, past and base form, as "leaves left leave"; the words of one form are joined by "_".
      de: prefix, present, participle and infinitive without the prefix, and auxiliary.
      subjects: all singular.
    """

    en: str
    de: str
    subjects: tuple[Pair, ...]


class Forms(NamedTuple):
    """Forms of a verb for a singular subject, in one tense.

    Attributes:
      does: of an English statement.
      asks: what stands before and after the subject in an English question.
      first, last: the second element of a German main clause, and its end.
      final: the end of a German subordinate clause.
    """

    does: str
    asks: tuple[str, str]
    first: str
    last: str
    final: str


PEOPLE = _pairs(
    "my sister=meine Schwester; my brother=mein Bruder; her husband=ihr Mann; the baker=der Bäcker; "
    "our neighbour=unser Nachbar; his grandmother=seine Großmutter; the new teacher=der neue Lehrer"
)
PLACES = _pairs(
    "the bakery=die Bäckerei; the museum=das Museum; the library=die Bibliothek; the bank=die Bank; "
    "the swimming pool=das Schwimmbad; the market hall=die Markthalle; the little shop=der kleine Laden"
)
VEHICLES = _pairs("the train=der Zug; the last bus=der letzte Bus; the coach=der Reisebus; the ship=das Schiff")
ARRIVALS = _pairs("the parcel=das Paket; the night train=der Nachtzug; our guest=unser Gast; the letter=der Brief")
SHOWS = _pairs("the concert=das Konzert; the lesson=der Unterricht; the film=der Film; the exam=die Prüfung")
AIRCRAFT = _pairs("the plane=das Flugzeug; the helicopter=der Hubschrauber; the balloon=der Ballon")
MEETINGS = _pairs("the meeting=die Sitzung; the wedding=die Hochzeit; the auction=die Auktion; the match=das Spiel")
EVENTS = (
    Event("leaves left leave", "ab fährt gefahren fahren ist", VEHICLES),
    Event("arrives arrived arrive", "an kommt gekommen kommen ist", ARRIVALS),
    Event("begins began begin", "an fängt gefangen fangen hat", SHOWS),
    Event("opens opened open", "auf macht gemacht machen hat", PLACES),
    Event("closes closed close", "zu macht gemacht machen hat", PLACES),
    Event("gets_up got_up get_up", "auf steht gestanden stehen ist", PEOPLE),
    Event("calls called call", "an ruft gerufen rufen hat", PEOPLE),
    Event("comes_back came_back come_back", "zurück kommt gekommen kommen ist", PEOPLE),
    Event("falls_asleep fell_asleep fall_asleep", "ein schläft geschlafen schlafen ist", PEOPLE),
    Event("takes_off took_off take_off", "ab hebt gehoben heben hat", AIRCRAFT),
    Event("takes_place took_place take_place", "statt findet gefunden finden hat", MEETINGS),
)
TENSES = ("present", "past", "modal")
ORDERS = ("statement", "date first", "subordinate", "question")
MODALS = _pairs("has to=muss; will=wird; should=sollte")
REPORTS = _pairs(
    "I know that=Ich weiß, dass; He says that=Er sagt, dass; She hopes that=Sie hofft, dass; "
    "We believe that=Wir glauben, dass; They have heard that=Sie haben gehört, dass; "
    "I am glad because=Ich freue mich, weil; He is annoyed because=Er ärgert sich, weil"
)
BUYERS = (  # subject in both languages, and its forms of haben, werden and wollen
    ("I", "ich", "habe", "werde", "will"),
    ("He", "er", "hat", "wird", "will"),
    ("She", "sie", "hat", "wird", "will"),
    ("We", "wir", "haben", "werden", "wollen"),
    ("They", "sie", "haben", "werden", "wollen"),
)
TRADES = (  # English past and base form; German participle and infinitive
    ("bought", "buy", "gekauft", "kaufen"),
    ("sold", "sell", "verkauft", "verkaufen"),
    ("ordered", "order", "bestellt", "bestellen"),
)
GOODS = (  # singular and plural of both languages
    _pairs("candle=die Kerze; candles=Kerzen"),
    _pairs("chair=der Stuhl; chairs=Stühle"),
    _pairs("apple=der Apfel; apples=Äpfel"),
    _pairs("book=das Buch; books=Bücher"),
    _pairs("hat=der Hut; hats=Hüte"),
    _pairs("lamp=die Lampe; lamps=Lampen"),
    _pairs("bottle=die Flasche; bottles=Flaschen"),
    _pairs("plate=der Teller; plates=Teller"),
    _pairs("shirt=das Hemd; shirts=Hemden"),
    _pairs("table=der Tisch; tables=Tische"),
    _pairs("picture=das Bild; pictures=Bilder"),
    _pairs("cup=die Tasse; cups=Tassen"),
)
# An adjective ends in -e after a definite article in the nominative singular, and in the plural without an article.
QUALITIES = _pairs(
    "red=rote; blue=blaue; green=grüne; yellow=gelbe; black=schwarze; white=weiße; small=kleine; large=große; "
    "old=alte; new=neue; round=runde; beautiful=schöne"
)
JOURNEYS = _pairs(
    "the journey=die Reise; the flight=der Flug; the walk=der Spaziergang; the concert=das Konzert; "
    "the lesson=der Unterricht; the film=der Film; the exam=die Prüfung; the meeting=die Sitzung"
)
WEEKDAYS = _pairs(
    "Monday=Montag; Tuesday=Dienstag; Wednesday=Mittwoch; Thursday=Donnerstag; Friday=Freitag; Saturday=Samstag; "
    "Sunday=Sonntag"
)
MONTHS = _pairs(
    "January=Januar; February=Februar; March=März; April=April; May=Mai; June=Juni; July=Juli; August=August; "
    "September=September; October=Oktober; November=November; December=Dezember"
)
DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # of the months
ONES = _pairs(
    "zero=null; one=eins; two=zwei; three=drei; four=vier; five=fünf; six=sechs; seven=sieben; eight=acht; nine=neun; "
    "ten=zehn; eleven=elf; twelve=zwölf; thirteen=dreizehn; fourteen=vierzehn; fifteen=fünfzehn; sixteen=sechzehn; "
    "seventeen=siebzehn; eighteen=achtzehn; nineteen=neunzehn"
)
TENS = _pairs(
    "twenty=zwanzig; thirty=dreißig; forty=vierzig; fifty=fünfzig; sixty=sechzig; seventy=siebzig; eighty=achtzig; "
    "ninety=neunzig"
)
IRREGULAR = dict(  # ordinals
    _pairs(
        "one=first; two=second; three=third; five=fifth; eight=eighth; nine=ninth; twelve=twelfth; eins=erst; "
        "drei=dritt; sieben=siebt; acht=acht"
    )
)
MINUTES = (  # of times; {0}: this hour, {1}: the next one
    Pair("{0} o'clock", "{0} Uhr"),
    Pair("five past {0}", "fünf nach {0}"),
    Pair("ten past {0}", "zehn nach {0}"),
    Pair("a quarter past {0}", "Viertel nach {0}"),
    Pair("twenty past {0}", "zwanzig nach {0}"),
    Pair("twenty-five past {0}", "fünf vor halb {1}"),
    Pair("half past {0}", "halb {1}"),
    Pair("twenty-five to {1}", "fünf nach halb {1}"),
    Pair("twenty to {1}", "zwanzig vor {1}"),
    Pair("a quarter to {1}", "Viertel vor {1}"),
    Pair("ten to {1}", "zehn vor {1}"),
    Pair("five to {1}", "fünf vor {1}"),
)
PARTS_OF_DAY = (  # and the hours for which they are used
    (Pair("morning", "morgens"), range(5, 11)),
    (Pair("afternoon", "nachmittags"), range(1, 6)),
    (Pair("evening", "abends"), range(6, 11)),
)


def number(n: int) -> Pair:
    """Returns the words for a number from 0 to 99."""
    if n < len(ONES):
        return ONES[n]
    tens, ones = TENS[n // 10 - 2], ONES[n % 10]
    if n % 10 == 0:
        return tens
    return Pair(f"{tens.en}-{ones.en}", f"{'ein' if n % 10 == 1 else ones.de}und{tens.de}")


def ordinal(n: int) -> Pair:
    """Returns the words for a day of the month, 1 to 31; the German one is in the dative."""
    words = number(n)
    first, dash, last = words.en.rpartition("-")
    english = IRREGULAR.get(last) or (last.removesuffix("y") + "ie" * last.endswith("y") + "th")
    german = IRREGULAR.get(words.de) or words.de + ("t" if n < 20 else "st")
    return Pair(first + dash + english, german + "en")


def time_of_day(hour: int, twelfth: int, part: Pair | None = None) -> Pair:
    """Returns a time like "at a quarter past nine in the evening".

    Args:
      hour: 1 to 12.
      twelfth: of the hour, five minutes each, 0 to 11.
      part: of the day; None: it is not mentioned.
    """
    this, following = number(hour), number(hour % 12 + 1)
    if twelfth == 0 and hour == 1:
        this = Pair("one", "ein")  # ein Uhr, but Viertel nach eins
    template = MINUTES[twelfth]
    time = Pair("at " + template.en.format(this.en, following.en), "um " + template.de.format(this.de, following.de))
    return time if part is None else Pair(f"{time.en} in the {part.en}", f"{part.de} {time.de}")


def date(weekday: Pair | None, day: int, month: Pair | None) -> Pair:
    """Returns a date like "on Tuesday, the third of March"; without a weekday or without a month if it is None.

    A date with both ends in a comma, as it is an apposition.
    """
    if month is None:
        return Pair(f"on {weekday.en}", f"am {weekday.de}")
    days = ordinal(day)
    if weekday is None:
        return Pair(f"on the {days.en} of {month.en}", f"am {days.de} {month.de}")
    return Pair(f"on {weekday.en}, the {days.en} of {month.en},", f"am {weekday.de}, dem {days.de} {month.de},")


def forms(verb: Event, tense: str, modal: Pair) -> Forms:
    """Returns the forms of a verb in one of TENSES; the modal verb is used in "modal" only."""
    present, past, base = (form.replace("_", " ") for form in verb.en.split())
    prefix, finite, participle, infinitive, auxiliary = verb.de.split()
    if tense == "present":
        return Forms(present, ("does", base), finite, prefix, prefix + finite)
    if tense == "past":
        return Forms(past, ("did", base), auxiliary, prefix + participle, f"{prefix}{participle} {auxiliary}")
    asks = ("does", f"have to {base}") if modal.en == "has to" else (modal.en, base)
    whole = prefix + infinitive
    return Forms(f"{modal.en} {base}", asks, modal.de, whole, f"{whole} {modal.de}")


def event(order: str, subject: Pair, verb: Forms, when: Pair, at: Pair, report: Pair) -> Pair:
    """Returns a sentence on what happens when, in one of ORDERS; the report is used in "subordinate" only."""
    if order == "question":
        helper, base = verb.asks
        english = f"{helper} {subject.en} {base} {at.en} {when.en}"
        return _sentence(english, f"{verb.first} {subject.de} {when.de} {at.de} {verb.last}", "?")
    if order == "date first":
        english = f"{when.en.rstrip(',')}, {subject.en} {verb.does} {at.en}"
        return _sentence(english, f"{when.de} {verb.first} {subject.de} {at.de} {verb.last}")
    english = f"{subject.en} {verb.does} {at.en} {when.en}"
    if order == "subordinate":
        return _sentence(f"{report.en} {english}", f"{report.de} {subject.de} {when.de} {at.de} {verb.final}")
    return _sentence(english, f"{subject.de} {verb.first} {when.de} {at.de} {verb.last}")


def _sentence(english: str, german: str, end: str = ".") -> Pair:
    """Returns clauses as sentences: with a capital and an end."""
    return Pair(*(clause[0].upper() + clause[1:].rstrip(",") + end for clause in (english, german)))


class Writer:
    """Draws sentences at random.

    Args:
      rng: the source of randomness.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def pick(self, choices):
        """Returns one of a sequence's elements."""
        return choices[int(self.rng.integers(len(choices)))]

    def between(self, first: int, last: int) -> int:
        """Returns an integer from `first` to `last`, both included."""
        return int(self.rng.integers(first, last + 1))

    def time(self) -> Pair:
        """Returns a time, in half of the cases with the part of the day."""
        if self.rng.random() < 0.5:
            return time_of_day(self.between(1, 12), self.between(0, 11))
        part, hours = self.pick(PARTS_OF_DAY)
        return time_of_day(self.pick(hours), self.between(0, 11), part)

    def date(self) -> Pair:
        """Returns a weekday, a day of a month, or both."""
        kind, month = self.pick(("weekday", "date", "both")), self.between(0, 11)
        weekday, day = self.pick(WEEKDAYS), self.between(1, DAYS[month])
        return date(None if kind == "date" else weekday, day, None if kind == "weekday" else MONTHS[month])

    def event(self) -> Pair:
        """Returns a sentence on what happens when."""
        verb = self.pick(EVENTS)
        conjugated = forms(verb, self.pick(TENSES), self.pick(MODALS))
        when, at = self.date(), self.time()
        return event(self.pick(ORDERS), self.pick(verb.subjects), conjugated, when, at, self.pick(REPORTS))

    def price(self) -> Pair:
        euros, cents = number(self.between(2, 99)), number(self.between(2, 99))
        if self.rng.random() < 0.5:
            return Pair(f"{euros.en} euros", f"{euros.de} Euro")
        return Pair(f"{euros.en} euros and {cents.en} cents", f"{euros.de} Euro und {cents.de} Cent")

    def goods(self) -> tuple[Pair, Pair]:
        """Returns goods as "the red candle", and several as "four red candles"."""
        quality, count = self.pick(QUALITIES), number(self.between(2, 99))
        one, many = self.pick(GOODS)
        article, noun = one.de.split()
        return (
            Pair(f"the {quality.en} {one.en}", f"{article} {quality.de} {noun}"),
            Pair(f"{count.en} {quality.en} {many.en}", f"{count.de} {quality.de} {many.de}"),
        )

    def trade(self) -> Pair:
        """Returns a sentence on buying or selling: in the past, in the future, or as a wish."""
        who, wer, have, will, want = self.pick(BUYERS)
        past, base, participle, infinitive = self.pick(TRADES)
        (_, what), price, when = self.goods(), self.price(), self.date()
        wants = "wants" if who in ("He", "She") else "want"
        does, first, last = self.pick(
            ((past, have, participle), (f"will {base}", will, infinitive), (f"{wants} to {base}", want, infinitive))
        )
        english = f"{who} {does} {what.en} for {price.en} {when.en}"
        return _sentence(english, f"{wer} {first} {when.de} {what.de} für {price.de} {last}")

    def cost(self) -> Pair:
        """Returns a sentence on what something costs."""
        (one, many), price = self.goods(), self.price()
        if self.rng.random() < 0.5:
            return _sentence(f"{one.en} costs {price.en}", f"{one.de} kostet {price.de}")
        return _sentence(f"{many.en} cost {price.en}", f"{many.de} kosten {price.de}")

    def duration(self) -> Pair:
        """Returns a sentence on how long something takes."""
        hours, minutes, what = number(self.between(2, 12)), number(self.between(2, 59)), self.pick(JOURNEYS)
        english = f"{what.en} takes {hours.en} hours and {minutes.en} minutes"
        return _sentence(english, f"{what.de} dauert {hours.de} Stunden und {minutes.de} Minuten")

    def sentence(self) -> Pair:
        """Returns a sentence of any kind."""
        kind = self.rng.random()
        return self.event() if kind < 0.6 else self.trade() if kind < 0.85 else self.pick((self.cost, self.duration))()


def make(count: int, seed: int) -> tuple[Pair, ...]:
    """Returns `count` pairs in which no English and no German sentence occurs twice."""
    writer, pairs, seen = Writer(np.random.default_rng(seed)), [], set()
    while len(pairs) < count:
        pair = writer.sentence()
        if pair.en not in seen and pair.de not in seen:
            pairs.append(pair)
            seen.update(pair)
    return tuple(pairs)
