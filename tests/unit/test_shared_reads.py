"""What the keys of one call read together, and what binds one of them alone."""

import logging

from tests.unit.shopfloor import Facts, reading

import parbake as pb
from parbake.serving.compute import MANY_KEYS


async def test_in_a_batch_each_key_is_bound_by_its_own_entity_and_by_what_was_shared(world):
    """A change of one key's entity outdates that key; a change of a shared entity outdates all keys."""

    def both(view, key):
        return f"{view.get(key)} {view.get('common')}"

    tasks, value = reading(Facts, both, pb.fence("fact/{key}"), batched=True)
    app = world.app(tasks)
    for name in ("a", "b", "common"):
        world.put(name, "old")
    await app.drain()
    await app.materialize(value, keys=["a", "b"])
    assert [(await app.serve(value, key)).lane for key in "ab"] == ["batch", "batch"]
    world.put("a", "new")
    await app.drain()
    assert [(await app.serve(value, key)).lane for key in "ba"] == ["batch", "realtime"]
    world.put("common", "new")
    await app.drain()
    assert [(await app.serve(value, key)).value for key in "ab"] == ["new new", "old new"]


async def test_a_key_that_reads_the_entity_of_another_is_bound_by_it_where_the_family_is_named(world):
    """In a batch, ``fence("fact")`` beside a template binds each key by what the call has read for any of them."""

    def own_or_head(view, key):
        return view.get(key) or view.get("head")

    tasks, value = reading(Facts, own_or_head, pb.fence("fact/{key}"), pb.fence("fact"), batched=True)
    app = world.app(tasks)
    world.put("head", "old")
    world.put("branch", "")
    await app.drain()
    await app.materialize(value, keys=["branch", "head"])
    assert (await app.serve(value, "branch")).value == "old"
    world.put("head", "new")
    await app.drain()
    assert (await app.serve(value, "branch")).value == "new"


async def test_what_binds_very_many_keys_at_once_is_warned_of_once(world, caplog):
    """If reads bind all keys of a large chunk, one warning names the family, and a second run logs none."""
    tasks, value = reading(Facts, lambda view, key: len(view.names()), pb.fence("fact/{key}"), batched=True)
    app = world.app(tasks)
    await app.drain()
    with caplog.at_level(logging.WARNING, "parbake.compute"):
        for _ in range(2):
            await app.materialize(value, keys=[f"k{n}" for n in range(MANY_KEYS)], anew=True)
    assert [r.getMessage()[:43] for r in caplog.records] == ["value: its reads of fact bind all 64 keys o"]
