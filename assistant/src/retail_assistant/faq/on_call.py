"""Alerts the people on call to the effects of complaints, in the background, so that the reply never waits."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import parbake as pb
from parbake.ports.alerts import Alert
from retail_assistant.faq.faq_tasks import faq_answers
from retail_assistant.shop.complaints import Complaint

QUIET_S = 3600.0
_MESSAGES = {
    "complained": "a shopper whom the shop does not know complained of {answer}; it is still served to others",
    "withdrawn": "a complaint has withdrawn {answer} from the bank; DELETE /shop/complaints/{path} restores it",
    "withdrawn_again": (
        "a complaint has withdrawn {answer} from the bank, and it is not the first answer within a day: look whether "
        "somebody empties the bank (GET /shop/complaints); DELETE /shop/complaints/{path} restores it"
    ),
    "held_back": "complaints have withdrawn the greatest number of answers allowed in a day; {answer} is still served",
}


class OnCall:
    """Sends news of complaints to the app's alert sinks; news that the breaker holds is sent at most once an hour."""

    def __init__(self, app: pb.App) -> None:
        """Send through the app's alert sinks; nothing has been sent yet."""
        self._app = app
        self._quiet_until = 0.0
        self._sending: set[asyncio.Task[None]] = set()

    def hear(self, complaint: Complaint, answer: str) -> None:
        """Queue an alert with the news of a complaint about an answer, if there is any."""
        now = self._app.settings.clock.now()
        if not complaint.news or (complaint.news == "held_back" and now < self._quiet_until):
            return
        if complaint.news == "held_back":
            self._quiet_until = now + QUIET_S
        message = _MESSAGES[complaint.news].format(answer=answer, path=quote(answer, safe=""))
        owner = faq_answers.contract.owner
        alert = Alert(complaint.news, faq_answers.name, owner, message, now, f"{complaint.news}/{answer}/{owner}")
        task = asyncio.create_task(self._app.ops.alert(alert))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def settle(self) -> None:
        """Wait until the queued alerts are sent."""
        await asyncio.gather(*self._sending)
