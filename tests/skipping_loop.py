"""An event loop for tests of what happens in which order and how often, whatever the machine's speed."""

import asyncio


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait for the next timer: its clock jumps there.

    While a thread of its executor works, the clock stands still and the loop waits for the thread.
    """

    def __init__(self):
        super().__init__()
        self._now = 0.0
        self._in_threads = 0
        select = self._selector.select

        def skip(timeout=None):
            if timeout is None or (timeout > 0 and self._in_threads):
                return select(None)
            self._now += timeout
            return select(0)

        self._selector.select = skip

    def time(self):
        """Return the time to which the loop has jumped, in seconds."""
        return self._now

    def run_in_executor(self, executor, func, *args):
        """Run a function in a thread, and let no time pass until it has returned."""
        self._in_threads += 1
        work = super().run_in_executor(executor, func, *args)
        work.add_done_callback(self._count_out)
        return work

    async def shutdown_default_executor(self, *_limit):
        """Wait for the executor's threads, with no limit: a limit would be jumped over."""
        await super().shutdown_default_executor()

    def _count_out(self, _work):
        self._in_threads -= 1
