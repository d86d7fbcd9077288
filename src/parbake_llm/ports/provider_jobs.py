"""Jobs of a provider's batch interface: what is submitted, how a job stands, and the answers."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from parbake.ports.usage import Usage
from parbake_llm.ports.prompts import Prompt, ToolCall


class BatchRequest(msgspec.Struct, frozen=True):
    """One request of a job. ``custom_id`` is 32 hexadecimal digits, and unique within the job."""

    custom_id: str
    prompt: Prompt
    max_tokens: int


class NoAnswer(enum.StrEnum):
    """Why a job has no answer to a request."""

    FAILED = "failed"
    """The provider reports an error for this request."""
    EXPIRED = "expired"
    """The provider's time for the job was over."""
    CANCELLED = "cancelled"
    """The job was cancelled before."""
    MALFORMED = "malformed"
    """The answer cannot be read."""


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one request.

    Attributes:
        custom_id: The request's id.
        text: What the model wrote.
        calls: The tools that it wants to call.
        usage: The tokens.
        lacking: Why there is no answer; ``None`` if there is one.
        intent: The id under which the request was submitted; ``None`` if jobs have a name, which says it already.
    """

    custom_id: str
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    lacking: NoAnswer | None = None
    intent: str | None = None


class JobState(enum.StrEnum):
    """How a job stands."""

    RUNNING = "running"
    """The provider works on it, or will."""
    ENDED = "ended"
    """It has ended, and has answers to all, some or none of its requests."""
    FAILED = "failed"
    """The provider refused it as a whole: it has no answers."""


class SeenJob(msgspec.Struct, frozen=True):
    """A job in a provider's listing.

    Attributes:
        job: The provider's id of the job.
        created_at: When it was submitted, in epoch seconds.
        requests: How many requests it has; ``None`` if the provider does not say.
        intent: The id under which it was submitted; ``None`` if the provider keeps no name.
    """

    job: str
    created_at: float
    requests: int | None
    intent: str | None


class BatchProvider(Protocol):
    """Submits jobs and fetches their answers. Every method raises :class:`parbake.errors.ProviderError`.

    Attributes:
        name: The generator's name, by which the tokens are priced.
        model: The model's name at the provider.
        most_requests: The most requests of a job.
        most_bytes: The most bytes of a job.
        least_requests: The least requests of a job.
    """

    name: str
    model: str
    most_requests: int
    most_bytes: int
    least_requests: int

    async def submit(self, intent: str, requests: Sequence[BatchRequest]) -> str:
        """Submit a job.

        Args:
            intent: 32 hexadecimal digits that :meth:`recent` shows again, as far as the provider keeps a name.
            requests: The requests.

        Returns:
            The provider's id of the job.
        """
        ...

    async def state(self, job: str) -> JobState:
        """Ask how a job stands."""
        ...

    def results(self, job: str) -> AsyncIterator[BatchAnswer]:
        """Iterate over the answers of an ended job, in any order; requests without an answer may be left out."""
        ...

    async def recent(self, since: float) -> list[SeenJob]:
        """List the jobs that were submitted since a time in epoch seconds."""
        ...

    async def cancel(self, job: str) -> None:
        """Ask the provider to end a job early; answers that it has by then may still be fetched."""
        ...
