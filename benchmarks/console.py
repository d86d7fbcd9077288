"""What the console costs serving, and how soon a page is seen: 50 tasks with 20,000 values each.

cost    two servers over one store, one with the console whose freshness page is fetched every five seconds as an open
        page does it, one without; as many requests as each answers, in rounds that alternate
view    the first view of each page in Chromium, with an empty cache, from the request until everything is there
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from _console_app import APP, TASKS
from _http_load import closed_loop
from _report import Goal, report
from _server import running

HERE = Path(__file__).parent
ROUND_S, OPEN_S = 20.0, 5.0
PAGES = ("freshness", "economics", "answers", "bank", "events", "tasks", "triggers")
MOST_VIEW_S, MOST_COST = 1.5, 0.03


@contextlib.contextmanager
def served(folder: str, keys: int, *, console: bool) -> Iterator[int]:
    """Run a server on the last core, and yield its port."""
    env = {**os.environ, **_settings(folder, keys), "CONSOLE_IS_ON": "1" if console else ""}
    with running(APP, environment=env, folder=HERE, core=0) as server:
        yield server.port


def _settings(folder: str, keys: int) -> dict[str, str]:
    return {"CONSOLE_FOLDER": folder, "CONSOLE_KEYS": str(keys)}


def materialize(folder: str, keys: int) -> None:
    """Compute every value."""
    for number in range(TASKS):
        command = [sys.executable, "-m", "parbake", "materialize", APP, f"task_{number:02d}"]
        subprocess.run(
            command, cwd=HERE, env={**os.environ, **_settings(folder, keys)}, check=True, capture_output=True
        )


async def looked_at(port: int) -> None:
    """Fetch the freshness page again and again, as a page that is open does."""
    while True:
        await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/console/freshness").read())
        await asyncio.sleep(OPEN_S)


async def rate(port: int, keys: int, *, is_open: bool) -> float:
    """The requests that a server answers in a second."""
    looking = asyncio.create_task(looked_at(port)) if is_open else None
    try:
        return await closed_loop(port, "/v1/serve/task_07", lambda n: {"key": n * 7919 % keys}, ROUND_S)
    finally:
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


def views(port: int) -> dict[str, float]:
    """The seconds of the first view of each page: the median of five browsers with an empty cache."""
    from playwright.sync_api import sync_playwright

    took: dict[str, list[float]] = {name: [] for name in PAGES}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(5):
            for name in PAGES:
                context = browser.new_context(viewport={"width": 1280, "height": 900})
                page = context.new_page()
                before = time.perf_counter()
                page.goto(f"http://127.0.0.1:{port}/console/{name}", wait_until="load")
                page.get_by_role("heading", level=1).wait_for()
                took[name].append(time.perf_counter() - before)
                context.close()
        browser.close()
    return {name: statistics.median(found) for name, found in took.items()}


def main() -> None:
    """Measure both."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--keys", type=int, default=20_000, help="values of each task")
    arguments.add_argument("--rounds", type=int, default=6, help="pairs of rounds")
    asked = arguments.parse_args()
    os.sched_setaffinity(0, {1})  # the servers have the other core
    with tempfile.TemporaryDirectory() as folder:
        materialize(folder, asked.keys)
        with served(folder, asked.keys, console=True) as with_, served(folder, asked.keys, console=False) as without:
            seen = views(with_)
            pairs = []
            for number in range(asked.rounds):
                both = {}
                for port in (with_, without) if number % 2 else (without, with_):
                    both[port] = asyncio.run(rate(port, asked.keys, is_open=port == with_))
                pairs.append((both[with_], both[without]))
    cost = 1 - statistics.median(one / other for one, other in pairs)
    slowest = max(seen.values())
    rows: list[tuple[object, ...]] = [("first view of " + name, f"{took:.2f} s") for name, took in seen.items()]
    rows.append(("requests a second with the console", f"{statistics.median(one for one, _ in pairs):,.0f}"))
    rows.append(("without", f"{statistics.median(other for _, other in pairs):,.0f}"))
    report(
        "console",
        ["what", "figure"],
        rows,
        figures={"cost": cost, **{f"view_{name}_s": took for name, took in seen.items()}},
        goals=[
            Goal("first view, the slowest page", slowest, "s", f"<= {MOST_VIEW_S}", slowest <= MOST_VIEW_S),
            Goal("cost to serving, paired rounds", cost, "of the rate", f"<= {MOST_COST}", cost <= MOST_COST),
        ],
    )


if __name__ == "__main__":
    main()
