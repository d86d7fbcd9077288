"""The message batches of Anthropic."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from typing import Any

from parbake_llm.testing.anthropic_messages import AnthropicMessages, made, reported
from parbake_llm.testing.prefixes import CacheUsage, Refusal
from parbake_llm.testing.script import ScriptedReply
from provider_box.job_desk import JobDialect, PlainAnswer, PlainRequest, answered, page
from provider_box.jobs import BoxJob, JobBoard, JobLine, LineOutcome, LineResult

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_KINDS = {LineOutcome.ERRORED: "errored", LineOutcome.EXPIRED: "expired", LineOutcome.CANCELLED: "canceled"}


class AnthropicJobs(JobDialect):
    """Batches without a name, whose results are a document with one line for each request."""

    prefix = "/anthropic/v1/messages/batches"
    dialect = AnthropicMessages()

    def owns(self, path: str) -> bool:
        """See :class:`JobDialect`."""
        return path.startswith(self.prefix)

    def answer(self, board: JobBoard, request: PlainRequest, root: str) -> PlainAnswer:
        """See :class:`JobDialect`."""
        match request.method, request.path.removeprefix(self.prefix).strip("/").split("/"):
            case "POST", [""]:
                return answered(_shown(board, self.submit(board, _lines(request.document), {}), root))
            case "GET", [""]:
                jobs, more = page(
                    board.listed("anthropic"), request.query("after_id"), int(request.query("limit", "20"))
                )
                shown = [_shown(board, job, root) for job in jobs]
                ends = {"first_id": jobs[0].id if jobs else None, "last_id": jobs[-1].id if jobs else None}
                return answered({"data": shown, "has_more": more, **ends})
            case "GET", [job_id]:
                return answered(_shown(board, self.found(board, job_id), root))
            case "POST", [job_id, "cancel"]:
                board.cancel(job := self.found(board, job_id))
                return answered(_shown(board, job, root))
            case "GET", [job_id, "results"]:
                return _results(board, self.found(board, job_id))
            case _:
                raise Refusal(404, "there is no such path")


def _lines(document: Any) -> list[JobLine]:
    found = []
    for entry in document["requests"]:
        if not _ID.fullmatch(entry["custom_id"]):
            raise Refusal(400, "custom_id: 1 to 64 letters, digits, underscores or hyphens are required")
        if "stream" in entry["params"]:
            raise Refusal(400, "params: a batch does not stream")
        found.append(JobLine(entry["custom_id"], entry["params"], str(entry["params"]["model"])))
    return found


def _shown(board: JobBoard, job: BoxJob, root: str) -> dict[str, Any]:
    has_ended = board.has_ended(job)
    counts = Counter(result.outcome.value for result in board.results(job)) if has_ended else Counter()
    return {
        "id": job.id,
        "type": "message_batch",
        "processing_status": "ended" if has_ended else "in_progress",
        "request_counts": {
            "processing": 0 if has_ended else len(job.lines),
            "succeeded": counts["succeeded"],
            "errored": counts["errored"],
            "canceled": counts["cancelled"],
            "expired": counts["expired"],
        },
        "created_at": _moment(job.created_at),
        "expires_at": _moment(job.created_at + job.expires_s),
        "ended_at": _moment(job.ends_at) if has_ended else None,
        "cancel_initiated_at": _moment(job.cancelled_at) if job.cancelled_at else None,
        "archived_at": None,
        "results_url": f"{root}{AnthropicJobs.prefix}/{job.id}/results" if has_ended else None,
    }


def _results(board: JobBoard, job: BoxJob) -> PlainAnswer:
    if not board.has_ended(job):
        raise Refusal(404, "the batch has not ended")
    lines = [{"custom_id": each.line.custom_id, "result": _result(each)} for each in reversed(board.results(job))]
    return PlainAnswer("".join(f"{json.dumps(line)}\n" for line in lines).encode(), "application/x-jsonl")


def _result(result: LineResult) -> dict[str, Any]:
    if result.outcome is LineOutcome.SUCCEEDED:
        return {"type": "succeeded", "message": _message(result.reply, result.usage, result.line.model)}
    error = {"type": "error", "error": {"type": "api_error", "message": "This request fails on purpose."}}
    return {"type": _KINDS[result.outcome]} | ({"error": error} if result.outcome is LineOutcome.ERRORED else {})


def _moment(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat().replace("+00:00", "Z")


def _message(reply: ScriptedReply, usage: CacheUsage, model: str) -> dict[str, Any]:
    """A whole message, as a batch has it."""
    blocks: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    blocks += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
        for call in reply.calls
    ]
    return {
        "id": "msg_box", "type": "message", "role": "assistant", "model": model, "content": blocks,
        "stop_reason": "tool_use" if reply.calls else "end_turn", "stop_sequence": None,
        "usage": reported(usage) | made(reply),
    }  # fmt: skip
