"""No text of a customer takes long: every pattern that may see one is timed, and so is a whole message.

The clock is that of the thread's own CPU time, so that other processes do not count.
"""

import sys
import time
from pathlib import Path
from random import Random

import pytest
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

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
READERS = (
    "parbake_semantic", "retail_assistant.answers", "retail_assistant.chat", "retail_assistant.faq",
    "retail_assistant.http", "retail_assistant.knowledge", "retail_assistant.recs", "retail_assistant.shop",
    "retail_assistant.understand",
)  # fmt: skip
"""The packages whose patterns may see a customer's text."""
LONGEST_S, SLOW_S, GROWTH = 0.020, 0.005, 3.0
"""No pattern takes longer; one that is slow takes at most so many times as long for twice the text."""
MESSAGE_S = 0.3
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


def fastest(what, *, enough, tries=3):
    """Return the CPU seconds of the fastest of some tries; the first that is fast enough is the last."""
    best = float("inf")
    for _ in range(tries):
        began = time.thread_time()
        what()
        best = min(best, time.thread_time() - began)
        if best < enough:
            break
    return best


def seconds(pattern, text):
    """Return how long a pattern looks for all that it finds in a text."""
    return fastest(lambda: sum(1 for _ in pattern.finditer(text)), enough=SLOW_S)


def attacks(hostile, pattern, random):
    """Yield pieces that a pattern looks for, each again and again, whole or in part."""
    for _ in range(SAMPLES):
        for piece in hostile.fitting(pattern, random):
            yield hostile.repeated(piece), hostile.repeated(piece, MOST_READ // 2)
            stretched = hostile.stretched(piece, random)
            yield stretched, stretched[: MOST_READ // 2]


def is_slow(pattern, text, half):
    """Whether a pattern takes too long for a text, or much longer than for half of it."""
    found = seconds(pattern, text)
    return found > LONGEST_S or (found > SLOW_S and found > GROWTH * seconds(pattern, half))


def test_the_patterns_are_found(patterns):
    """The search finds patterns of cues, of concepts, of prices, of vetoes, of the guard and of a vocabulary."""
    places_ = set(patterns.values())
    assert len(patterns) > 500
    for place in ("readings.CUES", "concepts._PATTERNS", "typed_prices._MOST", "guardrails._PERSONAL", "claims._MONEY"):
        assert any(found.endswith(place) for found in places_), place
    assert {"Vocabulary", "Reader"} <= places_


def test_no_pattern_takes_long_for_a_repeated_piece(hostile, patterns):
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


def test_no_pattern_takes_long_for_what_it_almost_finds(hostile, patterns):
    """No pattern takes long for a text that begins again and again as what it looks for."""
    random = Random(11)
    slow = {
        (place, text[:30])
        for pattern, place in patterns.items()
        for text, half in attacks(hostile, pattern, random)
        if is_slow(pattern, text, half)
    }
    assert slow == set()


def test_no_pattern_takes_long_for_a_mixture(hostile, patterns):
    """No pattern takes long for random texts of digits, signs and the words that all patterns look for."""
    random, words = Random(12), hostile.words_of(patterns)
    texts = [hostile.mixed(random, words) for _ in range(40)]
    slow = {
        (place, text[:30])
        for pattern, place in patterns.items()
        for text in texts
        if is_slow(pattern, text, text[: MOST_READ // 2])
    }
    assert slow == set()


def test_no_message_takes_long_to_understand(hostile, patterns, vocabulary):
    """A message is understood within a bounded time, whatever it repeats or mixes, and however long it is."""
    parser, random, words = Parser(vocabulary, lambda _: 1000), Random(13), hostile.words_of(patterns)
    said = Dialogue(shown=("P001", "P002"), focus="P001", kind="list", turns=1)
    long = [hostile.repeated(piece, 8 * MOST_READ) for piece in hostile.PIECES]
    for text in [*long, *(hostile.mixed(random, words, 8 * MOST_READ) for _ in range(40))]:
        message = Turn(text, "u1").message
        took = fastest(lambda m=message: parser.read(hear(m, vocabulary).text, said), enough=MESSAGE_S)
        assert took < MESSAGE_S, (took, text[:30])


def test_no_evidence_takes_long_to_read():
    """A guard reads evidence of many negations in time that grows with its length."""
    took = [
        fastest(lambda text=text: parbake_semantic.guard.unsupported("You can return it.", [text]), enough=0.01)
        for text in ("not " * 1_000, "not " * 4_000)
    ]
    assert took[1] < 0.05 or took[1] < 8 * took[0], took


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
