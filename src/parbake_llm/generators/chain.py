"""Generators in a row: if one fails before any of its reply was passed on, the next one is asked.

::

    llm = chain(
        "anthropic -> llama -> extractive",
        available={
            "anthropic": AnthropicGenerator.from_environment,
            "llama": LlamaGenerator,
            "extractive": Extractive,
        },
    )
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from parbake.errors import DeclarationError, FailureKind, ParbakeError, ProviderError
from parbake_llm.generators._breaker import Breaker, Breakers, BreakerState
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Prompt
from parbake_semantic.guard.release import sentences

__all__ = ["Breaker", "BreakerState", "Breakers", "Chain", "chain"]

Hold = Literal["piece", "sentence"]
"""What is held back until it is whole, so that the next generator can still take over."""
_RESERVE = 0.25
"""The share of the deadline that is kept for each later generator."""
_RESERVES = {"extractive": 0.02}
"""The shares of generators that need less, by name."""
_LEAST_RESERVE_S = 0.1
"""At least so many seconds are kept for each later generator (if the deadline allows it): a busy loop wakes up late."""
_ARROW = "->"


class _Member(NamedTuple):
    label: str
    generator: Generator
    breaker: Breaker
    reserve: float


class Chain:
    """A generator that asks others in order.

    Each piece of a reply names the one that wrote it (``Delta.model``). Once a piece was passed on, a failure is
    raised: what was shown is not taken back.

    Attributes:
        failovers: How often each generator was passed over, by its name and the kind of failure.
        answered: How many whole replies each generator wrote, by its name.
    """

    name = "chain"

    def __init__(
        self,
        members: Sequence[Generator] | Mapping[str, Generator],
        *,
        breakers: Breakers | None = None,
        hold: Hold = "piece",
        reserves: Mapping[str, float] | None = None,
    ) -> None:
        """Create the chain.

        Args:
            members: The generators in order, by the names that replies are marked with if not their own.
            breakers: The circuit breakers by provider and model, which stand in for those that generators have
                themselves; chains that share them learn from each other.
            hold: What is held back before anything is passed on: the first ``piece``, or the first whole ``sentence``.
            reserves: The share of the deadline that is kept for a later generator, by its name; else a quarter, and
                2 % for ``extractive``.

        Raises:
            DeclarationError: There is no member, two have the same name, or ``hold`` is unknown.
        """
        named = list(members.items()) if isinstance(members, Mapping) else [(each.name, each) for each in members]
        if not named or len({label for label, _ in named}) < len(named):
            message = "a chain needs one or more generators with different names; pass a mapping to name them"
            raise DeclarationError(message, field="members")
        if hold not in get_args(Hold):
            raise DeclarationError(f"hold={hold!r} must be one of {', '.join(get_args(Hold))}", field="hold")
        self.breakers, shares = breakers or Breakers(), _RESERVES | dict(reserves or {})
        self.failovers: Counter[tuple[str, FailureKind]] = Counter()
        self.answered: Counter[str] = Counter()
        self._hold = hold
        self._members = [
            _Member(label, _unguarded(each), self.breakers.of(*_identity(each, label)), shares.get(label, _RESERVE))
            for label, each in named
        ]

    def wrapped(self, wrap: Callable[[Generator], Generator]) -> Chain:
        """The same chain over wrapped generators; breakers and counts are shared with this one."""
        found = copy.copy(self)
        vars(found)["_members"] = [m._replace(generator=wrap(m.generator)) for m in self._members]
        return found

    @property
    def members(self) -> Mapping[str, Generator]:
        """The generators in order, by the names that replies are marked with."""
        return {member.label: member.generator for member in self._members}

    @property
    def calls_tools(self) -> bool:
        """Whether any of them calls tools."""
        return any(_calls_tools(member.generator) for member in self._members)

    def __repr__(self) -> str:
        """The names in order."""
        return f"Chain({f' {_ARROW} '.join(member.label for member in self._members)})"

    def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Stream the reply of the first generator that gives one. The time begins with this call.

        Args:
            prompt: What the model is sent.
            max_tokens: The greatest length of the reply.
            timeout_s: The time for all attempts together, in seconds.

        Raises:
            ProviderError: The last generator failed, or one failed in the middle of its reply.
        """
        return self._stream(prompt, max_tokens, time.monotonic() + timeout_s, timeout_s)

    async def aclose(self) -> None:
        """Close the generators that can be closed."""
        for member in self._members:
            if (close := getattr(member.generator, "aclose", None)) is not None:
                await close()

    async def _stream(
        self, prompt: Prompt, max_tokens: int, end: float, timeout_s: float
    ) -> AsyncGenerator[Delta, None]:
        failed, is_released = _nobody(prompt), False
        members = [member for member in self._members if not prompt.tools or _calls_tools(member.generator)]
        for at, member in enumerate(members):
            first_s = self._first_s(members[at + 1 :], end - time.monotonic(), timeout_s)
            try:
                async with contextlib.aclosing(self._reply(member, prompt, max_tokens, end, first_s)) as pieces:
                    async for delta in pieces:
                        is_released = True
                        yield delta
            except Exception as error:  # noqa: BLE001  # of the last generator it is raised below
                failed = _failure(member.label, error)
            else:
                self.answered[member.label] += 1
                return
            if is_released:
                break
            self.failovers[member.label, failed.kind] += 1
        raise failed

    async def _reply(
        self, member: _Member, prompt: Prompt, max_tokens: int, end: float, first_s: float
    ) -> AsyncGenerator[Delta, None]:
        """The reply of one generator, marked, from the moment on when enough of it is there."""
        with member.breaker.asking(member.label) as begun:
            async with _closing(member.generator.stream(prompt, max_tokens=max_tokens, timeout_s=_left(end))) as pieces:
                async for delta in self._released(pieces, end, first_s):
                    begun()
                    yield msgspec.structs.replace(delta, model=delta.model or member.label)

    async def _released(self, pieces: AsyncIterator[Delta], end: float, first_s: float) -> AsyncGenerator[Delta, None]:
        """Yield what was held back, in time for the next generator to take over, and then each piece as it comes."""
        held: list[Delta] = []
        async with asyncio.timeout(first_s):
            while (delta := await anext(pieces, None)) is not None:
                held.append(delta)
                if self._is_enough(held):
                    break
        for delta in held:
            yield delta
        while True:
            async with asyncio.timeout(_left(end)):
                delta = await anext(pieces, None)
            if delta is None:
                return
            yield delta

    def _is_enough(self, held: list[Delta]) -> bool:
        is_text = self._hold == "piece" and any(delta.text for delta in held)
        if is_text or held[-1].call is not None or held[-1].usage is not None:
            return True
        return self._hold == "sentence" and len(sentences("".join(delta.text for delta in held))) > 1

    def _first_s(self, others: Sequence[_Member], left: float, timeout_s: float) -> float:
        """How long a generator may take until something can be passed on, in seconds, for ``others`` to come after."""
        later = [member for member in others if member.breaker.state is not BreakerState.OPEN]
        least = min(_LEAST_RESERVE_S, _RESERVE * timeout_s)
        kept = sum(max(member.reserve * timeout_s, least) for member in later)
        return max(0.0, left - kept, left / (len(later) + 1))


def chain(
    line: str, available: Mapping[str, Generator | Callable[[], Generator]], *, breakers: Breakers | None = None,
    hold: Hold = "piece",
) -> Chain:  # fmt: skip
    """Make a chain from one line, such as ``"anthropic -> llama -> extractive"``.

    Args:
        line: The names in order.
        available: The generators by name, or functions that make them; only those in the line are made.
        breakers: See :class:`Chain`.
        hold: See :class:`Chain`.

    Raises:
        DeclarationError: The line has a name that is not available, or one twice.
        ProviderError: A generator cannot be made, for example because its key is missing.
    """
    names = [name.strip() for name in line.split(_ARROW)]
    for name in names:
        if name not in available:
            known = ", ".join(sorted(available))
            raise DeclarationError(f"the chain names {name!r}, which is not available; use: {known}", field="chain")
    if len(set(names)) < len(names):
        raise DeclarationError("a chain must name each generator once", field="chain")
    return Chain({name: _made(available[name]) for name in names}, breakers=breakers, hold=hold)


def _made(found: Generator | Callable[[], Generator]) -> Generator:
    is_generator = hasattr(found, "stream") and not isinstance(found, type)
    made: Any = found if is_generator else found()  # type: ignore[operator]  # it has no method stream, so it makes one
    return made  # type: ignore[no-any-return]  # a function that makes a generator returns one


def _calls_tools(generator: Generator) -> bool:
    return bool(getattr(generator, "calls_tools", False))


def _unguarded(generator: Generator) -> Generator:
    """The generator without a breaker of its own, since the chain's stands before it."""
    without: Callable[[], Generator] | None = getattr(generator, "unguarded", None)
    return generator if without is None else without()


def _nobody(prompt: Prompt) -> ProviderError:
    """The error if no generator was asked."""
    if prompt.tools:
        return ProviderError("no generator of the chain calls tools", field="chain", kind=FailureKind.REJECTED)
    return ProviderError("no generator was asked", field="chain")


def _identity(generator: Generator, label: str) -> tuple[str, str]:
    """The provider and the model, as far as a generator has them."""
    return str(getattr(generator, "provider", label)), str(getattr(generator, "model", ""))


def _failure(label: str, error: Exception) -> ProviderError:
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, TimeoutError):
        return ProviderError(f"{label} did not reply in time", field=label, kind=FailureKind.TIMEOUT)
    said = f": {error}" if isinstance(error, ParbakeError) else ""  # what others say may contain secrets
    return ProviderError(f"{label} failed with {type(error).__name__}{said}", field=label)


def _left(end: float) -> float:
    return max(0.0, end - time.monotonic())


@contextlib.asynccontextmanager
async def _closing(pieces: AsyncIterator[Delta]) -> AsyncIterator[AsyncIterator[Delta]]:
    """Close a stream at the end, if it can be closed."""
    try:
        yield pieces
    finally:
        if (close := getattr(pieces, "aclose", None)) is not None:
            await close()
