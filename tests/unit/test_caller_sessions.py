"""An operator's session in a browser: how it begins, what it opens, and when it ends."""

import httpx
import pytest

import parbake as pb
from parbake.http import HttpApp, Route, json_response
from parbake.http.access.callers import SESSION, SESSION_S, Callers
from parbake.testing import FakeClock

TOKEN = "correct-horse-battery"


@pytest.fixture
def clock():
    """Return the clock of the server."""
    return FakeClock()


async def own(request):
    """Tell how the request is seen."""
    return json_response({"name": request.caller.name, "acts": request.caller.may("act_as")})


@pytest.fixture
async def browser(clock):
    """Yield a client that keeps cookies, like a browser, of a server with a token."""
    app = pb.App(pb.Registry(), clock=clock)
    http = HttpApp(app, [Route("GET", "/own", own, "operate")], token=TOKEN, hosts=["shop.example"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(http), base_url="http://localhost") as client:
        yield client
    await app.close()


async def sign_in(browser, token=TOKEN):
    """Send the token once."""
    return await browser.post("/v1/session", json={"token": token})


async def test_a_session_opens_what_is_for_operators(browser):
    """The cookie opens the route; who has it may operate, but does not act for others as the token does."""
    assert (await browser.get("/own")).status_code == 401
    assert (await sign_in(browser)).json() == {"lasts_s": SESSION_S}
    assert (await browser.get("/own")).json() == {"name": "operator", "acts": False}
    await browser.delete("/v1/session")
    assert (await browser.get("/own")).status_code == 401


async def test_a_session_ends_by_itself(browser, clock):
    """After twelve hours the cookie opens nothing, even if a browser still sends it."""
    await sign_in(browser)
    kept = dict(browser.cookies)
    clock.advance(SESSION_S - 1)
    assert (await browser.get("/own")).status_code == 200
    clock.advance(1)
    browser.cookies = kept
    assert (await browser.get("/own")).status_code == 401


async def test_a_wrong_token_begins_no_session(browser):
    """The answer is 401, names the field, sets no cookie and does not repeat what was sent."""
    answer = await sign_in(browser, "correct-horse-batters")
    assert (answer.status_code, answer.json()["field"]) == (401, "token")
    assert "set-cookie" not in answer.headers
    assert "batters" not in answer.text


async def test_scripts_and_other_sites_do_not_get_the_cookie(browser):
    """It is for this server alone; under a name that is not loopback's, it is for TLS alone."""
    flags = (await sign_in(browser)).headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} < set(flags)
    assert "Secure" not in flags
    answer = await browser.post("/v1/session", json={"token": TOKEN}, headers={"host": "shop.example"})
    assert answer.headers["set-cookie"].endswith("; Secure")


def test_nobody_makes_a_cookie_without_the_token(clock):
    """A later end, another token, damage and nonsense are all refused; a server without a token asks for none."""
    callers = Callers(TOKEN, now=clock.now)
    cookie = callers.sign_in(TOKEN)
    identity, until, signed = cookie.split(".")
    assert callers.of({"cookie": f"a=b; {SESSION}={cookie}"}).may("operate")
    other = Callers("another-horse-battery", now=clock.now).sign_in("another-horse-battery")
    later, cut = f"{identity}.{int(until) + 1}.{signed}", f"{identity}.{until}.{signed[:-1]}"
    bare = [f"{until}.{signed}", f"{identity}.{until}.", signed, "", ".", "..", "1" * 9000, f"{identity}.-1.{signed}"]
    for value in [*bare, later, cut, other, f"{cookie}é", f"nobody.{until}.{signed}"]:
        assert not callers.of({"cookie": f"{SESSION}={value}"}).may("operate"), value
    assert not callers.of({"cookie": f"x{SESSION}={cookie}"}).may("operate")
    assert Callers().of({}).may("operate")
