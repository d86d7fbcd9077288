"""What a process loads before it is ready, so that the first request does not wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable

from parbake.declare.tasks import ModelTask
from parbake.errors import NotMaterialized
from parbake.fence.recording import Recording
from parbake.ports.store import Store
from parbake.process.threads import aside
from parbake.serving.bind import NO_CONTEXT, Binder
from parbake.serving.bound import BoundTask
from parbake.serving.read import Resolver
from parbake.values.redaction import one_line

AGAIN_S = 1.0
LOADING = "models and resources are being loaded"
Step = Callable[[], Awaitable[None]]
_log = logging.getLogger("parbake.warm")


class Warmup:
    """Builds the lazy resources and decodes the models, once; afterwards it decodes what newer runs promote."""

    def __init__(self, store: Store, binder: Binder, resolver: Resolver, bound_tasks: Iterable[BoundTask]) -> None:
        """Load nothing yet; a process that never runs it lacks nothing."""
        self._store = store
        self._binder = binder
        self._resolver = resolver
        self._models = [(p.task, p.ref) for p in bound_tasks if isinstance(p.task, ModelTask) and not p.off]
        self.lacking: list[str] = []
        """What is not loaded yet, and why; empty once all is."""

    def run(self, steps: Iterable[Step] = ()) -> Coroutine[None, None, None]:
        """Load until all is there, then keep the models in step, until cancelled.

        Args:
            steps: What an application loads besides, called in order after the resources and models; one that
                raises is called again.
        """
        self.lacking = [LOADING]  # from now on, not from when the coroutine is first run
        return self._run(steps)

    async def _run(self, steps: Iterable[Step]) -> None:
        pending: list[Step] = [lambda: aside(self._binder.build), self._decode, *steps]
        while pending:
            try:
                await pending[0]()
                del pending[0]
                self.lacking = [LOADING] if pending else []
            except Exception as error:  # noqa: BLE001 - a server that cannot load says so, and tries again
                self.lacking = [one_line(error)]
                _log.debug("a part could not be loaded yet", exc_info=error)
                await asyncio.sleep(AGAIN_S)
        while True:
            await asyncio.sleep(AGAIN_S)
            try:
                await self._decode()
            except Exception as error:  # noqa: BLE001 - the request that needs the model hears it too
                _log.warning("a model could not be decoded ahead: %s", one_line(error))

    async def _decode(self) -> None:
        """Decode the current generation of every model; what has none is decoded once it has."""
        for task, ref in self._models:
            stamp, control = await self._store.stamp()
            if not control.pointer(ref):
                continue
            try:
                await self._resolver.read_model(task, control, Recording(stamp), NO_CONTEXT)
            except NotMaterialized as error:  # past its time: its readers are told so too
                _log.debug("%s", error)
