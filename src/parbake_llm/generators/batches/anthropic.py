"""Anthropic's message batches through the official client.

The key comes from ``ANTHROPIC_API_KEY`` or the file that ``ANTHROPIC_API_KEY_FILE`` names, and is never shown. The
provider keeps no name of a batch, so that a batch whose submission broke off is recognised by its time and size, and
once it has ended by the ids of its requests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from parbake_llm.generators._hosted.anthropic_endpoint import AnthropicEndpoint
from parbake_llm.generators._hosted.anthropic_messages import message_usage
from parbake_llm.generators._hosted.batch_calls import BatchCalls, a_call, a_text, checked
from parbake_llm.generators._hosted.clients.sdk_client import SdkClient
from parbake_llm.generators._hosted.clients.sdk_errors import document
from parbake_llm.ports.provider_jobs import BatchAnswer, BatchRequest, JobState, NoAnswer, SeenJob
from parbake_llm.writing.placement import placed

PAGE = 100
"""How many batches a page of the listing has."""
_INTENT_LENGTH = 32
"""An id of 64 characters has place for that of the intent and that of the request."""
_LACKING = {"errored": NoAnswer.FAILED, "expired": NoAnswer.EXPIRED, "canceled": NoAnswer.CANCELLED}


class AnthropicBatches(AnthropicEndpoint, BatchCalls[SdkClient]):
    """Asks in batches, which end within 24 hours (see :class:`parbake_llm.ports.provider_jobs.BatchProvider`)."""

    most_requests = 100_000
    most_bytes = 200 << 20  # of 256 MB
    least_requests = 1

    async def submit(self, intent: str, requests: Sequence[BatchRequest]) -> str:
        entries = [{"custom_id": intent + one.custom_id, "params": self._params(one)} for one in requests]
        found = await self._call(lambda: self._batches().create(requests=entries))
        return a_text(found.id)

    async def state(self, job: str) -> JobState:
        found = await self._call(lambda: self._batches().retrieve(job))
        return JobState.ENDED if found.processing_status == "ended" else JobState.RUNNING

    async def results(self, job: str) -> AsyncIterator[BatchAnswer]:
        async for line in self._each(await self._call(lambda: self._batches().results(job))):
            entry = document(line)
            found = checked(entry.get("custom_id"), entry, _answer)
            if found is not None:  # the intent stands before the request's own id
                intent, own = found.custom_id[:_INTENT_LENGTH], found.custom_id[_INTENT_LENGTH:]
                yield msgspec.structs.replace(found, custom_id=own, intent=intent)

    async def recent(self, since: float) -> list[SeenJob]:
        found: list[SeenJob] = []
        pages = self._batches().list(limit=PAGE)
        async for batch in self._each(pages.__aiter__()):  # the newest first
            created = batch.created_at.timestamp()
            if created < since:
                break
            found.append(SeenJob(batch.id, created, _total(document(batch.request_counts)), None))
        return found

    async def cancel(self, job: str) -> None:
        await self._call(lambda: self._batches().cancel(job))

    def _params(self, request: BatchRequest) -> dict[str, Any]:
        return self._body(placed(request.prompt, self.rules), request.max_tokens) | self._options

    def _batches(self) -> Any:
        return self._client.here().messages.batches


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
