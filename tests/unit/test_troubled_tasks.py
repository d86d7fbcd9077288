"""Any exception of a task, a key lister or a gate fails that run only; it neither hangs nor ends the worker."""

import asyncio
from concurrent.futures import CancelledError as Abandoned

import pytest
from tests.unit.shopfloor import contract
from tests.waiting import HANGS_S

import parbake as pb
from parbake.values.redaction import one_line


class Unspeakable(Exception):
    """An exception whose ``str`` fails."""

    def __str__(self):
        """Fail."""
        raise ValueError("no words")


class Unseen:
    """A value without a representation."""

    def __repr__(self):
        """Fail."""
        raise ValueError("no words")


class Abort(BaseException):
    """An exception that ``except Exception`` does not catch."""


RAISED = [StopIteration("end"), asyncio.CancelledError(), Abort("all"), Unspeakable(), Abandoned(), SystemExit(3)]
NAMES = [f"{type(error).__module__}.{type(error).__name__}" for error in RAISED]


class Heard:
    """An alert sink that records alerts."""

    def __init__(self, alerts):
        """Record alerts in this list."""
        self.alerts = alerts

    async def send(self, alert):
        """Record the alert."""
        self.alerts.append(alert)


class Troubled:
    """A task that fails where a test says, and another task; both are due."""

    def __init__(self, world, *, is_async=False):
        """Declare the tasks and open the app; with ``is_async`` the task has a gate, too."""
        self.trouble = {}
        self.alerts = []
        tasks = pb.Registry()
        settings = contract(invalidated_by=[], refresh=pb.every("20m"))

        def names() -> list[str]:
            self.meet("lister")
            return ["a", "b"]

        def gate(_):
            self.meet("gate")
            return self.trouble.get("said")

        settings_of_row = {**settings, "keys": names, "gates": pb.Gates(quality=gate)}
        if is_async:

            @tasks.artifact(**settings_of_row)
            async def row(key: str) -> object:
                self.meet("task")
                return self.trouble.get("value", key)
        else:

            @tasks.artifact(**settings_of_row)
            def row(key: str) -> object:
                self.meet("task")
                return self.trouble.get("value", key)

        def others() -> list[str]:
            return ["x"]

        @tasks.artifact(**settings, keys=others)
        def apart(key: str) -> str:
            return key

        self.row, self.app = row, world.app(tasks, alerts=[Heard(self.alerts)])

    def meet(self, where):
        """Raise the exception that is set for this place."""
        if where in self.trouble:
            raise self.trouble[where]

    async def due(self):
        """Run what is due, and return the names of the tasks that were built."""
        async with asyncio.timeout(HANGS_S):
            return [built.task for run in await self.app.ops.run_due() for built in run.built]


@pytest.mark.parametrize("error", RAISED, ids=NAMES)
@pytest.mark.parametrize("where", ["task", "lister", "gate"])
async def test_what_a_function_raises_is_one_failed_run(world, where, error):
    """The owner's alert names the exception, the other task is built, and the next run succeeds."""
    troubled = Troubled(world)
    troubled.trouble = {where: error}
    assert await troubled.due() == ["apart"]
    (alert,) = troubled.alerts
    assert alert.task == "row"
    assert type(error).__name__ in alert.message
    troubled.trouble = {}
    world.clock.advance(31)
    assert await troubled.due() == ["row"]


@pytest.mark.parametrize("error", RAISED, ids=NAMES)
async def test_what_an_async_function_raises_is_one_failed_run(world, error):
    """An exception of an ``async def`` task fails only its own run."""
    troubled = Troubled(world, is_async=True)
    troubled.trouble = {"task": error}
    assert await troubled.due() == ["apart"]
    assert [alert.task for alert in troubled.alerts] == ["row"]


@pytest.mark.parametrize("error", RAISED, ids=NAMES)
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_request_hears_of_it(world, error, is_async):
    """A request for the value raises ``ComputeFailed``, which names the exception."""
    troubled = Troubled(world, is_async=is_async)
    troubled.trouble = {"task": error}
    async with asyncio.timeout(HANGS_S):
        with pytest.raises(pb.errors.ComputeFailed, match=f"row: .*{type(error).__name__}"):
            (await troubled.app.serve(troubled.row, "a")).unwrap()


def nested():
    """Return a list that is nested too deeply to be encoded."""
    found = []
    for _ in range(100_000):
        found = [found]
    return found


async def test_a_value_that_cannot_be_encoded_is_one_failed_run(world):
    """A value that is nested too deeply fails the run."""
    troubled = Troubled(world)
    troubled.trouble = {"value": nested()}
    assert await troubled.due() == ["apart"]
    assert "RecursionError" in troubled.alerts[0].message


async def test_a_gate_that_returns_what_cannot_be_shown_has_not_passed(world):
    """A gate's return value without a representation is named by its type."""
    troubled = Troubled(world)
    troubled.trouble = {"said": Unseen()}
    assert await troubled.due() == ["apart"]
    assert "its quality gate gate returned an object of type Unseen" in troubled.alerts[0].message


async def test_whatever_else_fails_is_one_failed_run(world, monkeypatch):
    """An unexpected exception of the library fails the run, and the worker goes on."""
    troubled = Troubled(world)
    materialize = troubled.app.engine.batch.materialize

    async def faulty(plan, **options):
        if plan.name == "row":
            raise FileNotFoundError(2, "No such file or directory", "/tmp/gone")
        async for run in materialize(plan, **options):
            yield run

    monkeypatch.setattr(troubled.app.engine.batch, "materialize", faulty)
    assert await troubled.due() == ["apart"]
    assert [(alert.kind, alert.task) for alert in troubled.alerts] == [("run_failed", "row")]
    assert "FileNotFoundError" in troubled.alerts[0].message


TALKATIVE = ValueError("cannot reach\nredis://shop:hunter2@cache:6379\x1b[31m\x00 with password=\x00hunter2\n")


async def test_what_is_told_of_a_failure_is_one_line_without_secrets(world, caplog):
    """Alert, log and stored run have one line without secrets and control characters."""
    troubled = Troubled(world)
    troubled.trouble = {"task": TALKATIVE}
    assert await troubled.due() == ["apart"]
    told = "row: ValueError: cannot reach redis://***@cache:6379[31m with password=***"
    assert troubled.alerts[0].message == told
    assert [r.getMessage() for r in caplog.records if r.name == "parbake.schedule"] == [f"row: run failed: {told}"]
    assert (await troubled.app.ops.runs(troubled.row)).under_way.failure == told


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u202e", "\u2028", "\ud800", "\r"])
def test_a_line_holds_what_can_be_printed(character):
    """Control characters are removed, any whitespace becomes one space, and other scripts are kept."""
    said = one_line(ValueError(f"ä{character} 日本\t…"))
    assert said == "ValueError: ä 日本 …"


async def test_a_worker_that_is_cancelled_ends(world):
    """A worker that is cancelled during a task ends, and no alert is sent."""
    tasks, alerts, started = pb.Registry(), [], asyncio.Event()

    @tasks.model(**contract(invalidated_by=[], refresh=pb.every("20m")))
    async def weights() -> int:
        started.set()
        await asyncio.Event().wait()
        return 1

    working = asyncio.create_task(world.app(tasks, alerts=[Heard(alerts)]).work())
    await started.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(working, HANGS_S)
    assert alerts == []
