"""How the box's server answers requests of the batch interfaces: one exchange at a time, in whole documents."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from parbake_llm.testing.dialect import WireDialect
from parbake_llm.testing.prefixes import Refusal
from provider_box.jobs import BoxJob, JobBoard, JobLine, SubmitFault


class Hangup(Exception):
    """The connection is closed without an answer."""


@dataclass(frozen=True)
class PlainRequest:
    """A request of any method.

    Attributes:
        method: The method.
        target: The path with its query, as it was sent.
        headers: The headers in lower case.
        raw: The body.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def path(self) -> str:
        """The path without escapes."""
        return unquote(urlsplit(self.target).path)

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the query."""
        return parse_qs(urlsplit(self.target).query).get(name, [default])[0]

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.raw or b"null")


@dataclass(frozen=True)
class PlainAnswer:
    """An answer: the body, its type, and the status."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class JobDialect(ABC):
    """The batch interface of one protocol. ``prefix`` is what its paths begin with."""

    prefix: ClassVar[str]
    dialect: ClassVar[WireDialect]

    def refusal(self, refused: Refusal) -> PlainAnswer:
        """The answer to a request that is refused."""
        body, headers = self.dialect.refusal(refused.status, str(refused))
        return PlainAnswer(body, status=refused.status, headers=headers)

    @abstractmethod
    def owns(self, path: str) -> bool:
        """Whether a path belongs to this interface."""

    @abstractmethod
    def answer(self, board: JobBoard, request: PlainRequest, root: str) -> PlainAnswer:
        """Answer a request.

        Args:
            board: The jobs.
            request: The request, whose key was checked.
            root: The address of the server.

        Raises:
            Refusal: The request is wrong.
            Hangup: The connection is closed.
        """

    def submit(self, board: JobBoard, lines: Sequence[JobLine], named: Mapping[str, Any]) -> BoxJob:
        """Make a job, or fail as the board says.

        Args:
            board: The jobs.
            lines: The requests of the new one.
            named: What the client calls it.
        """
        fault = board.take_fault()
        if fault is SubmitFault.REFUSED:
            raise Refusal(400, "this job is refused on purpose")
        if fault is SubmitFault.LOST:
            raise Hangup
        ids = [line.custom_id for line in lines]
        if not ids or len(set(ids)) != len(ids):
            raise Refusal(400, "a job needs requests, each with an id of its own")
        time.sleep(board.submit_s / 2)
        made = board.submit(self.dialect.name, lines, named)
        time.sleep(board.submit_s / 2)
        if fault is SubmitFault.UNHEARD:
            raise Hangup
        return made

    def found(self, board: JobBoard, job_id: str) -> BoxJob:
        """A job by its id; raises :class:`Refusal` if there is none."""
        job = board.find(self.dialect.name, job_id)
        if job is None:
            raise Refusal(404, "there is no such job")
        return job


def answered(document: Any) -> PlainAnswer:
    """An answer with a JSON document."""
    return PlainAnswer(json.dumps(document).encode())


def page(jobs: Sequence[BoxJob], after: str, limit: int) -> tuple[list[BoxJob], bool]:
    """One page of a listing, and whether there are more.

    Args:
        jobs: All jobs.
        after: The id of the last one of the page before; empty for the first page.
        limit: How many jobs a page has.
    """
    ids = [job.id for job in jobs]
    start = ids.index(after) + 1 if after in ids else 0
    return list(jobs[start : start + limit]), start + limit < len(jobs)
