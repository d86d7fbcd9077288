"""Settings that all executors share, checked when the executor is created and not in the processes of its first run."""

from __future__ import annotations

from typing import Any

from parbake.errors import BadInput
from parbake.values.checks import check_whole


def check(app: Any, processes: Any) -> None:
    """Raise :class:`BadInput` for an invalid app name or number of processes."""
    module, _, attribute = app.partition(":") if isinstance(app, str) else ("", "", "")
    if not module or not attribute or module.startswith("."):
        raise BadInput(f"app={app!r} must be module:attribute, such as 'shop:app'", field="app")
    check_whole(processes, field="processes", error=BadInput)
