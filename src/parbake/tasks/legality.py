"""Which lanes a task's inputs allow: what reaches a live input can only be computed at request time."""

from __future__ import annotations

from parbake.errors import LaneError, RoleError
from parbake.tasks.roles import Role
from parbake.tasks.task_types import Artifact, LiveTask, ModelTask, Refine, Stored, Task


def live_reached(task: Task, path: tuple[str, ...] = ()) -> tuple[str, ...] | None:
    """The path from a task to a live input, directly or through other tasks; ``None`` if it reaches no live input."""
    here = (*path, task.name)
    live = task.of(Role.LIVE)
    if live:
        return (*here, live[0].name)
    for reached in task.inputs:
        found = live_reached(reached, here)
        if found:
            return found
    return None


def could_be_precomputed(task: Task) -> bool:
    """Whether a real-time task reaches no live input, so that it could be an artifact; the table of tasks notes it."""
    return isinstance(task, LiveTask) and live_reached(task) is None


def legal_lanes(task: Task) -> tuple[str, ...]:
    """The lanes that a task's inputs allow."""
    if live_reached(task) or isinstance(task, Refine):
        return ("realtime",)
    return ("batch",) if isinstance(task, ModelTask) else ("batch", "event", "realtime")


def check_edges(task: Task) -> None:
    """Raise an error unless inputs are artifacts, or live tasks for a real-time task, and models are model tasks."""
    for parameter in task.of(Role.INPUT, Role.MODEL):
        wanted: type[Task] | tuple[type[Task], ...] = (
            ModelTask if parameter.role is Role.MODEL else (Artifact, LiveTask)
        )
        if not isinstance(parameter.task, wanted):
            named = parameter.task.name if isinstance(parameter.task, Task) else f"{parameter.task!r} is not a task: it"
            raise RoleError(
                f"{task.name}({parameter.name}): {named} cannot be read as {parameter.role.value}", field=parameter.name
            )


def check_lane(task: Stored) -> None:
    """Raise :class:`LaneError` if a stored task reaches what exists only at request time."""
    way = live_reached(task)
    if way:
        raise LaneError(
            f"{task.name} cannot be precomputed: it reaches the live input {way[-1]!r} ({' -> '.join(way)}), which "
            "exists only at request time; declare it with @live or @refine, or read a source instead",
            field=way[-1],
        )
    for parameter in task.of(Role.INPUT):
        if isinstance(parameter.task, LiveTask):
            raise LaneError(
                f"{task.name} cannot read {parameter.task.name}, which is computed per request; declare that one as an "
                "artifact",
                field=parameter.name,
            )
