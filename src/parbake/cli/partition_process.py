"""The entry point of an executor's process: opens the app once, and computes the partitions that it receives."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec

from parbake.app.application import App
from parbake.app.engine import Engine
from parbake.cli.support.load_app import load
from parbake.errors import BadInput, ComputeFailed, ParbakeError, UnknownTask
from parbake.lanes.batch.partition import Moved, PartitionAnswer, PartitionDone, PartitionWork
from parbake.values.redaction import one_line

_log = logging.getLogger("parbake.batch")


@dataclass
class _Process:
    """The app of this process and its event loop."""

    name: str = ""
    app: App | None = None
    runner: asyncio.Runner | None = None


_process = _Process()


def perform(name: str, models: str, job: bytes) -> bytes:
    """Compute one partition of an app.

    Args:
        name: The app as ``module:attribute``.
        models: Folder for decoded models that all processes of the machine share; empty for none.
        job: The encoded partition.

    Returns:
        The encoded result.
    """
    work = msgspec.msgpack.decode(job, type=PartitionWork)
    try:
        answer = PartitionAnswer(_runner(name, models).run(_perform(work)))
    except ParbakeError as error:
        answer = PartitionAnswer(None, type(error).__name__, str(error), error.field)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as an object it would cross to the process of the run
        _log.exception("a partition of %s failed", work.task)
        answer = PartitionAnswer(None, ComputeFailed.__name__, f"{work.task}: {one_line(error)}", work.task)
    return msgspec.msgpack.encode(answer)


async def _perform(work: PartitionWork) -> PartitionDone:
    assert _process.app is not None  # noqa: S101 - opened before
    engine = _process.app.engine
    plan = engine.tasks.get(work.task)
    if plan is None:
        raise UnknownTask(f"{work.task} is not among the tasks of {_process.name} here", field="task")
    try:
        return await engine.batch.worker.perform(plan, work, moved_in(engine, work))
    finally:
        for flush in engine.on.flush:  # this process may end with its run
            await asyncio.to_thread(flush)


def moved_in(engine: Engine, work: PartitionWork) -> Moved:
    """Import and open an app for one partition. This process throttles itself after each chunk."""

    async def moved(_keys: int, took_s: float) -> None:
        if engine.breathe is not None and not work.is_urgent:
            await engine.breathe(took_s)

    return moved


def _runner(name: str, models: str) -> asyncio.Runner:
    if _process.runner is None or _process.name != name:
        _process.app = _opened(name)
        _process.name, _process.runner = name, asyncio.Runner()
        if models:
            _process.app.engine.resolver.models.keep_in(Path(models))
    return _process.runner


def _opened(name: str) -> App:
    try:
        return load(name).app
    except BadInput as error:
        where = f"a process that computes partitions opens the app by this name, from {Path.cwd()}"
        raise BadInput(f"{error}; {where}", field=error.field) from error
