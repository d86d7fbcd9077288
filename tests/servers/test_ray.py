"""The executor suite on a Ray cluster of this machine."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import parbake as pb
from parbake.adapters.ray import RayExecutor
from parbake.errors import OtherStore
from parbake.testing import executor_app
from parbake.testing.executor_suite import ExecutorSuite

ray = pytest.importorskip("ray", reason="ray is not installed")

CLUSTER = """
import ray, sys
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""
NOBODY = "127.0.0.1:1"


@pytest.fixture
def current(monkeypatch):
    """Return a function that names an address as Ray does for the current cluster: in a file and in the environment."""
    with tempfile.TemporaryDirectory(
        prefix="ray", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:  # short for sockets
        monkeypatch.setenv("RAY_TMPDIR", folder)

        def name(address):
            monkeypatch.setenv("RAY_ADDRESS", address)
            file = Path(folder, "ray", "ray_current_cluster")
            file.parent.mkdir(exist_ok=True)
            file.write_text(address)

        yield name


@pytest.fixture
def other(make_app, valkey_server, monkeypatch):
    """Return the address of a cluster of another process, whose environment names a store on a server, too."""
    monkeypatch.setenv(executor_app.STORE, f"{valkey_server.url}?prefix=ray")
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


async def test_a_cluster_that_was_left_behind_is_not_joined(current, tmp_path, monkeypatch):
    """Where Ray remembers a cluster that does not run any more, a run computes on a new one."""
    current(NOBODY)
    monkeypatch.setenv(executor_app.STORE, f"lmdb://{tmp_path}/store")
    executor = RayExecutor(executor_app.NAME, processes=2)
    app = pb.App(executor_app.tasks, store=os.environ[executor_app.STORE], batch=pb.Batch(executor=executor))
    run = await app.materialize(executor_app.weights)
    assert run.built[-1].rows == executor_app.KEYS
    await app.close()


@pytest.mark.slow
class TestRayExecutor(ExecutorSuite):
    """A cluster that ends with the app."""

    def make_executor(self, app):
        """Return an executor with two processes."""
        return RayExecutor(app, processes=2)

    async def test_only_a_named_cluster_is_joined(self, current, other, make_app):
        """Beside a running cluster a run computes on its own, and on the running one if its address is given."""
        current(other)
        joined = []
        for address in ("local", other):
            app = make_app(RayExecutor(executor_app.NAME, address=address))
            await app.materialize(executor_app.weights)
            joined.append(ray.get_runtime_context().gcs_address)
            await app.close()
        assert joined[0] != joined[1] == other

    async def test_a_node_that_opens_another_store_computes_nothing(self, other, make_app, valkey_server, monkeypatch):
        """A node whose environment names another store refuses its partitions, and nothing is promoted."""
        monkeypatch.setenv(executor_app.STORE, f"{valkey_server.url}?prefix=ours")
        app = make_app(RayExecutor(executor_app.NAME, address=other))
        with pytest.raises(OtherStore):
            await app.materialize(executor_app.weights)
        assert await app.ops.generation(executor_app.weights) == 0
        await app.close()
