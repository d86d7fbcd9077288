"""First messages are read once, and what they ask rests on nothing that changes."""

import json
from pathlib import Path

import pytest

from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.parse import Parser

SETS = Path(__file__).parents[3] / "benchmarks" / "_answers"


@pytest.fixture
def unpriced(vocabulary):
    """A parser for which no product has a price or a title any more."""

    def gone(asin):
        raise AssertionError(f"{asin} was looked up")

    return Parser(vocabulary, gone, gone)


def test_a_first_message_is_read_without_a_look_at_what_changes(unpriced):
    """What is remembered of a first message cannot be outdated: neither a price nor a product is looked up for it."""
    turns = [json.loads(line) for path in sorted(SETS.glob("*.jsonl")) for line in path.read_text().splitlines()]
    messages = {turn["say"] for item in turns for turn in item.get("turns", ())}
    assert len(messages) > 1_000
    for message in messages:
        unpriced.read(message)


def test_a_later_message_is_read_with_what_was_said(parser):
    """A message that was read as a first one is read anew where something was shown before it."""
    first = parser.read("is the second one cheaper?")
    shown = Dialogue(shown=("P001", "P002"), offered=("P001", "P002"), kind="list", turns=1)
    assert not first[0].subjects
    assert [one.asin for one in parser.read("is the second one cheaper?", shown)[0].subjects] == ["P002"]
    assert parser.read("is the second one cheaper?") == first


def test_what_a_caller_does_with_the_questions_is_not_remembered(parser):
    """A caller may empty the list that it gets."""
    parser.read("do you have thrillers?").clear()
    assert parser.read("do you have thrillers?")
