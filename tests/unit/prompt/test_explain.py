"""A prefix is explained with its breakpoints, its findings and the reads that a cache should give."""

import pytest

import parbake as pb
from parbake_llm.ports.prompts import Block, Tool
from parbake_llm.watching.explaining import Traffic, explain
from parbake_llm.writing.placement import NO_CACHE, CacheRules

BLOCKS = (Block("rules", "r" * 800), Block("policy", "p" * 8000, "policy", "7"))
RULES = CacheRules(mechanism="breakpoints", minimum=1024, ttls=("5m", "1h"))


def test_the_parts_are_listed_with_sizes_and_breakpoints():
    """Each part has its size, its version and the life of the breakpoint after it."""
    found = explain(BLOCKS, RULES, tools=[Tool("find", "Finds.", {})])
    assert [(part.name, part.version, part.breakpoint) for part in found.parts] == [
        ("tools", "", None), ("rules", "", None), ("policy", "7", "1h"),
    ]  # fmt: skip
    assert found.parts[2].tokens == 2000
    assert found.findings == ()


@pytest.mark.parametrize(
    "rules", [RULES, CacheRules(mechanism="automatic", minimum=1024, granule=128), CacheRules(mechanism="slots")]
)
def test_the_order_decides_what_is_read(rules):
    """In order of volatility most tokens are read; with the evidence in front none is."""
    found = explain(BLOCKS, rules)
    assert found.expected.read_share > 0.8
    assert found.naive.read_share == 0
    assert found.expected.requests == found.naive.requests == 48
    assert found.expected.usage.input == pytest.approx(found.naive.usage.input, rel=0.02)


def test_without_a_cache_nothing_is_read():
    """A provider that caches nothing bills every token."""
    found = explain(BLOCKS, NO_CACHE)
    assert (found.expected.read_share, found.expected.usage.cache_read) == (0, None)


def test_a_prefix_below_the_minimum_is_said():
    """A prefix that is too short is found, and nothing is expected to be read."""
    found = explain(BLOCKS[:1], RULES)
    assert "below minimum" in found.findings[0]
    assert found.parts[0].breakpoint is None


@pytest.mark.parametrize(("field", "value"), [("conversations", 0), ("turns", 0), ("gap_s", -1), ("reply", -1)])
def test_traffic_that_cannot_be_is_refused(field, value):
    """A number of conversations below one, or a negative size, is refused by its name."""
    with pytest.raises(pb.BadInput, match=field):
        Traffic(**{field: value})
