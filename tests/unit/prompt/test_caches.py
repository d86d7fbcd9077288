"""Predictors of prefix caches: examples of what is read, written and missed, and what a provider reports."""

import pytest

from parbake.errors import BadInput
from parbake.ports.usage import Usage
from parbake_llm.ports.prompts import Block, Breakpoint, Prompt, Tool
from parbake_llm.prefix_caches import (
    BlockCache,
    BreakpointCache,
    Miss,
    MissCause,
    Piece,
    Prediction,
    SlotCache,
    explained,
    pieces,
    reconcile,
)
from parbake_llm.writing.placement import CacheRules

RULES = CacheRules(mechanism="breakpoints", minimum=100, ttls=("5m", "1h"))


def marked(*texts, ttl="5m", tokens=200):
    """Return a prompt of pieces of the given texts with a breakpoint after the last."""
    return [Piece(text, tokens, text) for text in texts[:-1]] + [Piece(texts[-1], tokens, texts[-1], ttl)]


def test_a_slot_reads_the_longest_common_prefix():
    """A session's next prompt reads its last prompt and reply, and computes the rest."""
    cache = SlotCache(2)
    cache.sent("a", [1, 2, 3], reply=[4])
    assert cache.predict("a", [1, 2, 3, 4, 5, 6]) == Prediction(read=4, uncached=2)


def test_a_slot_computes_at_least_the_last_token():
    """A prompt that the slot holds whole is read up to its last token."""
    cache = SlotCache(1)
    cache.sent("a", [1, 2, 3])
    assert cache.predict("a", [1, 2, 3]) == Prediction(read=2, uncached=1)


def test_a_new_session_takes_the_slot_used_longest_ago():
    """The third of two slots' sessions evicts the first, which then misses for that reason."""
    cache = SlotCache(2)
    for session, token in (("a", 1), ("b", 2), ("c", 3)):
        cache.sent(session, [token, 9])
    assert cache.slot("b") != cache.slot("c")
    assert cache.predict("b", [2, 9, 9]).miss is None
    assert cache.predict("a", [1, 9, 9]) == Prediction(uncached=3, miss=Miss(MissCause.EVICTED))


def test_a_pinned_slot_is_given_to_no_other_session_first():
    """Sessions whose requests have not ended yet have slots of their own."""
    cache = SlotCache(3)
    assert len({cache.pin(session) for session in "abc"}) == 3
    assert cache.pin("a") == cache.slot("a")


def test_a_restored_prefix_is_read_by_a_new_session():
    """What was loaded into a slot is read like what was sent; its former session loses it."""
    cache = SlotCache(1)
    cache.sent("old", [7, 7])
    cache.restore(0, [1, 2, 3])
    assert cache.predict("new", [1, 2, 3, 4]) == Prediction(read=3, uncached=1)
    assert cache.predict("old", [7, 7, 7]).miss == Miss(MissCause.EVICTED)


def test_a_slot_tells_a_changed_prefix_from_a_new_end():
    """A difference before the steady tokens is a miss with its position; one behind them is not a miss."""
    cache = SlotCache(1)
    cache.sent("a", [1, 2, 3, 4], steady=3)
    assert cache.predict("a", [1, 9, 3]).miss == Miss(MissCause.PREFIX_CHANGED, 1)
    assert cache.predict("a", [1, 2, 3, 9]).miss is None


@pytest.mark.parametrize("wrong", [lambda: SlotCache(0), lambda: SlotCache(1).restore(1, [1]), lambda: BlockCache(0)])
def test_impossible_sizes_are_refused(wrong):
    """A cache without slots, a slot that does not exist and an empty granule are refused with the setting's name."""
    with pytest.raises(BadInput) as refused:
        wrong()
    assert refused.value.field in {"slots", "slot", "granule"}


def test_blocks_are_read_in_whole_granules():
    """Of 200 equal tokens, three granules of 64 are read."""
    cache = BlockCache(64)
    cache.sent("a", [Piece("x", 200), Piece("y", 50)], now=0.0)
    found = cache.predict("b", [Piece("x", 200), Piece("z", 50)], now=1.0)
    assert (found.read, found.uncached, found.miss) == (192, 58, None)


def test_blocks_below_the_minimum_are_neither_written_nor_read():
    """A prompt shorter than the minimum misses for that reason, also the second time."""
    cache = BlockCache(64, minimum=1024)
    for now in (0.0, 1.0):
        found = cache.predict("a", [Piece("x", 1000)], now=now)
        assert (found.read, found.miss) == (0, Miss(MissCause.BELOW_MINIMUM))
        cache.sent("a", [Piece("x", 1000)], now=now)


def test_blocks_lapse_after_their_time():
    """A prefix is read just until its time to live has passed since its last use."""
    cache = BlockCache(10, ttl_s=60)
    cache.sent("a", [Piece("x", 10, "rules")], now=0.0)
    assert cache.predict("a", [Piece("x", 10, "rules")], now=60.0).read == 10
    cache.sent("a", [Piece("x", 10, "rules")], now=60.0)
    assert cache.predict("a", [Piece("x", 10, "rules")], now=120.0).read == 10
    assert cache.predict("a", [Piece("x", 10, "rules")], now=121.0).miss == Miss(MissCause.TTL_LAPSED, 0, "rules")


def test_blocks_make_room_from_the_end_of_the_oldest_prompt():
    """With room for three granules, the older prompt loses its end first, and that is the cause of its miss."""
    cache = BlockCache(10, capacity=3)
    cache.sent("a", [Piece("x", 20, "x")], now=0.0)
    cache.sent("b", [Piece("y", 20, "y")], now=1.0)
    found = cache.predict("a", [Piece("x", 20, "x")], now=2.0)
    assert (found.read, found.miss) == (10, Miss(MissCause.EVICTED, 0, "x"))


def test_written_granules_are_counted_where_they_are_billed():
    """Only a provider that bills writes reports new granules as written."""
    prompt = [Piece("x", 25)]
    assert BlockCache(10, bills_writes=True).predict("a", prompt, now=0.0).write == 20
    assert BlockCache(10).predict("a", prompt, now=0.0).uncached == 25


def test_a_changed_part_is_named():
    """A session that sends another policy misses at that part; a question that differs is not a miss."""
    cache = BlockCache(10)
    rules, policy, question = Piece("r", 20, "rules"), Piece("p1", 20, "policy"), Piece("q", 20, "q", volatile=True)
    cache.sent("a", [rules, policy, question], now=0.0)
    changed = [rules, Piece("p2", 20, "policy"), question]
    assert cache.predict("a", changed, now=1.0).miss == Miss(MissCause.PREFIX_CHANGED, 1, "policy")
    assert cache.predict("a", [rules, policy, Piece("q2", 20, "q", volatile=True)], now=1.0).miss is None


def test_a_breakpoint_writes_once_and_then_reads():
    """The first request writes to its breakpoint, the second reads it, and the rest stays uncached."""
    cache, prompt = BreakpointCache(RULES), [*marked("rules", "policy"), Piece("q", 30, volatile=True)]
    assert cache.predict("a", prompt, now=0.0) == Prediction(
        write=400, uncached=30, miss=Miss(MissCause.COLD, 0, "rules")
    )
    cache.sent("a", prompt, now=0.0)
    assert cache.predict("b", prompt, now=300.0) == Prediction(read=400, uncached=30)


def test_hours_and_minutes_are_written_apart():
    """What stands before a breakpoint for an hour is written for an hour, and the rest for minutes."""
    prompt = [Piece("rules", 200, ttl="1h"), Piece("turns", 100, ttl="5m")]
    found = BreakpointCache(RULES).predict("a", prompt, now=0.0)
    assert (found.write_hour, found.write) == (200, 100)


def test_a_read_prolongs_an_entry():
    """Reads every four minutes keep an entry of five minutes; the first pause of more than five ends it."""
    cache, prompt = BreakpointCache(RULES), marked("rules")
    cache.sent("a", prompt, now=0.0)
    for now in (240.0, 480.0, 720.0):
        assert cache.predict("a", prompt, now=now).read == 200
        cache.sent("a", prompt, now=now)
    assert cache.predict("a", prompt, now=1021.0).miss == Miss(MissCause.TTL_LAPSED, 0, "rules")


def test_an_entry_is_found_within_the_lookback():
    """A conversation that grew by 19 blocks finds its last entry, and one that grew by 20 does not."""
    cache = BreakpointCache(RULES)
    cache.sent("a", marked("t0"), now=0.0)
    near = marked(*(f"t{n}" for n in range(20)))
    far = marked(*(f"t{n}" for n in range(21)))
    assert cache.predict("a", near, now=1.0).read == 200
    assert cache.predict("a", far, now=1.0).miss == Miss(MissCause.BEYOND_LOOKBACK, 0, "t0")


def test_a_breakpoint_below_the_minimum_is_passed_over():
    """A marked prefix of fewer tokens than the minimum is not written, and says so."""
    found = BreakpointCache(RULES).predict("a", marked("rules", tokens=99), now=0.0)
    assert found == Prediction(uncached=99, miss=Miss(MissCause.BELOW_MINIMUM))


@pytest.mark.parametrize("ttls", [["5m"] * 5, ["5m", "1h"]])
def test_breakpoints_that_a_provider_refuses_are_refused(ttls):
    """More than four breakpoints, or a longer time behind a shorter one, are refused."""
    prompt = [Piece(str(at), 200, ttl=ttl) for at, ttl in enumerate(ttls)]
    with pytest.raises(BadInput) as refused:
        BreakpointCache(RULES).predict("a", prompt, now=0.0)
    assert refused.value.field == "breakpoints"


def test_what_is_not_reported_is_not_zero():
    """Without a reported count there is no drift, and the predicted miss stands; a reported 0 is a drift."""
    expected = Prediction(read=100, uncached=20)
    silent = reconcile(expected, Usage(uncached=120))
    assert (silent.reported, silent.drift, silent.miss) == (None, None, None)
    zero = reconcile(expected, Usage(uncached=120, cache_read=0))
    assert (zero.reported, zero.drift, zero.miss) == (0, -100, Miss(MissCause.PROVIDER_SAYS_OTHERWISE))


def test_expected_tokens_are_scaled_to_the_providers_count():
    """A provider whose tokenizer counts half as many tokens is expected to read half as many."""
    found = reconcile(Prediction(read=800, uncached=200), Usage(uncached=100, cache_read=400))
    assert (found.expected, found.drift, found.miss) == (400, 0, None)


def test_a_provider_that_reads_more_than_expected_did_not_miss():
    """A predicted miss is dropped if the provider read the prefix after all."""
    cold = Prediction(uncached=100, miss=Miss(MissCause.COLD))
    assert reconcile(cold, Usage(uncached=20, cache_read=80)).miss is None
    assert reconcile(cold, Usage(uncached=100, cache_read=0)).miss == Miss(MissCause.COLD)


def test_every_cause_has_a_sentence():
    """Each cause is explained differently, and a changed prefix names its part."""
    said = {explained(Miss(cause, 3, "policy")) for cause in MissCause}
    assert len(said) == len(MissCause)
    assert "policy" in explained(Miss(MissCause.PREFIX_CHANGED, 3, "policy"))
    assert "position 3" in explained(Miss(MissCause.PREFIX_CHANGED, 3))


def test_a_block_may_be_named_like_the_question():
    """A block named ``question`` is compared like any other; only the part behind the conversation is volatile."""
    found = pieces(Prompt(blocks=(Block("question", "How to ask."),), question="Now?"))
    assert [(piece.name, piece.volatile) for piece in found] == [("question", False), ("question", True)]


def test_a_prompt_becomes_pieces():
    """Tools, blocks, each turn and the question are pieces with their breakpoints; only the question is volatile."""
    prompt = Prompt(
        tools=(Tool("find", "finds", {}),), blocks=(Block("policy", "Be kind."),),
        turns=(("user", "Hi"), ("assistant", "Hello")), question="When?",
        breakpoints=(Breakpoint("policy", "1h"), Breakpoint("conversation")),
    )  # fmt: skip
    found = pieces(prompt, len)
    assert [piece.ttl for piece in found] == [None, "1h", None, "5m", None]
    assert [piece.volatile for piece in found] == [False] * 4 + [True]
    assert len({piece.digest for piece in found}) == len(found)
    assert found[1].tokens == len("Be kind.")
