"""Headers that stay at the proxy: those of one connection, and those with a key of its own."""

import asyncio

import pytest
from tests.unit.test_proxy import KEY, front, fronted  # noqa: F401  # front is a fixture

from parbake.ports.messages import HttpRequest
from parbake_proxy.headers import returned
from parbake_proxy.upstream import Upstream, UpstreamFailed

TOKEN = "operator-token-0123456789"
OWN_KEY = "pbk_0a1b2c3d_" + "x" * 43


async def sent(front, **headers):  # noqa: F811  # a fixture
    """Return the headers that the provider gets."""
    await front.chat(headers=KEY | {name.replace("_", "-"): value for name, value in headers.items()})
    return front.models.asked[-1]["headers"]


async def test_headers_that_the_clients_connection_names_stay_here(front):  # noqa: F811  # a fixture
    """They tell about the connection to the proxy (RFC 9110, 7.6.1), as do those of an upgrade."""
    got = await sent(front, connection="X-Secret-Hop , close", x_secret_hop="1", http2_settings="AAMA", upgrade="h2c",
                     ignored="h2c", proxy_connection="close", x_other="2")  # fmt: skip
    assert not got.keys() & {"x-secret-hop", "http2-settings", "upgrade", "ignored", "proxy-connection"}
    assert got["x-other"] == "2"


@pytest.mark.parametrize("name", ["authorization", "openai-beta", "content-language", "accept", "x-user"])
async def test_what_a_connection_takes_away_keeps_answers_apart(front, name):  # noqa: F811  # a fixture
    """A request that reaches the provider without one of its headers shares no answer with one that has it."""
    headers = KEY | {name: "Bearer key-of-one"}
    await front.chat(headers=headers | {"connection": name})
    assert name not in front.models.asked[0]["headers"]
    assert (await front.chat(headers=headers)).headers["x-parbake-cache"] == "miss"
    assert (await front.chat(headers=headers | {"connection": "keep-alive"})).headers["x-parbake-cache"] == "hit"


def test_headers_that_the_providers_connection_names_stay_here():
    """They tell about the connection to the provider."""
    given = {"Connection": "close, X-Hop", "x-hop": "1", "x-other": "2"}
    assert returned(given) == (("x-other", "2"),)


@pytest.mark.parametrize(
    "form", ["{}", "Bearer {}", "bearer\t{}", "Bearer  {}", '"{}"', "Bearer {}, Bearer other", "a={}"]
)
@pytest.mark.parametrize("key", [OWN_KEY, TOKEN])
@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "x-anything"])
async def test_a_key_of_the_proxys_own_never_leaves(monkeypatch, name, key, form):
    """Whether it still holds or not, and wherever a client has put it, the provider gets no header with it."""
    monkeypatch.setenv("PARBAKE_TOKEN", TOKEN)
    async with fronted() as found:
        answer = await found.chat(headers={name: form.format(key), "x-other": "2"})
        assert answer.status_code == 200
        assert name not in found.models.asked[0]["headers"]
        assert found.models.asked[0]["headers"]["x-other"] == "2"


async def test_other_keys_go_on(front):  # noqa: F811  # a fixture
    """A provider's key and a word that only resembles a key of the proxy reach the provider."""
    got = await sent(front, x_api_key="sk-pbk_1", authorization="Bearer spbk_1")
    assert (got["x-api-key"], got["authorization"]) == ("sk-pbk_1", "Bearer spbk_1")


@pytest.mark.parametrize("status", ["101 Switching Protocols", "099 Less", "600 More", "999 Most"])
async def test_a_status_that_ends_no_request_is_a_502(status):
    """The provider's answer is not passed on, and the client learns why."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nupgrade: x\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\nok".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        upstream = Upstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(UpstreamFailed, match=status[:3].lstrip("0")):
            await upstream.send(HttpRequest("GET", "/v1/models", {}, b""), b"")
        await upstream.close()
