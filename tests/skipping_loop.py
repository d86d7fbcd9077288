"""An event loop for tests of what happens in which order and how often, whatever the machine's speed."""

import asyncio


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait for the next timer: its clock jumps there."""

    def __init__(self):
        super().__init__()
        self._now, look = 0.0, self._selector.select

        def skip(timeout=None):
            self._now += timeout or 0.0
            return look(0)

        self._selector.select = skip

    def time(self):
        """Return the time to which the loop has jumped, in seconds."""
        return self._now
