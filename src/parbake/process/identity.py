"""Who holds a lease, so that a process that died on this machine is succeeded at once and not when its lease ends."""

from __future__ import annotations

import os
import socket
import uuid


def name() -> str:
    """A name for this process that no other holder has: its machine, its number there, and something random."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex}"


def is_gone(holder: str) -> bool:
    """Whether a holder is a process of this machine that has ended. Of others, and where in doubt, nobody can tell.

    Where two machines share a name this errs, and a run is computed twice; what is promoted is safe all the same.
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
