"""A value is kept under a new stamp where everything it was made of reads the same again."""

import pytest
from tests.unit.shopfloor import Facts, World, contract

import parbake as pb
from parbake.errors import DeclarationError
from parbake.stores.steps.engine import numbers, settle


class Shop:
    """A world with a task that is dear to run, and one that reads it."""

    def __init__(self, folder):
        """Declare them and count their calls."""
        self.world, tasks, self.calls = World(folder), pb.Registry(), []

        @tasks.artifact(**contract(), revalidate=True)
        async def text(name: str, *, facts: pb.Source[Facts]) -> str | pb.Absent:
            """Dear."""
            self.calls.append(f"text {name}")
            found = facts.get(name)
            return pb.Absent("none") if found is None else found.upper()

        @tasks.artifact(**contract(), revalidate=True)
        async def page(name: str, *, texts: pb.Reader[str, str] = pb.Input(text)) -> str:
            """Dear, and derived."""
            self.calls.append(f"page {name}")
            return f"<{(await texts.get(name)).value}>"

        self.text, self.page = text, page
        self.app = self.world.app(tasks)

    async def put(self, name, value):
        """Change a fact and have it acknowledged."""
        self.world.put(name, value)
        await self.app.drain()


@pytest.fixture
async def shop(tmp_path):
    """Return a shop."""
    shop = Shop(tmp_path)
    yield shop
    await shop.app.close()


async def test_an_event_that_changed_nothing_costs_no_call(shop):
    """The value goes on under the new stamp, through a derived task too, and is fenced as before."""
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
    """What was not there and is still not there is not asked again; what appears is seen."""
    await shop.put("b", "x")
    assert (await shop.app.serve(shop.text, "a")).value is None
    await shop.app.touch("fact/a")
    assert (await shop.app.serve(shop.text, "a")).value is None
    assert shop.calls == ["text a"]
    await shop.put("a", "new")
    assert (await shop.app.serve(shop.text, "a")).value == "NEW"


async def test_a_kept_value_is_killed_by_the_next_change(shop):
    """Revalidation inherits the tags: a third event outdates it again."""
    await shop.put("a", "x")
    for value in ("x", "x", "z"):
        await shop.app.serve(shop.text, "a")
        await shop.put("a", value)
    assert (await shop.app.serve(shop.text, "a")).value == "Z"


async def test_a_store_that_is_not_trusted_keeps_nothing(shop):
    """Where a loss may have taken a withdrawal along, an old value is not given a new stamp: it is made anew."""
    await shop.put("a", "x")
    await shop.app.serve(shop.text, "a")
    store = shop.app.engine.store
    for host in ("a host", "another"):
        settle(store._map, store._parsed, host, numbers())
    assert not (await store.stamp())[1].is_trusted
    assert (await shop.app.serve(shop.text, "a")).value == "X"
    assert shop.calls == ["text a", "text a"]


def test_a_batched_function_cannot_be_revalidated():
    """Its reads belong to no single key."""
    tasks = pb.Registry()
    with pytest.raises(DeclarationError, match="one key at a time"):

        @tasks.artifact(**contract(), revalidate=True)
        def many(names: pb.Keys[str]) -> dict[str, str]:
            """All at once."""
            return dict.fromkeys(names, "")
