"""Several processes on this machine, with lower priority than everything else that runs there."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import tempfile
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from parbake.adapters import _child
from parbake.adapters._scratch import Scratch
from parbake.errors import BadInput, ComputeFailed
from parbake.process import forks
from parbake.values.checks import check_app_name, check_whole

NICE, _MOST_NICE = 10, 19
TRIES = 3
_log = logging.getLogger("parbake.adapters.local")


class LocalExecutor(forks.Forkable):
    """Computes partitions in a pool of processes; see :class:`parbake.ports.executors.Executor`.

    The processes import the app by its name, use its store directly, and share one memory-mapped file per model. The
    store must allow several processes.
    """

    is_local = True

    def __init__(self, app: str, *, processes: int = 2, nice: int = NICE) -> None:
        """Create the executor; processes start with the first partition.

        Args:
            app: The app as ``module:attribute``, as for ``parbake worker``.
            processes: Number of processes.
            nice: How much is added to the processes' niceness (0 to 19).

        Raises:
            BadInput: An argument is invalid.
        """
        check_app_name(app)
        check_whole(processes, field="processes", error=BadInput)
        check_whole(nice, field="nice", error=BadInput, least=0, most=_MOST_NICE)
        self.width = processes
        self._app = app
        self._nice = nice
        self._models: Scratch | None = None
        self._pool: _Pool | None = None
        forks.watch(self)

    def after_fork_in_child(self) -> None:
        """Start new processes at the next use; the parent's processes and their shared folder are left alone."""
        forks.abandon(self._models, self._pool)
        self._models = self._pool = None

    async def run(self, job: bytes) -> bytes:
        """Compute partitions; a killed process is replaced, and its partition repeated."""
        for _ in range(TRIES):
            pool, models = self._opened()
            try:
                return await pool.call(_child.ENTRY, self._app, str(models.path), job)
            except BrokenProcessPool:
                if pool.is_closed:
                    raise ComputeFailed("the executor was closed during the computation", field="executor") from None
                _log.warning("a process of the run ended; its partitions will be computed again")
                if self._pool is pool:  # only the first caller that notices replaces it; the others use the new pool
                    self._pool = None
                    pool.leave()
        raise ComputeFailed(
            f"the processes of {self._app} ended {TRIES} times over one partition; is there memory for "
            f"{self.width} of them, and can the script that runs this be imported (if __name__ == '__main__')?",
            field="processes",
        )

    async def close(self) -> None:
        """End the processes; abandoned computations are not finished."""
        pool, self._pool = self._pool, None
        models, self._models = self._models, None
        if pool is not None:
            await asyncio.to_thread(pool.close)
        if models is not None:
            await asyncio.to_thread(models.close)

    def _opened(self) -> tuple[_Pool, Scratch]:
        if self._models is not None and not self._models.path.is_dir():  # removed by a cleanup of old temporary files
            self._models.close()
            self._models = None
            if self._pool is not None:  # its processes use the folder that is gone
                self._pool.leave()
                self._pool = None
        if self._models is None:
            self._models = _made()
        if self._pool is None:
            self._pool = _Pool(self.width, self._nice)
        return self._pool, self._models


def _made() -> Scratch:
    try:
        return Scratch()
    except OSError as error:
        raise ComputeFailed(
            f"no folder for the processes' files can be made in {tempfile.gettempdir()} ({error.strerror}); make "
            "that folder, or set TMPDIR to one that exists",
            field="TMPDIR",
        ) from error


class _Pool:
    """Processes that can be ended during their work."""

    def __init__(self, width: int, nice: int) -> None:
        context = multiprocessing.get_context("spawn")
        theirs, self._lifeline = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(width, mp_context=context, initializer=_child.settle, initargs=(nice, theirs))
        self._theirs = theirs  # is passed to each new process
        self._calls: set[Future[bytes]] = set()
        self.is_closed = False

    async def call(self, *arguments: Any) -> bytes:
        """Compute a partition; raises ``BrokenProcessPool``."""
        with _child.uninterrupted():
            call = self._pool.submit(_child.call, *arguments)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return await asyncio.wrap_future(call)

    def leave(self) -> None:
        """Let a broken pool end by itself."""
        self._pool.shutdown(wait=False)

    def close(self) -> None:
        """End the processes and wait for them: busy ones are killed, idle ones shut down."""
        self.is_closed = True
        if self._calls:
            self._lifeline.close()
        self._pool.shutdown(cancel_futures=True)
        self._lifeline.close()
        self._theirs.close()
