"""``/shop/complaints``: shoppers complain of wrong answers, and owners restore answers that they have checked."""

from __future__ import annotations

import asyncio

import msgspec

import parbake as pb
from parbake.http import HttpRequest, JsonResponse, Route, json_response
from parbake_planner import Ledger
from retail_assistant.faq.faq_tasks import faq_bank
from retail_assistant.faq.on_call import OnCall
from retail_assistant.http.acknowledged import WRITTEN, WRITTEN_NEW, acknowledged
from retail_assistant.http.identity import Identity
from retail_assistant.http.replies import Complained, ComplaintList, Written
from retail_assistant.shop import complaints
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.errors import NotYours


class ComplaintBody(msgspec.Struct, forbid_unknown_fields=True):
    """A complaint about a reply: ``answer`` is the ``parbake.faq`` of a chat reply, ``answer_id`` that reply's id.

    A shop's own backend, which sends a key, may leave the id out.
    """

    shopper: str
    answer: str
    answer_id: str = ""


class ComplaintRoutes:
    """Handlers over one shop file."""

    def __init__(self, app: pb.App, connections: PerThread, rules: complaints.Rules, identity: Identity) -> None:
        """Take complaints.

        Args:
            app: Withdraws answers.
            connections: Write to the shop file.
            rules: Say when complaints withdraw an answer.
            identity: Says who complains.
        """
        self._app, self._connections, self._rules, self._identity = app, connections, rules, identity
        self._on_call = OnCall(app)

    def routes(self) -> list[Route]:
        """The routes: shoppers may complain, and only operators may list complaints and restore answers."""
        return [
            Route("GET", "/shop/complaints", self.list, "operate"),
            Route("POST", "/shop/complaints", self.complain, statuses=WRITTEN_NEW),
            Route("DELETE", "/shop/complaints/{answer}", self.restore, "operate", statuses=WRITTEN),
        ]

    async def list(self, _: HttpRequest) -> JsonResponse[ComplaintList]:
        """The answers with open complaints, which their owners have to check."""
        return json_response(ComplaintList(await self._connections.read(complaints.list_open)))

    async def complain(self, request: HttpRequest, *, body: ComplaintBody) -> JsonResponse[Complained]:
        """Withdraw an answer of the bank, for the shopper or for everybody, until its owner has checked it.

        A shopper has to be signed in, so that nobody complains under several invented names, and complains only of a
        reply that the same shopper got, or that somebody got who was not signed in.
        """
        shopper = self._identity.acting(request, body.shopper)
        now = self._app.settings.clock.now()
        if not self._identity.acts(request):
            await self._check_given(body, shopper)
        if body.answer not in (await self._app.model(faq_bank)).answered:
            raise pb.errors.UnknownResource(f"the bank has no answer {body.answer[:80]!r}", field="answer")

        async def heard() -> complaints.Complaint:
            made = await self._connections.write(
                lambda c: complaints.complain(
                    c,
                    shopper=shopper,
                    answer=body.answer,
                    answer_id=body.answer_id,
                    now=now,
                    rules=self._rules,
                )
            )
            self._on_call.hear(made, body.answer)
            return made

        made = await asyncio.shield(heard())  # the people on call are alerted even if the client has left
        return await acknowledged(self._app, made.position, Complained, 201, applies_to=made.applies_to)

    async def _check_given(self, body: ComplaintBody, shopper: str) -> None:
        """Check that the assistant has sent a shopper that answer under that id.

        A reply to somebody who was not signed in may have been this shopper's: that the shopper has its id is all that
        is known, and it suffices.

        Raises:
            parbake.BadInput: The id is missing or malformed, or its reply was another answer.
            parbake.errors.UnknownResource: No reply has the id.
            NotYours: Another shopper got the reply.
        """
        if not body.answer_id:
            raise pb.BadInput("answer_id is required: the parbake.answer_id of the reply", field="answer_id")
        if (await self._app.plugins[Ledger].answers.find(body.answer_id)).subject != body.answer:
            raise pb.BadInput(f"that reply was not the answer {body.answer[:80]!r}", field="answer")
        if not self._identity.receipts.is_of(body.answer_id, shopper):
            raise NotYours("that reply was given to another shopper", field="answer_id")

    async def restore(self, request: HttpRequest) -> JsonResponse[Written]:
        """Serve an answer again, after its owner has checked it."""
        answer, now = request.parameters["answer"], self._app.settings.clock.now()
        return await acknowledged(
            self._app, await self._connections.write(lambda c: complaints.restore(c, answer, now=now)), Written
        )
