"""An operator's session in a browser: how it begins, what it opens, and when it ends."""

import httpx
import pytest

import parbake as pb
from parbake.http import HttpApp, Route, json_response
from parbake.http.operators import SESSION, SESSION_S, Operators
from parbake.testing import FakeClock

TOKEN = "correct-horse-battery"


@pytest.fixture
def clock():
    """Return the clock of the server."""
    return FakeClock()


async def own(request):
    """Tell how the request is seen."""
    return json_response({"is_operator": request.is_operator, "may_operate": request.may_operate})


@pytest.fixture
async def browser(clock):
    """Yield a client that keeps cookies, like a browser, of a server with a token."""
    app = pb.App(pb.Registry(), clock=clock)
    http = HttpApp(app, [Route("GET", "/own", own, "operators")], token=TOKEN, hosts=["shop.example"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(http), base_url="http://localhost") as client:
        yield client
    await app.close()


async def sign_in(browser, token=TOKEN):
    """Send the token once."""
    return await browser.post("/v1/session", json={"token": token})


async def test_a_session_opens_what_is_for_operators(browser):
    """The cookie opens the route; who has it may operate, but does not vouch for others as the token does."""
    assert (await browser.get("/own")).status_code == 401
    assert (await sign_in(browser)).json() == {"lasts_s": SESSION_S}
    assert (await browser.get("/own")).json() == {"is_operator": False, "may_operate": True}
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
    operators = Operators(TOKEN, clock.now)
    cookie = operators.sign_in(TOKEN)
    until, _, signed = cookie.partition(".")
    assert operators.may({"cookie": f"a=b; {SESSION}={cookie}"})
    other = Operators("another-horse-battery", clock.now).sign_in("another-horse-battery")
    later, cut = f"{int(until) + 1}.{signed}", f"{until}.{signed[:-1]}"
    wrong = [later, cut, f"{until}.", signed, "", ".", "1" * 9000, f"-1.{signed}", f"{cookie}é", other]
    assert not any(operators.may({"cookie": f"{SESSION}={value}"}) for value in wrong)
    assert not operators.may({"cookie": f"x{SESSION}={cookie}"})
    assert Operators(None).may({})
