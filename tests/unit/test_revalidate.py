"""Revalidation: a value gets a new stamp without a computation if all of its reads return the same."""

import pytest
from tests.unit.shopfloor import Facts, World, contract

import parbake as pb
from parbake.errors import DeclarationError
from parbake.stores.steps.record_steps import RecordSteps, numbers


class Shop:
    """A world with a costly task, and another one that reads it."""

    def __init__(self, folder):
        """Declare the tasks, which record their calls."""
        self.world, tasks, self.calls = World(folder), pb.Registry(), []

        @tasks.artifact(**contract(), revalidate=True)
        async def text(name: str, *, facts: pb.Source[Facts]) -> str | pb.Absent:
            """Return the fact in capitals, and record the call."""
            self.calls.append(f"text {name}")
            found = facts.get(name)
            return pb.Absent("none") if found is None else found.upper()

        @tasks.artifact(**contract(), revalidate=True)
        async def page(name: str, *, texts: pb.Reader[str, str] = pb.Input(text)) -> str:
            """Return the text in brackets, and record the call."""
            self.calls.append(f"page {name}")
            return f"<{(await texts.get(name)).value}>"

        self.text, self.page = text, page
        self.app = self.world.app(tasks)

    async def put(self, name, value):
        """Change a fact and wait for the acknowledgement."""
        self.world.put(name, value)
        await self.app.drain()


@pytest.fixture
async def shop(tmp_path):
    """Return a shop."""
    shop = Shop(tmp_path)
    yield shop
    await shop.app.close()


async def test_an_event_that_changed_nothing_costs_no_call(shop):
    """After an event without a change the value is kept under the new stamp, also if it is derived."""
    await shop.put("a", "x")
    assert (await shop.app.serve(shop.page, "a")).value == "<X>"
    await shop.put("a", "x")
    served = await shop.app.serve(shop.page, "a")
    assert (served.value, served.stamp) == ("<X>", await shop.app.stamp())
    assert shop.calls == ["page a", "text a"]
    await shop.put("a", "y")
    assert (await shop.app.serve(shop.page, "a")).value == "<Y>"
    assert sorted(shop.calls[2:]) == ["page a", "text a"]


async def test_an_absence_is_kept_and_ended_alike(shop):
    """An absence is revalidated as well, and ends when the entity is created."""
    await shop.put("b", "x")
    assert (await shop.app.serve(shop.text, "a")).value is None
    await shop.app.touch("fact/a")
    assert (await shop.app.serve(shop.text, "a")).value is None
    assert shop.calls == ["text a"]
    await shop.put("a", "new")
    assert (await shop.app.serve(shop.text, "a")).value == "NEW"


async def test_a_kept_value_is_killed_by_the_next_change(shop):
    """A revalidated value keeps its tags, so a later change outdates it."""
    await shop.put("a", "x")
    for value in ("x", "x", "z"):
        await shop.app.serve(shop.text, "a")
        await shop.put("a", value)
    assert (await shop.app.serve(shop.text, "a")).value == "Z"


async def test_a_store_that_is_not_trusted_keeps_nothing(shop):
    """In a store that is not trusted, a value is computed again instead of revalidated."""
    await shop.put("a", "x")
    await shop.app.serve(shop.text, "a")
    store = shop.app.engine.store
    for host in ("a host", "another"):
        RecordSteps(store._map, store._parsed).settle(host, numbers())
    assert not (await store.stamp())[1].is_trusted
    assert (await shop.app.serve(shop.text, "a")).value == "X"
    assert shop.calls == ["text a", "text a"]


def test_a_batched_function_cannot_be_revalidated():
    """``revalidate`` is refused for a function of many keys, whose reads belong to no single key."""
    tasks = pb.Registry()
    with pytest.raises(DeclarationError, match="one key at a time"):

        @tasks.artifact(**contract(), revalidate=True)
        def many(names: pb.Keys[str]) -> dict[str, str]:
            """Return all values at once."""
            return dict.fromkeys(names, "")
