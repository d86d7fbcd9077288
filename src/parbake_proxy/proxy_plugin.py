"""The plugin that puts a provider of models behind an app's server: ``App(plugins=[Proxy("https://..."), ...])``."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from parbake.app.plugin import Parts, Plugin
from parbake.errors import BadInput, UnknownResource
from parbake.http.access.callers import TOKEN
from parbake.http.endpoints import METHODS
from parbake.ports.messages import HttpRequest, JsonResponse, Response, Route, json_response
from parbake.process import actions
from parbake.serving.bonds import Bonds
from parbake.values.duration import Duration, seconds
from parbake.values.secret_settings import secret_of
from parbake_planner.books import LEDGER
from parbake_planner.ledger.costs import read_prices
from parbake_proxy.agreement import Agreement
from parbake_proxy.gateway import Gateway
from parbake_proxy.savings import Account, Statement
from parbake_proxy.switch import Switch, Tenants
from parbake_proxy.upstream import Upstream
from parbake_proxy.wire.anthropic_messages import AnthropicMessages
from parbake_proxy.wire.dialect import Dialect, Document
from parbake_proxy.wire.openai_chat import OpenAiChat
from parbake_semantic.cache.semantic_cache import SemanticCache
from parbake_semantic.embedder import Embedder
from parbake_semantic.policies.adaptive import AdaptivePolicy
from parbake_semantic.policies.calibrate import Bound
from parbake_semantic.policies.policy import fixed

_BYPASS = "PARBAKE_PROXY_BYPASS"
"""The variable that makes a proxy pass every request on."""
_MAX_BODY = 64 * 1024 * 1024
"""The greatest request that is passed on, in bytes: pictures and files are sent within it."""
_IDENTITIES = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key"})
"""Members of requests that may name a user, and otherwise shape no answer."""
_PRODUCED = ("application/json", "text/event-stream")
_PASSED_ON = tuple("/v1" + "".join(f"/{{{name}}}" for name in "abcdefgh"[:length]) for length in range(1, 9))
"""What the proxy has no other route for goes to the provider as it is."""


class Complaint(msgspec.Struct):
    """A complaint: the answer's id, as the header ``x-parbake-answer`` had it."""

    answer: str


class Bypass(msgspec.Struct):
    """Whether the cache is bypassed."""

    on: bool


class Proxy(Plugin[Gateway]):
    """Answers repeated questions of a provider's clients from a semantic cache in the app's store.

    Args:
        upstream: The provider's address, with or without ``/v1``.
        embedder: Makes the vectors of questions; without one, only repeated texts are answered.
        freshness_sla: How old an answer may be.
        error: The allowed share of requests with a wrong answer.
        cosine: Serve the nearest question from this cosine on, instead of learning a threshold.
        prices: The path of a price book, for dollars; by default that of the ledger. Its providers are ``openai`` and
            ``anthropic``, by the protocol.
        name: The cache's name in the store.
        shared_across: Members of requests that name a user whose answers others may get: ``user``, ``metadata``,
            ``safety_identifier`` or ``prompt_cache_key``. By default each of them keeps answers apart.

    Attributes:
        prices: The prices that were read; ``None`` without any.

    Raises:
        BadInput: A setting is invalid.
    """

    def __init__(
        self,
        upstream: str,
        *,
        embedder: Embedder | None = None,
        freshness_sla: Duration = "1h",
        error: float = 0.01,
        cosine: float | None = None,
        prices: Path | None = None,
        name: str = "proxy",
        shared_across: Sequence[str] = (),
    ) -> None:
        """Check and keep the settings."""
        _check_address(upstream)
        self._upstream, self._embedder, self._sla, self._name = upstream, embedder, freshness_sla, name
        self._policy = (
            partial(AdaptivePolicy, Bound(error, per="request")) if cosine is None else partial(fixed, cosine)
        )
        self._policy()
        self.prices = None if prices is None else read_prices(prices, today=dt.datetime.now(dt.UTC).date())
        if isinstance(shared_across, str) or not _IDENTITIES.issuperset(shared_across):
            raise BadInput(
                f"shared_across must be a list of {', '.join(sorted(_IDENTITIES))}; got {repr(shared_across)[:80]}",
                field="shared_across",
            )
        self._dialects: Sequence[Dialect] = (OpenAiChat(shared_across), AnthropicMessages(shared_across))

    def open(self, parts: Parts) -> Gateway:
        """Open the gateway; see :class:`parbake.Plugin`."""
        parts.keeps_s = max(parts.keeps_s, seconds(self._sla, field="freshness_sla"))
        cache = SemanticCache[Document](
            self._embedder,
            app=_Fence(parts),
            name=self._name,
            freshness_sla=self._sla,
            policy=self._policy,
            same=Agreement(self._embedder),
            form=str,  # to the letter, because prompts may be code
        )
        account = Account(self.prices, parts.clock.now, parts.found(LEDGER))
        switch = Switch(parts.store, parts.clock, is_always_on=os.environ.get(_BYPASS, "") not in ("", "0"))
        upstream = Upstream(self._upstream, token=secret_of(os.environ, TOKEN))
        gateway = Gateway(cache, upstream, account, switch, Tenants(parts.store))
        parts.on.server.append(gateway.attend)
        parts.on.metrics.append(account.metrics)
        return gateway

    def routes(self, app: Any) -> Sequence[Route]:
        """The provider's routes, and those for operators; see :class:`parbake.Plugin`."""
        own = _Routes(app)
        asked = [
            Route("POST", one.path, partial(own.ask, one), produces=_PRODUCED, max_body=_MAX_BODY, leads_away=True)
            for one in self._dialects
        ]
        passed_on = [
            Route(method, path, own.forward, max_body=_MAX_BODY, accepts_any_type=True, leads_away=True)
            for path in _PASSED_ON
            for method in METHODS
        ]
        return [
            *asked,
            *passed_on,
            Route("GET", "/v1/proxy", own.statement, "operate"),
            Route("PUT", "/v1/proxy/bypass", own.bypass, "operate"),
            Route("POST", "/v1/proxy/complaints", own.complain, "feedback"),
            Route("DELETE", "/v1/proxy/answers", own.clear, "operate", statuses=(204,)),
        ]


def _check_address(upstream: str) -> None:
    """Raise :class:`BadInput`, which does not show the address, if it has more than a host, a port and a path."""
    try:
        parts = urlsplit(upstream)
        is_plain = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment or "@" in upstream)
    except ValueError:
        is_plain = False
    if not is_plain or not upstream.startswith(("http://", "https://")):
        raise BadInput(
            "upstream must be an address such as https://provider/v1, without a user, a password or a query: clients "
            "send their own keys",
            field="upstream",
        )


class _Fence:
    """The part of an app that a cache needs, which exists once the app is open."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self.counters = parts, parts.counters

    @property
    def bonds(self) -> Bonds:
        """What binds answers."""
        return self._parts.core.bonds()

    @property
    def sync(self) -> Any:
        """Raise :class:`RuntimeError`: a gateway runs on the event loop of its server, where nothing may wait."""
        raise RuntimeError("the proxy's cache is asked on the event loop of its server only")


class _Routes:
    def __init__(self, app: Any) -> None:
        self._app = app

    @property
    def _gateway(self) -> Gateway:
        found: Gateway = self._app.plugins[Proxy]
        return found

    async def ask(self, dialect: Dialect, request: HttpRequest) -> Response:
        """Answer a question from the cache, or pass it on and store its answer."""
        return await self._gateway.ask(request, dialect)

    async def forward(self, request: HttpRequest) -> Response:
        """Pass a request on to the provider."""
        return await self._gateway.forward(request)

    async def statement(self, _: HttpRequest) -> JsonResponse[Statement]:
        """What this process has spent at the provider and saved by hits since it started."""
        return json_response(self._gateway.account.statement())

    async def bypass(self, _: HttpRequest, *, body: Bypass) -> JsonResponse[Bypass]:
        """Stop to use the cache in all processes, or use it again."""
        before = await self._gateway.switch.is_on()
        await self._gateway.switch.set(on=body.on)
        self._note("bypass", str(before), str(body.on))
        return json_response(body)

    async def complain(self, _: HttpRequest, *, body: Complaint) -> JsonResponse[Complaint]:
        """Withdraw an answer in all processes; 404 if it is not stored."""
        if not await self._gateway.withdraw(body.answer):
            raise UnknownResource("no answer of this id is stored", field="answer")
        self._note("withdraw", "", body.answer)
        return json_response(body)

    async def clear(self, _: HttpRequest) -> Response:
        """Withdraw all answers in all processes, and leave nothing of them or their questions in the store's file."""
        await self._gateway.cache.erase_async()
        await self._app.engine.store.compact()
        self._note("withdraw", "", "all answers")
        return Response(status=204)

    def _note(self, what: str, before: str, after: str) -> None:
        actions.note(what, "proxy", before=before, after=after, now=self._app.settings.clock.now)
