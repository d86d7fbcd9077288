"""Whether a server is ready for requests, and which of its parts are degraded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from parbake.errors import ParbakeError
from parbake.lanes.event.ingest import Ingest
from parbake.lanes.worker.worker_watch import WorkerWatch
from parbake.ports.observers import gathered
from parbake.ports.store import Store
from parbake.serving.bound import BoundTask
from parbake.serving.warmup import Warmup


class Ready(msgspec.Struct, frozen=True):
    """Why a server is not ready for requests (``lacking``), and what is ``degraded`` without preventing them."""

    lacking: list[str]
    degraded: list[str]

    @property
    def is_ready(self) -> bool:
        """Whether nothing is lacking."""
        return not self.lacking


class Readiness:
    """Asks every part that a request depends on."""

    def __init__(
        self,
        store: Store,
        bound_tasks: Iterable[BoundTask],
        ingest: Ingest,
        warmup: Warmup,
        workers: WorkerWatch,
        *,
        lacking: Sequence[Callable[[], Iterable[str]]] = (),
    ) -> None:
        """Keep the parts that :meth:`look` asks; ``lacking`` are those of plugins."""
        self._lacking = tuple(lacking)
        self._store = store
        self._scheduled = [p for p in bound_tasks if p.task.schedule and not (p.chooses_keys or p.off)]
        self._ingest = ingest
        self._warmup = warmup
        self._workers = workers

    async def look(self) -> Ready:
        """Return what is lacking and what is degraded now; a source that cannot be polled is lacking."""
        try:
            control = (await self._store.stamp())[1]
            lacking = [bound.name for bound in self._scheduled if not control.pointer(bound.ref)]
            lacking += self._warmup.lacking
            told = gathered(self._lacking)
            lacking += [sentence for sentences in told for sentence in sentences]
            if len(told) < len(self._lacking):
                lacking.append("a plugin could not be asked what it lacks; the log has its error")
            await self._ingest.drain()
            return await self._with_workers(lacking)
        except ParbakeError as error:
            return Ready([str(error)], [])

    async def _with_workers(self, lacking: list[str]) -> Ready:
        """Add the state of the workers. A server is not ready before the first report; later silence degrades it."""
        if self._workers.setting == "none":
            return Ready(lacking, [])
        state = await self._workers.look()
        if not state.trouble:
            return Ready(lacking, [])
        if self._workers.setting == "required" and not state.has_reported:
            return Ready([*lacking, state.trouble], [])
        return Ready(lacking, [state.trouble])
