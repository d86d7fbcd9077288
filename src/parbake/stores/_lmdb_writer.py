"""The one thread of a process that writes to an LMDB file.

A commit waits for the disk. The steps that arrive in the meantime are committed together by the next commit. Each runs
in a child transaction of its own, so that a step that raises does not undo the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import lmdb

from parbake.errors import StoreError, StoreFull

T = TypeVar("T")
TOGETHER = 64
"""At most this many steps share a commit, so that the first step does not wait for all later ones."""
_LEAST_LEFT = 1 << 20
"""A disk with fewer free bytes counts as full."""


class LmdbTxn:
    """The protocol's transaction over an LMDB transaction. No other writer can change its data before it commits."""

    __slots__ = ("cursor", "delete", "get", "peek", "put")

    def __init__(self, txn: lmdb.Transaction[bytes]) -> None:
        self.get = self.peek = txn.get
        self.put = txn.put
        self.delete = txn.delete
        self.cursor = txn.cursor


Step: TypeAlias = Callable[[LmdbTxn], Any]
Waiting: TypeAlias = tuple[Step, "asyncio.Future[Any]"]
Outcome: TypeAlias = tuple[Any, BaseException | None]
"""A step's result, or its error."""


class MovedError(lmdb.Error):
    """Another file has taken the place of the one that a transaction has begun to write to."""


def check_room(env: lmdb.Environment, txn: lmdb.Transaction[bytes], room: int) -> None:
    """Raise ``MapFullError`` if a transaction takes more pages than there were, and more than there is room for.

    The map is larger than that, because a deletion needs new pages before it frees any.

    Args:
        env: The environment; it has the pages of the last commit.
        txn: The transaction, before its commit.
        room: How many bytes may be in use.
    """
    taken = _taken(txn)
    if taken > room and taken > _taken(env):
        raise lmdb.MapFullError(f"more than {room} bytes")


def _taken(of: lmdb.Transaction[bytes] | lmdb.Environment) -> int:
    """The bytes of all pages in use; two pages are LMDB's own."""
    found = of.stat()
    return found["psize"] * (2 + found["branch_pages"] + found["leaf_pages"] + found["overflow_pages"])


class Writer:
    """Commits steps in the order in which they arrive. They are durable when the call returns."""

    def __init__(
        self,
        env: Callable[[], lmdb.Environment],
        path: Path,
        failure: Callable[[lmdb.Error], StoreError],
        *,
        room: int,
        check: Callable[[lmdb.Transaction[bytes]], None],
        on_commit: Callable[[], None],
        follow: Callable[[], None],
    ) -> None:
        """Start the thread.

        Args:
            env: Returns the environment; called before each commit.
            path: The store's folder, for messages.
            check: Raises :class:`MovedError` unless the environment's file is the one in the folder, and another error
                of LMDB's if it must not be written to. It is called while this process has the lock, because a
                rewriting holds the lock until its file is in place: a commit that waited for the lock would otherwise
                be lost with the old file.
            on_commit: Called after each commit, before its callers are answered; may raise as ``check`` does.
            follow: Opens the file that has taken its place; raises :class:`StoreError` if there is none.
            failure: Returns the error to raise for one of LMDB's.
            room: How many bytes may be in use; only deletions may go beyond.
        """
        self._room = room
        self._env = env
        self._path = path
        self._failure = failure
        self._check, self._on_commit = check, on_commit
        self._follow = follow
        self._turn = threading.Lock()
        # LMDB has one writer at a time. With one thread, waiting writers do not block the default pool.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parbake-lmdb")
        self._waiting: deque[Waiting] = deque()
        self._is_open, self._process = True, os.getpid()

    async def run(self, step: Callable[[LmdbTxn], T]) -> T:
        """Run and commit a step, alone or with others. It may run twice and must have no other effect."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._must_be_open()
        self._waiting.append((step, future))
        self._thread.submit(self._commit)  # one call per step; it has nothing to do if an earlier call took the step
        return await future

    async def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write rows, sorted by name, so that neighbouring rows are written to the same page together."""

        def put(txn: LmdbTxn) -> None:
            with txn.cursor() as cursor:
                cursor.putmulti(sorted(rows, key=itemgetter(0)))

        self._must_be_open()
        # In a commit of its own: if the rows do not fit, other steps must not be undone with them.
        await asyncio.get_running_loop().run_in_executor(self._thread, self._alone, put)

    def run_now(self, step: Callable[[LmdbTxn], T]) -> T:
        """Run and commit a step in this thread; blocking."""
        self._must_be_open()
        return self._alone(step)

    def pause(self) -> None:
        """Wait for the current commit, and start no other before :meth:`go_on`."""
        self._turn.acquire()

    def go_on(self) -> None:
        """End a pause."""
        self._turn.release()

    def close(self) -> None:
        """Commit the waiting steps and stop."""
        self._is_open = False
        self._thread.shutdown()

    def _must_be_open(self) -> None:
        if not self._is_open:
            raise StoreError(f"{self._path} is closed", field="store")
        if os.getpid() != self._process:
            raise StoreError(
                f"{self._path} was opened before this process was forked; open it in the child", field="store"
            )

    def _commit(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER))]
        waiting = [(step, future) for step, future in waiting if not future.cancelled()]
        if len(waiting) > 1 and (outcomes := self._together([step for step, _ in waiting])) is not None:
            _tell([(future, outcome) for (_, future), outcome in zip(waiting, outcomes, strict=True)])
            return
        for step, future in waiting:
            _tell([(future, _outcome(partial(self._alone, step)))])

    def _together(self, steps: Sequence[Step]) -> list[Outcome] | None:
        """Run steps and commit them with one sync; ``None`` if LMDB failed and nothing was written."""
        try:
            with self._turn:
                with self._env().begin(write=True) as txn:
                    self._check(txn)
                    outcomes = [self._within(txn, step) for step in steps]
                self._on_commit()
        except lmdb.Error:
            return None
        return outcomes

    def _within(self, parent: lmdb.Transaction[bytes], step: Step) -> Outcome:
        """Run a step in a child transaction.

        An error of LMDB itself may not be the step's fault, so it ends the whole commit.
        """
        try:
            return self._stepped(step, parent), None
        except lmdb.Error:
            raise
        except BaseException as error:  # noqa: BLE001  # any error: the caller is waiting for the outcome
            return None, error

    def _stepped(self, step: Callable[[LmdbTxn], T], parent: lmdb.Transaction[bytes] | None = None) -> T:
        env = self._env()
        with env.begin(parent=parent, write=True) as txn:
            if parent is None:
                self._check(txn)
            found = step(LmdbTxn(txn))
            check_room(env, txn, self._room)
        if parent is None:
            self._on_commit()
        return found

    def _alone(self, step: Callable[[LmdbTxn], T]) -> T:
        try:
            with self._turn:
                try:
                    return self._stepped(step)
                except MovedError:
                    self._follow()
                    return self._stepped(step)
        except lmdb.MapFullError as error:
            raise StoreFull(
                f"{self._path} has reached its map size of {self._room} bytes; nothing was written. Open it with "
                "?map_size=... set higher",
                field="store.map_size",
            ) from error
        except lmdb.Error as error:
            left = _left(self._path)
            if left < _LEAST_LEFT:
                raise StoreFull(
                    f"the disk of {self._path} is full ({left} bytes left); nothing was written. Free some space, "
                    "or move the store",
                    field="store",
                ) from error
            raise self._failure(error) from error


def _left(path: object) -> int:
    """Free bytes on a path's disk."""
    try:
        found = os.statvfs(str(path))
    except OSError:
        return _LEAST_LEFT
    return found.f_bavail * found.f_frsize


def _outcome(run: Callable[[], Any]) -> Outcome:
    try:
        return run(), None
    except BaseException as error:  # noqa: BLE001  # any error: the caller is waiting for the outcome
        return None, error


def _tell(outcomes: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
    """Wake the waiting callers, with one call per event loop. A closed loop has no callers left."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Outcome]]] = {}
    for future, outcome in outcomes:
        by_loop.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, told in by_loop.items():
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, told)


def _settle(told: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
    for future, (result, error) in told:
        if future.done():  # cancelled in the meantime
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
