"""The shop about which the sets were written."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from _shop import prepare

from parbake.adapters.sqlite import emit
from retail_assistant.shop.schema import connect
from retail_assistant.world import generate

WRITTEN = 1_795_756_575.0
"""When the pages were made from which the sets were written, in epoch seconds."""


def written_at(now: float) -> float:
    """The last moment with the time of day at which the sets were written: the shop's reviews depend on it."""
    return now - (now - WRITTEN) % 86_400.0


def prepared(home: Path) -> None:
    """Make the shop in a folder and compute every first generation, unless it is there."""
    if (home / "shop.db").is_file():
        return
    generate(home / "shop.db", now=written_at(time.time()), shoppers=2_000)
    with contextlib.closing(connect(home / "shop.db")) as conn:
        emit(conn, "product", "shop.bulk")
    prepare(str(home))
