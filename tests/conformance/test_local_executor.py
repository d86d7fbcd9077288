"""The executor suite on processes of this machine."""

import asyncio
import os
from pathlib import Path

import pytest
from tests.waiting import HANGS_S

import parbake as pb
from parbake.adapters import _child
from parbake.adapters.local import LocalExecutor
from parbake.testing import executor_app as suite
from parbake.testing.executor_suite import ExecutorSuite


class TestLocalExecutor(ExecutorSuite):
    """A pool of processes."""

    maps_models = True

    def make_executor(self, app):
        """Return an executor with two processes."""
        return LocalExecutor(app, processes=2)

    async def test_closing_ends_what_is_being_computed(self, app, monkeypatch):
        """Closing the executor fails a running computation at once."""
        monkeypatch.setenv(suite.PACE, "3600")
        reached = asyncio.Event()
        running = asyncio.create_task(
            app.materialize(suite.weights, progress=lambda task, *_: reached.set() if task == "rows" else None)
        )
        await reached.wait()
        await asyncio.sleep(0.2)  # until the first partitions are running
        async with asyncio.timeout(HANGS_S):
            await app.settings.batch.executor.close()
            with pytest.raises(pb.errors.ComputeFailed, match="closed during the computation"):
                await running

    async def test_its_processes_give_way_to_other_sessions(self, app):
        """If the kernel groups processes by session, each process has its own session with niceness 10."""
        if not _child.has_groups():
            pytest.skip("this kernel does not group processes by session")
        await app.materialize(suite.weights)
        processes = {served.value.process for key in range(5) if (served := await app.serve(suite.rows, key))}
        for process in processes:
            group = await asyncio.to_thread(Path(f"/proc/{process}/autogroup").read_text)
            assert group.split()[1:] == ["nice", "10"]
            assert os.getsid(process) == process
