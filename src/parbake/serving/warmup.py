"""Loads resources and models before a process is ready, so that the first request does not wait for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable

from parbake.errors import NotMaterialized, StoreUnreachable
from parbake.ports.store import Store
from parbake.process.loops import forever
from parbake.process.threads import aside
from parbake.protocol.recording import Recording
from parbake.serving.bind import NO_CONTEXT, Binder
from parbake.serving.bound import BoundTask
from parbake.serving.read import Resolver
from parbake.tasks.task_types import ModelTask
from parbake.values.redaction import one_line

AGAIN_S = 1.0
LOADING = "models and resources are being loaded"
Step = Callable[[], Awaitable[None]]
_log = logging.getLogger("parbake.warm")


class Warmup:
    """Builds the lazy resources and decodes the models, once; afterwards it decodes newly promoted generations."""

    def __init__(self, store: Store, binder: Binder, resolver: Resolver, bound_tasks: Iterable[BoundTask]) -> None:
        """Load nothing yet. In a process that never calls :meth:`run`, ``lacking`` stays empty."""
        self._store = store
        self._binder = binder
        self._resolver = resolver
        self._models = [(p.task, p.ref) for p in bound_tasks if isinstance(p.task, ModelTask) and not p.off]
        self.lacking: list[str] = []
        """The parts that are not loaded yet, or the error of the last attempt; empty once all parts are loaded."""

    def run(self, steps: Iterable[Step] = ()) -> Coroutine[None, None, None]:
        """Load everything, then decode each newly promoted model, until cancelled.

        Args:
            steps: Further loaders of the application, called in order after the resources and models; one that raises
                is called again.
        """
        self.lacking = [LOADING]  # from this call on, not only once the coroutine runs
        return self._run(steps)

    async def _run(self, steps: Iterable[Step]) -> None:
        pending: list[Step] = [lambda: aside(self._binder.build), self._decode, *steps]
        while pending:
            try:
                await pending[0]()
                del pending[0]
                self.lacking = [LOADING] if pending else []
            except StoreUnreachable as error:  # all servers share that, so it keeps none of them from being ready
                self.lacking = []
                _log.debug("the store does not answer yet: %s", error)
                await asyncio.sleep(AGAIN_S)
            except Exception as error:  # noqa: BLE001 - a server that cannot load reports it, and tries again
                self.lacking = [one_line(error)]
                _log.debug("a part could not be loaded yet", exc_info=error)
                await asyncio.sleep(AGAIN_S)
        await forever(self._decode, AGAIN_S, what="the decoding of models ahead", log=_log)

    async def _decode(self) -> None:
        """Decode the current generation of every model that has one."""
        for task, ref in self._models:
            stamp, control = await self._store.stamp()
            if not control.pointer(ref):
                continue
            try:
                await self._resolver.read_model(task, control, Recording(stamp), NO_CONTEXT)
            except NotMaterialized as error:  # the generation is too old; its readers get the same error
                _log.debug("%s", error)
