"""Answers that a change has outdated are found by their tags: all of them, and no others."""

import asyncio
import json
import random
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from tests.unit.away import AwayStore
from tests.unit.commands import invoke
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.app import erasure
from parbake.protocol.tags import spelled
from parbake_planner import Ledger
from parbake_planner.ledger import told

FACTS = ("a", "b", "c")


class Teller:
    """An app whose answers state facts, and what each of them said."""

    def __init__(self, world, place):
        tasks = pb.Registry()

        @tasks.artifact(**contract())
        def fact(key: str, *, facts: pb.Source[Facts]) -> str:
            return facts.get(key)

        @tasks.artifact(**contract(invalidated_by=[pb.refresh("fact")]))
        def late(key: str, *, facts: pb.Source[Facts]) -> str:
            return facts.get(key)

        @tasks.artifact(**contract(invalidated_by=[pb.ignore("fact", "tells as of its own time")]))
        def old(key: str, *, facts: pb.Source[Facts]) -> str:
            return facts.get(key)

        self.world, self.fact, self.late, self.old = world, fact, late, old
        self.app = world.app(tasks, **place)
        self.answers = self.app.plugins[Ledger].answers
        self.said = {}

    async def change(self, name, value):
        """Change a fact, and return the sequence of the change."""
        self.world.put(name, value)
        ack = await self.app.drain()
        return ack.raised[spelled(f"fact/{name}")]

    async def tell(self, names, *, task=None, recipient="", exact=True):
        """Answer with some facts, and return the id."""
        as_of = await self.app.stamp() if exact else None
        async with self.app.request() as request:
            told = {name: (await self.app.serve(task or self.fact, name)).value for name in names}
        sources = [f"fact/{name}" for name in names]
        answer = self.answers.note(request, sources=sources, recipient=recipient, as_of=as_of)
        self.said[answer.id] = told
        return answer.id

    async def recalled(self, name, since, **more):
        """Return the ids of the answers that are recalled."""
        return [one.answer_id for one in await self.answers.recall(f"fact/{name}", since=since, **more)]


@pytest.fixture
def place(tmp_path):
    """Return the setting that names the ledger."""
    return {"ledger": tmp_path / "ledger.sqlite"}


@pytest.fixture
async def teller(world, place):
    """Return an app that tells facts."""
    opened = Teller(world, place)
    for name in FACTS:
        await opened.change(name, "first")
    yield opened
    await opened.app.close()


async def test_those_that_told_the_wrong_value_are_recalled(teller):
    """From the change that brought a wrong value on, until the change that ended it; nobody else."""
    await teller.tell("a")
    wrong = await teller.change("a", "wrong")
    told = [await teller.tell("a", recipient="ada"), await teller.tell("ab", recipient="grace")]
    await teller.tell("b")
    await teller.change("a", "right")
    await teller.tell("a")
    found = await teller.answers.recall("fact/a", since=wrong)
    assert [(one.answer_id, one.recipient) for one in found] == [(told[0], "ada"), (told[1], "grace")]
    assert {one.sequence for one in found} == {wrong}


async def test_those_told_while_the_store_was_away_are_listed_apart(world, place):
    """An answer without a sequence is found by its tags and named as such; no other tag finds it."""
    store = AwayStore()
    teller = Teller(world, {**place, "store": store})
    wrong = await teller.change("a", "wrong")
    store.is_away = True
    away = await teller.tell("a", recipient="ada", exact=False)
    store.is_away = False
    told = await teller.tell("a", recipient="grace")
    await teller.change("a", "right")
    found = await teller.answers.recall("fact/a", since=wrong)
    assert [(one.answer_id, one.is_without_store) for one in found] == [(away, True), (told, False)]
    assert await teller.recalled("b", wrong, before=wrong + 1) == []
    await teller.app.close()


@pytest.mark.parametrize("exact", [True, False])
async def test_every_change_recalls_those_that_told_its_value(teller, exact):
    """Of answers and changes in a random order, each recall is exactly the answers that said the value of the change.

    Without a stamp from before the first read an answer counts as of the oldest value in it, so that more may be
    recalled, but no fewer.
    """
    chance, versions = random.Random(4), []
    for n in range(60):
        name = chance.choice(FACTS)
        if chance.random() < 0.4:
            versions.append((name, f"value {n}", await teller.change(name, f"value {n}")))
        else:
            await teller.tell(chance.sample(FACTS, chance.randint(1, 3)), exact=exact)
    assert len(versions) > 15
    for at, (name, value, since) in enumerate(versions):
        later = [sequence for other, _, sequence in versions[at + 1 :] if other == name]
        if later:
            said = {answer for answer, told in teller.said.items() if told.get(name) == value}
            found = await teller.recalled(name, since, before=later[0])
            assert (set(found) == said and len(found) == len(said)) if exact else set(found) >= said


async def test_a_change_of_the_whole_family_recalls_each_of_its_tags(teller):
    """Who was told one of its tags before all of them changed is found by the tag, and by the family."""
    wrong = await teller.change("a", "wrong")
    told = [await teller.tell("a"), await teller.tell("b")]
    await teller.app.touch("fact")
    later = await teller.tell("ab")
    assert await teller.recalled("a", wrong) == told[:1]
    found = [one.answer_id for one in await teller.answers.recall("fact", since=wrong)]
    assert found == told
    assert later not in found


@pytest.mark.parametrize("whole", ["fact", "fact/*"])
async def test_a_family_is_recalled_without_a_change_of_the_whole(teller, whole):
    """What changed is each of its tags: whoever was told any of them before the last change is found by the family."""
    wrong = await teller.change("a", "wrong")
    told = [await teller.tell("a"), await teller.tell("b")]
    await teller.change("c", "right")
    later = await teller.tell("ab")
    found = [one.answer_id for one in await teller.answers.recall(whole, since=wrong)]
    assert found == told
    assert later not in found


@pytest.mark.parametrize("whole", ["fact", "fact/*"])
async def test_an_answer_that_stated_a_whole_family_is_found_by_each_of_its_tags(teller, whole):
    """Who was told all of a family was told each entity of it, and is recalled once, also if it named that as well."""
    wrong = await teller.change("a", "wrong")
    as_of = await teller.app.stamp()
    async with teller.app.request() as request:
        await teller.app.serve(teller.fact, "a")
    alone = teller.answers.note(request, sources=[whole], as_of=as_of)
    both = teller.answers.note(request, sources=[whole, "fact/a"], as_of=as_of)
    await teller.change("a", "right")
    assert await teller.recalled("a", wrong) == [alone.id, both.id]
    assert [one.answer_id for one in await teller.answers.recall("fact", since=wrong)] == [alone.id, both.id]


async def test_a_tag_is_recalled_in_any_spelling(teller):
    """A tag with a space is found, whether the space is written or percent-encoded."""
    wrong = await teller.change("a b", "wrong")
    told = [await teller.tell(["a b"])]
    await teller.change("a b", "right")
    for name in ("a b", "a%20b"):
        assert await teller.recalled(name, wrong) == told


async def test_a_value_that_may_be_late_counts_as_of_its_own_time(teller):
    """A value whose refresh is pending, and one of a task that ignores the fact, told what was true when computed."""
    wrong = await teller.change("a", "wrong")
    for task in (teller.late, teller.old):
        await teller.tell("a", task=task)
    await teller.change("a", "right")
    told = [await teller.tell("a", task=task) for task in (teller.late, teller.old)]
    assert [teller.said[answer]["a"] for answer in told] == ["wrong", "wrong"]
    assert set(told) <= set(await teller.recalled("a", wrong))


@pytest.mark.parametrize(
    ("tag", "error", "field"),
    [
        ("secret/a", pb.BadInput, "tag"),
        ("fact/{key}", pb.BadInput, "tag"),
        ("fact/never-changed", pb.errors.UnknownResource, "before"),
    ],
)
async def test_a_tag_that_nothing_was_told_of_is_an_error(teller, tag, error, field):
    """The error names the field for an unknown family, for a malformed tag, and for a tag that was never raised."""
    with pytest.raises(error) as caught:
        await teller.answers.recall(tag, since=0)
    assert caught.value.field == field


async def test_what_is_old_or_too_much_is_deleted(teller, monkeypatch):
    """The index keeps its newest rows up to a limit and an age, and deletes rows and tags together."""
    monkeypatch.setattr(told, "TOLD_KEPT", 3)
    wrong = await teller.change("a", "wrong")
    kept = [await teller.tell("ab") for _ in range(5)][2:]
    await teller.change("a", "right")
    ledger = teller.app.plugins[Ledger].file
    assert await asyncio.to_thread(ledger.settle)
    with ledger.connected() as connection, connection:
        told.trim_told(connection, teller.world.clock.now())
        assert connection.execute("SELECT count(*) FROM told_tags").fetchone() == (9,)  # with their family
    assert await teller.recalled("a", wrong) == kept
    with ledger.connected() as connection, connection:
        told.trim_told(connection, teller.world.clock.now() + (told.TOLD_DAYS_KEPT + 1) * 86_400)
        assert connection.execute("SELECT count(*) FROM told_tags").fetchone() == (0,)
    assert await teller.recalled("a", wrong) == []


async def test_a_person_is_erased_from_the_ledger(teller, tmp_path, monkeypatch):
    """Answers that they received or that name them, reads of their key, and events about them go; others stay."""
    await teller.change("zqcanary7781", "theirs")
    await teller.tell(["zqcanary7781"], recipient="zqcanary7781")
    gone = await teller.tell(["a"], recipient="zqcanary7781")
    kept = await teller.tell(["a"], recipient="somebody-else")
    monkeypatch.setattr(erasure, "PAUSE_S", 0.0)
    exported = await teller.app.ops.export("zqcanary7781")
    assert len(exported.places["ledger"]["answers"]) == 2
    done = await teller.app.ops.erase("zqcanary7781")
    assert done.places["ledger"]["answers"] == 2
    assert done.places["ledger"]["told"] == 2
    assert done.places["ledger"]["serves"] > 0
    assert (await teller.answers.find(kept)).id == kept
    with pytest.raises(pb.errors.UnknownResource):
        await teller.answers.find(gone)
    assert not [path for path in tmp_path.glob("ledger*") if b"zqcanary7781" in path.read_bytes()]


APP = """
import parbake as pb
from parbake.app import erasure
from parbake_planner import Ledger

tasks = pb.Registry()

@tasks.artifact(freshness_sla="1h", invalidated_by=[pb.fence("policy")], fallback_if_stale=pb.Recompute(), owner="t")
def policy(key: str) -> str:
    return "14 days"

app = pb.App(tasks, store="lmdb://store", plugins=[Ledger("ledger.db")])
"""


@pytest.fixture
def told_shop(tmp_path, monkeypatch):
    """Return the change that outdated one answer of a shop in this folder, and the answer's id."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "told_shop.py").write_text(APP)
    namespace = {}
    exec(APP, namespace)

    async def tell():
        opened = namespace["app"]
        ack = await opened.touch("policy/returns")
        as_of = await opened.stamp()
        async with opened.request() as request:
            await opened.serve(namespace["policy"], "returns")
        answers = opened.plugins[Ledger].answers
        answer = answers.note(request, sources=["policy/returns"], recipient="ada", as_of=as_of)
        await opened.touch("policy/returns")
        await opened.close()
        return ack.raised["policy/returns"], answer.id

    return asyncio.run(tell())


class Hook(BaseHTTPRequestHandler):
    """Remembers what is posted, and refuses as often as it is told to."""

    taken: ClassVar[list] = []
    refuses = 0

    def do_POST(self):
        """Take a document."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if Hook.refuses:
            Hook.refuses -= 1
            self.send_error(503)
            return
        Hook.taken.append((self.headers["idempotency-key"], body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def hook():
    """Return the URL of a server that takes webhooks."""
    Hook.taken, Hook.refuses = [], 0
    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/recalled"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_command_lists_changes_and_posts_each_answer(told_shop, hook, monkeypatch):
    """Without ``--since`` the changes are listed; with it, each answer is printed and posted, under the same key."""
    since, answer = told_shop
    listed = invoke("told_shop", "recall", "told_shop:app", "policy/returns")
    assert str(since) in listed.stdout
    monkeypatch.setenv("PARBAKE_RECALL_WEBHOOK", hook)
    for _ in range(2):
        words = ("--since", str(since), "--json", "--webhook")
        found = invoke("told_shop", "recall", "told_shop:app", "policy/returns", *words)
        assert json.loads(found.stdout)[0]["answer_id"] == answer
    (key, body), (again, _) = Hook.taken
    assert key == again
    assert (body["type"], body["tag"], body["recipient"]) == ("answer.recalled", "policy/returns", "ada")


def test_the_changes_of_a_family_are_those_of_its_tags(told_shop):
    """For a family the command lists every change in it, and finds the answers without being told where they end."""
    since, answer = told_shop
    listed = json.loads(invoke("told_shop", "recall", "told_shop:app", "policy", "--json").stdout)
    assert [change["sequence"] for change in listed] == [since, since + 1]
    found = invoke("told_shop", "recall", "told_shop:app", "policy", "--since", str(since), "--json")
    assert [one["answer_id"] for one in json.loads(found.stdout)] == [answer]


def test_a_webhook_that_fails_says_how_far_it_came(told_shop, hook, monkeypatch):
    """The error names the setting, not the URL, and says how many answers were taken."""
    since, _ = told_shop
    monkeypatch.setenv("PARBAKE_RECALL_WEBHOOK", hook)
    Hook.refuses = 1
    found = invoke("told_shop", "recall", "told_shop:app", "policy/returns", "--since", str(since), "--webhook")
    assert "took 0 of 1 answers" in str(found.exception)
    assert hook not in str(found.exception) + found.output
    monkeypatch.delenv("PARBAKE_RECALL_WEBHOOK")
    missing = invoke("told_shop", "recall", "told_shop:app", "policy/returns", "--since", str(since), "--webhook")
    assert "set PARBAKE_RECALL_WEBHOOK" in str(missing.exception)
