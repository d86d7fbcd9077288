"""The operator token: which routes require it, and where it is read from."""

import socket

import httpx
import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.http import HttpApp, Route, json_response, secret_of
from parbake.http.server import run

TOKEN = "correct-horse-battery"
EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "fact.changed", "subject": "fact/a"}
GUARDED = [
    ("POST", "/v1/events", EVENT, 202),
    ("GET", "/v1/events/parked", None, 200),
    ("POST", "/v1/events/parked/retry", {}, 200),
    ("GET", "/v1/feedback", None, 200),
    ("GET", "/v1/triggers", None, 200),
    ("GET", "/v1/costs", None, 200),
    ("GET", "/v1/costs/break-even", None, 200),
    ("GET", "/v1/runs/fact", None, 200),
    ("POST", "/own", {}, 200),
]
OPEN = [("GET", "/healthz", None), ("GET", "/v1/tasks", None), ("POST", "/v1/serve/fact", {"key": "a"})]


@pytest.fixture
async def app(world, tmp_path):
    """Return an app with one task."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key)

    opened = world.app(tasks, ledger=tmp_path / "ledger.sqlite")
    world.put("a", "one")
    await opened.drain()
    yield opened
    await opened.close()


async def own(_):
    """Answer an application's route that only operators may use."""
    return json_response({})


def served(app, **options):
    """Return the app over HTTP, with an application's route for operators."""
    return HttpApp(app, [Route("POST", "/own", own, "operate")], **options)


async def ask(http, method, path, body=None, *, token=None):
    """Send a request, with a token or without."""
    headers = {} if token is None else {"authorization": token}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(http), base_url="http://localhost") as client:
        return await client.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize(("method", "path", "body", "status"), GUARDED, ids=[f"{g[0]} {g[1]}" for g in GUARDED])
async def test_what_operators_do_needs_their_token(app, method, path, body, status):
    """An operator's route answers 401 without the right token and writes nothing; with it, it answers."""
    http = served(app, token=TOKEN)
    before = await app.stamp()
    for token in (None, "", TOKEN, f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer é"):
        answer = await ask(http, method, path, body, token=token and token.encode("latin-1"))
        assert (answer.status_code, answer.json()["field"]) == (401, "authorization")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert TOKEN not in answer.text
    assert await app.stamp() == before
    assert (await ask(http, method, path, body, token=f"bearer  {TOKEN}")).status_code == status


@pytest.mark.parametrize(("method", "path", "body"), OPEN)
async def test_what_anybody_may_do_needs_no_token(app, method, path, body):
    """Public routes answer without a token."""
    assert (await ask(served(app, token=TOKEN), method, path, body)).status_code == 200


@pytest.mark.parametrize(("method", "path", "body", "status"), GUARDED, ids=[f"{g[0]} {g[1]}" for g in GUARDED])
async def test_without_a_token_this_machine_is_open(app, method, path, body, status):
    """If no token is set, operators' routes answer without one."""
    assert (await ask(served(app), method, path, body)).status_code == status


async def test_nobody_without_a_token_takes_a_task_out_of_use(app):
    """Quarantining a task always needs a token, also if none is set."""
    body = {"task": "fact", "reason": "old"}
    for http, token in ((served(app), None), (served(app), f"Bearer {TOKEN}"), (served(app, token=TOKEN), None)):
        answer = await ask(http, "POST", "/v1/feedback", body, token=token)
        assert answer.status_code == 401
    assert await app.ops.quarantined() == {}


async def test_an_operator_takes_a_task_out_of_use_and_back(app):
    """A task is quarantined, listed and cleared over HTTP; clearing it again gets 404."""
    http, token = served(app, token=TOKEN), f"Bearer {TOKEN}"
    await ask(http, "POST", "/v1/feedback", {"task": "fact", "reason": "told old"}, token=token)
    (row,) = (await ask(http, "GET", "/v1/feedback", token=token)).json()["quarantined"]
    assert (row["task"], row["reason"]) == ("fact", "told old")
    cleared = await ask(http, "DELETE", "/v1/feedback/fact", token=token)
    assert (cleared.status_code, cleared.json()) == (200, {"task": "fact", "cleared": True})
    assert (await ask(http, "GET", "/v1/feedback", token=token)).json() == {"quarantined": []}
    again = await ask(http, "DELETE", "/v1/feedback/fact", token=token)
    assert (again.status_code, again.json()["field"]) == (404, "task")


@pytest.mark.parametrize("token", ["", "short", "with a space in it", "with-ümlauts-in-it", "line\nbreaks-in-the-text"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(app, token):
    """A short token, or one that a header cannot hold, is refused and not quoted."""
    with pytest.raises(pb.BadInput) as caught:
        served(app, token=token)
    assert caught.value.field == "PARBAKE_TOKEN"
    assert not token or token not in str(caught.value)


def test_the_token_comes_from_the_environment_or_a_file(tmp_path):
    """The token is read from a variable or a file; both, or a missing file, are refused."""
    kept = tmp_path / "token"
    kept.write_text(f"{TOKEN}\n")
    assert secret_of({}, "PARBAKE_TOKEN") is None
    assert secret_of({"PARBAKE_TOKEN": ""}, "PARBAKE_TOKEN") == "", "which is then refused: somebody meant a token"
    assert secret_of({"PARBAKE_TOKEN_FILE": str(kept)}, "PARBAKE_TOKEN") == TOKEN
    with pytest.raises(pb.BadInput, match="both set; remove one"):
        secret_of({"PARBAKE_TOKEN": "another", "PARBAKE_TOKEN_FILE": str(kept)}, "PARBAKE_TOKEN")
    with pytest.raises(pb.BadInput, match="missing") as caught:
        secret_of({"PARBAKE_TOKEN_FILE": str(tmp_path / "missing")}, "PARBAKE_TOKEN")
    assert caught.value.field == "PARBAKE_TOKEN_FILE"


async def test_the_environments_token_guards_an_app_that_names_none(app, monkeypatch):
    """The variable protects an app that was given no token."""
    monkeypatch.setenv("PARBAKE_TOKEN", TOKEN)
    assert (await ask(served(app), "POST", "/v1/events", EVENT)).status_code == 401


def test_other_machines_are_not_served_without_a_token(app):
    """A server on a public address refuses to start without a token."""
    with socket.socket() as bound:
        bound.bind(("0.0.0.0", 0))
        with pytest.raises(pb.BadInput, match=r"set PARBAKE_TOKEN .* or use --insecure") as caught:
            run(served(app), bound)
    assert caught.value.field == "PARBAKE_TOKEN"


def events(*names):
    """Return a batch of one event for each entity."""
    return [EVENT | {"id": name, "subject": f"fact/{name}"} for name in names]


async def send(http, *names, token=f"Bearer {TOKEN}"):
    """Send a batch of events for some entities."""
    headers = {"authorization": token, "content-type": "application/cloudevents-batch+json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(http), base_url="http://localhost") as client:
        return await client.post("/v1/events", json=events(*names), headers=headers)


async def test_invented_tags_are_limited_by_the_minute(app, world):
    """Beyond the limit of tags that were never raised, events get 429 with the time to wait, and nothing is written."""
    http = served(app, token=TOKEN, new_tags=6)
    assert (await send(http, *"abcde")).status_code == 202  # fact/a and fact/* were raised by the source before
    before = await app.stamp()
    refused = await send(http, *"fgh")
    assert (refused.status_code, refused.json()["field"]) == (429, "subject")
    assert refused.headers["retry-after"] == "10"
    assert await app.stamp() == before
    assert (await send(http, *"abcde")).status_code == 202
    world.clock.advance(10)
    assert (await send(http, *"fgh")).status_code == 202
    assert (await send(http, "i")).status_code == 429


async def test_a_batch_beyond_the_whole_limit_waits_for_all_of_it(app, world):
    """A batch with more new tags than the limit passes once the limit is unused, and is paid for afterwards."""
    http = served(app, token=TOKEN, new_tags=2)
    assert (await send(http, *"bcdefg")).status_code == 202
    world.clock.advance(60)
    refused = await send(http, "h")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "90")


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "many"])
def test_a_limit_of_new_tags_is_a_whole_number(app, limit):
    """Anything but a whole number of at least 1 is refused by name."""
    with pytest.raises(pb.BadInput, match="new_tags") as caught:
        served(app, new_tags=limit)
    assert caught.value.field == "new_tags"
