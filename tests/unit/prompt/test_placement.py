"""Where breakpoints stand, for each way in which providers cache."""

import pytest

from parbake.errors import BadInput
from parbake_llm.ports.prompts import Block, Breakpoint, Prompt, Tool
from parbake_llm.writing.placement import NO_CACHE, CacheRules, placed

RULES = CacheRules(mechanism="breakpoints", minimum=10, ttls=("5m", "1h"))
BLOCKS = (
    Block("rules", "r" * 40),
    Block("returns", "p" * 40, "policy"),
    Block("shipping", "p" * 40, "policy"),
    Block("offers", "s" * 40, "shared"),
    Block("profile", "u" * 40, "user"),
)
TURNS = (("user", "hi"), ("assistant", "hello"))


def marks(prompt, rules=RULES):
    """Return the breakpoints as pairs."""
    return [(one.after, one.ttl) for one in placed(prompt, rules).breakpoints]


def test_a_breakpoint_ends_what_changes_together():
    """There is one after the policies, the shared blocks, the profile and the conversation; longer lives come first."""
    prompt = Prompt(blocks=BLOCKS, turns=TURNS, question="?")
    assert marks(prompt) == [("shipping", "1h"), ("offers", "1h"), ("profile", "5m"), ("conversation", "5m")]


def test_what_is_missing_has_no_breakpoint():
    """Rules alone end at the rules, and tools count as rules."""
    tool = Tool("find", "Finds.", {})
    assert marks(Prompt(blocks=BLOCKS[:1], question="?")) == [("rules", "1h")]
    assert marks(Prompt(tools=(tool,), question="?")) == [("tools", "1h")]
    assert marks(Prompt(question="?")) == []


def test_a_prefix_below_the_minimum_is_not_marked():
    """A breakpoint stands only where the tokens before it reach the provider's minimum."""
    rules = CacheRules(mechanism="breakpoints", minimum=35, ttls=("5m", "1h"))
    assert marks(Prompt(blocks=BLOCKS, question="?"), rules) == [("offers", "1h"), ("profile", "5m")]


def test_a_provider_with_fewer_breakpoints_gets_the_last():
    """The longest prefixes are kept, since each holds the shorter ones."""
    rules = CacheRules(mechanism="breakpoints", most=2, ttls=("5m",))
    assert marks(Prompt(blocks=BLOCKS, turns=TURNS, question="?"), rules) == [("profile", "5m"), ("conversation", "5m")]
    assert marks(Prompt(blocks=BLOCKS, question="?"), CacheRules(mechanism="breakpoints", most=0)) == []


@pytest.mark.parametrize("rules", [NO_CACHE, CacheRules(mechanism="automatic"), CacheRules(mechanism="slots")])
def test_who_needs_no_breakpoints_gets_none(rules):
    """Automatic caches, slots and providers without a cache get no breakpoint."""
    assert marks(Prompt(blocks=BLOCKS, question="?"), rules) == []


def test_given_breakpoints_stay():
    """A prompt that has breakpoints, or explicitly none, is not changed."""
    given = Prompt(blocks=BLOCKS, breakpoints=(Breakpoint("rules"),))
    assert placed(given, RULES) == given
    assert placed(Prompt(blocks=BLOCKS, breakpoints=()), RULES).breakpoints == ()


def test_what_stands_behind_a_users_block_is_the_users():
    """A shared block behind a user's is asked to live as short as that, so that longer lives stand first."""
    blocks = tuple(Block(name, name * 900, volatility) for name, volatility in
                   (("rules", "rules"), ("mine", "user"), ("news", "shared")))  # fmt: skip
    rules = CacheRules(mechanism="breakpoints", minimum=100, ttls=("5m", "1h"))
    assert [(one.after, one.ttl) for one in placed(Prompt(blocks=blocks), rules).breakpoints] == [
        ("rules", "1h"), ("mine", "5m"), ("news", "5m"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"mechanism": "magic"},
        {"ttls": ()},
        {"ttls": ("2h",)},
        {"minimum": -1},
        {"granule": 0},
        {"most": -1},
        {"lookback": -1},
    ],
)
def test_rules_that_no_provider_has_are_refused(wrong):
    """A wrong setting is named where the rules are made, not where a prompt is sent."""
    with pytest.raises(BadInput) as caught:
        CacheRules(**wrong)
    assert caught.value.field == next(iter(wrong))
