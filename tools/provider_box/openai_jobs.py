"""The files and batches of OpenAI."""

from __future__ import annotations

import email.parser
import email.policy
import json
from collections.abc import Iterable, Mapping
from typing import Any

from parbake_llm.testing.openai_chat import OpenAIChat, reported
from parbake_llm.testing.prefixes import CacheUsage, Refusal
from parbake_llm.testing.script import ScriptedReply
from provider_box.job_desk import JobDialect, PlainAnswer, PlainRequest, answered, page
from provider_box.jobs import BoxJob, JobBoard, JobLine, LineOutcome, LineResult

_ROOT = "/openai/v1"
_ENDPOINT = "/v1/chat/completions"
_CODES = {LineOutcome.EXPIRED: "batch_expired", LineOutcome.CANCELLED: "batch_cancelled"}


class OpenAIJobs(JobDialect):
    """Requests in an uploaded file, and answers in a file for successes and one for failures."""

    prefix = _ROOT
    dialect = OpenAIChat()

    def __init__(self) -> None:
        """Begin without files."""
        self._files: dict[str, bytes] = {}

    def owns(self, path: str) -> bool:
        """See :class:`JobDialect`."""
        return path.startswith((f"{_ROOT}/files", f"{_ROOT}/batches"))

    def answer(self, board: JobBoard, request: PlainRequest, root: str) -> PlainAnswer:
        """See :class:`JobDialect`."""
        del root
        match request.method, request.path.removeprefix(_ROOT).strip("/").split("/"):
            case "POST", ["files"]:
                return answered(self._kept(_uploaded(request)))
            case "GET", ["files", file_id, "content"]:
                return PlainAnswer(self._content(board, file_id), "application/octet-stream")
            case "POST", ["batches"]:
                return answered(_shown(board, self._created(board, request.document)))
            case "GET", ["batches"]:
                jobs, more = page(board.listed("openai"), request.query("after"), int(request.query("limit", "20")))
                return answered({"object": "list", "data": [_shown(board, job) for job in jobs], "has_more": more})
            case "GET", ["batches", job_id]:
                return answered(_shown(board, self.found(board, job_id)))
            case "POST", ["batches", job_id, "cancel"]:
                board.cancel(job := self.found(board, job_id))
                return answered(_shown(board, job))
            case _:
                raise Refusal(404, "there is no such path")

    def _kept(self, content: bytes) -> dict[str, Any]:
        file_id = f"file-{len(self._files) + 1}"
        self._files[file_id] = content
        head = {"id": file_id, "object": "file", "purpose": "batch", "filename": "requests.jsonl"}
        return head | {"bytes": len(content), "created_at": 0, "status": "processed"}

    def _created(self, board: JobBoard, document: Mapping[str, Any]) -> BoxJob:
        if document.get("endpoint") != _ENDPOINT or document.get("completion_window") != "24h":
            raise Refusal(400, f"a batch needs the endpoint {_ENDPOINT} and a completion_window of 24h")
        content = self._files.get(document["input_file_id"])
        if content is None:
            raise Refusal(404, "there is no such file")
        entries = [json.loads(line) for line in content.splitlines()]
        if any(entry["url"] != _ENDPOINT or entry["method"] != "POST" for entry in entries):
            raise Refusal(400, f"each request must be a POST to {_ENDPOINT}")
        lines = [JobLine(entry["custom_id"], entry["body"], str(entry["body"]["model"])) for entry in entries]
        return self.submit(board, lines, document.get("metadata") or {})

    def _content(self, board: JobBoard, file_id: str) -> bytes:
        kind, _, job_id = file_id.partition(":")
        if kind not in {"output", "error"}:
            return self._files[file_id]
        chosen = _of_kind(board.results(self.found(board, job_id)), is_error=kind == "error")
        return "".join(f"{json.dumps(_line(result))}\n" for result in chosen).encode()


def _uploaded(request: PlainRequest) -> bytes:
    """The file of a form (RFC 7578)."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.raw)
    fields = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
    if fields["purpose"].get_content().strip() != "batch":
        raise Refusal(400, "purpose: batch is required")
    content = fields["file"].get_payload(decode=True)
    if not isinstance(content, bytes):
        raise Refusal(400, "file: a file is required")
    return content


def _of_kind(results: Iterable[LineResult], *, is_error: bool) -> list[LineResult]:
    return [result for result in results if (result.outcome is not LineOutcome.SUCCEEDED) == is_error]


def _line(result: LineResult) -> dict[str, Any]:
    head = {"id": f"req-{result.line.custom_id}", "custom_id": result.line.custom_id}
    if result.outcome is LineOutcome.SUCCEEDED:
        body = _completion(result.reply, result.usage, result.line.model)
        return head | {"response": {"status_code": 200, "request_id": "box", "body": body}, "error": None}
    if result.outcome is LineOutcome.ERRORED:
        body = {"error": {"message": "This request fails on purpose.", "type": "server_error"}}
        return head | {"response": {"status_code": 500, "request_id": "box", "body": body}, "error": None}
    error = {"code": _CODES[result.outcome], "message": "This request was not reached."}
    return head | {"response": None, "error": error}


def _shown(board: JobBoard, job: BoxJob) -> dict[str, Any]:
    has_ended = board.has_ended(job)
    results = board.results(job) if has_ended else []
    good, bad = len(_of_kind(results, is_error=False)), len(_of_kind(results, is_error=True))
    ended = "cancelled" if job.is_cancelled else "expired" if job.is_expired else "completed"
    return {
        "id": job.id,
        "object": "batch",
        "endpoint": _ENDPOINT,
        "completion_window": "24h",
        "input_file_id": "file-in",
        "created_at": int(job.created_at),
        "status": ended if has_ended else "in_progress",
        "metadata": dict(job.named),
        "request_counts": {"total": len(job.lines), "completed": good, "failed": bad},
        "output_file_id": f"output:{job.id}" if good else None,
        "error_file_id": f"error:{job.id}" if bad else None,
    }


def _completion(reply: ScriptedReply, usage: CacheUsage, model: str) -> dict[str, Any]:
    """A whole completion, as a batch has it."""
    said: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.calls:
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in reply.calls
        ]
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls" if reply.calls else "stop"}
    head = {"id": "chatcmpl-box", "object": "chat.completion", "created": 0, "model": model}
    return head | {"choices": [choice], "usage": reported(reply, usage)}
