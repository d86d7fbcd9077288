"""Some turns that nobody asked for, before the first customer: what is loaded at first use is loaded by them."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import parbake as pb
from retail_assistant.chat.flow import Assistant
from retail_assistant.chat.turn import Turn
from retail_assistant.recs.recs_tasks import reranker
from retail_assistant.shop.voices import ANONYMOUS

MESSAGES = (
    "How many days do I have to send something back?",
    "Recommend me something",
    "I am looking for a present",
    "What is popular?",
    "What promotions do you have?",
    "Do you deliver to Japan?",
)
GENERATED = "Who pays when a parcel arrives damaged?"
"""A question whose reply is worded by the generator."""
_log = logging.getLogger("retail_assistant.rehearsal")


async def rehearse(app: pb.App, assistant: Assistant, *, may_generate: bool) -> None:
    """Answer one message of each kind for nobody.

    Args:
        app: The app that the assistant serves from.
        assistant: Who answers.
        may_generate: Whether the generator may be asked: a hosted one costs money, and may be out of reach.
    """
    with contextlib.suppress(pb.NotMaterialized):  # nothing is ranked before there is a model
        model = await app.model(reranker)
        await asyncio.to_thread(lambda: model.trees)
    for message in (*MESSAGES, *([GENERATED] if may_generate else ())):
        try:
            async with app.request(assistant.time.reply_s) as request:
                await assistant.reply(Turn(message, ANONYMOUS, may_generate=may_generate), request)
        except pb.ParbakeError as error:  # a customer who asks the same is told so
            _log.warning("%r could not be rehearsed: %s", message, error)
