"""Checks the arguments of ``app.serve`` before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from parbake.errors import BadInput
from parbake.tasks.roles import Role
from parbake.tasks.task_types import Artifact, LiveTask, Parameter, Refine, Task


def check_call(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise :class:`BadInput` if a call lacks the task's key, or has arguments that the task does not take.

    Args:
        task: The task to serve: an artifact, a refine or a live task.
        args: The arguments after the task; the key comes first if the task has one.
        kwargs: Live values by name.
    """
    if not isinstance(task, Task):
        raise BadInput(f"serve({task!r}): the first argument is the task itself, not its name", field="task")
    has_key = isinstance(task, Artifact | Refine)
    if has_key and not args:
        raise BadInput(f"{task.name} needs a key: serve({task.name}, key)", field="key")
    if isinstance(task, Artifact) and (len(args) > 1 or kwargs):
        more = [*map(repr, args[1:]), *kwargs]
        raise BadInput(f"{task.name} takes a key and nothing else, not {', '.join(more)[:80]}", field="key")


def live_values(
    task: Refine[Any, Any, Any] | LiveTask[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the live values of a call by name, including those given by position.

    Args:
        task: The task that is called.
        args: The values given by position.
        kwargs: The values given by name.

    Raises:
        BadInput: More values were given by position than the task has live inputs, or one was given twice.
    """
    names = [p.name for p in task.parameters if p.role is Role.LIVE]
    if len(args) > len(names):
        raise BadInput(f"{task.name} takes {len(names)} live values, not {len(args)}", field="live")
    found = dict(zip(names, args, strict=False))
    for name in found.keys() & kwargs.keys():
        raise BadInput(f"{task.name}: {name} is given twice", field=f"live.{name}")
    return {**found, **kwargs}


@lru_cache(1024)
def live_inputs(task: Task) -> Mapping[str, Parameter]:
    """The live inputs of a task and of the live tasks it reads, by name; required if any of these tasks requires it."""
    found = {p.name: p for p in task.of(Role.LIVE)}
    for other in task.inputs:
        if isinstance(other, LiveTask):
            for name, parameter in live_inputs(other).items():
                if name not in found or found[name].optional:
                    found[name] = parameter
    return found


def check_live(task: Task, values: Mapping[str, Any]) -> None:
    """Raise :class:`BadInput` for a live value that the task does not take, or for a missing one, and name it."""
    inputs = live_inputs(task)
    if not values.keys() <= inputs.keys():
        name = min(values.keys() - inputs.keys())[:80]
        raise BadInput(f"{task.name} has no live input {name!r}", field=f"live.{name}")
    for name, parameter in inputs.items():
        if name not in values and not parameter.optional:
            raise BadInput(f"{task.name} needs the live input {name!r}", field=f"live.{name}")


def live_arguments(task: Task, values: Mapping[str, Any]) -> dict[str, Any]:
    """Select the live values that a task itself takes, without those for the live tasks it reads."""
    return {name: values[name] for name in _own_live_inputs(task) if name in values}


@lru_cache(1024)
def _own_live_inputs(task: Task) -> tuple[str, ...]:
    return tuple(p.name for p in task.of(Role.LIVE))
