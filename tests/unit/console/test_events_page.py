"""The pages *Events* and *Tasks*: what has changed, what is parked, what was done, and what is promised."""

import contextlib
import html
import json
import re

import pytest
from tests.unit.console.conftest import TOKEN
from tests.unit.shopfloor import Facts, reading

import parbake as pb
from parbake.errors import StoreUnreachable
from parbake.process.actions import ACTIONS_FILE
from parbake_console import Console

EVENTS, TASKS = "/console/events", "/console/tasks"


async def test_the_newest_changes_are_shown(shop, world):
    """Each has its tags and its number, the newest first, and the page says how long ago the last one was."""
    world.put("a", "two")
    await shop.app.drain()
    world.clock.advance(90)
    page = await shop.seen(EVENTS)
    assert "The last one was applied 1m30s ago" in page
    assert page.index("2 facts fact/a") < page.index("1 facts fact/c")


async def test_the_source_of_a_change_is_shown(shop):
    """A source is named; a change by hand has none; of what another process applied only its families tell."""
    await shop.app.touch("fact/x")
    page = await shop.seen(EVENTS)
    assert "2 touched, by no source fact/x" in page
    assert "1 facts fact/c" in page
    shop.history.changes.sources.clear()
    assert "1 another process; probably facts fact/c" in await shop.seen(EVENTS)


async def test_sources_are_kept_for_a_number_of_changes(shop, monkeypatch):
    """However many changes there are, the oldest ones are forgotten."""
    monkeypatch.setattr("parbake_console.newest_changes._MOST_SOURCES", 3)
    for number in range(5):
        await shop.app.touch(f"fact/{number}")
    assert list(shop.history.changes.sources) == [4, 5, 6]


async def test_the_time_to_fresh_is_that_of_the_first_value(shop, world):
    """A change waits while a value is outdated, and is fresh again with the first computation after it, by a read."""
    await shop.app.materialize(shop.ahead)
    world.put("c", "two")
    await shop.app.drain()
    await shop.after(20)
    assert "2 facts fact/c fact/* not yet: ahead waits for a read or its refresh" in await shop.seen(EVENTS)
    assert re.search(r"1 facts fact/c fact/\* after \d+ ms: ahead, by a run", await shop.seen(EVENTS))
    await shop.app.serve(shop.ahead, "c")
    await shop.after(20)
    page = await shop.seen(EVENTS)
    assert "2 facts fact/c fact/* after 20s: ahead, on request" in page
    assert "Of 2 changes a first value is fresh again, half of them within 10s." in page


async def test_a_refresh_of_a_worker_is_seen_in_the_store(shop, world):
    """What the event lane computes is read from the store, whoever computes it, and a later run does not change it."""
    await shop.app.materialize(shop.ahead)
    await shop.app.engine.events.step()
    world.put("c", "two")
    await shop.app.drain()
    while await shop.app.engine.events.step():
        pass
    await shop.after(300)
    told = re.compile(r"2 facts fact/c fact/\* after \d+ ms: ahead, after an event")
    assert told.search(await shop.seen(EVENTS))
    await shop.app.materialize(shop.ahead)
    await shop.after(20)
    assert told.search(await shop.seen(EVENTS))


@pytest.mark.parametrize("item", ["fact/{key}", "fact"])
async def test_a_change_of_a_whole_family_waits_for_its_values(world, item):
    """A change that names no key outdates the values of a task whose template names keys, and is fresh again, too."""
    tasks, value = reading(Facts, Facts.get, pb.fence(item))
    app = world.app(tasks, plugins=[Console()], store="memory://")
    world.put("c", "one")
    await app.drain()
    await app.serve(value, "c")
    changes = app.plugins[Console].changes
    await app.touch("fact")
    await changes.look()
    (stamp,) = changes.waiting
    await app.serve(value, "c")
    await changes.look()
    assert stamp in changes.fresh


async def test_what_no_value_depends_on_is_said(shop, world):
    """A change of something that nothing stored has read waits for nothing, and one before the start is not judged."""
    await shop.app.materialize(shop.ahead)
    shop.history.changes.began = world.clock.now() + 1
    world.clock.advance(1)
    await shop.app.touch("fact/unread")
    page = await shop.seen(EVENTS)
    assert "2 touched, by no source fact/unread fact/* nothing stored depends on it" in page
    assert "1 facts fact/c fact/* from before this server" in page


@pytest.mark.parametrize(("item", "scans"), [("fact/{key}", 0), ("fact", 1)])
async def test_a_tag_that_names_its_key_reads_only_that(world, monkeypatch, item, scans):
    """With a template, one record is read for a change; without one, the first records of the task."""
    tasks, value = reading(Facts, Facts.get, pb.fence(item))
    app = world.app(tasks, plugins=[Console()], store="memory://")
    world.put("c", "one")
    await app.drain()
    await app.serve(value, "c")
    changes, seen = app.plugins[Console].changes, []
    scan = app.engine.store.scan
    monkeypatch.setattr(app.engine.store, "scan", lambda ref: seen.append(ref) or scan(ref))
    await changes.look()
    assert len(seen) == scans
    assert [(one.task, one.lane) for one in changes.fresh.values()] == [("value", "realtime")]
    await app.close()


async def test_a_parked_event_is_read_again_by_its_button(shop, world):
    """The page shows why it is parked, as text, and its button sends what the server understands."""
    with world.connected() as connection:
        connection.execute(
            "INSERT INTO parbake_outbox(id, subject, type, time) VALUES ('x', ?, 'fact.changed', 0)", ("<b>/",)
        )
    await shop.app.drain()
    async with shop.browser() as browser:
        raw = (await browser.get(EVENTS)).text
        assert "<b>/" not in raw
        bodies = [json.loads(html.unescape(body)) for body in re.findall(r'data-body="([^"]*)"', raw)]
        assert bodies[0] == {}
        assert bodies[1]["source"] == "facts"
        for body in bodies:
            assert (await browser.post("/v1/events/parked/retry", json=body)).status_code == 200


async def test_what_operators_did_is_shown(shop, tmp_path, monkeypatch):
    """With a file of actions the page has them, the newest first; without one it says what to set."""
    assert f"set {ACTIONS_FILE}" in await shop.seen(EVENTS)
    monkeypatch.setenv(ACTIONS_FILE, str(tmp_path / "actions.jsonl"))
    assert "Nothing is in" in await shop.seen(EVENTS)
    await shop.app.ops.complain(shop.ahead, "a wrong price")
    await shop.app.ops.clear(shop.ahead)
    page = await shop.seen(EVENTS)
    assert page.index("the program clear ahead a wrong price") < page.index("the program quarantine ahead")


@pytest.mark.parametrize("path", [EVENTS, TASKS])
async def test_a_store_that_does_not_answer_is_told(shop, monkeypatch, path):
    """The page shows what is known without the store, and no error."""

    async def away(*_, **__):
        raise StoreUnreachable("the store went away", field="store")

    monkeypatch.setattr(shop.history.changes, "newest", away)
    monkeypatch.setattr(shop.app.ops, "describe", away)
    page = await shop.seen(path)
    assert "store not read the store went away" in page


async def test_the_contract_of_each_task_is_shown(shop):
    """Mode, schedule, contract and lanes stand beside the task."""
    page = await shop.seen(TASKS)
    assert "every 10m" in page
    assert "freshness_sla 1h invalidated_by fence(fact) fallback_if_stale" in page
    assert "owner catalog" in page


async def test_a_task_goes_into_quarantine_and_comes_out(shop):
    """Its buttons send what the server understands; the reason is shown, and afterwards it is gone."""
    async with shop.browser(token=TOKEN) as browser:
        await browser.post("/v1/session", json={"token": TOKEN})
        raw = (await browser.get(TASKS)).text
        method, path = re.search(r'data-send="(POST) (/v1/feedback)"', raw).groups()
        (body,) = {html.unescape(b) for b in re.findall(r'data-body="([^"]*)"', raw) if "ahead" in b}
        sent = json.loads(body) | {"reason": "it is wrong"}
        assert (await browser.request(method, path, json=sent)).status_code == 202
        raw = (await browser.get(TASKS)).text
        assert "it is wrong" in raw
        assert (await browser.delete(re.search(r'data-send="DELETE (/v1/feedback/ahead)"', raw)[1])).status_code == 200
        assert "it is wrong" not in (await browser.get(TASKS)).text


async def test_nobody_operates_with_a_key_that_only_looks(shop, tmp_path, monkeypatch, world):
    """A key with the scope console sees the pages, and what their buttons send is refused with 403."""
    from parbake.http.access.key_file import KEYS_FILE, KeyFile

    monkeypatch.setenv(KEYS_FILE, str(tmp_path / "keys.json"))
    key = KeyFile(tmp_path / "keys.json", world.clock.now).add("lead", ["console"])
    async with shop.browser() as browser:
        await browser.post("/v1/session", json={"token": key})
        assert (await browser.get(TASKS)).status_code == 200
        refused = [
            await browser.post("/v1/feedback", json={"task": "ahead"}),
            await browser.delete("/v1/feedback/ahead"),
            await browser.post("/v1/events/parked/retry", json={}),
            await browser.post("/console/triggers", json={"trigger": "x", "task": "ahead"}),
            await browser.delete("/console/plans/ahead"),
        ]
    assert [answer.status_code for answer in refused] == [401, 403, 403, 403, 403]
    with contextlib.suppress(pb.ParbakeError):
        assert "ahead" not in await shop.app.ops.quarantined()
