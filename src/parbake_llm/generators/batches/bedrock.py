"""Batch inference of Amazon Bedrock through ``boto3``: requests in an object of S3, and answers in another.

Bedrock itself reads and writes the objects, with a role that you give it. The keys come from ``AWS_ACCESS_KEY_ID`` and
``AWS_SECRET_ACCESS_KEY`` (or the files that the same names with ``_FILE`` name), or from where ``boto3`` finds them.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from parbake.errors import FailureKind, ProviderError
from parbake_llm.generators._hosted.batch_calls import (
    NAME,
    BatchCalls,
    T,
    a_call,
    a_text,
    answers_of,
    json_lines,
)
from parbake_llm.generators._hosted.bedrock_converse import converse_request, converse_usage
from parbake_llm.generators._hosted.bedrock_endpoint import BedrockEndpoint
from parbake_llm.generators._hosted.clients import CALL_S
from parbake_llm.generators._hosted.clients.aws_clients import AwsAccount, AwsClients
from parbake_llm.generators._hosted.clients.keys import required
from parbake_llm.ports.provider_jobs import BatchAnswer, BatchRequest, JobState, NoAnswer, SeenJob
from parbake_llm.writing.placement import CacheRules, placed

REQUESTS, ANSWERS = "requests.jsonl", "answers"
"""The names of the object with the requests, and of the folder with the answers."""
_STATES = {
    "Completed": JobState.ENDED,
    "PartiallyCompleted": JobState.ENDED,
    "Stopped": JobState.ENDED,
    "Expired": JobState.ENDED,
    "Failed": JobState.FAILED,
}


class BedrockBatches(BedrockEndpoint, BatchCalls[AwsClients]):
    """Asks in batches, which end within 24 hours (see :class:`parbake_llm.ports.provider_jobs.BatchProvider`).

    A batch has at least 100 requests.
    """

    most_requests = 50_000
    most_bytes = 150 << 20  # of 200 MB
    least_requests = 100

    def __init__(
        self,
        *,
        model: str,
        account: AwsAccount,
        role_arn: str,
        s3_uri: str,
        endpoint_url: str | None = None,
        s3_url: str | None = None,
        rules: CacheRules | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Create the batch interface, without connecting yet.

        Args:
            model: The id of the model or of its inference profile.
            account: The region and the keys.
            role_arn: The role with which Bedrock reads and writes the objects.
            s3_uri: The folder for them, such as ``s3://bucket/letters``.
            endpoint_url: The URL of Bedrock's control plane; Amazon's own by default.
            s3_url: The URL of S3; Amazon's own by default.
            rules: How the model caches prefixes, if not as published.
            options: Further fields of each request, such as ``additionalModelRequestFields``.

        Raises:
            ProviderError: The folder is not named as in the example, or another setting cannot be used.
            MissingDependency: The client is not installed.
        """
        super().__init__(model=model, account=account, endpoint_url=endpoint_url, rules=rules, options=options)
        where = urlsplit(s3_uri)
        if where.scheme != "s3" or not where.netloc:
            message = f"s3_uri={s3_uri!r}: expected a folder such as s3://bucket/letters"
            raise ProviderError(message, field="s3_uri", kind=FailureKind.REJECTED)
        self._bucket, self._folder = where.netloc, where.path.strip("/")
        self._role, self._urls = role_arn, {"bedrock": endpoint_url, "s3": s3_url}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> BedrockBatches:
        """Read ``BEDROCK_MODEL``, ``AWS_REGION``, ``BEDROCK_BATCH_ROLE``, ``BEDROCK_BATCH_S3`` and the keys, if set.

        Raises :class:`ProviderError` that names the missing variable.
        """
        env = os.environ if environment is None else environment
        return cls(
            model=required(env, "BEDROCK_MODEL"),
            account=AwsAccount.from_environment(env, needs_keys=False),
            role_arn=required(env, "BEDROCK_BATCH_ROLE"),
            s3_uri=required(env, "BEDROCK_BATCH_S3"),
        )

    async def submit(self, intent: str, requests: Sequence[BatchRequest]) -> str:
        content = json_lines(map(self._entry, requests))
        return a_text(await self._aside(partial(self._create, intent, content)))

    async def state(self, job: str) -> JobState:
        found = await self._aside(lambda: self._client_of("bedrock").get_model_invocation_job(jobIdentifier=job))
        return _STATES.get(found["status"], JobState.RUNNING)

    async def results(self, job: str) -> AsyncIterator[BatchAnswer]:
        for document in await self._aside(lambda: list(self._documents(job))):
            for answer in answers_of(document, "recordId", _answer):
                yield answer

    async def recent(self, since: float) -> list[SeenJob]:
        return await self._aside(lambda: list(self._listed(since)))

    async def cancel(self, job: str) -> None:
        await self._aside(lambda: self._client_of("bedrock").stop_model_invocation_job(jobIdentifier=job))

    async def _aside(self, call: Callable[[], T]) -> T:
        """Make a blocking call in a thread."""
        return await self._call(lambda: asyncio.to_thread(call))

    def _create(self, intent: str, content: bytes) -> Any:
        """Write the object with the requests, and create the job. Its token keeps Bedrock from making it twice."""
        folder = "/".join(filter(None, (self._folder, f"{NAME}-{intent}")))
        self._client_of("s3").put_object(Bucket=self._bucket, Key=f"{folder}/{REQUESTS}", Body=content)
        root = f"s3://{self._bucket}/{folder}"
        found = self._client_of("bedrock").create_model_invocation_job(
            jobName=f"{NAME}-{intent}",
            clientRequestToken=intent,
            roleArn=self._role,
            modelId=self.model,
            modelInvocationType="Converse",
            inputDataConfig={"s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": f"{root}/{REQUESTS}"}},
            outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"{root}/{ANSWERS}/"}},
        )
        return found["jobArn"]

    def _documents(self, job: str) -> Iterator[bytes]:
        """The objects with answers: Bedrock names each after the one with the requests."""
        found = self._client_of("bedrock").get_model_invocation_job(jobIdentifier=job)
        where = urlsplit(found["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"])
        s3 = self._client_of("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=where.netloc, Prefix=where.path.lstrip("/"))
        for page in pages:
            for entry in page.get("Contents", ()):
                if entry["Key"].endswith(f"{REQUESTS}.out"):
                    yield s3.get_object(Bucket=where.netloc, Key=entry["Key"])["Body"].read()

    def _listed(self, since: float) -> Iterator[SeenJob]:
        wanted: dict[str, Any] = {
            "submitTimeAfter": dt.datetime.fromtimestamp(since, dt.UTC),
            "nameContains": NAME,
            "sortBy": "CreationTime",
            "sortOrder": "Descending",
        }
        while True:
            page = self._client_of("bedrock").list_model_invocation_jobs(**wanted)
            for entry in page.get("invocationJobSummaries", ()):
                intent = entry["jobName"].removeprefix(f"{NAME}-")
                yield SeenJob(entry["jobArn"], entry["submitTime"].timestamp(), None, intent)
            if not page.get("nextToken"):
                return
            wanted["nextToken"] = page["nextToken"]

    def _entry(self, request: BatchRequest) -> dict[str, Any]:
        body = converse_request(placed(request.prompt, self.rules), self.rules)
        body |= {"inferenceConfig": {"maxTokens": request.max_tokens}} | self._options
        return {"recordId": request.custom_id, "modelInput": body}

    def _client_of(self, service: str) -> Any:
        url = self._urls[service]
        return self._client.client(
            service,
            url,
            CALL_S,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if service == "s3" and url else {},
        )


def _answer(entry: Mapping[str, Any]) -> BatchAnswer:
    if entry.get("error") or "modelOutput" not in entry:
        return BatchAnswer(custom_id=entry["recordId"], lacking=NoAnswer.FAILED)
    made = entry["modelOutput"]
    blocks = made["output"]["message"]["content"]
    calls = [block["toolUse"] for block in blocks if "toolUse" in block]
    return BatchAnswer(
        custom_id=entry["recordId"],
        text="".join(a_text(block["text"]) for block in blocks if "text" in block),
        calls=tuple(a_call(use["toolUseId"], use["name"], use["input"]) for use in calls),
        usage=converse_usage(made.get("usage") or {}),
    )
