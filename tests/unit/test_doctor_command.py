"""``parbake doctor``: each thing that can be wrong around an app is one line that says what to do."""

import asyncio
import importlib
import json
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from typing import NamedTuple

import pytest
from tests.unit.commands import invoke
from tests.waiting import until

from parbake.adapters.sqlite import OUTBOX_DDL, emit
from parbake.cli.support import examination
from parbake.errors import ComputeFailed

APP = """
import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake.http import HttpApp

FAILS = []


class Articles(pb.View):
    families = ("article",)

    def all(self) -> list[str]:
        self.whole_set("article")
        return [row[0] for row in self.rows("SELECT 'a'")]


tasks = pb.Registry()


def keys(articles: pb.Source[Articles]) -> list[str]:
    return articles.all()


@tasks.artifact(freshness_sla="2h", refresh=pb.every("1h"), keys=keys, invalidated_by=[pb.fence("article")],
                fallback_if_stale=pb.Recompute(), owner="desk")
def teaser(key: str, *, articles: pb.Source[Articles]) -> str:
    if FAILS:
        raise ValueError("no [red]text")
    return key


source = SqliteSource("desk.db", families=["article"], views=[Articles], name="desk")
app = pb.App(tasks, store="STORE", sources=[source], WORKER)
served = HttpApp(app, token="a-token-that-is-long-enough")
"""
STORE = "lmdb://store?map_size=16MiB"


class Told(NamedTuple):
    """What the command has printed as JSON: the findings by what they are about, and the exit status."""

    findings: dict
    status: int


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Return a folder with a source and its outbox, as the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv("PARBAKE_TOKEN", raising=False)
    with closing(sqlite3.connect("desk.db")) as db:
        db.execute(OUTBOX_DDL)
    write()
    return tmp_path


def write(store=STORE, worker="", **replaced):
    """Write the module of the app; further arguments are replaced in its text."""
    text = APP.replace("STORE", store).replace("WORKER", worker)
    for old, new in replaced.items():
        text = text.replace(old, new)
    with open("desk_app.py", "w") as file:  # noqa: PTH123  # in the current folder
        file.write(text)


def look(app="desk_app:app"):
    """Run the command, and return what it has told."""
    done = invoke("desk_app", "doctor", app, "--json")
    assert done.output, repr(done.exception)
    found = json.loads(done.output)["findings"]
    assert all(one["advice"] or one["state"] == "ok" or "pip install" in one["message"] for one in found), found
    found.sort(key=lambda one: ("ok", "warning", "problem").index(one["state"]))  # the worst of those about one thing
    return Told({one["about"]: (one["state"], one["message"], one["advice"]) for one in found}, done.exit_code)


def opened():
    """Return the app of the folder, imported as a process of its own would do."""
    sys.modules.pop("desk_app", None)
    return importlib.import_module("desk_app")


def used(work):
    """Run a piece of work with the app of the folder, and close it."""
    module = opened()

    async def done():
        try:
            await work(module)
        finally:
            await module.app.close()

    asyncio.run(done())


async def built(module):
    """Read the source to its end, and compute everything ahead."""
    await module.app.drain()
    await module.app.materialize(module.teaser)


def test_a_whole_app_has_no_problem(desk):
    """An app that was built is fine but for its worker and its token, and each line begins with its state."""
    used(built)
    told = look()
    states = {about: state for about, (state, _, _) in told.findings.items()}
    assert states == {
        "server": "warning", "worker": "warning", "app": "ok", "store": "ok", "disk": "ok", "runs": "ok",
        "events": "ok", "quarantine": "ok", "polling of desk": "ok", "clock": "ok",
    }  # fmt: skip
    assert told.status == 0
    done = invoke("desk_app", "doctor", "desk_app:served")
    assert [line.split()[0] for line in done.output.splitlines()].count("warning") == 1
    assert "ok       server: operators send PARBAKE_TOKEN" in done.output


async def test_a_worker_that_runs_is_heard(desk):
    """While a worker reports, it is counted, and nothing is said of starting one."""
    module = opened()
    worker = asyncio.create_task(module.app.work())
    try:
        await until(lambda: module.app.ops.generation(module.teaser))
        found = [one async for one in examination._workers(module.app)]
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await module.app.close()
    assert found == [examination.Finding("ok", "worker", "1 reported within the last seconds")]


def test_a_worker_that_is_not_wanted_is_not_missed(desk):
    """An app with ``worker="none"`` is not told to start one."""
    write(worker='worker="none"')
    used(built)
    assert "worker" not in look().findings


def test_a_store_that_is_not_there_is_not_made(desk):
    """Before the first start the store is missing; the command says so and makes neither it nor anything else."""
    before = sorted(path.name for path in desk.iterdir())
    told = look()
    assert told.findings["store"][:2] == ("warning", "there is none at store yet")
    assert told.status == 0
    assert sorted(path.name for path in desk.iterdir()) == before
    assert told.findings["clock"][0] == "ok"


def test_a_look_changes_nothing(desk):
    """An event of the outbox that was not applied before the look is not applied after it."""
    used(built)
    with closing(sqlite3.connect("desk.db")) as db, db:
        emit(db, "article/a", "article.changed")
    look()

    async def applied(module):
        assert (await module.app.ops.applied()) == {"desk": 0}

    used(applied)


def test_an_app_that_cannot_be_imported_is_the_only_problem(desk):
    """An error of the module is one problem with status 1, whether it is missing or broken."""
    told = look("nowhere:app")
    assert (told.status, told.findings.keys()) == (1, {"APP"})
    write(worker="strange=1")
    told = look()
    assert (told.status, [state for state, _, _ in told.findings.values()]) == (1, ["problem"])


def test_what_check_finds_is_a_problem(desk):
    """A misspelt family, which ``parbake check`` finds, is a problem, and the sources are asked nevertheless."""
    write(**{'pb.fence("article")': 'pb.fence("artcle")'})
    told = look()
    assert told.status == 1
    assert any("'artcle'" in message for state, message, _ in told.findings.values() if state == "problem")


def test_a_store_that_cannot_be_opened_is_a_problem(desk):
    """A file in the place of the store is one problem about the store."""
    (desk / "store").write_text("occupied")
    told = look()
    assert (told.status, told.findings["store"][0]) == (1, "problem")


def test_a_store_that_nobody_shares_is_warned_of(desk):
    """An app in memory gets the advice to take a store that lasts."""
    write(store="memory://")
    assert look().findings["store"][2] == "give the app a store that lasts, such as store='lmdb://data'"


def test_a_source_without_its_outbox_is_a_problem(desk):
    """A database without the table of the outbox is a problem that says what to execute."""
    used(built)
    with closing(sqlite3.connect("desk.db")) as db, db:
        db.execute("DROP TABLE parbake_outbox")
    told = look()
    state, message, _ = told.findings["source desk"]
    assert (told.status, state, "OUTBOX_DDL" in message) == (1, "problem", True)


def test_failed_runs_are_named_with_the_command_that_runs_them(desk):
    """A task whose last run failed is a problem with its reason; one that was never built is a warning."""

    async def failed(module):
        module.FAILS.append(1)
        with pytest.raises(ComputeFailed):
            await built(module)

    used(lambda module: module.app.drain())
    told = look()
    assert told.findings["runs of teaser"][:2] == ("warning", "none was promoted yet")
    used(failed)
    told = look()
    state, message, advice = told.findings["runs of teaser"]
    assert (told.status, state) == (1, "problem")
    assert "no [red]text" in message
    assert "parbake materialize APP teaser" in advice


def test_parked_events_and_quarantines_are_named(desk):
    """An event that cannot be read is a problem, a quarantine a warning; each names its command."""
    with closing(sqlite3.connect("desk.db")) as db, db:
        db.execute("INSERT INTO parbake_outbox VALUES (1, 'one', 'No Tag', 'article.changed', 0)")

    async def complained(module):
        await built(module)
        await module.app.ops.complain(module.teaser, "it was wrong")

    used(complained)
    told = look()
    state, message, advice = told.findings["events"]
    assert (state, message.startswith("1 parked"), "parbake events retry" in advice) == ("problem", True, True)
    state, message, advice = told.findings["quarantine of teaser"]
    assert (state, message) == ("warning", "it was wrong")
    assert "--clear teaser" in advice


@pytest.mark.parametrize(
    ("ahead_s", "about", "found"),
    [
        (3600, "clock", ("problem", "the heartbeat of desk is 1h ahead of this machine")),
        (-3600, "polling of desk", ("warning", "it was last read 1h ago, and is not trusted after 1m")),
    ],
)
def test_a_heartbeat_of_another_time_is_named(desk, monkeypatch, ahead_s, about, found):
    """A heartbeat from the future means that a clock is wrong; an old one, that nobody reads the source."""
    now = time.time()

    async def beaten(module):
        await module.app.engine.store.beat("desk", now + ahead_s, now=now)

    used(beaten)
    write(worker=f"clock=__import__('parbake.testing').testing.FakeClock({now})")
    assert look().findings[about][:2] == found


def test_a_database_with_another_time_is_named(desk, monkeypatch):
    """If the clock of a source differs from this machine's by more than some seconds, that is a problem."""
    used(built)
    monkeypatch.setattr(examination, "_ahead_s", lambda _: -60.0)
    told = look()
    state, message, _ = told.findings["clock"]
    assert (told.status, state, message) == (1, "problem", "source desk is 1m behind this machine")


@pytest.mark.parametrize(("free", "state"), [(1 << 40, "ok"), (1 << 30, "warning"), (1 << 20, "problem")])
def test_the_disk_of_the_store_is_looked_at(desk, monkeypatch, free, state):
    """Little free space is a warning, and next to none a problem."""
    used(built)
    usage = shutil.disk_usage(desk)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    told = look()
    assert (told.findings["disk"][0], told.status) == (state, int(state == "problem"))
