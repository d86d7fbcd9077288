"""Whether contracts account for everything that tasks read, checked before an app opens.

If a contract leaves out a family that its task reads, or misspells it, changes of the family would never outdate the
task's values. Neither mistake shows at run time, so such an app does not open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from parbake.errors import ContractError, DeclarationError
from parbake.protocol.tags import is_family
from parbake.tasks.roles import Role
from parbake.tasks.task_types import Artifact, Stored, Task


def check_views(task: Task) -> None:
    """Raise an error unless each view that a task reads says which families it records."""
    lister = task.list_keys if isinstance(task, Artifact) else None
    for reader in (task, lister) if lister else (task,):
        for view in _views(reader):
            _check_families(reader, view)


def unaccounted(task: Task) -> Iterator[ContractError]:
    """Return an error for each family of a view that the contract of the task leaves out."""
    if not isinstance(task, Stored):
        return
    for view in _views(task):
        for name in view.families:  # type: ignore[attr-defined]  # :func:`check_views` has passed
            if name not in task.contract.declared:
                yield ContractError(
                    f"{task.name} reads {name!r} through the view {view.__qualname__}, and its invalidated_by does "
                    f"not name it: add pb.fence({name!r}) if no value older than a change may be served, "
                    f"pb.refresh({name!r}) if it may be until it is computed again, or "
                    f"pb.ignore({name!r}, 'why a change does not matter')",
                    field="invalidated_by",
                )


def untold(tasks: Iterable[Task], told: Collection[str]) -> Iterator[ContractError]:
    """Return an error for each family that a task is bound by and for which no events ever come.

    Args:
        tasks: The app's tasks.
        told: The families of its sources and brokers, and those of ``App(open=...)``.
    """
    for task in tasks:
        for name in sorted(minded(task) - set(told)):
            known = ", ".join(sorted(told)) or "no family"
            yield ContractError(
                f"{task.name} is bound by {name!r}, which no source of this app reports (they report {known}): "
                f"correct the name, add it to the families of a source, or write App(open=[{name!r}]) if events or "
                "app.touch report it",
                field="invalidated_by",
            )


def minded(task: Task) -> frozenset[str]:
    """The families whose changes affect a task: its fences, its refreshes, and those of ``prefetch``."""
    if not isinstance(task, Stored):
        return frozenset()
    wishes = task.prefetch if isinstance(task, Artifact) else ()
    return frozenset(item.family for item in (*task.contract.binding, *wishes))


def _views(task: Task) -> Iterator[type]:
    yield from (p.type for p in task.of(Role.SOURCE))


def _check_families(task: Task, view: type) -> None:
    families = getattr(view, "families", None)
    for name in () if families is None or isinstance(families, str) else families:
        if not is_family(name):
            raise DeclarationError(
                f"the view {view.__qualname__} has the family {name!r}: a family is one word in small letters, such as "
                "'policy', without an entity",
                field="families",
            )
    if families is None or isinstance(families, str):
        raise DeclarationError(
            f"the view {view.__qualname__}, which {task.name} reads, does not declare what it reads: write "
            "families = ('policy',) in it, with the tag families of its rows, or families = () if no event reports "
            "them",
            field="families",
        )
