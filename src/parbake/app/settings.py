"""The settings of an app: checked once, before anything is opened, and frozen."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, TypedDict, cast

from parbake.app.plugin import Plugin
from parbake.errors import BadInput, DeclarationError
from parbake.lanes.batch.off_peak_windows import Declared, declared
from parbake.lanes.batch.throttle import Throttle
from parbake.lanes.event.recovery import FileJournal
from parbake.lanes.worker.worker_watch import WorkerSetting
from parbake.ports.alerts import AlertSink
from parbake.ports.clock import Clock
from parbake.ports.executors import Executor
from parbake.ports.generations import Journal
from parbake.ports.sources import Log, Source, Topic
from parbake.ports.store import Store
from parbake.protocol.tags import is_family
from parbake.tasks.registry import Registry
from parbake.tasks.task_types import Stored
from parbake.values.checks import check_flag, check_object
from parbake.values.duration import Duration, seconds


@dataclass(frozen=True)
class Batch:
    """How an app computes its batch runs.

    Attributes:
        executor: Computes partitions in other processes; ``None`` computes them in the worker itself.
        throttle: How much batch work may slow requests down; ``None`` sets no limit.
        off_peak: The windows of the day in which runs should start, such as ``"22:00-06:00"`` or a list of them.
            Without any, a plugin that counts requests learns them.
        zone: The time zone of the windows, by its IANA name.

    Raises:
        BadInput: A setting has another type, or a window or the zone cannot be read; the error names the field.
    """

    executor: Executor | None = None
    throttle: Throttle | None = Throttle()
    off_peak: str | Sequence[str] = ()
    zone: str = "UTC"
    windows: Declared | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the settings and read the windows."""
        _check_batch(self.executor, self.throttle)
        object.__setattr__(self, "windows", _windows(self.off_peak, self.zone))


@dataclass(frozen=True)
class Durability:
    """What is kept if a store loses its last writes.

    Stored values survive such a loss if every change can be read again from some source's outbox, and rollbacks from a
    journal. Otherwise all of them are discarded after it. parbake finds out whether they can, if ``replayable`` is
    ``None`` and there is a journal that all processes share:

    - The journal was there when the store was made, and still is: it has the last line that the store knows of.
    - The app's sources tell of every family that its tasks depend on, and it receives nothing from topics.
    - No change was ever acknowledged that is in no outbox: by ``touch``, over HTTP, from a topic, or by a complaint
      about a cached answer. The first one is noted in the journal before it is acknowledged. From then on this store's
      values are discarded after a loss.

    A process that cannot note such a change in the store's journal, because it has another one or none, refuses to
    acknowledge it, to roll back and to put a task in quarantine.

    Attributes:
        journal: The log of rollbacks and quarantines outside the store: the path of a file, or a journal. A relative
            path starts at the working directory of the process, so prefer an absolute one. On another disk than an
            LMDB store, it also tells that the store's whole disk was set back.
        replayable: Whether every change is in some source's outbox. ``None``: parbake finds out. ``True`` promises it,
            also for a store that was in use before its journal, and nothing is noted. ``False`` denies it for good, for
            all processes of the store; say it in all of them.

    Raises:
        BadInput: ``journal`` is an object without a journal's methods.
    """

    journal: Journal | str | PathLike[str] | None = None
    replayable: bool | None = None
    log: Journal | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        """Make the journal, whose file is created with its first entry."""
        object.__setattr__(self, "log", _journal(self.journal))


@dataclass(frozen=True)
class Settings:
    """The settings of an app, checked; times in seconds. See :class:`parbake.App` for their meaning."""

    tasks: Registry
    store: str | Store
    sources: tuple[Source, ...]
    events: tuple[Log | Topic | str, ...]
    open: tuple[str, ...]
    resources: Mapping[Any, Any]
    clock: Clock
    alerts: tuple[AlertSink, ...]
    plugins: tuple[Plugin[Any], ...]
    silence_limit_s: float
    endpoint_timeout_s: float
    heartbeat_s: float
    off: Mapping[str, str]
    batch: Batch
    durability: Durability
    worker: WorkerSetting


class Options(TypedDict, total=False):
    """The further settings of :class:`parbake.App`, by name; see there."""

    events: Sequence[Log | Topic | str]
    open: Sequence[str]
    clock: Clock | None
    alerts: Sequence[AlertSink]
    silence_limit: Duration
    endpoint_timeout: Duration | None
    heartbeat: Duration
    off: Mapping[str, str] | None
    batch: Batch
    durability: Durability
    worker: WorkerSetting
    strict: bool


ENDPOINT_TIMEOUT = "10s"


def endpoint_timeout(given: Duration | None) -> float:
    """Return the limit for an endpoint's reads in seconds, infinite for ``None``; raises :class:`ContractError`."""
    return float("inf") if given is None else seconds(given, field="endpoint_timeout")


def unknown(name: str) -> BadInput:
    """Return the error about a setting that the app does not have, with the name that was meant if one is near."""
    known = [*Options.__annotations__, "store", "sources", "resources", "plugins"]
    near = difflib.get_close_matches(name, known, n=1)
    advice = f"did you mean {near[0]}=?" if near else "what is not of the core is a plugin: App(plugins=[...])"
    return BadInput(f"App() has no setting {name!r}; {advice}", field=name)


def checked_store(store: Any) -> str | Store:
    """Return a store or its URL; raises :class:`BadInput` for any other value."""
    if not isinstance(store, str):
        check_object(
            store, "read", "stamp", field="store", error=BadInput,
            expected="a URL such as lmdb:///var/lib/shop, or a store",
        )  # fmt: skip
    found: str | Store = store
    return found


def checked_plugins(plugins: Any) -> tuple[Plugin[Any], ...]:
    """Return the plugins of an app; raises :class:`BadInput` unless each is one, and no two are of one class."""
    if not isinstance(plugins, list | tuple):
        raise BadInput(f"plugins={plugins!r}: expected a list of plugins", field="plugins")
    found = tuple(plugins)
    for plugin in found:
        if isinstance(plugin, type):
            raise BadInput(f"plugins holds the class {plugin.__name__}: write {plugin.__name__}(...)", field="plugins")
        if not isinstance(plugin, Plugin):
            raise BadInput(f"plugins holds {plugin!r}, which is not a parbake.Plugin", field="plugins")
        if sum(type(other) is type(plugin) for other in found) > 1:
            raise BadInput(f"plugins holds two of {type(plugin).__name__}; leave one of them out", field="plugins")
    return found


def sinks(alerts: Any) -> tuple[AlertSink, ...]:
    """Return the sinks of alerts; raises :class:`BadInput` if a value is not a sink."""
    expected = "a list of sinks, such as [parbake.adapters.log.LogSink()]"
    if not isinstance(alerts, Iterable) or isinstance(alerts, str | bytes):
        raise BadInput(f"alerts={alerts!r}: expected {expected}", field="alerts")
    found = tuple(alerts)
    for sink in found:
        check_object(sink, "send", field="alerts", error=BadInput, expected=expected)
    return found


def families(names: Any) -> tuple[str, ...]:
    """The tag families of ``open=``; raises :class:`BadInput` unless it is a list of families."""
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise BadInput(f"open={names!r}: expected a list of tag families, such as ['policy']", field="open")
    found = tuple(names)
    for name in found:
        if not is_family(name):
            raise BadInput(f"open holds {name!r}, which is not a tag family: write 'policy'", field="open")
    return found


def tasks_off(off: Any, tasks: Registry) -> dict[str, str]:
    """Return the tasks that cannot run; raises :class:`BadInput` unless each is declared and has a reason."""
    found = off or {}
    if not isinstance(found, Mapping):
        raise BadInput(f"off={off!r}: expected a reason by task, such as {{'reranker': 'no model file'}}", field="off")
    known = {task.name for task in tasks} if found else set()
    for name, reason in found.items():
        if name not in known:
            raise BadInput(f"off: no task is named {name!r}", field="off")
        if not isinstance(reason, str) or not reason.strip():
            raise BadInput(f"off[{name!r}]={reason!r}: say in a sentence why the task cannot run here", field="off")
    return dict(found)


def _windows(off_peak: str | Sequence[str], zone: str) -> Declared | None:
    """Return the declared off-peak windows; ``None`` without any. The time zone is always checked."""
    windows = declared(off_peak, zone) if off_peak or zone != "UTC" else None
    return windows if off_peak else None


def check_strict(strict: Any, tasks: Registry) -> None:
    """Raise :class:`DeclarationError` if a strict app has a task with a contract field that nobody stated."""
    check_flag(strict, field="strict", error=BadInput)
    for task in tasks if strict else ():
        if isinstance(task, Stored) and task.contract.defaulted:
            lacking = ", ".join(task.contract.defaulted)
            raise DeclarationError(
                f"{task.name} leaves {lacking} to defaults, which App(strict=True) refuses: declare it with "
                "@tasks.artifact and state them",
                field=task.contract.defaulted[0],
            )


def worker_setting(value: Any) -> WorkerSetting:
    """Return the setting ``worker=``; raises :class:`BadInput` for any other value."""
    if value not in ("expected", "none"):
        raise BadInput(f"worker={value!r}: expected 'expected' or 'none'", field="worker")
    return cast("WorkerSetting", value)


def _check_batch(executor: Executor | None, throttle: Throttle | None) -> None:
    """Raise :class:`BadInput` if a value is not an executor, or not a throttle."""
    if executor is not None and (isinstance(executor, type) or not isinstance(executor, Executor)):
        raise BadInput(
            f"executor={executor!r}: expected None or an executor, such as LocalExecutor('shop:app')", field="executor"
        )
    if throttle is not None and not isinstance(throttle, Throttle):
        raise BadInput(f"throttle={throttle!r}: expected None or Throttle(...)", field="throttle")


def _journal(journal: Any) -> Journal | None:
    """Return the journal that a setting names; raises :class:`BadInput` for an object without a journal's methods."""
    if isinstance(journal, str | PathLike):
        return FileJournal(os.fspath(journal))
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


def checked_group(value: Any, kind: type[Any], *, field: str) -> Any:
    """Return a group of settings.

    Args:
        value: The given value.
        kind: The class of the group.
        field: The name of the setting, for the error.

    Raises:
        BadInput: The value has another type.
    """
    if not isinstance(value, kind):
        raise BadInput(f"{field}={value!r}: expected pb.{kind.__name__}(...)", field=field)
    return value
