"""The tokens that the generators of a computation report.

The prefix cache of each request is predicted and compared, and what it cost is billed to the owner of the prefix.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from parbake.ports.clock import Clock
from parbake.ports.usage import Usage
from parbake.serving import request as scope
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Prompt
from parbake_llm.prefix_caches.reconciled import Reconciliation
from parbake_llm.watching.places import cache_of
from parbake_llm.watching.prompt_watch import PromptWatch, Sent
from parbake_llm.watching.shares import split
from parbake_planner.ledger.ledger_writer import LedgerWriter

BATCH, PREFIX_LANE = "batch", "prefix"
"""The lanes in which what a cached prefix costs is booked: batch tokens have a price of their own."""


class TokenMeter:
    """Watches the requests that tasks send to generators."""

    def __init__(self, clock: Clock, ledger: LedgerWriter | None = None) -> None:
        """Begin with empty caches; ``ledger`` keeps what is used."""
        self.watch = PromptWatch()
        self._clock = clock
        self._ledger = ledger

    def send(self, lane: str, generator: Generator, prompt: Prompt) -> Sent:
        """Place the breakpoints of a prompt for a generator, and predict what is read of it.

        Args:
            lane: The lane that asks; :data:`PREFIX_LANE` for a warm-up.
            generator: What is asked.
            prompt: The prompt.
        """
        return self.watch.send(*cache_of(generator), prompt, now=self._clock.now(), is_warm_up=lane == PREFIX_LANE)

    def report(self, task: str, lane: str, generator: Generator, sent: Sent, last: Delta) -> None:
        """Book a finished generation.

        The cached tokens of a prefix are booked for the prefix's own task, in the lane ``prefix``, or ``batch`` if that
        is where it was sent. All other tokens are booked for the task that asked.

        Args:
            task: The task that asked for it.
            lane: The lane that the task runs in.
            generator: What was asked.
            sent: What was sent.
            last: The piece of the reply with the usage.
        """
        usage = last.usage or Usage()
        found = self.watch.report(sent, usage, last.prediction)
        prefix = sent.prompt.prefix
        if self._ledger is None or not (usage.input or usage.output):
            return
        if prefix and not sent.is_warm_up:
            tokens, shares = usage.input or 0, sent.shares
            sizes = (round(tokens * shares.shared), round(tokens * shares.stable), tokens)
            self._ledger.prompted(prefix, generator.name, sent.prompt.session, shares.digest, sizes)
        if prefix and (cause := last.told or _guessed(found)):
            self._ledger.cache_missed(prefix, generator.name, cause)
        of_prefix, rest = split(sent.shares.prefix, usage) if prefix else (Usage(), usage)
        if of_prefix.input is not None or any(
            (of_prefix.cache_read, of_prefix.cache_write, of_prefix.cache_write_hour)
        ):
            self._ledger.spent(prefix, lane if lane == BATCH else PREFIX_LANE, generator.name, of_prefix)
        self._ledger.spent(task, lane, generator.name, rest)

    def unreported(self, task: str, lane: str, generator: Generator) -> None:
        """Note a request of which no tokens were reported: it failed, or its reader left.

        Args:
            task: The task that asked for it.
            lane: The lane that the task runs in.
            generator: What was asked.
        """
        if self._ledger is not None:
            self._ledger.unreported(task, lane, generator.name)


def _guessed(found: Reconciliation | None) -> str:
    """Why a prompt was not read from a cache, by our own prediction; empty if it was, or if nothing was expected."""
    miss = None if found is None else found.miss
    return "" if miss is None else f"{miss.cause.value} {miss.name}".strip()


class Metered:
    """Wraps a generator, and reports its requests and tokens (see :class:`parbake_llm.ports.generator.Generator`)."""

    def __init__(self, generator: Generator, task: str, lane: str, meter: TokenMeter) -> None:
        """Wrap one for the time of a computation.

        Args:
            generator: The generator.
            task: The task that is computed.
            lane: The lane that computes it.
            meter: What the requests are reported to.
        """
        self.name = generator.name
        self.model, self.provider = getattr(generator, "model", ""), getattr(generator, "provider", "")
        self.calls_tools = bool(getattr(generator, "calls_tools", False))
        self._generator = generator
        self._task, self._lane, self._meter = task, lane, meter

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        call = scope.GeneratorCall(self.name, self._lane)
        if (request := scope.payer()) is not None:
            request.generations.append(call)
        sent = self._meter.send(self._lane, self._generator, prompt)
        try:
            async for delta in self._generator.stream(sent.prompt, max_tokens=max_tokens, timeout_s=timeout_s):
                if delta.usage is not None and delta.usage != Usage():
                    call.usage = delta.usage
                    self._meter.report(self._task, self._lane, self._generator, sent, delta)
                yield delta
        finally:
            if call.usage == Usage():
                self._meter.unreported(self._task, self._lane, self._generator)


def metered_generator(generator: Generator, task: str, lane: str, meter: TokenMeter) -> Generator:
    """Wrap a generator, or every member of a chain, because each has a cache and a price of its own.

    Args:
        generator: The generator.
        task: The task that is computed.
        lane: The lane that computes it.
        meter: What the requests are reported to.
    """
    wrapped: Callable[..., Generator] | None = getattr(generator, "wrapped", None)
    if wrapped is None:
        return Metered(generator, task, lane, meter)
    return wrapped(lambda member: Metered(member, task, lane, meter))
