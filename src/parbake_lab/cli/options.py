"""What the commands share: checks of their options, and a bar while they work."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from parbake.cli.support.load_app import find
from parbake.cli.support.output import progress
from parbake.errors import BadInput

T = TypeVar("T")


def function(where: str, *, field: str) -> Callable[..., Any]:
    """The function at ``module:attribute``; raises :class:`BadInput` that names ``field``."""
    found = find(where, field=field)
    if not callable(found):
        raise BadInput(f"{field}={where!r} must be a function", field=field)
    made: Callable[..., Any] = found
    return made


def must_be_positive(**options: float) -> None:
    """Raise :class:`BadInput` for an option that is not above 0, or infinite."""
    for name, value in options.items():
        if not (value > 0 and math.isfinite(value)):
            raise BadInput(f"--{name} {value}: must be above 0", field=name)


def with_bar(
    what: str, run: Callable[[Callable[[int, int], None]], Coroutine[Any, Any, T]], *, total: int | None = None
) -> T:
    """Show a bar while something runs.

    Args:
        what: What it does.
        run: Begins it; it is given what it calls with the amount done and the total.
        total: The total, if it is known before.
    """
    with progress() as bars:
        bar = bars.add_task(what, total=total)

        def show(done: int, total: int) -> None:
            bars.update(bar, completed=done, total=total)

        return asyncio.run(run(show))
