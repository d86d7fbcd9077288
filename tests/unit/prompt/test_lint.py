"""The silent reasons why a prompt is not read from a cache are found, and ordinary texts are not accused."""

import pytest

from parbake_llm.ports.prompts import Block, Prompt, Tool
from parbake_llm.writing.lint import ADVICE, Hazard, explained, lint
from parbake_llm.writing.placement import CacheRules


def hazards(prompt, *args, **options):
    """Return what is found, as pairs of hazard and part."""
    return [(found.hazard, found.part) for found in lint(prompt, *args, **options)]


def of_text(text, volatility="rules"):
    """Return what is found in one block."""
    return [found.hazard for found in lint(Prompt(blocks=(Block("b", text, volatility),)), users=("u00017",))]


@pytest.mark.parametrize(
    ("text", "hazard"),
    [
        ("Today is Monday.", Hazard.CLOCK),
        ("The current time: 12:04.", Hazard.CLOCK),
        ("Generated 2026-11-27T19:04.", Hazard.CLOCK),
        ("at 1795809013", Hazard.CLOCK),
        ("Today: 27.11.2026", Hazard.CLOCK),
        ("Now, 11/27/2026, answer.", Hazard.CLOCK),
        ("It is November 27, 2026.", Hazard.CLOCK),
        ("It is 27 November 2026.", Hazard.CLOCK),
        ("request 123e4567-e89b-12d3-a456-426614174000", Hazard.IDENTIFIER),
        ("You talk to u00017.", Hazard.USER),
        ('{"b": 1, "a": 2}', Hazard.UNSORTED_JSON),
        ("Be kind. \n", Hazard.WHITESPACE),
    ],
)
def test_a_block_that_changes_by_itself_is_found(text, hazard):
    """Clocks, random identifiers, a user's name, unsorted JSON and trailing blanks are found in a stable block."""
    assert of_text(text) == [hazard]


@pytest.mark.parametrize(
    "text",
    [
        "Returns take 30 days, until 2026-12-31.",
        "Effective date: 27.11.2026, prices as of November 1, 2026.",
        "Orders before 14:00 are sent the same day.",
        '{"a": 1, "b": {"c": 2}}',
        "Call +43 1 234 567 890.",
        "See section [returns#return-window].",
    ],
)
def test_ordinary_text_is_not_accused(text):
    """Dates, opening hours, sorted JSON and numbers of policies are not found."""
    assert of_text(text) == []


def test_a_users_block_may_name_the_user():
    """A block of volatility ``user`` may hold the user's name."""
    assert of_text("You talk to u00017.", "user") == []


def test_an_order_that_breaks_the_prefix_is_found():
    """A block in front of one that changes less often is named."""
    blocks = (Block("profile", "x", "user"), Block("rules", "y"))
    assert hazards(Prompt(blocks=blocks)) == [(Hazard.ORDER, "profile")]


def test_tools_and_history_are_compared_with_the_request_before():
    """Unsorted or changed tools, and a conversation that does not continue the one before, are found."""
    one, other = Tool("a", "", {}), Tool("b", "", {})
    assert hazards(Prompt(tools=(other, one))) == [(Hazard.TOOLS, "tools")]
    before = Prompt(tools=(one,), turns=(("user", "hi"), ("assistant", "yes")))
    assert hazards(Prompt(tools=(one, other), turns=before.turns), earlier=before) == [(Hazard.TOOLS, "tools")]
    assert hazards(Prompt(tools=(one,), turns=before.turns[1:]), earlier=before) == [(Hazard.HISTORY, "conversation")]
    assert hazards(Prompt(tools=(one,), turns=(*before.turns, ("user", "and?"))), earlier=before) == []


def test_a_prefix_below_the_minimum_is_found():
    """A prefix that the provider does not cache at all is named with its size."""
    (found,) = lint(Prompt(blocks=(Block("rules", "x" * 400),)), CacheRules(mechanism="automatic", minimum=1024))
    assert (found.hazard, found.detail) == (Hazard.BELOW_MINIMUM, "100 of 1024")


def test_every_hazard_has_advice():
    """Each finding is explained with what to do."""
    assert set(ADVICE) == set(Hazard)
    (found,) = lint(Prompt(blocks=(Block("rules", "Today is Monday."),)))
    assert explained(found) == "rules: clock (Today is): put the time into the question's evidence"
