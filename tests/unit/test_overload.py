"""What a server does with more requests than it can answer: late ones are turned away, the rest stays fast."""

import asyncio
import itertools
import time
from time import perf_counter

import httpx
import pytest
import uvicorn
from tests.waiting import as_far_as_it_gets, until
from uvicorn.server import ServerState

import parbake as pb
from parbake.adapters.prometheus import render
from parbake.http import HttpApp
from parbake.http.connection import Connection
from parbake.http.overload import (
    CONTENDED_S,
    FEW,
    FIRST_LIMIT,
    HASTY_S,
    PATIENT_S,
    Intake,
    Overloaded,
)
from parbake.http.routes import METRICS_S
from parbake.http.waiting_line import Arrival, WaitingLine, WaitingRequest, client_of
from parbake.ports.messages import Response, Route
from parbake.process.counters import Counters
from parbake.process.loop_time import LoopTime


def ago(seconds, client=""):
    """A request that arrived some seconds ago, and whose client is still there."""
    return Arrival(perf_counter() - seconds, client)


async def fill(intake, client=""):
    """Let in as many requests as run together at first; returns them."""
    running = [ago(0, client) for _ in range(int(FIRST_LIMIT))]
    for arrival in running:
        assert await intake.enter(arrival)
    return running


def crowd(intake):
    """Let as many requests come as make a crowd; all have had to wait."""
    assert not any(intake.lets_in(ago(2 * CONTENDED_S), perf_counter()) for _ in range(FEW + 1))


@pytest.fixture
def intake():
    """Return an intake with its counters."""
    counters = Counters()
    found = Intake(counters)
    found.counters = counters
    return found


async def test_a_request_that_arrives_at_a_calm_server_is_let_in_at_once(intake):
    """Without contention a request waits for nothing; one that has had to wait is looked at more closely."""
    first, second = ago(0), ago(0)
    assert intake.lets_in(first, first.at)
    assert not intake.lets_in(ago(2 * CONTENDED_S), perf_counter())
    intake.leave(first, 0.01)
    assert await intake.enter(second)
    intake.leave(second, 0.01)
    assert intake.counters.turned_away == 0


async def test_a_request_that_has_waited_for_too_long_is_turned_away(intake):
    """In a crowd a request past its deadline gets 503 with a time to come back, and is counted."""
    crowd(intake)
    with pytest.raises(Overloaded) as caught:
        await intake.enter(ago(PATIENT_S + 0.01))
    assert caught.value.status == 503
    ((name, value),) = caught.value.headers
    assert name == "retry-after"
    assert value in {"1", "2", "3"}
    assert b"parbake_requests_turned_away_total 1.0" in render(intake.counters)


async def test_requests_in_flight_are_those_that_run_or_wait(intake):
    """The gauge counts requests that were let in and those that wait for their turn."""
    running = await fill(intake)
    intake._delay_s = 1.0  # the loop is late: the limit must not grow
    waiting = asyncio.create_task(intake.enter(ago(0)))
    await as_far_as_it_gets()
    assert len(intake._waiting) == 1
    assert f"parbake_requests_in_flight {FIRST_LIMIT + 1}".encode() in render(intake.counters)
    intake.leave(running[0], 0.01)
    await waiting


async def test_a_few_requests_are_never_turned_away(intake):
    """Where only a few ask, they are late because the machine is busy otherwise: all are answered, however late."""
    intake._is_overloaded = True
    for _ in range(FEW):
        late = ago(10 * PATIENT_S)
        assert not intake.lets_in(late, perf_counter())
        assert await intake.enter(late)
        intake.leave(late, 0.01)
    assert intake.counters.turned_away == 0


async def test_nothing_is_begun_for_a_client_that_has_left(intake):
    """A request that had to wait looks first whether its client is still there."""
    assert not await intake.enter(Arrival(perf_counter() - 2 * CONTENDED_S, has_left=lambda: True))


async def test_requests_beyond_the_limit_wait_for_their_turn(intake):
    """While as many are in progress as the limit allows, the next ones wait, first come, first served."""
    intake._delay_s = 1.0  # the loop is late: the limit must not grow
    running = await fill(intake)
    order = []

    async def one(number):
        await intake.enter(ago(0))
        order.append(number)

    waiting = [asyncio.create_task(one(number)) for number in range(2)]
    await asyncio.sleep(0)
    assert order == []
    intake.leave(running[0], 0.01)
    await waiting[0]
    assert order == [0]
    intake.leave(running[1], 0.01)
    await waiting[1]


async def test_the_newest_of_a_crowd_is_next_in_an_overload(intake):
    """What has waited longest would be late anyway: a server that is overloaded answers what has just come."""
    intake._delay_s = 1.0
    running = await fill(intake)
    intake._is_overloaded = True
    order = []

    async def one(number):
        arrival = ago(0)
        await intake.enter(arrival)
        order.append(number)
        intake.leave(arrival, 0.01)

    async with asyncio.TaskGroup() as group:
        for number in range(FEW):
            group.create_task(one(number))
        await as_far_as_it_gets()
        for arrival in running:
            intake.leave(arrival, 0.01)
    assert order[:2] == [FEW - 1, FEW - 2]


async def test_a_waiting_request_whose_client_leaves_takes_no_turn(intake):
    """A cancelled request gives its place to the next one."""
    intake._delay_s = 1.0
    running = await fill(intake)
    left = asyncio.create_task(intake.enter(ago(0)))
    next_one = asyncio.create_task(intake.enter(ago(0)))
    await as_far_as_it_gets()
    left.cancel()
    intake.leave(running[0], 0.01)
    assert await next_one
    assert left.cancelled()


async def test_the_limit_grows_while_the_loop_is_not_late(intake):
    """Requests that only wait for something else, such as a model, may be many."""
    for _ in range(int(2 * FIRST_LIMIT)):
        assert await intake.enter(ago(0))


async def test_all_that_arrive_together_are_let_in_while_the_loop_is_idle(intake):
    """Many that come at once, and only wait for something else, all run within a moment; nobody else has to come."""
    entered = await asyncio.gather(*(intake.enter(ago(0)) for _ in range(40 * int(FIRST_LIMIT))))
    assert all(entered)
    assert intake.counters.turned_away == 0


async def test_a_request_that_waits_for_something_else_holds_no_place(intake):
    """Once the loop has slept, what was let in waits for a provider or a database: others have its place."""
    running = await fill(intake)
    await until(lambda: intake._elsewhere == FIRST_LIMIT)
    assert f"parbake_requests_in_flight {FIRST_LIMIT}".encode() in render(intake.counters)
    intake._delay_s = 1.0  # the limit must not grow
    more = await fill(intake)
    for arrival in [*running, *more]:
        intake.leave(arrival, 0.01)
    assert (intake._running, intake._elsewhere) == (0, 0)


async def test_only_so_many_may_wait_for_something_else(intake, monkeypatch):
    """What waits holds memory: beyond a limit a request is turned away, whoever sends it, before it is read."""
    monkeypatch.setattr("parbake.http.overload.MOST_ELSEWHERE", FIRST_LIMIT)
    running = await fill(intake)
    assert intake.has_a_chance("anybody")
    await until(lambda: intake._elsewhere == FIRST_LIMIT)
    assert not intake.has_a_chance("anybody")
    late = ago(0)
    assert not intake.lets_in(late, late.at)
    with pytest.raises(Overloaded):
        await intake.enter(late)
    intake.leave(running[0], 0.01)
    assert intake.has_a_chance("anybody")
    assert await intake.enter(ago(0))


@pytest.mark.parametrize(
    ("spent", "is_overload"),
    [
        (LoopTime(0.03, 0.001, kept_s=0.02, others_s=0.0, sleeps=1), False),
        (LoopTime(0.03, 0.01, kept_s=0.02, others_s=0.0, sleeps=0), True),
        (LoopTime(0.03, 0.001, kept_s=0.02, others_s=0.009, sleeps=1), True),
        (LoopTime(0.03, 0.001, kept_s=0.0, others_s=0.0, sleeps=1), True),
        (None, True),
    ],
    ids=["kept by others", "too much to do", "threads at work", "a slow disk", "unknown"],
)
async def test_a_loop_that_others_make_late_is_not_overloaded(intake, spent, is_overload):
    """A late loop is overloaded if it never slept for want of work; processes beside it do not make it so."""
    intake._tick_soon = lambda _: None
    intake._clock.read = lambda: spent
    for _ in range(100):
        intake._next_tick = perf_counter() - 0.02
        intake._tick()
    assert intake._is_overloaded == is_overload


async def test_one_long_turn_is_not_an_overload(intake):
    """What has come while one request held the loop is answered, and not turned away."""
    first = ago(0)
    assert intake.lets_in(first, first.at)
    time.sleep(0.4)  # noqa: ASYNC251 - holds the loop
    intake.leave(first, 0.4)
    came = [ago(0) for _ in range(40 * int(FIRST_LIMIT))]
    entered = await asyncio.gather(*map(intake.enter, came))
    assert all(entered)
    assert intake._patience_s == PATIENT_S


async def test_a_busy_loop_is_noticed_and_forgotten(intake):
    """A loop that is never idle makes the server hasty and lowers the limit; an idle one ends that."""
    patience = []
    first, second = ago(0), ago(0)
    for arrival in (first, second):
        await intake.enter(arrival)
    intake.leave(first, 0.03)  # it shows that requests are not cheap

    def hold():
        time.sleep(0.03)
        patience.append(intake._patience_s)
        if min(patience) > HASTY_S or intake._limit >= FIRST_LIMIT:
            asyncio.get_running_loop().call_soon(hold)

    hold()
    await until(lambda: min(patience) <= HASTY_S and intake._limit < FIRST_LIMIT)
    waited = ago(2 * HASTY_S)
    crowd(intake)
    with pytest.raises(Overloaded):
        await intake.enter(waited)
    intake.leave(second, 0.03)
    await until(lambda: intake._patience_s == PATIENT_S)
    assert await intake.enter(ago(2 * HASTY_S)), "a calm server lets the same wait pass"


async def test_clients_take_turns(intake):
    """After each request of a client that has many, one of another client is next."""
    intake._delay_s = 1.0
    running = await fill(intake, "crowd")
    order = []

    async def one(client):
        await intake.enter(ago(0, client))
        order.append(client)

    async with asyncio.TaskGroup() as group:
        for client in ("crowd", "crowd", "crowd", "polite"):
            group.create_task(one(client))
        await as_far_as_it_gets()
        for arrival in running:
            intake.leave(arrival, 0.01)
    assert order == ["crowd", "polite", "crowd", "crowd"]


async def test_a_client_that_asks_for_much_less_than_another_is_not_turned_away(intake):
    """In an overload by one client's requests, another client's has as much time as on a calm server."""
    intake._is_overloaded = True
    intake._tick_soon = lambda _: None
    intake._came = FEW + 1
    running = await fill(intake, "crowd")
    intake._shares.measure()
    with pytest.raises(Overloaded):
        await intake.enter(ago(0.2, "crowd"))
    waiting = asyncio.create_task(intake.enter(ago(0.2, "polite")))
    await as_far_as_it_gets()
    intake.leave(running[0], 0.01)
    assert await waiting
    for _ in range(FEW + 1):
        intake._waiting.add(WaitingRequest(asyncio.get_running_loop().create_future(), ago(0, "crowd")))
    assert intake.has_a_chance("another")
    assert not intake.has_a_chance("crowd")


@pytest.mark.parametrize(
    ("address", "same"), [("2001:db8::1", "2001:db8::ffff:2"), ("10.0.0.1", "::ffff:10.0.0.1"), ("", ""), ("x", "x")]
)
def test_addresses_of_one_site_are_one_client(address, same):
    """An IPv6 network is one client, and so is an IPv4 address in either spelling."""
    assert client_of(address) == client_of(same)
    assert client_of(address) not in {client_of("2001:db8:0:1::1"), client_of("10.0.0.2")}


async def test_only_so_many_probes_of_a_client_are_answered_outside_of_admission():
    """A client that floods `/healthz` waits for its turns like everybody; the probes of another one do not."""
    served = HttpApp(pb.App(pb.Registry()))

    async def refuse(*_):
        raise Overloaded

    served._intake.enter = refuse
    served._intake.lets_in = lambda *_: False

    async def probe(address):
        transport = httpx.ASGITransport(served, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get("/healthz")).status_code

    flood = [await probe("10.0.0.1") for _ in range(300)]
    assert flood[:100] == [200] * 100
    assert flood[-1] == 503
    assert await probe("10.0.0.2") == 200


async def test_a_flood_of_scrapes_renders_the_metrics_once_a_second(monkeypatch):
    """Metrics that were rendered within the last second are sent again."""
    rendered = []
    monkeypatch.setattr("parbake.adapters.prometheus.render", lambda *_: rendered.append(1) or b"metrics")
    served = HttpApp(pb.App(pb.Registry()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://localhost") as client:
        answers = [await client.get("/metrics") for _ in range(5)]
        assert [answer.content for answer in answers] == [b"metrics"] * 5
        assert len(rendered) == 1
        monkeypatch.setattr("parbake.http.routes.monotonic", lambda: time.monotonic() + METRICS_S)
        await client.get("/metrics")
        assert len(rendered) == 2


async def test_metrics_are_for_keys_where_there_are_any():
    """With a token, `/metrics` is refused to who has none, and a scrape with one does not wait in an overload."""
    served = HttpApp(pb.App(pb.Registry()), token="a-token-of-operators")
    served._intake.lets_in = lambda *_: pytest.fail("a scrape with the token waits")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://localhost") as client:
        headers = {"authorization": "Bearer a-token-of-operators"}
        before = (await client.get("/metrics", headers=headers)).text
        served.app.counters.turned_away += 1
        assert (await client.get("/metrics", headers=headers)).text != before, "an operator sees the present counters"
        del served._intake.lets_in
        assert (await client.get("/metrics")).status_code == 401


async def test_operators_do_not_wait():
    """Probes and requests with the operator token are answered while others are turned away."""
    app = pb.App(pb.Registry())
    served = HttpApp(app, [Route("GET", "/slow", slow)], token="a-token-of-operators")

    async def refuse(*_):
        raise Overloaded

    served._intake.enter = refuse
    served._intake.lets_in = lambda *_: False
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        refused = await client.get("/slow")
        assert (refused.status_code, refused.json()["title"]) == (503, "Overloaded")
        assert refused.headers["retry-after"] in {"1", "2", "3"}
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        token = {"authorization": "Bearer a-token-of-operators"}
        assert (await client.get("/slow", headers=token)).status_code == 200
        assert (await client.get("/slow", headers={"authorization": "Bearer another"})).status_code == 503


async def test_without_a_chance_a_request_is_answered_before_it_is_begun():
    """Where more wait than will be answered, others get 503 at once, on a connection that goes on; probes do not."""
    served = HttpApp(pb.App(pb.Registry()), [Route("POST", "/slow", slow)], token="a-token-of-operators")
    config = uvicorn.Config(served, lifespan="off", proxy_headers=False, server_header=False)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())

    async def status(line, *headers, body=b""):
        lines = [f"{line} HTTP/1.1", "host: localhost", f"content-length: {len(body)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        return int(head.split()[1])

    async with server:
        intake = served._intake
        intake._tick_soon = lambda _: None  # nothing ends the overload while the test runs
        assert await status("POST /slow") == 200
        intake._is_overloaded = True
        for _ in range(FEW + 1):
            intake._waiting.add(WaitingRequest(loop.create_future(), ago(0)))
        begun = []
        loop.set_task_factory(
            lambda loop, coro, **kwargs: begun.append(coro) or asyncio.Task(coro, loop=loop, **kwargs)
        )
        assert [await status("POST /slow", "content-type: application/json", body=b"{}") for _ in range(3)] == [503] * 3
        assert (begun, served.app.counters.turned_away) == ([], 3)
        loop.set_task_factory(None)
        assert await status("GET /healthz") == 200
        assert await status("POST /slow", "authorization: Bearer a-token-of-operators") == 200
        intake._waiting = WaitingLine()
        assert await status("POST /slow") == 200
        writer.close()


async def slow(_request):
    """Answer."""
    return Response(b"done")


async def test_a_crowd_of_late_requests_leaves_the_loop_time_for_others(intake):
    """Of a hundred requests that come late together, only some are let in before the loop looks at what else is there.

    They are let in in the order in which they came.
    """
    let_in, turns = [], []

    async def one(number):
        arrival = ago(2 * CONTENDED_S)
        assert await intake.enter(arrival)
        let_in.append(number)
        intake.leave(arrival, 0.0001)

    def look():
        turns.append(len(let_in))
        if len(let_in) < 100:
            asyncio.get_running_loop().call_soon(look)

    crowd(intake)
    look()
    await asyncio.gather(*map(one, range(100)))
    assert let_in == sorted(let_in)
    assert max(after - before for before, after in itertools.pairwise(turns)) < 50
