"""The official clients get the same through the proxy as from the provider, which gets the same from both."""

import pathlib

import anthropic
import openai
import pytest
from tests.servers import anthropic_cases, openai_cases
from tests.servers.client_cases import outcome
from tests.servers.test_proxy import Proxies
from tests.waiting import HANGS_S

from provider_box import EchoBox

GUIDE = pathlib.Path(__file__).parents[2] / "docs/howto/proxy.md"
SENT = {"accept-encoding"}
"""Headers of a request that differ behind the proxy."""
RETURNED = {"date", "server", "connection", "content-length", "transfer-encoding", "cache-control", "cache-status",
            "x-parbake-cache", "x-parbake-answer", "content-security-policy", "x-content-type-options",
            "referrer-policy", "cross-origin-resource-policy"}  # fmt: skip
"""Headers of an answer that differ behind the proxy."""
ADDED = {"x-request-id", "content-type"}
"""Headers that the proxy adds to an answer that has none."""
DEFAULTS = {"content-type"}
"""Headers that the box sends unless a reply says otherwise."""


@pytest.fixture(scope="module")
def box():
    """Return a provider that answers by a table."""
    with EchoBox() as found:
        yield found


@pytest.fixture(scope="module")
def addresses(box, tmp_path_factory):
    """Return the provider's address and that of a proxy in front of it."""
    box.url = box.root
    proxies = Proxies(tmp_path_factory.mktemp("proxy"), box)
    try:
        yield box.root, proxies.start()
    finally:
        proxies.end()


def comparable(value, differing):
    """Return an outcome without the headers that may differ."""
    if isinstance(value, dict):
        return {name: member for name, member in value.items() if name not in differing}
    return tuple(comparable(member, differing) for member in value) if isinstance(value, list | tuple) else value


def play(box, case, client, errors):
    """Return what the client got and what the provider received."""
    box.restart(*case.replies)
    added = {name for name in ADDED if not any(reply.headers.get(name, name in DEFAULTS) for reply in case.replies)}
    result = comparable(outcome(case.call, client, errors), RETURNED | added)
    if any(reply.is_silent or reply.is_endless for reply in case.replies):
        assert box.has_left.wait(HANGS_S), "the provider learns that the client has left"
    received = [
        request._replace(headers={name: value for name, value in request.headers.items() if name not in SENT})
        for request in box.requests
    ]
    return result, received


def compare(box, case, clients, errors):
    """Play a case directly and through the proxy; both are the same."""
    played = []
    for client in clients:
        with client:
            played.append(play(box, case, client, errors))
    direct, through = played
    assert direct[1], "the provider was asked"
    assert through == direct


@pytest.mark.parametrize("case", openai_cases.CASES, ids=lambda case: case.name)
def test_openais_client_sees_no_difference(case, box, addresses):
    """What OpenAI's client returns or raises, and what it sends, is the same through the proxy."""
    clients = [openai.OpenAI(base_url=f"{root}/v1", api_key="k", max_retries=0) for root in addresses]
    compare(box, case, clients, openai.OpenAIError)


@pytest.mark.parametrize("case", anthropic_cases.CASES, ids=lambda case: case.name)
def test_anthropics_client_sees_no_difference(case, box, addresses):
    """What Anthropic's client returns or raises, and what it sends, is the same through the proxy."""
    clients = [anthropic.Anthropic(base_url=root, api_key="k", max_retries=0) for root in addresses]
    compare(box, case, clients, anthropic.AnthropicError)


def test_the_guide_names_each_difference():
    """Each header that these tests leave out stands in the guide."""
    guide = GUIDE.read_text()
    assert not [name for name in SENT | RETURNED | ADDED if f"`{name}`" not in guide]


def test_each_client_has_as_many_cases():
    """Both clients are played in 48 cases of different names."""
    for cases in (openai_cases.CASES, anthropic_cases.CASES):
        assert len({case.name for case in cases}) == len(cases) == 48
