"""The page *Tasks*: what is promised of each task, in which lanes it may be computed, and what stops it now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from parbake.errors import StoreError
from parbake.tasks.task_table import TaskRow
from parbake.values.redaction import one_line
from parbake_console.wording import NONE

if TYPE_CHECKING:
    from parbake.app.application import App


class TaskLine(msgspec.Struct, frozen=True):
    """One task, in words."""

    task: str
    kind: str
    mode: str
    refresh: str
    lanes: str
    contract: Sequence[tuple[str, str]]
    why: str
    is_stored: bool
    quarantine: str


class TasksPage(msgspec.Struct, frozen=True):
    """What the page shows."""

    tasks: Sequence[TaskLine]
    trouble: str = ""


async def tasks_page(app: App) -> TasksPage:
    """Describe the tasks, and say which are in quarantine and why.

    Args:
        app: The app.
    """
    try:
        rows, quarantined, trouble = await app.ops.describe(), await app.ops.quarantined(), ""
    except StoreError as error:
        rows, quarantined, trouble = app.classify(), {}, one_line(error)
    reasons = {name: entry.reason for name, entry in quarantined.items()}
    return TasksPage([_line(row, reasons.get(row.task)) for row in rows], trouble)


def _line(row: TaskRow, quarantine: str | None) -> TaskLine:
    why = row.note or row.rationale
    if row.other_code:
        why = f"{why} Other code than this server's has built its current generation.".strip()
    return TaskLine(
        task=row.task,
        kind=row.kind,
        mode=row.mode,
        refresh=row.refresh,
        lanes=", ".join(row.legal_lanes),
        contract=[(name, _words(value)) for name, value in row.contract.items() if value is not None],
        why=why,
        is_stored="freshness_sla" in row.contract,
        quarantine="" if quarantine is None else quarantine or NONE,
    )


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "nothing"
    return str(value)
