"""The executor suite on a Ray cluster of this machine."""

import pytest

from parbake.executors.ray import RayExecutor
from parbake.testing.executors import ExecutorSuite

pytest.importorskip("ray", reason="ray is not installed")


@pytest.mark.xdist_group("ray")
class TestRayExecutor(ExecutorSuite):
    """A cluster that lives as long as the app."""

    def make_executor(self, app):
        """Two processes."""
        return RayExecutor(app, processes=2)
