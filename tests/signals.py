"""Start processes with a known disposition of SIGINT, which children inherit from whoever runs the tests."""

import contextlib
import signal


@contextlib.contextmanager
def born_with(disposition):
    """Start processes in the body, with ``SIG_DFL`` as from a terminal or ``SIG_IGN`` as behind ``&`` in a script."""
    before = signal.signal(signal.SIGINT, disposition)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
