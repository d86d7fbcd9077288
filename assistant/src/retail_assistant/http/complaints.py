"""``/shop/complaints``: what shoppers hold for wrong, and its owner's answer to it."""

from __future__ import annotations

import asyncio

import msgspec

import parbake as pb
from parbake.http import HttpRequest, Response, Route, json_response
from retail_assistant.faq.on_call import OnCall
from retail_assistant.faq.tasks import faq_bank
from retail_assistant.http.acknowledged import WRITTEN, WRITTEN_NEW, acknowledged
from retail_assistant.shop import complaints
from retail_assistant.shop.connections import PerThread


class ComplaintBody(msgspec.Struct, forbid_unknown_fields=True):
    """What is held for wrong: ``answer`` is the ``parbake.faq`` of a chat reply, ``answer_id`` that reply's id.

    A shop's own backend, which sends the operator token, may leave the id out.
    """

    shopper: str
    answer: str
    answer_id: str = ""


class ComplaintRoutes:
    """Handlers over one shop file."""

    def __init__(self, app: pb.App, connections: PerThread, rules: complaints.Rules) -> None:
        """``connections`` write."""
        self._app, self._connections, self._rules = app, connections, rules
        self._on_call = OnCall(app)

    def routes(self) -> list[Route]:
        """Shoppers complain; what they complained of is for operators."""
        return [
            Route("GET", "/shop/complaints", self.list, "operators"),
            Route("POST", "/shop/complaints", self.complain, statuses=WRITTEN_NEW),
            Route("DELETE", "/shop/complaints/{answer}", self.restore, "operators", statuses=WRITTEN),
        ]

    async def list(self, _: HttpRequest) -> Response:
        """What owners have to look at."""
        return json_response({"complaints": await self._connections.read(complaints.list_open)})

    async def complain(self, request: HttpRequest, *, body: ComplaintBody) -> Response:
        """Take an answer of the bank out of use, for the shopper or for everybody, until its owner has looked.

        Only an operator can vouch for a shopper's name; whoever else names one is a stranger.
        """
        now = self._app.settings.clock.now()
        if not request.is_operator:
            await self._check_given(body)
        if body.answer not in (await self._app.model(faq_bank)).answered:
            raise pb.errors.UnknownResource(f"the bank has no answer {body.answer[:80]!r}", field="answer")

        async def heard() -> complaints.Complaint:
            made = await self._connections.write(
                lambda c: complaints.complain(
                    c,
                    shopper=body.shopper,
                    answer=body.answer,
                    answer_id=body.answer_id,
                    is_vouched_for=request.is_operator,
                    now=now,
                    rules=self._rules,
                )
            )
            self._on_call.hear(made, body.answer)
            return made

        made = await asyncio.shield(heard())  # a client that leaves keeps the people on call from nothing
        return await acknowledged(self._app, made.position, 201, applies_to=made.applies_to)

    async def _check_given(self, body: ComplaintBody) -> None:
        """Raise :class:`parbake.BadInput` unless the assistant has given out that answer, under that id."""
        if not body.answer_id:
            raise pb.BadInput("answer_id is required: the parbake.answer_id of the reply", field="answer_id")
        if (await self._app.answers.find(body.answer_id)).subject != body.answer:
            raise pb.BadInput(f"that reply was not the answer {body.answer[:80]!r}", field="answer")

    async def restore(self, request: HttpRequest) -> Response:
        """Serve an answer again; for its owner."""
        answer, now = request.parameters["answer"], self._app.settings.clock.now()
        return await acknowledged(
            self._app, await self._connections.write(lambda c: complaints.restore(c, answer, now=now))
        )
