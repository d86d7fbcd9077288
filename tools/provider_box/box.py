"""A provider in a box that has batch interfaces, too."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import unquote

from parbake_llm.testing import BoxRequest, ProviderBox, ProviderFault, ScriptedReply
from parbake_llm.testing.prefixes import CacheUsage
from parbake_llm.testing.script import DialectName
from parbake_llm.testing.server import DIALECTS, WRONG, BoxHandler, refused
from provider_box.anthropic_jobs import AnthropicJobs
from provider_box.bedrock_jobs import BedrockJobs
from provider_box.job_desk import Hangup, JobDialect, PlainRequest
from provider_box.jobs import JobBoard, JobLine
from provider_box.openai_jobs import OpenAIJobs


class JobHandler(BoxHandler):
    """Answers requests about jobs, and leaves the others to the box of the wheel."""

    def do_POST(self) -> None:
        """Answer a request of any of the dialects."""
        if not self._answer_about_jobs():
            super().do_POST()

    def do_GET(self) -> None:
        """Answer a request about jobs."""
        if not self._answer_about_jobs():
            self.send_error(404)

    def do_PUT(self) -> None:
        """Keep an object."""
        self.do_GET()

    def _answer_about_jobs(self) -> bool:
        """Answer a request of a batch interface; ``False`` if it belongs to none."""
        box, path = cast("JobBox", self.desk), unquote(self.path.partition("?")[0])
        found = next((each for each in box.interfaces if each.owns(path)), None)
        if found is None:
            return False
        self.close_connection = True
        with contextlib.suppress(OSError, Hangup):  # the client left, or is to hear nothing
            raw, headers = self.received()
            try:
                self.check_key(found.dialect, headers)
                request = PlainRequest(self.command, self.path, headers, raw)
                answer = found.answer(box.jobs, request, f"http://{headers['host']}")
            except WRONG as error:
                answer = found.refusal(refused(error))
            self.send(answer.status, answer.body, {**answer.headers, "Content-Type": answer.content_type})
        return True


class JobBox(ProviderBox):
    """A box with jobs.

    Attributes:
        jobs: The jobs of the batch interfaces, and how the next ones fare.
        interfaces: The batch interfaces.
    """

    handler = JobHandler

    def __init__(self, **options: Any) -> None:
        """Create the box; the options are those of :class:`parbake_llm.testing.ProviderBox`."""
        super().__init__(**options)
        self.jobs = JobBoard(self.clock.now, self._answered)
        self.interfaces: Sequence[JobDialect] = (AnthropicJobs(), BedrockJobs(), OpenAIJobs())

    @property
    def s3_url(self) -> str:
        """The endpoint's URL for clients of S3, whose only use is the files of Bedrock's jobs."""
        return f"{self.root}/s3"

    def _answered(self, dialect: DialectName, line: JobLine) -> tuple[ScriptedReply, CacheUsage]:
        """Choose the reply to a request of a job; a wrong one fails alone."""
        request = BoxRequest(dialect, line.model, dict(line.body) | {"stream": True})
        try:
            return self.accept(DIALECTS[dialect], request)
        except WRONG:
            return ScriptedReply(fault=ProviderFault.BROKEN), CacheUsage(0)
