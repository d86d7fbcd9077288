"""Telling the people on call what complaints did, beside the reply and never in its way."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import parbake as pb
from parbake.ports.alerts import Alert
from retail_assistant.faq.tasks import faq_answers
from retail_assistant.shop.complaints import Complaint

QUIET_S = 3600.0
_MESSAGES = {
    "complained": "a shopper whom the shop does not know complained of {answer}; it is still served to others",
    "withdrawn": "{answer} is answered from the bank no more, until DELETE /shop/complaints/{path}",
    "held_back": "complaints have withdrawn as many answers as they may within a day; {answer} is still served",
}


class OnCall:
    """Sends news of complaints to the app's alert sinks; that the breaker holds, once an hour."""

    def __init__(self, app: pb.App) -> None:
        """Nothing was told yet."""
        self._app = app
        self._quiet_until = 0.0
        self._sending: set[asyncio.Task[None]] = set()

    def hear(self, complaint: Complaint, answer: str) -> None:
        """Tell, soon, what is new of an answer."""
        now = self._app.settings.clock.now()
        if not complaint.news or (complaint.news == "held_back" and now < self._quiet_until):
            return
        if complaint.news == "held_back":
            self._quiet_until = now + QUIET_S
        message = _MESSAGES[complaint.news].format(answer=answer, path=quote(answer, safe=""))
        alert = Alert(complaint.news, faq_answers.name, faq_answers.contract.owner, message, now)
        task = asyncio.create_task(self._app.ops.alert(alert))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def settle(self) -> None:
        """Wait for what is being sent."""
        await asyncio.gather(*self._sending)
