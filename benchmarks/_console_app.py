"""An app with many tasks and values for the benchmark of the console.

``CONSOLE_FOLDER`` holds store and ledger, ``CONSOLE_KEYS`` is how many values each task has, and with ``CONSOLE_IS_ON``
the app has the console.
"""

from __future__ import annotations

import os
from typing import Any

import parbake as pb
from parbake_console import Console
from parbake_planner import Ledger, Planner

APP = "_console_app:build"
TASKS = 50
CONTRACT: dict[str, Any] = {
    "freshness_sla": "8h", "invalidated_by": [pb.fence("product")], "fallback_if_stale": pb.Recompute(), "owner": "b",
}  # fmt: skip
tasks = pb.Registry()


def keys() -> list[int]:
    """The keys of each task."""
    return list(range(int(os.environ["CONSOLE_KEYS"])))


def declare(name: str) -> pb.tasks.task_types.Artifact[int, str]:
    """Declare one task that is computed ahead."""

    def value(numbers: pb.Keys[int]) -> dict[int, str]:
        return {number: f"{name} {number} ".ljust(60, "x") for number in numbers}

    value.__name__ = value.__qualname__ = name
    return tasks.artifact(**CONTRACT, keys=keys, refresh=pb.every("4h"))(value)


declared = [declare(f"task_{number:02d}") for number in range(TASKS)]


def build() -> pb.App:
    """Build the app over the folder."""
    folder = os.environ["CONSOLE_FOLDER"]
    console = [Console()] if os.environ.get("CONSOLE_IS_ON") else []
    plugins = [Ledger(f"{folder}/ledger{len(console)}.db"), Planner(), *console]
    return pb.App(tasks, store=f"lmdb://{folder}/store?map_size=4GiB", plugins=plugins, open=["product"])
