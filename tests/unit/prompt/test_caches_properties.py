"""Predictors of prefix caches, for any sequence of prompts: against naive references, and what always holds."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from parbake_llm.ports.prompts import TTL_S
from parbake_llm.prefix_caches import BlockCache, BreakpointCache, MissCause, Piece, SlotCache
from parbake_llm.writing.placement import CacheRules

SIZES = {"a": 3, "b": 10, "c": 25}
GAPS = (0.0, 1.0, 100.0, 299.0, 301.0, 4000.0)
TEXTS = st.lists(st.sampled_from("abc"), min_size=1, max_size=6)
SENT = st.lists(st.tuples(st.sampled_from("xyz"), TEXTS, st.sampled_from(GAPS)), max_size=8)
TOKENS = st.lists(st.tuples(st.sampled_from("xyz"), st.lists(st.integers(0, 2), min_size=2, max_size=8)), max_size=10)


def plain(texts):
    """Return pieces without breakpoints."""
    return [Piece(text, SIZES[text], text) for text in texts]


@st.composite
def with_marks(draw):
    """Draw a prompt with at most four breakpoints, longer times first."""
    texts = draw(TEXTS)
    marks = sorted(draw(st.sets(st.integers(0, len(texts) - 1), max_size=4)))
    hours = draw(st.integers(0, len(marks)))
    ttls = {at: "1h" if n < hours else "5m" for n, at in enumerate(marks)}
    return [Piece(text, SIZES[text], text, ttls.get(at)) for at, text in enumerate(texts)]


MARKED = st.lists(st.tuples(st.sampled_from("xyz"), with_marks(), st.sampled_from(GAPS)), max_size=8)


def with_times(sent):
    """Turn gaps into times."""
    times = itertools.accumulate(gap for *_, gap in sent)
    return [(session, prompt, now) for (session, prompt, _), now in zip(sent, times, strict=True)]


def is_sound(found, prompt):
    """Whether the counts add up to the prompt, none is negative, and a prompt that reads nothing has one cause."""
    counts = (found.read, found.write, found.write_hour, found.uncached)
    has_cause = found.miss is None or isinstance(found.miss.cause, MissCause)
    return sum(counts) == sum(piece.tokens for piece in prompt) == found.input and min(counts) >= 0 and has_cause


def naive_blocks(history, prompt, now, *, granule, capacity, ttl, minimum):
    """Count what a block cache reads, from the whole history: the most recently used granules are held."""

    def granules(texts):
        ends = list(itertools.accumulate(SIZES[text] for text in texts))
        whole = range(granule, ends[-1] + 1, granule) if texts else ()
        return [(tuple(texts[: next(n for n, end in enumerate(ends, 1) if end >= at)]), at) for at in whole]

    used = {}
    for order, (_, texts, at) in enumerate(history):
        found = granules(texts)
        if len(found) * granule >= minimum:
            used |= {one: (order, -depth, at) for depth, one in enumerate(found)}
    held = sorted(used, key=used.get, reverse=True)[:capacity]
    held = {one for one in held if ttl is None or now - used[one][2] <= ttl}
    read = granule * len(list(itertools.takewhile(lambda one: one in held, granules(prompt))))
    return read if read >= minimum else 0


def naive_breakpoints(history, prompt, now, *, minimum, lookback):
    """Count what a cache with breakpoints reads: entries are prefixes with the time at which they end."""

    def tokens(pieces):
        return sum(piece.tokens for piece in pieces)

    def read(entries, pieces, now):
        names = [piece.digest for piece in pieces]
        reached = [
            at for mark, piece in enumerate(pieces, 1) if piece.ttl and tokens(pieces[:mark]) >= minimum
            for at in range(max(1, mark - lookback + 1), mark + 1)
            if entries.get(tuple(names[:at]), (0, -1.0))[1] >= now
        ]  # fmt: skip
        return max(reached, default=0)

    entries = {}
    for _, pieces, at in history:
        names, depth = [piece.digest for piece in pieces], read(entries, pieces, at)
        for n in range(1, len(pieces) + 1):
            key, ttl = tuple(names[:n]), pieces[n - 1].ttl
            is_alive = key in entries and entries[key][1] >= at
            if is_alive and n <= depth:
                entries[key] = (entries[key][0], at + entries[key][0])
            elif ttl and not is_alive and tokens(pieces[:n]) >= minimum:
                entries[key] = (TTL_S[ttl], at + TTL_S[ttl])
    return tokens(prompt[: read(entries, prompt, now)])


@given(SENT, st.sampled_from((4, 10)), st.sampled_from((None, 1, 3, 9)), st.sampled_from((None, 100.0, 300.0)),
       st.sampled_from((0, 20)))  # fmt: skip
def test_a_block_cache_reads_what_the_reference_reads(sent, granule, capacity, ttl, minimum):
    """For any history, capacity and time to live, predictions equal the naive reference and are sound."""
    cache, history = BlockCache(granule, capacity=capacity, ttl_s=ttl, minimum=minimum), []
    for session, texts, now in with_times(sent):
        found = cache.predict(session, plain(texts), now=now)
        expected = naive_blocks(history, texts, now, granule=granule, capacity=capacity, ttl=ttl, minimum=minimum)
        assert found.read == expected
        assert is_sound(found, plain(texts))
        assert found.read or found.miss is not None
        cache.sent(session, plain(texts), now=now)
        history.append((session, texts, now))


@given(MARKED, st.sampled_from((0, 12)), st.sampled_from((2, 20)))
def test_a_cache_with_breakpoints_reads_what_the_reference_reads(sent, minimum, lookback):
    """For any history of marked prompts, predictions equal the naive reference and are sound."""
    cache, history = BreakpointCache(CacheRules(minimum=minimum, lookback=lookback)), []
    for session, prompt, now in with_times(sent):
        found = cache.predict(session, prompt, now=now)
        assert found.read == naive_breakpoints(history, prompt, now, minimum=minimum, lookback=lookback)
        assert is_sound(found, prompt)
        is_marked = any(piece.ttl for piece in prompt)
        assert found.read or found.miss is not None or not is_marked
        cache.sent(session, prompt, now=now)
        history.append((session, prompt, now))


@given(TOKENS, st.integers(1, 3))
def test_a_slot_reads_what_the_reference_reads(sent, slots):
    """For any history of token lists, predictions equal a list per slot that is replayed by hand."""
    cache, held, owner, used = SlotCache(slots), [[]] * slots, [None] * slots, list(range(-slots, 0))
    for order, (session, prompt) in enumerate(sent):
        slot = owner.index(session) if session in owner else min(range(slots), key=used.__getitem__)
        same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(prompt, held[slot], strict=False))))
        found = cache.predict(session, prompt)
        assert (found.read, found.uncached) == (min(same, len(prompt) - 1), len(prompt) - found.read)
        assert same or found.miss is not None
        cache.sent(session, prompt, reply=[9])
        held[slot], owner[slot], used[slot] = [*prompt, 9], session, order


@given(SENT, st.integers(1, 8), st.integers(0, 8), st.sampled_from(GAPS[1:]), st.sampled_from(GAPS))
def test_more_capacity_and_a_longer_life_never_read_less(sent, capacity, more, ttl, longer):
    """At every request, a larger block cache with a longer time to live reads at least as much."""
    small = BlockCache(5, capacity=capacity, ttl_s=ttl)
    large = BlockCache(5, capacity=capacity + more, ttl_s=ttl + longer)
    for session, texts, now in with_times(sent):
        reads = [cache.predict(session, plain(texts), now=now).read for cache in (small, large)]
        assert reads[0] <= reads[1]
        for cache in (small, large):
            cache.sent(session, plain(texts), now=now)


@given(MARKED)
def test_entries_for_an_hour_never_read_less_than_entries_for_minutes(sent):
    """The same prompts with every breakpoint for an hour read at least as much as with all of them for minutes."""
    caches = {ttl: BreakpointCache(CacheRules()) for ttl in ("5m", "1h")}
    for session, prompt, now in with_times(sent):
        reads = []
        for ttl, cache in caches.items():
            same = [Piece(one.digest, one.tokens, one.name, ttl if one.ttl else None) for one in prompt]
            reads.append(cache.predict(session, same, now=now).read)
            cache.sent(session, same, now=now)
        assert reads[0] <= reads[1]


@given(MARKED)
def test_a_repeated_prompt_misses_nothing(sent):
    """Right after a marked prompt was sent, the same prompt reads up to its last breakpoint, without a miss."""
    cache = BreakpointCache(CacheRules(minimum=0))
    for session, prompt, now in with_times(sent):
        cache.sent(session, prompt, now=now)
        last = max((at for at, piece in enumerate(prompt, 1) if piece.ttl), default=0)
        found = cache.predict(session, prompt, now=now)
        assert (found.read, found.miss) == (sum(piece.tokens for piece in prompt[:last]), None)
