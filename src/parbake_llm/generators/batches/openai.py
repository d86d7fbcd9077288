"""OpenAI's batches through the official client: requests in a file, and answers in two.

The key comes from ``OPENAI_API_KEY`` or the file that ``OPENAI_API_KEY_FILE`` names, and is never shown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from parbake_llm.generators._hosted.batch_calls import (
    CALL_S,
    NAME,
    SdkBatches,
    a_call,
    a_text,
    checked,
    json_lines,
    lines_of,
)
from parbake_llm.generators._hosted.chat import usage_of
from parbake_llm.generators._hosted.clients.openai_client import (
    KEY,
    Caching,
    checked_caching,
    openai_client,
    openai_settings,
)
from parbake_llm.generators._hosted.clients.sdk_errors import document
from parbake_llm.generators._hosted.openai_chat import cache_rules, chat_request
from parbake_llm.ports.provider_jobs import BatchAnswer, BatchRequest, JobState, NoAnswer, SeenJob
from parbake_llm.writing.placement import CacheRules, placed

PAGE = 100
"""How many batches a page of the listing has."""
ENDPOINT = "/v1/chat/completions"
INTENT = f"{NAME}_intent"
"""The name of our id in a batch's metadata."""
_STATES = {
    "failed": JobState.FAILED,
    "completed": JobState.ENDED,
    "expired": JobState.ENDED,
    "cancelled": JobState.ENDED,
}
_LACKING = {"batch_expired": NoAnswer.EXPIRED, "batch_cancelled": NoAnswer.CANCELLED}


class OpenAIBatches(SdkBatches):
    """Asks in batches, which end within 24 hours."""

    name = "openai"
    most_requests = 50_000
    most_bytes = 150 << 20  # of 200 MB
    least_requests = 1

    def __init__(
        self,
        *,
        model: str,
        api_key: str,
        base_url: str | None = None,
        caching: Caching = "server",
        rules: CacheRules | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Create the batch interface, without connecting yet.

        Args:
            model: The model's name at the provider.
            api_key: The key, in printable ASCII like every HTTP header.
            base_url: The endpoint's URL; OpenAI's own by default.
            caching: What requests say about caching: ``server`` nothing; ``key`` the field ``prompt_cache_key``;
                ``explicit`` also where the prefixes end.
            rules: How the provider caches, if not as OpenAI does.
            options: Further fields of each request, such as ``temperature``.

        Raises:
            ProviderError: The key cannot be sent, or a setting is unknown.
            MissingDependency: The client is not installed.
        """
        self._caching: Caching = checked_caching(caching)
        client = openai_client("OpenAI's batch interface", api_key=api_key, base_url=base_url, timeout=CALL_S)
        super().__init__(client, model=model, rules=rules or cache_rules(caching), keys={KEY: api_key})
        self._options = dict(options or {})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> OpenAIBatches:
        """Read ``OPENAI_API_KEY`` (or ``OPENAI_API_KEY_FILE``), and the optional settings.

        These are ``OPENAI_BASE_URL``, ``OPENAI_MODEL`` and ``OPENAI_CACHING``. Raises :class:`ProviderError` that names
        the variable or setting that is missing or wrong.
        """
        return cls(**openai_settings(environment))

    async def submit(self, intent: str, requests: Sequence[BatchRequest]) -> str:
        """See :class:`parbake_llm.ports.provider_jobs.BatchProvider`."""
        content = json_lines(map(self._entry, requests))
        client = self._client.here()
        file = await self._call(lambda: client.files.create(file=(f"{NAME}-{intent}.jsonl", content), purpose="batch"))
        found = await self._call(
            lambda: client.batches.create(
                input_file_id=file.id,
                endpoint=ENDPOINT,
                completion_window="24h",
                metadata={INTENT: intent},
            )
        )
        return a_text(found.id)

    async def state(self, job: str) -> JobState:
        """See :class:`parbake_llm.ports.provider_jobs.BatchProvider`."""
        found = await self._call(lambda: self._client.here().batches.retrieve(job))
        return _STATES.get(found.status, JobState.RUNNING)

    async def results(self, job: str) -> AsyncIterator[BatchAnswer]:
        """See :class:`parbake_llm.ports.provider_jobs.BatchProvider`."""
        client = self._client.here()
        batch = await self._call(lambda: client.batches.retrieve(job))
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            content = await self._call(partial(client.files.content, file))
            for entry in lines_of(content.content):
                found = checked(entry.get("custom_id"), entry, _answer)
                if found is not None:
                    yield found

    async def recent(self, since: float) -> list[SeenJob]:
        """See :class:`parbake_llm.ports.provider_jobs.BatchProvider`."""
        found: list[SeenJob] = []
        pages = self._client.here().batches.list(limit=PAGE)
        async for batch in self._each(pages.__aiter__()):  # the newest first
            if batch.created_at < since - 1:  # whole seconds
                break
            intent = (batch.metadata or {}).get(INTENT, "")
            found.append(SeenJob(batch.id, float(batch.created_at), None, intent))
        return found

    async def cancel(self, job: str) -> None:
        """See :class:`parbake_llm.ports.provider_jobs.BatchProvider`."""
        await self._call(lambda: self._client.here().batches.cancel(job))

    def _entry(self, request: BatchRequest) -> dict[str, Any]:
        body, extra = chat_request(placed(request.prompt, self.rules), self.rules, self._caching)
        body |= {"model": self.model, "max_completion_tokens": request.max_tokens} | self._options | extra
        return {"custom_id": request.custom_id, "method": "POST", "url": ENDPOINT, "body": body}


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
