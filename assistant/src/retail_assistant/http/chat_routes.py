"""``POST /v1/chat/completions``: OpenAI-compatible, plain and streaming, with the sources of the answer."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

import parbake as pb
from parbake.http import HttpRequest, JsonResponse, Response, Route, error_for_client, json_response
from parbake.ports.usage import Usage
from parbake.protocol.record import Stamp
from parbake_planner import Ledger
from parbake_planner.ledger.answer_table import Answer
from retail_assistant.chat.flow import Assistant
from retail_assistant.chat.turn import Forgotten, Reply, Turn
from retail_assistant.http.identity import Identity
from retail_assistant.live import LiveShop
from retail_assistant.shop.checks import has_control_characters
from retail_assistant.shop.voices import ANONYMOUS, is_named

MAX_MESSAGE = 8_000
MAX_HISTORY = 20
MODEL = "retail-assistant"
EVENT_STREAM = "text/event-stream; charset=utf-8"
PATH = "/v1/chat/completions"
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")


class Part(msgspec.Struct):
    """A piece of a message's content; only text is supported."""

    type: str
    text: str = ""


class Message(msgspec.Struct):
    """One message of the conversation."""

    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """The content as plain text."""
        if self.content is None:
            return ""
        if isinstance(self.content, str):
            return self.content.replace("\r\n", "\n")
        return "".join(part.text for part in self.content if part.type == "text")


class Metadata(msgspec.Struct):
    """The shopper's product page (an asin), session and locale (``en``, ``de-AT``; English by default)."""

    page: str | None = None
    session: str | None = None
    locale: str | None = None


class ChatBody(msgspec.Struct):
    """The members of a chat completion request that the assistant uses; others are accepted and ignored."""

    messages: list[Message]
    model: str = MODEL
    user: str | None = None
    stream: bool = False
    metadata: Metadata | None = None


class ChatRoutes:
    """The chat endpoint over one assistant."""

    def __init__(self, app: pb.App, assistant: Assistant, shop: LiveShop, identity: Identity) -> None:
        """Answer with ``assistant``, over the products of ``shop``, the shoppers whom ``identity`` knows."""
        self._app, self._identity = app, identity
        self._assistant = assistant
        self._shop = shop

    def routes(self) -> list[Route]:
        """The routes: everybody may chat, and only operators may erase what is kept of a shopper."""
        return [
            Route("POST", PATH, self.complete, produces=("application/json", EVENT_STREAM)),
            Route("DELETE", "/v1/chat/shoppers/{user}", self.forget, "operate"),
        ]

    async def forget(self, request: HttpRequest) -> JsonResponse[Forgotten]:
        """Erase what is kept of a shopper's messages: conversations in this process, and questions in the shop.

        Another process forgets a conversation an hour after its last reply.
        """
        return json_response(await self._assistant.forget(request.parameters["user"]))

    async def complete(self, request: HttpRequest, *, body: ChatBody) -> Response:
        """Answer a conversation's last message, for the shopper who is signed in or whom a key names."""
        turn = self._turn(request, body)
        if body.stream:
            return Response(content_type=EVENT_STREAM, stream=self._stream(turn))
        answer_id, started = self._identity.receipts.new(turn.shopper), time.perf_counter()
        as_of = await self._as_of()
        async with self._app.request(self._assistant.time.reply_s) as scope:
            reply = await self._assistant.reply(turn, scope)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": reply.text, "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
        document = _envelope("chat.completion", answer_id, [choice])
        answer = self._noted(answer_id, reply, scope, turn.shopper, as_of)
        document["usage"] = _usage(answer.usage)
        document["parbake"] = _made_of(reply, answer, scope, time.perf_counter() - started)
        return json_response(document)

    async def _stream(self, turn: Turn) -> AsyncIterator[bytes]:
        answer_id, started, reply = self._identity.receipts.new(turn.shopper), time.perf_counter(), None
        yield _chunk(answer_id, {"role": "assistant", "content": ""})
        as_of = await self._as_of()
        async with self._app.request(self._assistant.time.reply_s) as scope:
            try:
                async for said in self._assistant.stream(turn, scope):
                    if isinstance(said, Reply):
                        reply = said
                    else:
                        yield _chunk(answer_id, {"content": said})
            except pb.ParbakeError as raised:
                error = error_for_client(raised, during=f"POST {PATH}")
                failure = {"message": str(error), "type": type(error).__name__, "param": error.field, "code": None}
                yield b"data: " + msgspec.json.encode({"error": failure}) + b"\n\n"
                return
        if reply is None:
            raise AssertionError("a stream ends with the reply")
        answer = self._noted(answer_id, reply, scope, turn.shopper, as_of)
        made_of = _made_of(reply, answer, scope, time.perf_counter() - started)
        yield _chunk(answer_id, {}, finish="stop", usage=_usage(answer.usage), parbake=made_of)
        yield b"data: [DONE]\n\n"

    async def _as_of(self) -> Stamp | None:
        """The store's counter before the first read of a reply; ``None`` if the store cannot say."""
        try:
            return await self._app.stamp()
        except pb.ParbakeError:
            return None

    def _noted(self, answer_id: str, reply: Reply, scope: pb.Request, shopper: str, as_of: Stamp | None) -> Answer:
        """Record the sources and steps of a reply, and who got it, under the id that its client has."""
        return self._app.plugins[Ledger].answers.note(
            scope,
            answer_id=answer_id,
            lane=reply.lane,
            subject=reply.faq,
            sources=reply.sources,
            refusals=reply.refusals,
            recipient=shopper if is_named(shopper) else "",
            as_of=as_of,
        )

    def _turn(self, request: HttpRequest, body: ChatBody) -> Turn:
        """Check a conversation and return it as a turn; raises :class:`parbake.BadInput` naming the invalid member."""
        if not body.messages or body.messages[-1].role != "user":
            raise pb.BadInput("messages must end with a message of the role 'user'", field="messages")
        for i, message in enumerate(body.messages):
            _check_text(message.text, f"messages[{i}].content", may_be_empty=message.role != "user")
        user = ANONYMOUS if body.user is None else body.user
        if not user or len(user) > 200 or has_control_characters(user):  # noqa: PLR2004  # in the message
            raise pb.BadInput("user must have 1 to 200 printable characters", field="user")
        user = self._identity.counted(request, self._identity.asking(request, user))
        page = body.metadata.page if body.metadata else None
        if page and self._shop.product(page) is None:
            raise pb.errors.UnknownResource(f"no product has the asin {page[:40]!r}", field="metadata.page")
        spoken = [m for m in body.messages[:-1] if m.role in ("user", "assistant")][-MAX_HISTORY:]
        history = tuple((m.role, m.text) for m in spoken)
        session = (body.metadata.session if body.metadata else None) or ""
        return Turn(body.messages[-1].text, user, page or None, history, _language(body.metadata), session)


def _language(metadata: Metadata | None) -> str:
    """The language of a locale in lower case; raises :class:`parbake.BadInput` for an invalid locale."""
    if metadata is None or metadata.locale is None:
        return "en"
    if not _LOCALE.fullmatch(metadata.locale):
        raise pb.BadInput(
            f"metadata.locale={metadata.locale[:40]!r}: send a locale such as en or de-AT", field="metadata.locale"
        )
    return metadata.locale[:3].rstrip("-_").lower()


def _check_text(text: str, field: str, *, may_be_empty: bool) -> None:
    if not text.strip() and not may_be_empty:
        raise pb.BadInput(f"{field} is empty", field=field)
    if len(text) > MAX_MESSAGE:
        raise pb.BadInput(f"{field} has {len(text)} characters, more than {MAX_MESSAGE}", field=field)
    if has_control_characters(text):
        raise pb.BadInput(f"{field} holds control characters other than tab and newline", field=field)


def _envelope(kind: str, answer_id: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer_id}",
        "object": kind,
        "created": int(time.time()),
        "model": MODEL,
        "choices": choices,
    }


def _chunk(answer_id: str, delta: dict[str, Any], *, finish: str | None = None, **members: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    document = _envelope("chat.completion.chunk", answer_id, [choice])
    return b"data: " + msgspec.json.encode({**document, **members}) + b"\n\n"


def _usage(tokens: Usage | None) -> dict[str, Any] | None:
    """Tokens by OpenAI's names; ``None`` if they are not known."""
    if tokens is None or tokens.input is None or tokens.output is None:
        return None
    sent, made = tokens.input, tokens.output
    found: dict[str, Any] = {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}
    if tokens.cache_read is not None:
        found["prompt_tokens_details"] = {"cached_tokens": tokens.cache_read}
    return found


def _made_of(reply: Reply, answer: Answer, scope: pb.Request, seconds: float) -> dict[str, Any]:
    return {
        "answer_id": answer.id,
        "intent": reply.intent,
        "lane": reply.lane,
        "faq": reply.faq or None,
        "steps": answer.steps,
        "worded": reply.worded,
        "units": reply.units,
        "generators": list(dict.fromkeys(call.model for call in scope.generations)),
        "refusals": reply.refusals,
        "cards": reply.cards,
        "lead": reply.lead,
        "ms": round(seconds * 1000, 3),
        "cost_usd": answer.cost_usd,
    }


def error_members(request: HttpRequest, error: pb.ParbakeError) -> dict[str, Any]:
    """OpenAI's ``error`` member beside the problem document, for the chat endpoint."""
    if request.path != PATH:
        return {}
    kind = "invalid_request_error" if error.status < 500 else "server_error"  # noqa: PLR2004  # HTTP's own classes
    return {"error": {"message": str(error), "type": kind, "param": error.field or None, "code": type(error).__name__}}
