"""The log of what operators do: who, what, what was before and what is after."""

import json
import logging

import httpx
import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.http import HttpApp
from parbake.http.access.key_file import KEYS_FILE, KeyFile
from parbake.process import actions
from parbake.process.actions import ACTIONS_FILE, Action


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return the file of actions that servers and commands are told of."""
    path = tmp_path / "actions.jsonl"
    monkeypatch.setenv(ACTIONS_FILE, str(path))
    return path


@pytest.fixture
async def app(world):
    """Yield an app with one task, which has two generations."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(keys=names))
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return str(facts.get(key))

    opened = world.app(tasks)
    opened.fact = fact
    await opened.drain()
    for _ in range(2):
        await opened.materialize(fact)
    yield opened
    await opened.close()


def told(place):
    """Return who did what, the oldest first."""
    return [(one.who, one.what, one.about, one.before, one.after) for one in reversed(actions.read(place, 99))]


async def test_what_is_done_over_http_names_whose_key_it_was(app, place, world, tmp_path, monkeypatch):
    """A quarantine and its end are two lines, with the reason after the one and before the other."""
    monkeypatch.setenv(KEYS_FILE, str(tmp_path / "keys.json"))
    key = KeyFile(tmp_path / "keys.json", world.clock.now).add("ana", ["operate", "feedback"])
    headers = {"authorization": f"Bearer {key}"}
    served = httpx.ASGITransport(HttpApp(app))
    async with httpx.AsyncClient(transport=served, base_url="http://localhost", headers=headers) as client:
        await client.post("/v1/feedback", json={"task": "fact", "reason": "a wrong price"})
        await client.delete("/v1/feedback/fact")
        await client.delete("/v1/feedback/fact")  # it is refused, so nothing was done
    assert told(place) == [
        ("ana", "quarantine", "fact", "", "a wrong price"),
        ("ana", "clear", "fact", "a wrong price", ""),
    ]
    assert key not in place.read_text()


async def test_a_rollback_tells_both_generations(app, place, world):
    """Code that calls the app is the program; the time is that of the app's clock."""
    await app.ops.rollback(app.fact)
    assert told(place) == [("the program", "rollback", "fact", "generation 2", "generation 1")]
    assert actions.read(place, 1)[0].at == world.clock.now()


async def test_actions_are_logged_without_a_file(app, monkeypatch, caplog):
    """Without the setting there is no file, and the log has the sentence."""
    monkeypatch.delenv(ACTIONS_FILE, raising=False)
    with caplog.at_level(logging.INFO, logger="parbake.actions"):
        await app.ops.complain(app.fact, "a wrong price")
    assert "the program: quarantine fact (nothing -> a wrong price)" in caplog.text


async def test_a_file_that_cannot_be_written_does_not_undo_the_action(app, place, caplog):
    """The action is done, and the log says that the file has not got it, and what it was."""
    place.mkdir()
    await app.ops.complain(app.fact, "a wrong price")
    assert "fact" in await app.ops.quarantined()
    assert "cannot be written" in caplog.text
    assert "a wrong price" in caplog.text


def test_the_newest_actions_are_read_first(place):
    """Lines that somebody has damaged are left out, and a missing file reads as an empty one."""
    assert actions.read(place, 5) == []
    for n in range(4):
        actions.note("test", str(n))
    place.write_text(place.read_text() + "{half a li")
    assert [one.about for one in actions.read(place, 2)] == ["3", "2"]
    assert [json.loads(line)["about"] for line in place.read_text().splitlines()[:-1]] == list("0123")
    assert isinstance(actions.read(place, 1)[0], Action)
