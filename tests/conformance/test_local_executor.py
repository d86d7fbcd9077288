"""The executor suite on processes of this machine."""

from parbake.executors.local import LocalExecutor
from parbake.testing import ExecutorSuite


class TestLocalExecutor(ExecutorSuite):
    """A pool of processes."""

    maps_models = True

    def make_executor(self, app):
        """Two processes."""
        return LocalExecutor(app, processes=2)
