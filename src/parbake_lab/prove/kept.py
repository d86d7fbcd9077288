"""What a program keeps of a database: over other rows, it computes other values than one that was loaded anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import parbake as pb
from parbake.app.settings import Settings
from parbake.errors import ParbakeError
from parbake.protocol.record import Record
from parbake.tasks.roles import Role
from parbake_lab.prove.changes import altered
from parbake_lab.prove.copied_app import app_over
from parbake_lab.prove.copies import Copy, Row, Table
from parbake_lab.prove.drivers import Call, connecting
from parbake_lab.prove.proof import Finding
from parbake_lab.prove.reads import Read
from parbake_lab.prove.values import Computing, ProvedValue, same, shown

Anew = Callable[[], pb.App]
"""Loads the program anew, as if it had been restarted, and returns its app."""
_FIX = (
    "read it within the task, by a view; or pb.ignore('config', 'why it may be old until a restart') with 'config' in "
    "App(open=...)"
)


class Keeping:
    """Compares the program that runs with one that is loaded anew, over copies in which all rows were changed."""

    def __init__(self, settings: Settings, anew: Anew, copies: Sequence[Copy], values: Sequence[ProvedValue]) -> None:
        """Use an app.

        Args:
            settings: The settings of the app.
            anew: Loads the program anew.
            copies: The copies; they are not used any more afterwards.
            values: Values that the program has computed before.
        """
        self._settings, self._anew, self._copies, self._values = settings, anew, copies, values
        self._now = settings.clock.now()
        self._found: set[str] = set()
        self._asked: dict[Computing, dict[tuple[str, str], Read]] = {}

    async def findings(self) -> AsyncIterator[Finding]:
        """One for each task with a value that the program computes from what it kept."""
        async with AsyncExitStack() as stack:
            stack.enter_context(connecting(self._led))
            for change in (_next, _a_little):
                with self._changed(change):
                    loaded = self._anew().settings
                programs = [await self._program(settings, stack) for settings in (self._settings, loaded)]
                self._asked = {program: {} for program in programs}
                for value in self._values:
                    if value.bound.name not in self._found and (finding := await self._compared(value, *programs)):
                        self._found.add(value.bound.name)
                        yield finding

    def _led(self, call: Call) -> Call:
        """A connection to the original is made to the copy."""
        return next((led for led in (copy.led(call) for copy in self._copies) if led), call)

    def _changed(self, change: _Changed) -> ExitStack:
        """Change the rows of all tables; they are committed within, so that a program that begins can read them."""
        within = ExitStack()
        for copy in self._copies:
            for table in copy.tables.values():
                if copy.tells_of(table) and table.name not in copy.uncaptured:
                    _change(copy, table, change)
            within.enter_context(copy.committed())
        return within

    async def _program(self, settings: Settings, stack: AsyncExitStack) -> Computing:
        reads: list[Read] = []
        app = app_over(settings, self._copies, reads, self._now)
        stack.push_async_callback(app.engine.close)
        await app.drain()
        computing = Computing(app, reads)
        await computing.train([app.engine.tasks[name].task for name in {value.bound.name for value in self._values}])
        return computing

    async def _compared(self, value: ProvedValue, running: Computing, fresh: Computing) -> Finding | None:
        """Compute a value by both, and once more if they differ."""
        old = new = None
        for _ in range(2):
            old, new = [await self._computed(program, value) for program in (running, fresh)]
            if old is None or new is None or same(value.bound, old, new):
                return None
        views = {parameter.type.__qualname__ for parameter in value.bound.task.of(Role.SOURCE)}
        asked = (read for query, read in self._asked[fresh].items() if query not in self._asked[running])
        kept = next((read for read in asked if read.view.__qualname__ in views), None)
        return Finding(
            value.bound.name,
            str(value.key),
            kept.place if kept else "",
            f"the program keeps {f'the rows of {kept.statement}' if kept else 'what it read before'}",
            _FIX,
            old=shown(value.bound, old),
            new=shown(value.bound, new),
        )

    async def _computed(self, program: Computing, value: ProvedValue) -> Record | None:
        try:
            record, reads = await program.compute(program.bound(value.bound.name), value.key)
        except ParbakeError:
            return None
        for read in reads:
            self._asked[program].setdefault(read.query, read)
        return record


_Changed = Callable[[Sequence[Row], int, str], Any]
"""Returns the new value of a column of a row, which is given by its number."""


def _next(rows: Sequence[Row], number: int, column: str) -> Any:
    """The value of the next row, which is of the right form."""
    return rows[(number + 1) % len(rows)][column]


def _a_little(rows: Sequence[Row], number: int, column: str) -> Any:
    found = altered(rows[number][column])
    return found[0] if found else rows[number][column]


def _change(copy: Copy, table: Table, change: _Changed) -> None:
    """Change every column that may have any value; one by one where the database refuses it together.

    References change only to other rows of another table: a hierarchy could become a ring.
    """
    columns = [column for column in table.columns.values() if not column.is_key]
    free = [c.name for c in columns if not c.parent or (change is _next and c.parent[0] != table.name)]
    rows = copy.pool(table)
    for number, row in enumerate(rows):
        values = {name: change(rows, number, name) for name in free}
        different = {name: value for name, value in values.items() if value != row[name]}
        if different and not _set(copy, table, row, different):
            for name, value in different.items():
                _set(copy, table, row, {name: value})


def _set(copy: Copy, table: Table, row: Row, values: Mapping[str, Any]) -> bool:
    try:
        with copy.attempt():
            copy.update(table, row, values)
    except copy.refusals:
        return False
    return True
