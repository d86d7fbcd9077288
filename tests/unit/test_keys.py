"""API keys: what each scope opens, how keys end, and what the file and the commands tell."""

import json
import os
import re
import stat
from pathlib import Path

import httpx
import pytest
from tests.unit.commands import invoke

import parbake as pb
from parbake.http import HttpApp
from parbake.http.access.key_file import KEYS_FILE, SCOPES, KeyFile
from parbake.http.access.key_watch import KeyWatch
from parbake.ports.messages import Caller
from parbake.testing import FakeClock
from parbake_console import Console
from parbake_planner import Ledger, Planner

TOKEN = "correct-horse-battery"
OPEN = {"serve", "feedback"}
EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "fact.changed", "subject": "fact/a"}
PAGES = {f"/console/{name}" for name in ("freshness", "economics", "answers", "bank", "events", "tasks", "triggers")}
"""They send a browser to the page where one signs in."""
BODIES = {
    ("POST", "/v1/events"): EVENT,
    ("POST", "/v1/serve/{task}"): {"key": "a"},
    ("POST", "/v1/feedback"): {"answer_id": "0" * 32},
    ("POST", "/v1/session"): {"token": "no-such-token-at-all"},
    ("POST", "/v1/events/parked/retry"): {},
}


@pytest.fixture
def clock():
    """Return the clock of the server and of the keys."""
    return FakeClock()


@pytest.fixture
def keys(tmp_path, clock, monkeypatch):
    """Return the file of keys that a server is told of."""
    path = tmp_path / "keys.json"
    monkeypatch.setenv(KEYS_FILE, str(path))
    monkeypatch.setattr("parbake.http.access.key_file._LOOK_S", 0.0)
    return KeyFile(path, clock.now)


@pytest.fixture
async def app(clock, tmp_path):
    """Yield an app with every plugin that has routes."""
    tasks = pb.Registry()

    @tasks.artifact(
        freshness_sla="1h", invalidated_by=[pb.fence("fact")], fallback_if_stale=pb.Recompute(), owner="team"
    )
    def fact(key: str) -> str:
        return key

    opened = pb.App(tasks, clock=clock, open=["fact"], plugins=[Ledger(tmp_path / "ledger.db"), Planner(), Console()])
    yield opened
    await opened.close()


async def ask(served, method, path, key="", **options):
    """Send a request with a key, and return the answer."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    path = path.replace("{task}", "fact").replace("{answer_id}", "0" * 32).replace("{name}", "console.js")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://localhost") as client:
        return await client.request(method, path, headers=headers, json=BODIES.get((method, options.get("of", path))))


def routes_of(served):
    """Return every route of a server."""
    return [endpoint.route for endpoint in served._router.endpoints]


@pytest.mark.parametrize("is_required", [False, True], ids=["open", "required"])
@pytest.mark.parametrize("scope", SCOPES)
async def test_a_key_opens_what_its_scope_says_and_nothing_else(app, keys, scope, is_required):
    """Every route is asked with a key of each scope: it answers exactly where the scope, or everybody, may."""
    key = keys.add("ci", [scope])
    served = HttpApp(app)
    if is_required:
        served.callers.require_keys()
    free = {"anybody", scope} | (set() if is_required else OPEN)
    wrong = []
    for route in routes_of(served):
        answer = await ask(served, route.method, route.path, key, of=route.path)
        is_refused = answer.status_code in (401, 403) and answer.json()["field"] == "authorization"
        is_refused |= answer.headers.get("location") == "/console/sign-in"
        access = "console" if route.method == "GET" and route.path in PAGES else route.access
        if is_refused == (access in free):
            wrong.append((route.method, route.path, answer.status_code))
    assert wrong == []


async def test_who_has_no_key_and_who_lacks_a_scope_are_told_apart(app, keys):
    """Without a key the answer is 401 and names the scope; with another one it is 403 and names what the key has."""
    key = keys.add("ci", ["serve", "events"])
    served = HttpApp(app)
    nobody, somebody = await ask(served, "GET", "/v1/costs"), await ask(served, "GET", "/v1/costs", key)
    assert (nobody.status_code, "scope operate" in nobody.json()["detail"]) == (401, True)
    assert somebody.status_code == 403
    assert somebody.json()["detail"] == "the key of 'ci' has no scope operate; it has events, feedback, serve"


async def test_a_key_ends_when_it_is_revoked_or_its_time_is_over(app, keys, clock):
    """A running server notices both, and a session that began with the key ends as well."""
    lasting, short = keys.add("lead", ["console", "operate"]), keys.add("temp", ["operate"], until=clock.now() + 60)
    served = HttpApp(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://localhost") as browser:
        assert (await browser.post("/v1/session", json={"token": lasting})).status_code == 200
        assert (await browser.get("/v1/costs")).status_code == 200
        assert (await ask(served, "GET", "/v1/costs", short)).status_code == 200
        clock.advance(60)
        assert (await ask(served, "GET", "/v1/costs", short)).status_code == 401
        keys.end("lead", at=clock.now())
        assert (await ask(served, "GET", "/v1/costs", lasting)).status_code == 401
        assert (await browser.get("/v1/costs")).status_code == 401


async def test_a_session_does_not_act_for_others(app, keys):
    """Whoever signs in with a key that may do everything has in the browser everything but that."""
    key = keys.add("all", SCOPES)
    callers = HttpApp(app).callers
    assert callers.of({"authorization": f"Bearer {key}"}).may("act_as")
    session = callers.of({"cookie": f"parbake-session={callers.sign_in(key)}"})
    assert (session.name, session.may("operate"), session.may("act_as")) == ("all", True, False)


async def test_a_damaged_file_changes_nothing_until_it_is_read_again(app, keys, caplog):
    """The keys that were read last stay good for a while, the log says so, and a server that starts then does not."""
    key = keys.add("ci", ["operate"])
    served = HttpApp(app)
    assert (await ask(served, "GET", "/v1/costs", key)).status_code == 200
    good = keys.path.read_text()
    keys.path.write_text("{")
    assert (await ask(served, "GET", "/v1/costs", key)).status_code == 200
    assert "the keys that were read last stay good" in caplog.text
    with pytest.raises(pb.BadInput, match="cannot be read"):
        HttpApp(app)
    keys.path.write_text(good)
    assert (await ask(served, "GET", "/v1/costs", key)).status_code == 200


async def test_keys_end_when_their_file_stays_unreadable_until_it_can_be_read_again(app, keys, monkeypatch, caplog):
    """After a minute no key is good, /readyz and the log say so, and the keys come back with the file."""
    now = [1000.0]
    monkeypatch.setattr("parbake.http.access.key_file.monotonic", lambda: now[0])
    key = keys.add("ci", ["operate"])
    served = HttpApp(app)
    assert (await ask(served, "GET", "/v1/costs", key)).status_code == 200
    aside = keys.path.rename(keys.path.with_name("aside"))
    assert (await ask(served, "GET", "/v1/costs", key)).status_code == 200
    now[0] += 61
    assert (await ask(served, "GET", "/v1/costs", key)).status_code == 401
    assert "no key is good any more" in caplog.text
    told = (await ask(served, "GET", "/readyz")).json()["degraded"]
    assert "keys_unreadable" in told
    served.callers.anybody = Caller("", frozenset({"operate"}))
    told = (await ask(served, "GET", "/readyz")).json()["degraded"]
    assert "the file of keys cannot be read: no key is good" in told
    aside.rename(keys.path)
    assert (await ask(served, "GET", "/v1/costs", key)).status_code == 200
    assert not any("keys" in sentence for sentence in (await ask(served, "GET", "/readyz")).json()["degraded"])


async def test_owners_are_alerted_when_the_keys_cannot_be_read_and_when_they_can(app, keys, monkeypatch):
    """Each trouble is one alert to each owner, and its end another one."""
    keys.add("ci", ["operate"])
    served = HttpApp(app)
    watch, sent = KeyWatch(app, served.callers), []

    async def take(alert):
        sent.append((alert.kind, alert.owner))

    monkeypatch.setattr(app.ops, "alert", take)
    await watch.look()
    aside = keys.path.rename(keys.path.with_name("aside"))
    for _ in range(2):
        await watch.look()
    aside.rename(keys.path)
    for _ in range(2):
        await watch.look()
    assert sent == [("keys_unreadable", "team"), ("keys_readable", "team")]


def test_a_change_of_the_keys_leaves_the_file_to_whom_it_belongs(keys, monkeypatch):
    """Each change gives the new file to the owner and the group of the earlier one, with its mode."""
    keys.add("ci", ["serve"])
    keys.path.chmod(0o640)
    given, stat_of = [], Path.stat

    def of_another_user(path, **options):
        seen = stat_of(path, **options)
        return os.stat_result((*seen[:4], 4711, 4712, *seen[6:10])) if path == keys.path else seen

    monkeypatch.setattr(Path, "stat", of_another_user)
    monkeypatch.setattr(os, "fchown", lambda _, owner, group: given.append((owner, group)))
    for change in (lambda: keys.add("cd", ["serve"]), lambda: keys.end("ci", at=0.0)):
        given.clear()
        keys.path.with_name("keys.json.lock").unlink()
        change()
        assert given == [(4711, 4712), (4711, 4712)], "the lock, then the file"
        assert stat.S_IMODE(stat_of(keys.path).st_mode) == 0o640
    monkeypatch.setattr(os, "fchown", refuse)
    before = keys.path.read_bytes()
    with pytest.raises(pb.BadInput, match="cannot be changed"):
        keys.end("cd", at=0.0)
    assert keys.path.read_bytes() == before


def refuse(*_):
    """Stand in for a kernel that gives no file to another user."""
    raise PermissionError("only root may do that")


def test_the_file_holds_no_key_and_is_its_owners(keys):
    """Neither the key nor its secret part is in the file, which nobody else may read; no key repeats."""
    made = [keys.add("ci", ["serve"]) for _ in range(5)]
    text = keys.path.read_text()
    assert len(set(made)) == 5
    assert all(key not in text and key.split("_", 2)[2] not in text for key in made)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert not any(keys.owner_of(key[:-1] + ("A" if key[-1] != "A" else "B")) for key in made)
    assert keys.owner_of(made[0]).name == "ci"


@pytest.mark.parametrize("sent", ["", "_", "pbk", "pbk_", "pbk__", "pbk_00000000_x", "x" * 9000, "pbk_\udcff_é"])
def test_nonsense_is_nobodys_key(keys, sent):
    """It is refused without an error."""
    keys.add("ci", ["serve"])
    assert keys.owner_of(sent) is None


def test_keys_are_required_only_if_there_are_some(clock):
    """A server that asks everybody for a key which nobody has does not start."""
    with pytest.raises(pb.BadInput, match="keys are required, but neither"):
        HttpApp(pb.App(pb.Registry(), clock=clock)).callers.require_keys()


class TestCommands:
    """``parbake keys``, from the first key to the last."""

    @pytest.fixture
    def run(self, tmp_path, monkeypatch):
        """Return a function that runs the command with a file of keys."""
        monkeypatch.setenv(KEYS_FILE, str(tmp_path / "of/keys.json"))
        return lambda *words: invoke("none", "keys", *words)

    def test_a_key_is_made_listed_replaced_and_revoked(self, run, tmp_path):
        """The key alone is on the standard output; a list has no secret; a replaced key holds for the overlap."""
        made = run("add", "shop", "--scope", "serve", "--scope", "events", "--until", "90d").stdout.strip()
        assert re.fullmatch(r"pbk_[0-9a-f]{8}_[\w-]{43}", made)
        newer = run("rotate", "shop", "--overlap", "1h").stdout.strip()
        (old, new) = json.loads(run("list", "--json").stdout)["keys"]
        assert (old["scopes"], new["scopes"]) == (["serve", "events"], ["serve", "events"])
        assert new["until"] is None
        assert old["until"] is not None
        assert "sha256" not in old
        assert run("revoke", new["id"]).exit_code == 0
        shown = run("list").stdout
        assert "ended" in shown
        assert made not in shown
        assert newer not in shown

    def test_a_name_is_listed_as_it_is(self, run):
        """A name that looks like a style or a link is shown with all its letters."""
        run("add", "[red]shop[/red]", "--scope", "serve")
        assert "[red]shop[/red]" in run("list").stdout

    @pytest.mark.parametrize(
        ("words", "field"),
        [
            (("add", "shop"), "scope"),
            (("add", "shop", "--scope", "root"), "scope"),
            (("add", " ", "--scope", "serve"), "name"),
            (("add", "a\nb", "--scope", "serve"), "name"),
            (("add", "shop", "--scope", "serve", "--until", "soon"), "until"),
            (("add", "shop", "--scope", "serve", "--until", ""), "until"),
            (("revoke", "nobody"), "which"),
            (("list",), KEYS_FILE),
        ],
    )
    def test_what_cannot_be_done_is_named(self, run, tmp_path, words, field):
        """The error names the argument, and no file is made or changed."""
        refused = run(*words)
        assert refused.exception.field == field
        assert not (tmp_path / "of/keys.json").exists()
