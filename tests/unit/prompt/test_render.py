"""The same prompt always gives the same text, in order of volatility, and a long conversation keeps its beginning."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parbake.errors import BadInput
from parbake_llm.ports.prompts import VOLATILITIES, Block, Exchange, Prompt, Tool, ToolCall, ordered
from parbake_llm.writing.render import (
    OUTDATED,
    canonical_json,
    parts,
    prefix_text,
    question_text,
    sorted_tools,
    tool_schema,
    windowed,
    with_outdated,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
BLOCKS = st.lists(
    st.builds(Block, st.text("abc", min_size=1, max_size=3), st.text(max_size=5), st.sampled_from(VOLATILITIES)),
    max_size=6,
)


def reversed_keys(value):
    """Return an equal value whose mappings have their keys in the opposite order."""
    if isinstance(value, dict):
        return {key: reversed_keys(inner) for key, inner in reversed(value.items())}
    return [reversed_keys(inner) for inner in value] if isinstance(value, list) else value


@given(VALUES)
def test_equal_values_are_the_same_json(value):
    """JSON does not depend on the order of keys, and is read as the same value."""
    assert canonical_json(reversed_keys(value)) == canonical_json(value)
    assert json.loads(canonical_json(value)) == value


@given(BLOCKS)
def test_blocks_stand_in_order_of_volatility(blocks):
    """No block stands before one that changes less often, and equals keep their order."""
    found = ordered(blocks)
    ranks = [VOLATILITIES.index(block.volatility) for block in found]
    assert ranks == sorted(ranks)
    for kind in VOLATILITIES:
        assert [b for b in found if b.volatility == kind] == [b for b in blocks if b.volatility == kind]


def test_the_parts_of_a_prompt_are_in_the_order_in_which_they_are_sent():
    """Tools, blocks, conversation and question follow each other; empty parts are left out."""
    tool = Tool("find", "Finds.", {"type": "object"})
    call = Exchange((ToolCall("1", "find", "{}"),), ("nothing",))
    prompt = Prompt(
        tools=(tool,), blocks=(Block("rules", "Be kind."), Block("policy", "30 days.", "policy", "7")),
        turns=(("user", "hi"), ("assistant", "hello")), evidence=("A.", "B."), question="What?", exchanges=(call,),
    )  # fmt: skip
    assert [part.name for part in parts(prompt)] == ["tools", "rules", "policy", "conversation", "question"]
    assert parts(prompt)[2].version == "7"
    assert parts(prompt)[3].text == "user: hi\nassistant: hello\n"
    assert prefix_text(prompt.blocks) == "Be kind.\n\n30 days."
    assert question_text(prompt) == "Evidence:\n- A.\n- B.\n\nWhat?"
    assert [part.name for part in parts(Prompt(question="What?"))] == ["question"]


def test_tools_have_one_order_and_one_spelling():
    """Tools are sorted by name, and the keys of their schemas at every level."""
    tools = [Tool("b", "", {"z": {"y": 1, "x": 2}, "a": 3}), Tool("a", "", {})]
    assert [tool.name for tool in sorted_tools(tools)] == ["a", "b"]
    assert json.dumps(tool_schema(tools[0])) == '{"a": 3, "z": {"x": 2, "y": 1}}'


def test_a_reply_whose_sources_changed_is_marked_once():
    """The mark stands before an outdated reply, and is not repeated."""
    turns = (("user", "until when?"), ("assistant", "30 days."))
    marked = with_outdated(turns, {1: True})
    assert marked == (turns[0], ("assistant", f"{OUTDATED} 30 days."))
    assert with_outdated(marked, {1: True}) == marked
    assert with_outdated(turns, {1: False}) == turns


@given(st.integers(0, 80), st.integers(0, 10), st.integers(1, 10))
def test_a_long_conversation_loses_many_turns_at_once(length, fewest, step):
    """The window holds the newest turns, at most ``most``, and its beginning moves only every ``step`` turns."""
    most = fewest + step
    turns = tuple(("user", str(n)) for n in range(length))
    found = windowed(turns, most=most, fewest=fewest)
    assert len(found) <= most
    assert found == turns[len(turns) - len(found) :]
    begins = len(turns) - len(found)
    assert begins % step == 0
    assert length <= most or len(found) > fewest - 1


@pytest.mark.parametrize(("length", "left"), [(16, 16), (17, 9), (24, 16), (25, 9)])
def test_the_window_of_the_guide(length, left):
    """With 16 and 8, a conversation of 17 turns is cut to 9, and then grows to 16 again."""
    assert len(windowed((("user", "x"),) * length, most=16, fewest=8)) == left


@pytest.mark.parametrize(("most", "fewest"), [(0, 0), (4, 4), (4, 5), (4, -1)])
def test_a_window_that_cannot_be_kept_is_refused(most, fewest):
    """A window that is never cut, or always, names the field."""
    with pytest.raises(BadInput, match="must be below") as caught:
        windowed([("user", "a")] * 9, most=most, fewest=fewest)
    assert caught.value.field == "fewest"


def test_a_block_of_unknown_volatility_cannot_be_sorted():
    """It is named, with what it may be."""
    with pytest.raises(BadInput, match="must be one of rules, policy, shared, user"):
        ordered([Block("clock", "x", "daily")])
