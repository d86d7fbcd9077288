"""What was found: omissions, what contracts ignore, and what could not be judged."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """An omission: what changes untold, for which value it was seen, and the line that tells of it.

    Attributes:
        task: The task.
        key: The key of the value.
        where: The view with its method; empty for what a task reads without a view.
        what: What was changed, or read.
        row: The row that was changed.
        old: The value that is served on.
        new: The value as it is computed after the change.
        fix: What to add.
    """

    task: str
    key: str
    where: str
    what: str
    fix: str
    row: str = ""
    old: str = ""
    new: str = ""


class Ignored(Finding, frozen=True):
    """A value that changes with a family that its contract ignores, which may be what the contract means.

    Attributes:
        family: The family.
        reason: Why the contract ignores it.
    """

    family: str = ""
    reason: str = ""


@dataclass
class Proof:
    """What was found.

    Attributes:
        findings: The omissions.
        ignored: Values that depend on what their contracts ignore.
        unproved: What could not be judged, with the reason.
        values: How many values were judged.
        changes: How many changes were made.
    """

    findings: list[Finding] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    unproved: dict[str, str] = field(default_factory=dict)
    values: int = 0
    changes: int = 0
