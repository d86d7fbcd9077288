"""A Ray cluster: an existing one, or one on this machine as long as the app lives. Needs the extra ``ray``.

Partitions are Ray tasks and not rows of a Ray data set, because a run must know which partitions are durable to be
resumed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from parbake.adapters import _child
from parbake.errors import BadInput, ComputeFailed, MissingDependency
from parbake.process.loops import PerLoop
from parbake.values.checks import check_app_name, check_whole
from parbake.values.redaction import one_line

TRIES = 3
_STORE = "PARBAKE_STORE"
"""The variable by which a command was given another store than the app's: the cluster must open the same."""
OWN = "local"
"""Ray's word for a new cluster; without an address it joins the one that it started last on the machine, if any."""


class RayExecutor:
    """Computes partitions as Ray tasks; see :class:`parbake.ports.executors.Executor`.

    Every machine of the cluster needs the app's code, and must reach its store under the same URL. A store on the disk
    of one machine is therefore refused, unless the cluster is a new one on this machine.
    """

    def __init__(self, app: str, *, processes: int = 2, address: str = OWN) -> None:
        """Create the executor.

        Without an address, a new cluster is started on this machine, on loopback, and ends on close.

        Args:
            app: The app as ``module:attribute``.
            processes: Number of processes.
            address: The address of a cluster, such as ``ray://head:10001``.

        Raises:
            BadInput: An argument is invalid.
        """
        check_app_name(app)
        check_whole(processes, field="processes", error=BadInput)
        if not isinstance(address, str) or not address:
            raise BadInput(f"address={address!r} must be a text such as 'ray://head:10001'", field="address")
        self.width = processes
        self.is_local = address == OWN
        self._app = app
        self._address = address
        self._remote: Any = None
        self._starting = PerLoop(asyncio.Lock)

    async def run(self, job: bytes) -> bytes:
        """Compute partitions; Ray repeats those that it loses with a worker."""
        async with self._starting.here():
            if self._remote is None:
                self._remote = await asyncio.to_thread(self._start)
        ray = _ray()
        reference = self._remote.remote(_child.ENTRY, self._app, "", job)
        try:
            answer: bytes = await asyncio.wrap_future(reference.future())
        except ray.exceptions.RayError as error:
            raise ComputeFailed(
                f"the cluster gave up on a partition of {self._app}: {one_line(error)}", field="executor"
            ) from error
        except asyncio.CancelledError:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.cancel(reference)
            raise
        return answer

    async def close(self) -> None:
        """Disconnect from the cluster; a cluster that was started here ends."""
        if self._remote is not None:
            self._remote = None
            await asyncio.to_thread(_ray().shutdown)

    def _start(self) -> Any:
        ray = _ray()
        where = [str(Path.cwd()), *(entry for entry in sys.path if entry)]
        variables = {**dict.fromkeys(_child.BLAS, "1"), "PYTHONPATH": os.pathsep.join(dict.fromkeys(where))}
        variables |= {name: os.environ[name] for name in (_STORE,) if name in os.environ}
        options: dict[str, Any] = {
            "address": self._address, "runtime_env": {"env_vars": variables}, "log_to_driver": False,
        }  # fmt: skip
        if self._address == OWN:
            options |= {"num_cpus": self.width, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(ignore_reinit_error=True, **options)
        return ray.remote(num_cpus=1, max_retries=TRIES)(_child.call)


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise MissingDependency.of("this executor", "ray", field="ray") from error
    return ray
