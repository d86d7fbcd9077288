"""Anthropic's message batches through the official client.

The provider keeps no name of a batch, so that a batch whose submission broke off is recognised by its time and size.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from parbake.generators._hosted.anthropic_messages import message_request, message_usage
from parbake.generators._hosted.sdk_errors import document
from parbake.generators.anthropic import AnthropicGenerator
from parbake.generators.batches._calls import CALL_S, BatchCalls, a_call, a_text, checked
from parbake.ports.batches.provider_jobs import BatchAnswer, BatchRequest, JobState, NoAnswer, SeenJob
from parbake.prompt.writing.placement import placed

PAGE = 100
"""How many batches a page of the listing has."""
_LACKING = {"errored": NoAnswer.FAILED, "expired": NoAnswer.EXPIRED, "canceled": NoAnswer.CANCELLED}


class AnthropicBatches(BatchCalls, AnthropicGenerator):
    """Asks in batches, which end within 24 hours; it is created like :class:`AnthropicGenerator`, and is one, too."""

    most_requests = 100_000
    most_bytes = 200 << 20  # of 256 MB
    least_requests = 1

    async def submit(self, intent: str, requests: Sequence[BatchRequest]) -> str:
        """See :class:`parbake.ports.batches.provider_jobs.BatchProvider`."""
        del intent
        entries = [{"custom_id": one.custom_id, "params": self._params(one)} for one in requests]
        found = await self._call(lambda: self._batches().create(requests=entries, timeout=CALL_S))
        return a_text(found.id)

    async def state(self, job: str) -> JobState:
        """See :class:`parbake.ports.batches.provider_jobs.BatchProvider`."""
        found = await self._call(lambda: self._batches().retrieve(job, timeout=CALL_S))
        return JobState.ENDED if found.processing_status == "ended" else JobState.RUNNING

    async def results(self, job: str) -> AsyncIterator[BatchAnswer]:
        """See :class:`parbake.ports.batches.provider_jobs.BatchProvider`."""
        async for line in self._each(await self._call(lambda: self._batches().results(job, timeout=CALL_S))):
            entry = document(line)
            found = checked(entry.get("custom_id"), entry, _answer)
            if found is not None:
                yield found

    async def recent(self, since: float) -> list[SeenJob]:
        """See :class:`parbake.ports.batches.provider_jobs.BatchProvider`."""
        found: list[SeenJob] = []
        pages = self._batches().list(limit=PAGE, timeout=CALL_S)
        async for batch in self._each(pages.__aiter__()):  # the newest first
            created = batch.created_at.timestamp()
            if created < since:
                break
            found.append(SeenJob(batch.id, created, _total(document(batch.request_counts)), None))
        return found

    async def cancel(self, job: str) -> None:
        """See :class:`parbake.ports.batches.provider_jobs.BatchProvider`."""
        await self._call(lambda: self._batches().cancel(job, timeout=CALL_S))

    def _params(self, request: BatchRequest) -> dict[str, Any]:
        body = message_request(placed(request.prompt, self.rules), self.rules)
        return body | {"model": self.model, "max_tokens": request.max_tokens} | self._options

    def _batches(self) -> Any:
        import anthropic

        return self._open(anthropic).messages.batches


def _answer(entry: Mapping[str, Any]) -> BatchAnswer:
    result = entry["result"]
    if result["type"] != "succeeded":
        return BatchAnswer(custom_id=entry["custom_id"], lacking=_LACKING.get(result["type"], NoAnswer.FAILED))
    message = result["message"]
    blocks = message["content"]
    return BatchAnswer(
        custom_id=entry["custom_id"],
        text="".join(a_text(block["text"]) for block in blocks if block["type"] == "text"),
        calls=tuple(
            a_call(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"
        ),
        usage=message_usage(message["usage"]),
    )


def _total(counts: Mapping[str, Any]) -> int:
    """The sum of all counts is always the number of requests."""
    return sum(value for value in counts.values() if isinstance(value, int))
