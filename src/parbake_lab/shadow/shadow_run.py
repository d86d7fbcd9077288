"""Checks a sample of keys or requests with one recompute for each key, within limits of rate and time."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from parbake.tasks.served import Absent
from parbake_lab.shadow.caches import Cache, CacheEntry, UndecodableError
from parbake_lab.shadow.compare import difference, normal
from parbake_lab.shadow.findings import Finding

Recompute = Callable[[str], Any]
Progress = Callable[[int, int], None]
_SHOWN_AT_MOST = 200


class ShadowLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a run: keys or requests, recomputes per second, parallel recomputes, and seconds in total."""

    sample: int = 500
    rate: float = 50.0
    parallel: int = 1
    timeout_s: float = 300.0


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How values are compared and whether they may be shown; ``keep_bytes`` if the cache's format has bytes."""

    tolerance: float = 0.0
    keep_bytes: bool = False
    show_values: bool = False


class ShadowRun(msgspec.Struct, frozen=True):
    """The findings, how many keys or requests were drawn, and how many different keys these are.

    There are fewer findings than keys if the time was up. A draw counts in a finding only if it was reached by then, so
    that keys that were drawn often do not count too much.
    """

    drawn: int
    keys: int
    findings: list[Finding]


async def shadow(
    cache: Cache, recompute: Recompute, limits: ShadowLimits, style: Style, *, progress: Progress | None = None
) -> ShadowRun:
    """Draw a sample, and check each key once. A failed recompute is a finding; only errors of the sampling are raised.

    Args:
        cache: The cache under test.
        recompute: Computes the current value for a key.
        limits: Limits of the run.
        style: How values are compared.
        progress: Called with the keys done and the total of different keys.
    """
    until = time.monotonic() + limits.timeout_s
    drawn = await asyncio.to_thread(cache.sample, limits.sample, until=until)
    findings: list[Finding] = []
    pace, todo, keys, times = RequestPace(limits.rate), iter(drawn), len(set(drawn)), Counter[str]()

    async def work() -> None:
        for key in todo:
            times[key] += 1
            if times[key] > 1:
                continue
            await pace.turn()
            findings.append(await _look(cache, recompute, key, style))
            if progress:
                progress(len(findings), keys)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + until - time.monotonic()):
            async with asyncio.TaskGroup() as group:
                for _ in range(limits.parallel):
                    group.create_task(work())
    return ShadowRun(len(drawn), keys, [msgspec.structs.replace(f, drawn=times[f.key]) for f in findings])


class RequestPace:
    """Allows ``rate`` requests per second, evenly spaced; unused time does not accumulate."""

    def __init__(self, rate: float) -> None:
        """Create the limiter; ``rate`` must be positive."""
        self._every_s, self._next = 1 / rate, 0.0

    async def turn(self) -> None:
        """Wait for the next turn."""
        now = time.monotonic()
        self._next = max(self._next, now)
        wait, self._next = self._next - now, self._next + self._every_s
        await asyncio.sleep(wait)


async def _look(cache: Cache, recompute: Recompute, key: str, style: Style) -> Finding:
    try:
        entry = await asyncio.to_thread(cache.read, key)
    except UndecodableError as error:
        return Finding(key, "undecodable", str(error), message=str(error.__cause__ or ""))
    if entry is None:
        return Finding(key, "missing")
    started = time.perf_counter()
    try:
        result = await _call(recompute, key)
        took = time.perf_counter() - started
        finding = _judge(key, entry, result, style)
    except Exception as error:  # noqa: BLE001 - whatever a recompute raises is counted and named, and the run goes on
        took = time.perf_counter() - started
        finding = Finding(
            key, "failed", type(error).__name__, age_s=entry.age_s, idle_s=entry.idle_s, message=str(error)
        )
    if finding.outcome == "different" and await _has_moved(cache, key, entry):
        finding = msgspec.structs.replace(finding, outcome="unsettled", wrong_for_s=None)
    return msgspec.structs.replace(finding, recompute_s=took)


def _judge(key: str, entry: CacheEntry, result: Any, style: Style) -> Finding:
    changed_at = getattr(result, "changed_at", None)
    value = result.value if hasattr(result, "changed_at") and hasattr(result, "value") else result
    if isinstance(value, Absent):
        where, plain = "$: there is none any more", None
    else:
        plain = normal(value, keep_bytes=style.keep_bytes)
        where = difference(entry.value, plain, tolerance=style.tolerance) or ""
    if not where:
        return Finding(key, "equal", age_s=entry.age_s, idle_s=entry.idle_s)
    return Finding(
        key,
        "different",
        where,
        age_s=entry.age_s,
        idle_s=entry.idle_s,
        wrong_for_s=None if changed_at is None else max(0.0, time.time() - float(changed_at)),
        cached=_shown(entry.value) if style.show_values else "",
        truth=_shown(plain) if style.show_values else "",
    )


async def _has_moved(cache: Cache, key: str, entry: CacheEntry) -> bool:
    """Whether the cache changed while the truth was computed; the comparison then proves nothing."""
    try:
        again = await asyncio.to_thread(cache.read, key)
    except UndecodableError:
        return True
    return again is None or difference(entry.value, again.value) is not None


async def _call(recompute: Recompute, key: str) -> Any:
    if inspect.iscoroutinefunction(recompute):
        return await recompute(key)
    result = await _in_thread(recompute, key)
    return await result if inspect.isawaitable(result) else result


async def _in_thread(recompute: Recompute, key: str) -> Any:
    """Call a function in a daemon thread, so that a hung call does not outlive the run."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[BaseException | None, Any]] = loop.create_future()

    def settle(error: BaseException | None, result: Any) -> None:
        if not done.done():
            done.set_result((error, result))

    def run() -> None:
        error, result = None, None
        try:
            result = recompute(key)
        except BaseException as raised:  # noqa: BLE001 - it is raised again where the run waits for it
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop was closed, so there is no waiter any more
            loop.call_soon_threadsafe(settle, error, result)

    threading.Thread(target=run, name="parbake-shadow", daemon=True).start()
    error, result = await done
    if error is None:
        return result
    raise error if isinstance(error, Exception) else RuntimeError(f"ended by {type(error).__name__}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_AT_MOST else text[: _SHOWN_AT_MOST - 1] + "…"


def lines_of(text: str) -> Iterator[str]:
    """The keys in a text: one per line, without blank lines."""
    return (line.strip() for line in text.splitlines() if line.strip())
