"""Answers requests: from the cache if that may be, otherwise by the provider, whose answer is then stored."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from hashlib import blake2b
from typing import Any

import msgspec

from parbake.errors import BadInput, ParbakeError, StoreError
from parbake.ports.messages import JSON, HttpRequest, Response
from parbake.process.trouble import Trouble
from parbake.values.redaction import one_line
from parbake_proxy import answers
from parbake_proxy.answers import Told
from parbake_proxy.headers import telling
from parbake_proxy.limits import is_decodable, is_searchable
from parbake_proxy.request_body import decode, decode_own, is_readable, may_repeat_names
from parbake_proxy.savings import Account
from parbake_proxy.switch import Switch, Tenants
from parbake_proxy.upstream import Answer, Upstream
from parbake_proxy.wire.dialect import Dialect, Document, NoQuestion, Question
from parbake_proxy.wire.events import Events
from parbake_proxy.wishes import Wishes, wishes_of
from parbake_semantic.cache.asked import Asked
from parbake_semantic.cache.semantic_cache import SemanticCache
from parbake_semantic.text.audience import Scope

_log = logging.getLogger("parbake.proxy")
_STORED_S = 5.0
"""How long a question waits for answers of its scope that are being stored."""
_ELSEWHERE_S = 0.25
"""Within this time an answer that another process has passed on is stored, if it is."""
_DRAINED_S = 10.0
_AT_ONCE = 100
"""How many pieces of an answer are given before others get their turn."""
_BYPASSED, _TOO_LARGE = "bypassed", "too_large"


class Exchange(msgspec.Struct, frozen=True):
    """A request whose question was looked up.

    Attributes:
        dialect: Its protocol.
        body: The request.
        question: Its question.
        scope: Who asks.
        wishes: How it is to be handled.
    """

    dialect: Any
    body: Document
    question: Question
    scope: Scope
    wishes: Wishes


class Gateway:
    """Answers the requests of a proxy.

    Attributes:
        cache: The cache.
        switch: Whether it is used.
        account: What was spent and saved.
    """

    def __init__(
        self, cache: SemanticCache[Document], upstream: Upstream, account: Account, switch: Switch, tenants: Tenants
    ) -> None:
        """Answer with a cache and a provider.

        Args:
            cache: The cache.
            upstream: The provider.
            account: Counts what is spent and saved.
            switch: Whether the cache is used.
            tenants: Names those who ask.
        """
        self.cache, self.account, self.switch = cache, account, switch
        self._upstream, self._tenants = upstream, tenants
        self._trouble = Trouble("the look into the store, so that requests are passed on,", _log)
        self._storing: defaultdict[Scope, set[asyncio.Task[None]]] = defaultdict(set)

    async def forward(self, request: HttpRequest) -> Response:
        """Pass a request on without the cache."""
        self.account.outcomes["passed_on"] += 1
        sent = request.body
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == JSON and (b'"cache"' in sent or b'"parbake"' in sent) and is_searchable(sent):
            body = decode_own(sent)
            with contextlib.suppress(BadInput):  # it may be a word of the provider's own
                wishes = None if body is None else wishes_of(body, request.headers)
                sent = sent if wishes is None or wishes.body is None else msgspec.json.encode(wishes.body)
        return await self._passed_on(request, sent, "passed_on", "passed_on")

    async def ask(self, request: HttpRequest, dialect: Dialect) -> Response:
        """Answer a request of a protocol.

        Args:
            request: The request.
            dialect: The protocol.

        Raises:
            BadInput: A wish about the cache is not valid, or a tag is of no family of the app.
            UpstreamFailed: The provider cannot be reached.
        """
        if not is_readable(request.body):
            self.account.outcomes[_TOO_LARGE] += 1
            return await self._passed_on(request, request.body, "bypass", _TOO_LARGE)
        body = (decode if is_decodable(request.body) else decode_own)(request.body)
        if body is None:
            return await self.forward(request)  # the provider says what is wrong with it
        wishes = wishes_of(body, request.headers)
        sent = request.body if wishes.body is None else msgspec.json.encode(wishes.body)
        reason, exchange = "", None
        try:
            exchange = await self._exchange(request, dialect, body, wishes)
        except NoQuestion as why:
            reason = str(why)
        except StoreError as error:
            self._trouble.met(one_line(error))
            reason = "store_failed"
        else:
            self._trouble.is_over()
        if exchange is None:
            self.account.outcomes[reason] += 1
            return await self._passed_on(request, sent, "bypass", reason, (dialect, body))
        try:
            self.cache.check(wishes.handling.tags)
        except BadInput as error:
            raise BadInput(
                f"{error}; a proxy knows the families of --family, or of App(open=[...])", field="tags"
            ) from error
        await self._stored(exchange.scope)
        asked = await self.cache.begin(exchange.question.text, scope=exchange.scope, handling=wishes.handling)
        self.account.outcomes[asked.reason or "hit"] += 1
        if asked.reply is not None:
            return self._hit(exchange, asked)
        return await self._fresh(request, sent, exchange, asked)

    async def _exchange(self, request: HttpRequest, dialect: Dialect, body: Document, wishes: Wishes) -> Exchange:
        if await self.switch.is_on():
            raise NoQuestion(_BYPASSED)
        if not is_decodable(request.body):
            raise NoQuestion(_TOO_LARGE)
        if request.raw_path not in ("", dialect.path):  # the provider may read it as another one
            raise NoQuestion("unusual_request")
        if not isinstance(body.get("stream", False), bool) or not isinstance(body.get("stream_options") or {}, dict):
            raise NoQuestion("unusual_request")
        if wishes.body is None and may_repeat_names(request.body, body):  # the provider may read another one of them
            raise NoQuestion("unusual_request")
        question = dialect.question(body if wishes.body is None else wishes.body)
        shaping = (dialect.path, request.query, wishes.namespace, question.context)
        try:
            context = msgspec.msgpack.encode(shaping)
        except (OverflowError, RecursionError, TypeError, ValueError):  # such as a number that no other format has
            raise NoQuestion("unusual_request") from None
        tenant = await self._tenants.name(telling(request.headers))
        scope = Scope(tenant=tenant, extra=blake2b(context, digest_size=16).hexdigest())
        return Exchange(dialect, body, question, scope, wishes)

    def _hit(self, exchange: Exchange, asked: Asked[Document]) -> Response:
        dialect: Dialect = exchange.dialect
        assert asked.reply is not None  # noqa: S101  # checked by the caller
        answer = dialect.again(asked.reply.value, self.cache.now())
        self.account.add("saved", dialect.provider, exchange.question.model, dialect.usage(answer))
        match = asked.reply.match
        detail = "repeated" if match is None or match.is_exact else "near"
        headers = (
            ("age", str(int(asked.age_s))),
            ("cache-status", f"parbake; hit; ttl={int(min(asked.valid_s, 2**31))}; detail={detail}"),
            ("x-parbake-cache", "hit"),
            ("x-parbake-answer", asked.id),
        )
        if exchange.body.get("stream") is True:
            stream = _given(dialect, answer, exchange.body)
            return Response(stream=stream, content_type="text/event-stream", headers=headers)
        return Response(msgspec.json.encode(answer), headers=headers)

    async def _fresh(self, request: HttpRequest, sent: bytes, exchange: Exchange, asked: Asked[Document]) -> Response:
        answer = await self._upstream.send(request, sent)
        named = (("x-parbake-answer", asked.id),) if asked.id else ()
        if answer.is_stream:
            stream = _heard(answer, exchange.dialect, lambda told: self._made(exchange, asked, told))
            return answer.response((*_miss(asked.reason), *named), stream=stream)
        body = await answer.read()
        if body is None:
            return answer.response(_miss(asked.reason), stream=answer.remainder())
        told = answers.plain(exchange.dialect, answer.status, body)
        may_be_stored = told is not None and self._made(exchange, asked, told)
        return answer.response((*_miss(asked.reason), *named) if may_be_stored else _miss(asked.reason), body=body)

    def _made(self, exchange: Exchange, asked: Asked[Document], told: Told) -> bool:
        """Count an answer, and begin to store it beside what goes on, if it may be; returns whether it may."""
        self.account.add("spent", exchange.dialect.provider, exchange.question.model, told.usage)
        if not told.is_complete or not exchange.wishes.handling.stores or not asked.id:
            return False

        async def store() -> None:
            try:
                await asked.finish(told.document)
            except ParbakeError:
                _log.exception("an answer could not be stored")

        task = asyncio.create_task(store())
        self._storing[exchange.scope].add(task)
        task.add_done_callback(lambda done: self._has_stored(exchange.scope, done))
        return True

    def _has_stored(self, scope: Scope, task: asyncio.Task[None]) -> None:
        tasks = self._storing.get(scope, set())
        tasks.discard(task)
        if not tasks:
            self._storing.pop(scope, None)

    async def _stored(self, scope: Scope) -> None:
        """Wait until answers of a scope that this process has passed on are stored, so that a repetition finds them."""
        if tasks := self._storing.get(scope):
            await asyncio.wait(tasks, timeout=_STORED_S)

    async def attend(self) -> None:
        """Run until cancelled, and then wait until all answers are stored and the connections closed."""
        try:
            await asyncio.Event().wait()
        finally:
            if tasks := [task for tasks in self._storing.values() for task in tasks]:
                await asyncio.wait(tasks, timeout=_DRAINED_S)
            await self._upstream.close()

    async def _passed_on(
        self, request: HttpRequest, sent: bytes, why: str, reason: str, told: tuple[Dialect, Document] | None = None
    ) -> Response:
        """Pass a request on, and count its tokens if it is of a known protocol."""
        answer = await self._upstream.send(request, sent)
        headers = (("cache-status", f"parbake; fwd=bypass; detail={reason}"), ("x-parbake-cache", why))
        if told is None:
            return answer.response(headers, stream=answer.chunks())
        dialect, model = told[0], told[1].get("model")

        def count(found: Told) -> None:
            self.account.add("spent", dialect.provider, model if isinstance(model, str) else "", found.usage)

        if answer.is_stream:
            return answer.response(headers, stream=_heard(answer, dialect, count))
        body = await answer.read()
        if body is None:
            return answer.response(headers, stream=answer.remainder())
        if (found := answers.plain(dialect, answer.status, body)) is not None:
            count(found)
        return answer.response(headers, body=body)

    async def withdraw(self, answer: str) -> bool:
        """Withdraw an answer by its id, after a complaint; ``False`` if it is not stored.

        Raises:
            BadInput: The text is not an id.
        """
        try:
            key = bytes.fromhex(answer)
        except ValueError as error:
            raise BadInput("answer must be the value of an x-parbake-answer header", field="answer") from error
        if pending := [task for tasks in self._storing.values() for task in tasks]:  # it may be among them
            await asyncio.wait(pending, timeout=_STORED_S)
        if await self.cache.withdraw(key):
            return True
        await asyncio.sleep(_ELSEWHERE_S)  # another process may have passed it on just now
        return await self.cache.withdraw(key)


def _miss(reason: str) -> tuple[tuple[str, str], ...]:
    return ("cache-status", f"parbake; fwd=miss; detail={reason}"), ("x-parbake-cache", "miss")


async def _heard(answer: Answer, dialect: Dialect, hear: Callable[[Told], object]) -> AsyncIterator[bytes]:
    """Pass a stream on as it comes, and tell of its answer once it has ended by itself."""
    events = Events()
    async for chunk in answer.chunks():
        events.feed(chunk)
        yield chunk
    told = answers.streamed(dialect, answer.status, events)
    if told is not None:
        hear(told)


async def _given(dialect: Dialect, answer: Document, body: Document) -> AsyncIterator[bytes]:
    for number, piece in enumerate(dialect.pieces(answer, body)):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)  # others get their turn, also if this client takes each piece at once
        yield piece
