"""The hook by which the app of a simulated process reports to the oracle."""

from __future__ import annotations

from collections.abc import Iterable

import parbake as pb
from parbake.protocol.cause import Reason
from simulator.processes.oracle import Oracle, reading
from simulator.world.process_state import ProcessState


class OracleHook(pb.Plugin[None]):
    """Reports what one process's app computes and misses, and traces it."""

    def __init__(self, oracle: Oracle, process: ProcessState) -> None:
        """Create the hook of a process."""
        self._oracle = oracle
        self._process = process

    def open(self, parts: pb.Parts) -> None:
        """Hear of computations, misses and events."""
        parts.on.hear(self)

    def computed(
        self,
        task: str,
        key: bytes,
        lane: str,
        seconds: float,
        *,
        outcome: str,
        cpu_s: float,  # noqa: ARG002 - the hook's signature
    ) -> None:
        """Report that a computation has ended.

        Args:
            task: The task's name.
            key: The encoded key.
            lane: The lane that computed.
            seconds: Duration, in seconds.
            outcome: How the computation ended.
            cpu_s: CPU seconds.
        """
        del lane, seconds
        self._oracle.single_flight.ends(self._process, task, key[1:].decode())
        self._say(f"{outcome} {task}({key[1:].decode()})")

    def missed(self, task: str, key: bytes, verdict: str, reason: Reason) -> None:
        """Record that the current read found no value to serve, and report why.

        Args:
            task: The task's name.
            key: The encoded key.
            verdict: The verdict on the stored value.
            reason: Why it was not served.
        """
        read = reading.get()
        if read is not None and (read.task, read.key) == (task, key[1:].decode()):
            read.missed = True
        self._oracle.missed(self._process, task, key, reason)
        self._say(f"misses {task}({key[1:].decode()}): {verdict} {reason}")

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """Trace the tags that an event has raised.

        Args:
            tags: The tags.
            duplicates: How many of its changes were known already.
            seconds: Duration until the acknowledgement, in seconds.
        """
        del duplicates, seconds
        if tags := list(tags):
            self._say(f"raised {' '.join(tags)}")

    def _say(self, what: str) -> None:
        self._process.world.say(f"{self._process.name} {what}")
