"""No text of a customer takes long: every pattern that may see one is timed, and so is a whole message.

Times are compared with times of the same machine: those of half a text, and those of an ordinary text.
"""

import re
import sys
from functools import partial
from pathlib import Path
from random import Random

import pytest
from tests.growth import MOST_TIMES, cpu_s, times_as_long
from tests.unit.understand.conftest import RETURNS, products

import parbake_semantic.guard
import parbake_semantic.guard.statements
from retail_assistant.chat.turn import Turn
from retail_assistant.knowledge.review_summary import summarize
from retail_assistant.knowledge.shop_views import ReviewText
from retail_assistant.shop.opening import MOST_READ, MOST_REMEMBERED
from retail_assistant.shop.shop_words import VOCABULARY
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.hearing import hear
from retail_assistant.understand.names.lexicon import compile_lexicon
from retail_assistant.understand.names.vocabulary import Vocabulary
from retail_assistant.understand.parse import Parser
from retail_assistant.understand.said import places
from retail_assistant.understand.split import _ASKS

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
READERS = (
    "parbake_semantic", "retail_assistant.answers", "retail_assistant.chat", "retail_assistant.faq",
    "retail_assistant.http", "retail_assistant.knowledge", "retail_assistant.recs", "retail_assistant.shop",
    "retail_assistant.understand",
)  # fmt: skip
"""The packages whose patterns may see a customer's text."""
MOST_ORDINARY = 10
"""A hostile message takes at most so many times as long as an ordinary one of the same length."""
ORDINARY = "Do you have a book about dragons and lighthouse keepers for under ten euros? "
SAMPLES = 6


@pytest.fixture(scope="module")
def hostile():
    """Return the module of hostile texts, imported as the benchmarks import it."""
    sys.path.insert(0, BENCHMARKS)
    try:
        import _hostile

        return _hostile
    finally:
        sys.path.remove(BENCHMARKS)


@pytest.fixture(scope="module")
def vocabulary():
    """Return a small shop's vocabulary with its speller."""
    return Vocabulary(compile_lexicon(products(), [RETURNS]))


@pytest.fixture(scope="module")
def patterns(hostile, vocabulary):
    """Return every pattern that may see a customer's text, with its place."""
    made = (vocabulary, places._known(), parbake_semantic.guard.statements.reader(VOCABULARY))
    return hostile.patterns(*READERS, made=made)


@pytest.fixture(scope="module")
def is_slow():
    """Return a function that says whether a pattern takes much longer for a text than for half of it.

    What takes no longer than the plainest pattern of quadratic time is not slow: what is read of a text has a bound.
    """
    plainest = partial(scan, re.compile(r"\s+x"), " " * MOST_READ)
    negligible_s = min(cpu_s(plainest) for _ in range(50))

    def is_slow_for(pattern, text, half):
        whole = partial(scan, pattern, text)
        if cpu_s(whole) <= negligible_s:
            return False
        growth, times_the_plainest = times_as_long(whole, partial(scan, pattern, half), plainest)
        return growth > MOST_TIMES and times_the_plainest > 1

    return is_slow_for


def scan(pattern, text):
    """Find all that a pattern looks for in a text."""
    for _ in pattern.finditer(text):
        pass


def attacks(hostile, pattern, random):
    """Yield pieces that a pattern looks for, each again and again, whole or in part."""
    for _ in range(SAMPLES):
        for piece in hostile.fitting(pattern, random):
            yield hostile.repeated(piece), hostile.repeated(piece, MOST_READ // 2)
            stretched = hostile.stretched(piece, random)
            yield stretched, stretched[: MOST_READ // 2]


def test_the_patterns_are_found(patterns):
    """The search finds patterns of cues, of concepts, of prices, of vetoes, of the guard and of a vocabulary."""
    places_ = set(patterns.values())
    assert len(patterns) > 500
    for place in ("readings.CUES", "concepts._PATTERNS", "typed_prices._MOST", "guardrails._PERSONAL", "claims._MONEY"):
        assert any(found.endswith(place) for found in places_), place
    assert {"Vocabulary", "Reader"} <= places_


def test_no_pattern_takes_long_for_a_repeated_piece(hostile, patterns, is_slow):
    """No pattern takes long for one of more than thirty pieces again and again."""
    assert len(hostile.PIECES) > 30
    texts = [(hostile.repeated(piece), hostile.repeated(piece, MOST_READ // 2)) for piece in hostile.PIECES]
    slow = {
        (place, text[:20])
        for pattern, place in patterns.items()
        for text, half in texts
        if is_slow(pattern, text, half)
    }
    assert slow == set()


def test_no_pattern_takes_long_for_what_it_almost_finds(hostile, patterns, is_slow):
    """No pattern takes long for a text that begins again and again as what it looks for."""
    random = Random(11)
    slow = {
        (place, text[:30])
        for pattern, place in patterns.items()
        for text, half in attacks(hostile, pattern, random)
        if is_slow(pattern, text, half)
    }
    assert slow == set()


def test_no_pattern_takes_long_for_a_mixture(hostile, patterns, is_slow):
    """No pattern takes long for random texts of digits, signs and the words that all patterns look for."""
    random, words = Random(12), hostile.words_of(patterns)
    halves = [hostile.mixed(random, words, MOST_READ // 2) for _ in range(40)]
    slow = {
        (place, half[:30])
        for pattern, place in patterns.items()
        for half in halves
        if is_slow(pattern, half + half, half)
    }
    assert slow == set()


@pytest.mark.parametrize(
    ("pattern", "piece", "expected"),
    [
        (rf"(?:,\s+|,?\s+and\s+)(?={_ASKS}\b)", " ", True),
        (r"[\w-]+\s*@", "a", True),
        (r"\b(?:what|which)\b.*?\b(?:my|our|the) (?:new )?(?:orders?|carts?)\b", "what my ", True),
        (r"\b(?:what|which)\b.{0,50}?\b(?:my|our|the) (?:orders?|carts?)\b", "what ", False),
        (r"(?:my order|what |how )+", "what ", False),
    ],
)
def test_a_pattern_that_is_slow_for_long_texts_is_noticed(hostile, is_slow, pattern, piece, expected):
    """A pattern whose time grows with the square of a text's length is slow, and one that grows with it is not."""
    texts = hostile.repeated(piece), hostile.repeated(piece, MOST_READ // 2)
    assert is_slow(re.compile(pattern, re.IGNORECASE), *texts) is expected


def test_no_message_takes_long_to_understand(hostile, patterns, vocabulary):
    """A message takes at most ten times as long as an ordinary one, whatever it repeats, and however long it is."""
    parser, random, words = Parser(vocabulary, lambda _: 1000), Random(13), hostile.words_of(patterns)
    said = Dialogue(shown=("P001", "P002"), focus="P001", kind="list", turns=1)

    def understand(text):
        parser.read(hear(Turn(text, "u1").message, vocabulary).text, said)

    ordinary = partial(understand, hostile.repeated(ORDINARY))
    long = [hostile.repeated(piece, 8 * MOST_READ) for piece in hostile.PIECES]
    for text in [*long, *(hostile.mixed(random, words, 8 * MOST_READ) for _ in range(40))]:
        (times_ordinary,) = times_as_long(partial(understand, text), ordinary, rounds=3)
        assert times_ordinary < MOST_ORDINARY, (times_ordinary, text[:30])


def test_no_evidence_takes_long_to_read():
    """A guard reads evidence of many negations in time that grows with its length."""
    read = partial(parbake_semantic.guard.unsupported, "You can return it.")
    (growth,) = times_as_long(partial(read, ["not " * 2_000]), partial(read, ["not " * 1_000]), rounds=5)
    assert growth < MOST_TIMES


def test_a_message_is_read_from_its_opening():
    """A turn keeps a thousand characters of each text of the shopper, and replies whole."""
    turn = Turn("a" * 8_000, "u1", history=(("user", "b" * 8_000), ("assistant", "c" * 8_000)))
    assert turn.message == "a" * MOST_READ
    assert turn.history == (("user", "b" * MOST_READ), ("assistant", "c" * 8_000))


def test_a_conversation_is_read_back_to_a_bound():
    """Of a long conversation the newest turns are read, so that one message with it takes about as long as any."""
    said = [pair for n in range(9) for pair in (("user", f"{n}" * MOST_READ), ("assistant", f"reply {n}"))]
    turn = Turn("and that one?", "u1", history=tuple(said))
    kept = said[-2 * (MOST_REMEMBERED // MOST_READ) :]
    assert turn.history == (said[-len(kept) - 1], *kept)
    short = tuple(("user", f"question {n}") for n in range(20))
    assert Turn("and?", "u1", history=short).history == short


def test_a_review_is_quoted_from_its_opening():
    """A review's summary quotes what stands in its first thousand characters."""
    body = "Lovely drawings throughout. " + "x" * MOST_READ + ". Nothing here is read any more."
    assert summarize([ReviewText(5, body)]).praise == ("Lovely drawings throughout.",)
