"""Several processes on this machine, which give way to everything else that runs there."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from parbake.errors import BadInput, ComputeFailed
from parbake.executors import _child, _settings
from parbake.executors._scratch import Scratch
from parbake.settings import check_whole

NICE, MOST_NICE = 10, 19
TRIES = 3
_log = logging.getLogger("parbake.executors.local")


class LocalExecutor:
    """Computes partitions in a pool of processes; see :class:`parbake.ports.Executor`.

    The processes load the app by its name, read and write its store themselves, and share one mapped file per model.
    The store must be one that several processes can open.
    """

    def __init__(self, app: str, *, processes: int = 2, nice: int = NICE) -> None:
        """``app`` is ``module:attribute``, as for ``parbake worker``; nothing is started yet.

        ``nice`` is what is added to the processes' niceness (0 to 19). Raises :class:`BadInput`
        for what cannot be meant.
        """
        _settings.check(app, processes)
        check_whole(nice, field="nice", error=BadInput, least=0, most=MOST_NICE)
        self.width = processes
        self._app = app
        self._nice = nice
        self._models: Scratch | None = None
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, job: bytes) -> bytes:
        """See :class:`parbake.ports.Executor`; a process that was killed is replaced, and its partition repeated."""
        loop = asyncio.get_running_loop()
        for _ in range(TRIES):
            pool, models = self._opened()
            try:
                return await loop.run_in_executor(pool, _child.call, _child.ENTRY, self._app, str(models.path), job)
            except BrokenProcessPool:
                _log.warning("a process of the run ended; its partitions are computed again")
                if self._pool is pool:  # the first that notices; the others find the new one
                    self._pool = None
                    pool.shutdown(wait=False)
        raise ComputeFailed(
            f"the processes of {self._app} ended {TRIES} times over one partition; is there memory for "
            f"{self.width} of them, and can the script that runs this be imported (if __name__ == '__main__')?",
            field="processes",
        )

    async def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
            self._pool = None
        if self._models is not None:
            await asyncio.to_thread(self._models.close)
            self._models = None

    def _opened(self) -> tuple[ProcessPoolExecutor, Scratch]:
        if self._models is None:
            self._models = Scratch()
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.width,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_child.settle,
                initargs=(self._nice,),
            )
        return self._pool, self._models
