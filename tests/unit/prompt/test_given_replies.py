"""Earlier replies are outdated once what they state has changed, and never before."""

import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake_llm import GivenReplies

REPLY = "You have 30 days."


@pytest.fixture
async def given(world):
    """Return what remembers replies, over an app that reads facts."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def fact(name: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(name) or ""

    app = world.app(tasks)
    await app.drain()
    found = GivenReplies(app.bonds)
    found.app = app
    return found


def talk(*replies):
    """Return a conversation with these replies."""
    return [turn for reply in replies for turn in (("user", "?"), ("assistant", reply))]


async def test_a_reply_is_outdated_once_its_source_has_changed(given):
    """A reply holds until a tag that it is bound to is raised; another tag does not matter."""
    given.keep(await given.begin(), REPLY, ["fact/window"])
    assert await given.outdated(talk(REPLY)) == {1: False}
    await given.app.touch("fact/other")
    assert await given.outdated(talk(REPLY)) == {1: False}
    await given.app.touch("fact/window")
    assert await given.outdated(talk(REPLY)) == {1: True}


async def test_a_change_while_the_reply_was_made_outdates_it(given):
    """The stamp is read before the reply is made, so a change in between counts."""
    begun = await given.begin()
    await given.app.touch("fact/window")
    given.keep(begun, REPLY, ["fact/window"])
    assert await given.outdated(talk(REPLY)) == {1: True}


async def test_a_reply_of_another_process_is_outdated_if_it_states_a_number(given):
    """Nobody knows from when an unknown reply is; without any number it may stay."""
    assert await given.outdated(talk(REPLY, "Hello!")) == {1: True, 3: False}


async def test_a_reply_without_sources_stays(given):
    """A reply that states nothing of the data is never outdated."""
    given.keep(await given.begin(), "Hello 2 you!", [])
    await given.app.touch("fact/window")
    assert await given.outdated(talk("Hello 2 you!")) == {1: False}


async def test_the_same_words_of_another_reply_do_not_make_it_true(given):
    """Two replies with the same words are bound to the sources of both, and a repeated one to its newest state."""
    given.keep(await given.begin(), REPLY, ["fact/window"])
    given.keep(await given.begin(), REPLY, ["fact/refunds"])
    await given.app.touch("fact/window")
    assert await given.outdated(talk(REPLY)) == {1: True}
    given.keep(await given.begin(), REPLY, ["fact/window"])
    assert await given.outdated(talk(REPLY)) == {1: False}


@pytest.mark.parametrize("tags", [["facts/window"], ["window"], "fact/window"])
async def test_a_reply_cannot_be_bound_to_what_never_changes(given, tags):
    """``keep`` rejects a mistyped tag: no event would ever mark the reply as outdated."""
    with pytest.raises(pb.BadInput, match="fact") as caught:
        given.keep(await given.begin(), REPLY, tags)
    assert caught.value.field == "tags"
