"""What an app is given, checked before anything is opened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

from parbake.errors import BadInput
from parbake.fence.tags import is_family
from parbake.lanes.batch.throttle import Throttle
from parbake.lanes.worker.worker_watch import WorkerSetting
from parbake.ledger.costs import EXAMPLE, CostBook, read_book
from parbake.planner.traffic import Declared, declared
from parbake.ports.alerts import AlertSink
from parbake.ports.executors import Executor
from parbake.ports.generations import Journal
from parbake.ports.sources import Source
from parbake.values.checks import check_object


def check_kept(store: Any, ledger: Any) -> None:
    """Raise :class:`BadInput` for a store or a ledger that is none."""
    if not isinstance(store, str):
        check_object(
            store, "read", "stamp", field="store", error=BadInput,
            expected="a URL such as lmdb:///var/lib/shop, or a store",
        )  # fmt: skip
    if ledger is not None and not isinstance(ledger, str | PathLike):
        raise BadInput(f"ledger={ledger!r}: expected the path of an SQLite file, or None", field="ledger")


def sinks(alerts: Any) -> tuple[AlertSink, ...]:
    """The sinks of alerts; raises :class:`BadInput` for what is none."""
    expected = "a list of sinks, such as [pb.LogSink()]"
    if not isinstance(alerts, Iterable) or isinstance(alerts, str | bytes):
        raise BadInput(f"alerts={alerts!r}: expected {expected}", field="alerts")
    found = tuple(alerts)
    for sink in found:
        check_object(sink, "send", field="alerts", error=BadInput, expected=expected)
    return found


def families(names: Any) -> tuple[str, ...]:
    """The tag families of ``open=``; raises :class:`BadInput` for what is not a list of families."""
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise BadInput(f"open={names!r}: expected a list of tag families, such as ['policy']", field="open")
    found = tuple(names)
    for name in found:
        if not is_family(name):
            raise BadInput(f"open holds {name!r}, which is not a tag family: write 'policy'", field="open")
    return found


def checked_windows(off_peak: str | Sequence[str], zone: str) -> Declared | None:
    """Return the declared off-peak windows, ``None`` without any; a time zone is checked even then."""
    windows = declared(off_peak, zone) if off_peak or zone != "UTC" else None
    return windows if off_peak else None


def worker_setting(value: Any) -> WorkerSetting:
    """Return what an app expects of its workers; raises :class:`BadInput` for what it cannot expect."""
    if value not in ("required", "expected", "none"):
        raise BadInput(f"worker={value!r}: expected 'required', 'expected' or 'none'", field="worker")
    return cast("WorkerSetting", value)


def check_batch(executor: Executor | None, throttle: Throttle | None) -> None:
    """Raise :class:`BadInput` for an executor or a throttle that is none."""
    if executor is not None and (isinstance(executor, type) or not isinstance(executor, Executor)):
        raise BadInput(
            f"executor={executor!r}: expected None or an executor, such as LocalExecutor('shop:app')", field="executor"
        )
    if throttle is not None and not isinstance(throttle, Throttle):
        raise BadInput(f"throttle={throttle!r}: expected None or Throttle(...)", field="throttle")


def priced(book: Any) -> CostBook:
    """A cost book, read if it is a path, the example where there is none; raises :class:`BadInput` for what is none."""
    if book is None or isinstance(book, CostBook):
        return book or EXAMPLE
    if not isinstance(book, str | PathLike):
        raise BadInput(f"book={book!r}: expected the path of a cost book, a CostBook, or None", field="book")
    return read_book(Path(book), today=dt.datetime.now(dt.UTC).date())


def checked_journal(journal: Any) -> Journal | None:
    """Return the journal object of an app; raises :class:`BadInput` for an object without a journal's methods."""
    if journal is not None:
        check_object(
            journal,
            "append",
            "read",
            field="journal",
            error=BadInput,
            expected="a path, or an object with append and read",
        )
    found: Journal | None = journal
    return found


def checked_sources(sources: Any) -> tuple[Source, ...]:
    """Return the sources of an app; raises :class:`BadInput` unless each is a source."""
    if isinstance(sources, str) or not isinstance(sources, Iterable):
        raise BadInput(f"sources={sources!r}: expected a list of sources", field="sources")
    found = tuple(sources)
    for source in found:
        check_object(
            source,
            "provides",
            field="sources",
            error=BadInput,
            expected="a list of sources, such as SqliteSource",
        )
    return found
