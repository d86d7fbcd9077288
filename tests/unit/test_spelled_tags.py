"""One spelling of a tag: whatever a key contains, raising its name outdates its value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.protocol.tags import MAX_TAG_BYTES, check_tag, key_from_tag, named, raised_by, read_entity, spelled

KEYS = (
    "R\u00fcckgabe",
    "\u65e5\u672c",
    "50%",
    "a#b",
    "what?",
    "New York",
    "a%20b",
    "tab\there",
    "x" * 400,
    "a/b",
    "%C3%BC",
)
ENTITIES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@pytest.mark.parametrize("key", [*KEYS, "*"])
async def test_a_touched_key_is_computed_again(world, key):
    """The tag is written with the key as it is, and the value from before the acknowledgement is not served."""
    tasks, calls = pb.Registry(), []

    @tasks.artifact(**contract(invalidated_by=[pb.fence("fact/{key}")]))
    def count(key: str) -> int:
        calls.append(key)
        return len(calls)

    app = world.app(tasks)
    await app.drain()
    assert (await app.serve(count, key)).value == 1
    ack = await app.touch(f"fact/{key}")
    assert (await app.serve(count, key)).value == 2
    async with app.request(after=ack):
        assert (await app.serve(count, key)).value == 2


@pytest.mark.parametrize("key", KEYS)
async def test_an_event_of_an_outbox_names_a_key_as_the_view_does(world, key):
    """A view, a template and an event spell a key alike, also where many keys are computed together."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[pb.fence("fact/{key}")]))
    def fact(keys: pb.Keys[str], *, facts: pb.Source[Facts]) -> dict[str, str]:
        return {key: str(facts.get(key)) for key in keys}

    world.put(key, "one", tell=False)
    world.put("other", "same", tell=False)
    app = world.app(tasks)
    await app.drain()
    await app.materialize(fact, keys=[key, "other"])
    world.put(key, "two")
    await app.drain()
    assert (await app.serve(fact, key)).value == "two"
    assert (await app.serve(fact, "other")).lane == "batch", "the change names one key only"


@given(ENTITIES)
def test_a_spelled_tag_stays_as_it_is(entity):
    """A spelled tag is valid, fits into the limit, and is not spelled again."""
    tag = spelled(f"fact/{entity}")
    assert spelled(tag) == tag == check_tag(f"fact/{entity}")
    assert len(tag.encode()) <= MAX_TAG_BYTES


@given(ENTITIES)
def test_readers_and_events_spell_an_entity_alike(entity):
    """What a read is bound by is what an event about the same entity raises."""
    raised = raised_by(f"fact/{entity}", "fact.changed")
    if entity != "*":
        assert read_entity(f"fact/{entity}")[0] == raised[0] == named(f"fact/{entity}")[0]
        assert key_from_tag("fact/{key}", raised[0]) is not None or entity.endswith("/*")


@pytest.mark.parametrize("wrong", ["Fact/a", "my fact/a", "", "/a", "fact/", 7])
def test_a_family_is_still_small_letters(wrong):
    """Only the entity may contain anything; a family is one word."""
    with pytest.raises(pb.BadInput, match="is not a tag"):
        check_tag(wrong)
