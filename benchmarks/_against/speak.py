"""What every round script shares: how it talks to the driver, and its clock. It knows no name of parbake.

A script writes one JSON object per line. The first line of an in-process kind is ``{"figures": [names]}``; then each
name that the driver writes to its stdin is answered by ``{"cpu": ..., "wall": ...}``. The only line of a server is
``{"port": ..., "path": ..., "bodies": [...], "key": ...}``: the driver posts those bodies, with the key if there is
one. Both end when their stdin is closed. A driver also talks to the scripts of earlier revisions, so these lines stay
as they are; those of before the key have none.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

OUT = sys.stdout
Act = Callable[[], Awaitable[object]]
Times = dict[str, float]
"""Median microseconds of this process's CPU, and of the wall clock."""


def say(**what: object) -> None:
    """Write a line, also while something else has replaced ``sys.stdout``."""
    OUT.write(json.dumps(what) + "\n")
    OUT.flush()


async def answer(measures: Mapping[str, Callable[[], Awaitable[Times]]]) -> None:
    """Measure whatever figure the driver asks for, until it asks for no more."""
    say(figures=list(measures))
    while name := (await asyncio.to_thread(sys.stdin.readline)).strip():
        say(**await measures[name]())


def serve_at(port: int, path: str, bodies: Sequence[object], key: str = "") -> None:
    """Say what the driver may post, and end this process by SIGTERM when the driver closes its end.

    Args:
        port: Where this process serves.
        path: The path to post to.
        bodies: The bodies, which are sent over and over.
        key: What vouches for the sender, if anything has to.
    """
    say(port=port, path=path, bodies=bodies, key=key)
    threading.Thread(target=_end_with_driver, daemon=True).start()


def _end_with_driver() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


async def timed(acts: Iterable[Act]) -> Times:
    """Time one act after the other."""
    cpu, wall = [], []
    for act in acts:
        cpu_began, began = time.process_time_ns(), time.perf_counter_ns()
        await act()
        wall.append(time.perf_counter_ns() - began)
        cpu.append(time.process_time_ns() - cpu_began)
    return {"cpu": statistics.median(cpu) / 1000, "wall": statistics.median(wall) / 1000}


def remember(embedder: Any) -> None:
    """Let every instance of an embedder's class compute each text once, so that its time does not drown the rest."""
    import numpy as np

    compute, known = embedder.embed, {}

    def embed(self: object, texts: Sequence[str]) -> Any:
        for text in texts:
            if text not in known:
                known[text] = compute(self, [text])[0]
        return np.stack([known[text] for text in texts]) if texts else compute(self, texts)

    embedder.embed = embed


def check_own(folder: str, *modules: ModuleType) -> None:
    """End the script unless each module was imported from below a folder: a side measures its own code."""
    for module in modules:
        file = Path(module.__file__ or "").resolve()
        if not file.is_relative_to(Path(folder).resolve()):
            raise SystemExit(f"{module.__name__} was imported from {file}, which is not below {folder}")
