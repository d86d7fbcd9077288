"""What ``app.serve`` is called with, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parbake.declare.roles import Role
from parbake.declare.tasks import Artifact, LiveTask, Refine, Task
from parbake.errors import BadInput


def check_call(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise :class:`BadInput` unless a task gets its key, and nothing that it does not take.

    Args:
        task: What is to be served: an artifact, a refine or a live task.
        args: What stands after the task, the key first where it has one.
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
    """Return the live values of a call by name, those given by position included.

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
