"""The holder of a lease. If a holder on this machine has died, its lease is taken over at once and not at its end."""

from __future__ import annotations

import os
import socket
import uuid


def name() -> str:
    """A unique name for this process: its machine, its process id, and a random part."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex}"


def is_gone(holder: str) -> bool:
    """Whether a holder is a process of this machine that has ended; ``False`` for other machines and if in doubt.

    If two machines have the same name this may be wrong, and a run is computed twice. What is promoted is still safe.
    """
    host, _, rest = holder.partition("/")
    number = rest.partition("/")[0]
    if host != socket.gethostname() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
