"""Bedrock's control plane for batch jobs, and as much of S3 as their files need."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from parbake_llm.testing.bedrock_converse import BedrockConverse, reported
from parbake_llm.testing.prefixes import CacheUsage, Refusal
from parbake_llm.testing.script import ScriptedReply
from provider_box.job_desk import JobDialect, PlainAnswer, PlainRequest, answered, page
from provider_box.jobs import BoxJob, JobBoard, JobLine, LineOutcome, LineResult

_JOBS, _JOB, _S3 = "/bedrock/model-invocation-jobs", "/bedrock/model-invocation-job", "/s3/"
_ARN = "arn:aws:bedrock:eu-west-1:000000000000:model-invocation-job/"
_LEAST = 100
"""The least records of a job, as Bedrock's quotas say."""


class BedrockJobs(JobDialect):
    """Jobs whose requests and answers are objects of S3."""

    prefix = _JOB
    dialect = BedrockConverse()

    def __init__(self) -> None:
        """Begin without objects."""
        self._objects: dict[str, bytes] = {}

    def owns(self, path: str) -> bool:
        """See :class:`JobDialect`."""
        return path.startswith((_JOB, _S3))

    def answer(self, board: JobBoard, request: PlainRequest, root: str) -> PlainAnswer:
        """See :class:`JobDialect`."""
        del root
        path = urlsplit(request.target).path
        if path.startswith(_S3):
            return self._object(board, request, unquote(path.removeprefix(_S3)))
        if path == _JOBS:
            return _listed(board, request)
        match request.method, [unquote(part) for part in path.removeprefix(_JOB).strip("/").split("/")]:
            case "POST", [""]:
                return answered({"jobArn": _ARN + self._created(board, request.document).id})
            case "GET", [arn]:
                return answered(_shown(board, self.found(board, arn.removeprefix(_ARN))))
            case "POST", [arn, "stop"]:
                board.cancel(self.found(board, arn.removeprefix(_ARN)))
                return answered({})
            case _:
                raise Refusal(404, "there is no such path")

    def _created(self, board: JobBoard, document: Mapping[str, Any]) -> BoxJob:
        again = [job for job in board.listed("bedrock") if job.named["token"] == document["clientRequestToken"]]
        if again:
            return again[0]
        if document["modelInvocationType"] != "Converse":
            raise Refusal(400, "modelInvocationType: the box knows only Converse")
        source = urlsplit(document["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])
        content = self._objects[source.netloc + source.path]
        entries = [json.loads(line) for line in content.splitlines()]
        if len(entries) < _LEAST:
            raise Refusal(400, f"a job needs at least {_LEAST} records")
        lines = [JobLine(entry["recordId"], entry["modelInput"], document["modelId"]) for entry in entries]
        named = {
            "name": document["jobName"],
            "token": document["clientRequestToken"],
            "source": source.path.rpartition("/")[2],
            "target": document["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"],
        }
        return self.submit(board, lines, named)

    def _object(self, board: JobBoard, request: PlainRequest, name: str) -> PlainAnswer:
        """Keep an object, read it, or list the objects of a bucket."""
        if request.method == "PUT":
            self._objects[name] = request.raw
            return PlainAnswer(b"", headers={"ETag": '"box"'})
        for job in board.listed("bedrock"):
            if board.has_ended(job):
                where = urlsplit(job.named["target"])
                kept = f"{where.netloc}{where.path.rstrip('/')}/{job.id}/{job.named['source']}.out"
                self._objects[kept] = "".join(f"{json.dumps(_line(each))}\n" for each in board.results(job)).encode()
        if request.query("list-type") == "2":
            bucket = name.strip("/")
            keys = [kept.removeprefix(f"{bucket}/") for kept in self._objects if kept.startswith(f"{bucket}/")]
            return _listing([key for key in sorted(keys) if key.startswith(request.query("prefix"))])
        if name not in self._objects:
            raise Refusal(404, "there is no such object")
        return PlainAnswer(self._objects[name], "application/octet-stream")


def _listing(keys: list[str]) -> PlainAnswer:
    """The answer of ListObjectsV2."""
    entries = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in keys)
    return PlainAnswer(f"<ListBucketResult>{entries}</ListBucketResult>".encode(), "application/xml")


def _listed(board: JobBoard, request: PlainRequest) -> PlainAnswer:
    wanted, since = request.query("nameContains"), request.query("submitTimeAfter")
    after = dt.datetime.fromisoformat(since).timestamp() if since else 0.0
    jobs = [job for job in board.listed("bedrock") if wanted in job.named["name"] and job.created_at > after]
    shown, more = page(jobs, request.query("nextToken"), int(request.query("maxResults", "100")))
    token = {"nextToken": shown[-1].id} if more else {}
    return answered({"invocationJobSummaries": [_shown(board, job) for job in shown]} | token)


def _shown(board: JobBoard, job: BoxJob) -> dict[str, Any]:
    status = "InProgress"
    if board.has_ended(job):
        failed = any(result.outcome is LineOutcome.ERRORED for result in board.results(job))
        ended = "PartiallyCompleted" if failed else "Completed"
        status = "Stopped" if job.is_cancelled else "Expired" if job.is_expired else ended
    return {
        "jobArn": _ARN + job.id,
        "jobName": job.named["name"],
        "status": status,
        "submitTime": dt.datetime.fromtimestamp(job.created_at, dt.UTC).isoformat(),
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": job.named["target"]}},
    }


def _line(result: LineResult) -> dict[str, Any]:
    head = {"recordId": result.line.custom_id, "modelInput": dict(result.line.body)}
    if result.outcome is LineOutcome.SUCCEEDED:
        return head | {"modelOutput": _output(result.reply, result.usage)}
    return head | {"error": {"errorCode": 500, "errorMessage": "This request has no answer."}}


def _output(reply: ScriptedReply, usage: CacheUsage) -> dict[str, Any]:
    """A whole output, as a batch has it."""
    blocks: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    for call in reply.calls:
        use = {"toolUseId": call.id, "name": call.name, "input": json.loads(call.arguments)}
        blocks.append({"toolUse": use})
    return {
        "output": {"message": {"role": "assistant", "content": blocks}},
        "stopReason": "tool_use" if reply.calls else "end_turn",
        "usage": reported(reply, usage),
    }
