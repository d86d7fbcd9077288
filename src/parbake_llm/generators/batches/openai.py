"""OpenAI's batches through the official client: requests in a file, and answers in two.

The key comes from ``OPENAI_API_KEY`` or the file that ``OPENAI_API_KEY_FILE`` names, and is never shown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from parbake_llm.generators._hosted.batch_calls import NAME, BatchCalls, a_call, a_text, answers_of, json_lines
from parbake_llm.generators._hosted.chat import usage_of
from parbake_llm.generators._hosted.clients.sdk_client import SdkClient
from parbake_llm.generators._hosted.clients.sdk_errors import document
from parbake_llm.generators._hosted.openai_chat import chat_request
from parbake_llm.generators._hosted.openai_endpoint import OpenAIEndpoint
from parbake_llm.ports.provider_jobs import BatchAnswer, BatchRequest, JobState, NoAnswer, SeenJob
from parbake_llm.writing.placement import placed

PAGE = 100
"""How many batches a page of the listing has."""
_ENDPOINT = "/v1/chat/completions"
INTENT = f"{NAME}_intent"
"""The name of our id in a batch's metadata."""
_STATES = {
    "failed": JobState.FAILED,
    "completed": JobState.ENDED,
    "expired": JobState.ENDED,
    "cancelled": JobState.ENDED,
}
_LACKING = {"batch_expired": NoAnswer.EXPIRED, "batch_cancelled": NoAnswer.CANCELLED}


class OpenAIBatches(OpenAIEndpoint, BatchCalls[SdkClient]):
    """Asks in batches, which end within 24 hours (see :class:`parbake_llm.ports.provider_jobs.BatchProvider`)."""

    most_requests = 50_000
    most_bytes = 150 << 20  # of 200 MB
    least_requests = 1

    async def submit(self, intent: str, requests: Sequence[BatchRequest]) -> str:
        content = json_lines(map(self._entry, requests))
        client = self._client.here()
        file = await self._call(lambda: client.files.create(file=(f"{NAME}-{intent}.jsonl", content), purpose="batch"))
        found = await self._call(
            lambda: client.batches.create(
                input_file_id=file.id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                metadata={INTENT: intent},
            )
        )
        return a_text(found.id)

    async def state(self, job: str) -> JobState:
        found = await self._call(lambda: self._client.here().batches.retrieve(job))
        return _STATES.get(found.status, JobState.RUNNING)

    async def results(self, job: str) -> AsyncIterator[BatchAnswer]:
        client = self._client.here()
        batch = await self._call(lambda: client.batches.retrieve(job))
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            content = await self._call(partial(client.files.content, file))
            for answer in answers_of(content.content, "custom_id", _answer):
                yield answer

    async def recent(self, since: float) -> list[SeenJob]:
        found: list[SeenJob] = []
        pages = self._client.here().batches.list(limit=PAGE)
        async for batch in self._each(pages.__aiter__()):  # the newest first
            if batch.created_at < since - 1:  # whole seconds
                break
            intent = (batch.metadata or {}).get(INTENT, "")
            found.append(SeenJob(batch.id, float(batch.created_at), None, intent))
        return found

    async def cancel(self, job: str) -> None:
        await self._call(lambda: self._client.here().batches.cancel(job))

    def _entry(self, request: BatchRequest) -> dict[str, Any]:
        body, extra = chat_request(placed(request.prompt, self.rules), self.rules, self._caching)
        body |= {"model": self.model, "max_completion_tokens": request.max_tokens} | self._options | extra
        return {"custom_id": request.custom_id, "method": "POST", "url": _ENDPOINT, "body": body}


def _answer(entry: Mapping[str, Any]) -> BatchAnswer:
    custom_id, response = entry["custom_id"], entry.get("response") or {}
    if entry.get("error") or response.get("status_code") != 200:  # noqa: PLR2004 - the status of success
        code = (entry.get("error") or {}).get("code", "")
        return BatchAnswer(custom_id=custom_id, lacking=_LACKING.get(code, NoAnswer.FAILED))
    body = document(response["body"])
    message = body["choices"][0]["message"]
    calls = message.get("tool_calls") or ()
    return BatchAnswer(
        custom_id=custom_id,
        text=a_text(message.get("content")),
        calls=tuple(a_call(one["id"], one["function"]["name"], one["function"]["arguments"]) for one in calls),
        usage=usage_of(body.get("usage")),
    )
