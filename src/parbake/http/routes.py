"""The core's own routes: health, serve, events, tasks, freshness, feedback, metrics, OpenAPI."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from parbake.errors import BadInput, UnknownResource, UnknownTask
from parbake.http.access.admission import is_loopback, name_of
from parbake.http.access.callers import SESSION, SESSION_S, TOKEN, Callers
from parbake.http.access.denials import NotAuthorized
from parbake.http.access.tag_quota import TagQuota
from parbake.http.replies import (
    Cleared,
    FreshnessTable,
    Health,
    InQuarantine,
    ParkedEvent,
    ParkedEvents,
    Published,
    Quarantined,
    ReadAgain,
    ReadyReply,
    RunProgress,
    ServedReply,
    SignedIn,
    TaskRuns,
    TaskTable,
)
from parbake.lanes.batch.runs import UnderWay
from parbake.lanes.worker.freshness import FreshnessRow
from parbake.ports.cloudevents import BATCH, STRUCTURED, CloudEvent, parse
from parbake.ports.event_log import Parked
from parbake.ports.messages import AFTER, JSON, HeaderField, HttpRequest, JsonResponse, Response, Route, json_response
from parbake.protocol.control import Quarantine
from parbake.tasks.call_checks import check_live, live_inputs
from parbake.tasks.task_types import Artifact, LiveTask, ModelTask, Refine, Stored, Task
from parbake.values.codecs import Codec
from parbake.values.redaction import field_of

if TYPE_CHECKING:
    from parbake.app.application import App

_MAX_PARKED = 1000
_EVENT_SHOWN = 2000
_FRESHNESS_S = 2.0
METRICS_S = 1.0
"""Seconds for which the rendered metrics are sent again, to whoever scrapes."""
LONGEST_KEY = 1000
"""Limit of a key as JSON, in characters; a stored key takes more space than this form."""
METRICS = "text/plain; version=0.0.4; charset=utf-8"
EVENTS = {JSON: CloudEvent, STRUCTURED: CloudEvent, BATCH: list[CloudEvent]}
"""The types of a request with events."""
_BINARY = {
    "ce-id": HeaderField("The event's id, in binary mode, in which these headers hold the event."),
    "ce-source": HeaderField("Its source.", Annotated[str, msgspec.Meta(min_length=1)]),
    "ce-type": HeaderField("Its type.", Annotated[str, msgspec.Meta(min_length=1)]),
    "ce-subject": HeaderField("What has changed: the tag that it raises."),
    "ce-specversion": HeaderField("The version of CloudEvents.", Literal["1.0"]),
    "ce-traceparent": HeaderField("The trace that it belongs to (W3C Trace Context)."),
    "ce-time": HeaderField("When it happened (RFC 3339).", Annotated[dt.datetime, msgspec.Meta(tz=True)]),
}


_KEYS_UNREADABLE = "keys_unreadable"
"""What guests read while a server cannot read its keys."""


class ServeBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/serve/{task}``."""

    key: Any = None
    live: dict[str, Any] = {}
    timeout_s: float | None = None


class RetryBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/events/parked/retry``: one event, or empty for all."""

    source: str = ""
    position: Annotated[int, msgspec.Meta(ge=0, le=1 << 62)] = 0


class FeedbackBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/feedback``: what was wrong with one answer, or (operators only) with a whole task.

    ``age_s`` is the age in seconds of the value that the task served.
    """

    answer_id: str = ""
    task: str = ""
    reason: str = ""
    age_s: Annotated[float, msgspec.Meta(ge=0)] | None = None


class SessionBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/session``."""

    token: str


class ParkedArguments(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of ``GET /v1/events/parked``: the greatest number of events."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=_MAX_PARKED)] = 100


class ReadyArguments(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of ``GET /readyz``: with ``verbose``, the answer says what degrades each task."""

    verbose: str | None = None


class EngineRoutes:
    """The handlers for one app."""

    def __init__(self, app: App, quota: TagQuota, callers: Callers) -> None:
        self._app, self._quota, self._callers = app, quota, callers
        self._looking = asyncio.Lock()
        self._look_again_at = 0.0
        self._ages: list[FreshnessRow] = []
        self._metrics, self._render_again_at = b"", 0.0

    async def healthz(self, _: HttpRequest) -> JsonResponse[Health]:
        """Answer that the process is alive."""
        return json_response(Health("alive"))

    async def readyz(self, request: HttpRequest, *, arguments: ReadyArguments) -> JsonResponse[ReadyReply]:
        """Whether this server has loaded what it needs; lists what it lacks, and what degrades all servers alike.

        Operators read sentences, and everybody else the kinds of what degrades.
        """
        found, trouble = await self._app.ready(), self._callers.trouble()
        if not request.caller.may("operate"):
            found, trouble = found.for_guests(), _KEYS_UNREADABLE if trouble else ""
        status = "ready" if found.is_ready else "not ready"
        tasks = msgspec.UNSET if arguments.verbose is None else found.by_task
        degraded = [*found.degraded, trouble] if trouble else found.degraded
        document = ReadyReply(status, found.lacking, degraded, tasks)
        return json_response(document, 200 if found.is_ready else 503)

    async def serve(self, request: HttpRequest, *, body: ServeBody) -> JsonResponse[ServedReply]:
        """Serve a task by name."""
        task = self._app.tasks[request.parameters["task"]]
        if body.timeout_s is not None and not 0 < body.timeout_s < float("inf"):
            raise BadInput("timeout_s must be above 0", field="timeout_s")
        async with self._app.request(body.timeout_s) as opened:
            if AFTER in request.headers:
                await self._app.engine.tickets.carry(opened, [request.headers[AFTER]], field=AFTER)
            served = await self._serve(task, body)
        return json_response(
            ServedReply(
                task=served.task,
                value=served.value,
                verdict=served.verdict,
                lane=served.lane,
                age_s=served.age_s,
                confidence=served.confidence,
                stamp=served.stamp.sequence,
                incarnation=served.stamp.incarnation,
                generation=served.generation,
                reason=served.reason,
                cause=served.cause,
                over=served.over,
            ),
            codecs=_Codecs(self._app, task),
        )

    async def _serve(self, task: Task, body: ServeBody) -> Any:
        live = _convert_live(task, body.live)
        if isinstance(task, Artifact):
            return await self._app.serve(task, _key(body))
        if isinstance(task, Refine):
            return await self._app.serve(task, _key(body), **live)
        if isinstance(task, LiveTask):
            return await self._app.serve(task, **live)
        kind = "a model" if isinstance(task, ModelTask) else "not served"
        raise UnknownTask(f"{task.name} is {kind}: only tasks can read it, requests cannot", field="task")

    async def events(self, request: HttpRequest) -> JsonResponse[Published]:
        """Publish CloudEvents; 202 only once their tags are durably raised."""
        events = parse(request.headers, request.body)
        if new := await self._app.engine.ingest.new_tags(events):
            self._quota.take(new)
        ack = await self._app.publish(*events)
        at = ack.stamp
        told = Published(ack.raised, ack.duplicates, at.sequence, at.incarnation, ack.unknown, ack.ticket)
        return json_response(told, 202)

    async def parked(self, _: HttpRequest, *, arguments: ParkedArguments) -> JsonResponse[ParkedEvents]:
        """Parked events, by source and position, with the reason why each could not be read."""
        return json_response(ParkedEvents([_parked(one) for one in await self._app.ops.parked(arguments.limit)]))

    async def retry(self, _: HttpRequest, *, body: RetryBody) -> JsonResponse[ReadAgain]:
        """Read parked events again, one or all. The tags of readable ones are raised; the others stay parked."""
        if bool(body.source) != bool(body.position):
            raise BadInput("give both source and position, or neither to retry all events", field="position")
        done = await self._app.ops.retry_parked(body.source, body.position)
        kept = [_parked(one) for one in done.kept[:_MAX_PARKED]]
        return json_response(ReadAgain(done.understood, done.raised, kept))

    async def tasks(self, _: HttpRequest) -> JsonResponse[TaskTable]:
        """The table of tasks with their modes, contracts and legal lanes."""
        return json_response(TaskTable(await self._app.ops.describe()))

    async def freshness(self, _: HttpRequest) -> JsonResponse[FreshnessTable]:
        """Ages and SLAs per task, computed at most once every few seconds, because that reads many keys."""
        async with self._looking:
            if monotonic() >= self._look_again_at:
                self._ages = await self._app.ops.freshness()
                self._look_again_at = monotonic() + _FRESHNESS_S
        return json_response(FreshnessTable(self._ages))

    async def runs(self, request: HttpRequest) -> JsonResponse[TaskRuns]:
        """The running batch run of a task, and the last runs with their outcomes, newest first."""
        task = self._app.tasks[request.parameters["task"]]
        if not isinstance(task, Stored):
            raise UnknownTask(f"{task.name} has no batch runs: it is computed at request time", field="task")
        state = await self._app.ops.runs(task)
        return json_response(TaskRuns(_under_way(state.under_way, self._app.settings.clock.now()), state.ended))

    async def feedback(self, request: HttpRequest, *, body: FeedbackBody) -> Response:
        """Take a complaint about an answer, by its id; or about a whole task, which only operators may quarantine."""
        if bool(body.task) == bool(body.answer_id):
            raise BadInput("give the answer_id of a reply, or a task", field="answer_id")
        if body.answer_id:
            return json_response(await self._app.engine.answers.complain(body.answer_id, body.reason), 202)
        if not (request.caller.name and request.caller.may("operate")):
            raise NotAuthorized(
                f"only operators may complain about a whole task: send {TOKEN} as authorization: Bearer, or give the "
                "answer_id of a reply instead of a task",
                field="authorization",
            )
        task = self._app.tasks[body.task]
        if not isinstance(task, Stored):
            raise BadInput(f"{task.name} is computed at request time already", field="task")
        entry = await self._app.ops.complain(task, body.reason, age_s=body.age_s)
        return json_response(_in_quarantine(task.name, entry), 202)

    async def quarantined(self, _: HttpRequest) -> JsonResponse[Quarantined]:
        """The tasks in quarantine after complaints, each with its reason."""
        entries = await self._app.ops.quarantined()
        return json_response(Quarantined([_in_quarantine(name, entry) for name, entry in entries.items()]))

    async def clear(self, request: HttpRequest) -> JsonResponse[Cleared]:
        """Release a task from quarantine, after its owner has looked. Values stored before stay dead."""
        task = self._app.tasks[request.parameters["task"]]
        if not isinstance(task, Stored) or task.name not in await self._app.ops.quarantined():
            raise UnknownResource(f"{task.name} is not in quarantine", field="task")
        await self._app.ops.clear(task)
        return json_response(Cleared(task.name, cleared=True))

    async def sign_in(self, request: HttpRequest, *, body: SessionBody) -> JsonResponse[SignedIn]:
        """Begin a session in a browser with the operator token or a key; it sends the cookie from then on."""
        told = json_response(SignedIn(SESSION_S))
        told.headers = (("set-cookie", _cookie(self._callers.sign_in(body.token), SESSION_S, request)),)
        return told

    async def sign_out(self, request: HttpRequest) -> JsonResponse[SignedIn]:
        """Make the browser forget its session."""
        told = json_response(SignedIn(0))
        told.headers = (("set-cookie", _cookie("", 0, request)),)
        return told

    async def metrics(self, request: HttpRequest) -> Response:
        """The counters in Prometheus' text format; at most a second old, and for operators as they are now."""
        from parbake.adapters.prometheus import render  # imports the client at the first scrape

        now = monotonic()
        is_operators = request.caller.name and request.caller.may("operate")
        if now >= self._render_again_at or is_operators:  # rendering takes some milliseconds
            self._metrics = render(self._app.counters, self._app.engine.on.metrics)
            self._render_again_at = now + METRICS_S
        return Response(self._metrics, content_type=METRICS)


def _cookie(value: str, age_s: int, request: HttpRequest) -> str:
    """The cookie of a session. Only a browser on this machine, or one that uses TLS, keeps it."""
    secure = "" if is_loopback(name_of(request.headers.get("host", ""))) else "; Secure"
    return f"{SESSION}={value}; Path={request.root or '/'}; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}"


def for_app(app: App, quota: TagQuota, callers: Callers) -> list[Route]:
    """The engine's routes for an app.

    Args:
        app: The app.
        quota: Limits the new tags of events.
        callers: Begins sessions.
    """
    handlers = EngineRoutes(app, quota, callers)
    return [
        Route("GET", "/healthz", handlers.healthz),
        Route("GET", "/readyz", handlers.readyz, statuses=(200, 503)),
        Route("POST", "/v1/serve/{task}", handlers.serve, "serve", awaits_tickets=True),
        Route("POST", "/v1/events", handlers.events, "events", statuses=(202,), consumes=EVENTS, headers=_BINARY),
        Route("GET", "/v1/events/parked", handlers.parked, "operate"),
        Route("POST", "/v1/events/parked/retry", handlers.retry, "operate"),
        Route("GET", "/v1/tasks", handlers.tasks, "serve"),
        Route("GET", "/v1/freshness", handlers.freshness, "serve"),
        Route("GET", "/v1/runs/{task}", handlers.runs, "operate"),
        Route("GET", "/v1/feedback", handlers.quarantined, "operate"),
        Route("POST", "/v1/feedback", handlers.feedback, "feedback", statuses=(202,)),
        Route("DELETE", "/v1/feedback/{task}", handlers.clear, "operate"),
        Route("POST", "/v1/session", handlers.sign_in),
        Route("DELETE", "/v1/session", handlers.sign_out),
        Route("GET", "/metrics", handlers.metrics, "metrics", produces=(METRICS,)),
    ]


def _in_quarantine(task: str, entry: Quarantine) -> InQuarantine:
    return InQuarantine(task, entry.at, entry.reason, entry.sla_s)


def _parked(one: Parked) -> ParkedEvent:
    """A parked event as JSON. The event may contain any bytes."""
    text = one.event[:_EVENT_SHOWN].decode(errors="replace")
    return ParkedEvent(one.source, one.position, one.reason, one.at, text)


def _under_way(run: UnderWay | None, now: float) -> RunProgress | None:
    """The progress of a run, and the reason if it failed. The partitions' digests are left out."""
    if run is None:
        return None
    done = run.finished.values()
    return RunProgress(
        run=run.run,
        generation=run.generation,
        started_at=run.started_at,
        until=run.until,
        chain=run.chain,
        partitions=len(done),
        rows=sum(part.rows for part in done),
        absent=sum(part.absent for part in done),
        state=run.standing(now),
        reason=run.failure,
    )


class _Codecs:
    """The codecs for a task's values: its own first, then those of the app's registry."""

    __slots__ = ("_app", "_task")

    def __init__(self, app: App, task: Task) -> None:
        self._app, self._task = app, task

    def __iter__(self) -> Iterator[Codec]:
        base = (self._task.base,) if isinstance(self._task, Refine) else ()
        reached = (self._task, *base, *self._task.may_read, *self._app.tasks)
        return (codec for one in reached if isinstance(one, Stored) for codec in one.codecs)


def _key(body: ServeBody) -> Any:
    if body.key is None:
        raise BadInput("key is required for this task", field="key")
    if len(msgspec.json.encode(body.key)) > LONGEST_KEY:
        raise BadInput(f"the key must have at most {LONGEST_KEY} characters", field="key")
    return body.key


def _convert_live(task: Task, values: dict[str, Any]) -> dict[str, Any]:
    check_live(task, values)
    kinds, converted = live_inputs(task), {}
    for name, value in values.items():
        try:
            converted[name] = msgspec.convert(value, kinds[name].type)
        except msgspec.ValidationError as error:
            path = field_of(error)
            where = f"live.{name}" + ("" if path == "body" else f".{path}")
            raise BadInput(f"live.{name}: {error}", field=where) from error
    return converted
