"""The executor suite on a Ray cluster of this machine."""

import pytest

from parbake.adapters.ray import RayExecutor
from parbake.testing.executors import ExecutorSuite

pytest.importorskip("ray", reason="ray is not installed")


@pytest.mark.xdist_group("ray")
class TestRayExecutor(ExecutorSuite):
    """A cluster that ends with the app."""

    def make_executor(self, app):
        """Return an executor with two processes."""
        return RayExecutor(app, processes=2)
