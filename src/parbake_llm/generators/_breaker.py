"""Circuit breakers: a provider that keeps failing is not asked for a while, and then tried with a single request."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial

from parbake.errors import FailureKind, ProviderError

AFTER = 3
_PATIENCE_S = 1.5
"""The least time without an answer, in seconds, after which a request is taken for one that hangs."""
_OFTEN, _REMEMBERED = 3.0, 20
"""How many times as long as the slowest of the last answers a request may take to begin, and of how many."""
_log = logging.getLogger("parbake_llm.generators")
_COOLDOWN_S = 30.0


class BreakerState(StrEnum):
    """Whether requests pass: all of them, none, or one to try."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """The circuit breaker of one model. Safe for many threads.

    It opens after a number of failures in a row, or at once if the key is rejected. After a cooldown one request may
    try; its success closes the breaker, and its failure opens it again. A request that the provider refuses
    (:attr:`FailureKind.REJECTED`) is the caller's fault, and counts as a success of the provider.

    As many requests that wait at the same time, one of them for too long, stop further ones as well, until one begins
    to be answered: to wait for their failure would let everybody wait who asks meanwhile. Too long is much longer than
    the last ones took to begin.

    Attributes:
        opened: How often it has opened.
        closed: How often it has closed again.
    """

    def __init__(
        self, *, after: int = AFTER, cooldown_s: float = _COOLDOWN_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Create a closed breaker.

        Args:
            after: The number of failures in a row that opens it.
            cooldown_s: How long it stays open before a request may try, in seconds.
            clock: A clock that never goes back, in seconds.
        """
        self.opened = self.closed = 0
        self._after, self._cooldown_s, self._clock = after, cooldown_s, clock
        self._failures = 0
        self._since: float | None = None
        """When it opened; ``None`` while it is closed."""
        self._tried: float | None = None
        """When the request that tries began."""
        self._silent: dict[object, float] = {}
        """When the requests began that nothing has answered yet."""
        self._took: deque[float] = deque(maxlen=_REMEMBERED)
        self._is_told = False
        self._lock = threading.Lock()

    @property
    def state(self) -> BreakerState:
        """The state at this moment."""
        if self._since is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._clock() - self._since >= self._cooldown_s else BreakerState.OPEN

    def allows(self) -> bool:
        """Whether a request may be made. One that may must report how it ended, or that it was given up."""
        with self._lock:
            state, now = self.state, self._clock()
            if state is not BreakerState.HALF_OPEN:
                return state is BreakerState.CLOSED and not self._hangs(now)
            if self._tried is not None and now - self._tried < self._cooldown_s:
                return False
            self._tried = now
            return True

    def _hangs(self, now: float) -> bool:
        """Whether so many requests wait for an answer, or failed in a row, and the oldest has waited for too long."""
        patience = max(_PATIENCE_S, _OFTEN * max(self._took, default=0.0))
        is_slow = bool(self._silent) and now - min(self._silent.values()) > patience
        return is_slow and len(self._silent) + self._failures >= self._after

    def _begun(self, request: object) -> None:
        """Something of an answer has arrived."""
        with self._lock:
            if (since := self._silent.pop(request, None)) is not None:
                self._took.append(self._clock() - since)

    def succeeded(self) -> None:
        """A request has succeeded."""
        with self._lock:
            self._failures = 0
            if self.state is BreakerState.HALF_OPEN:
                self._since = self._tried = None
                self.closed += 1

    def failed(self, kind: FailureKind = FailureKind.UNKNOWN) -> None:
        """A request has failed."""
        if kind is FailureKind.REJECTED:
            self.succeeded()
            return
        with self._lock:
            self._failures += 1
            state = self.state
            is_enough = self._failures >= self._after or kind is FailureKind.AUTH
            if state is BreakerState.HALF_OPEN or (state is BreakerState.CLOSED and is_enough):
                self._since, self._tried = self._clock(), None
                self.opened += 1

    @contextmanager
    def asking(self, label: str) -> Iterator[Callable[[], None]]:
        """Report how the request ends that is made within the block. One that is given up has no result.

        Args:
            label: Who is asked, for the error.

        Yields:
            What the block calls as soon as something of the answer has arrived.

        Raises:
            ProviderError: No request may be made now.
        """
        if not self.allows():
            message = f"{label} failed or hung too often just now, so it is not asked"
            raise ProviderError(message, field=label, kind=FailureKind.SKIPPED)
        is_trying, request = self.state is not BreakerState.CLOSED, object()
        with self._lock:
            self._silent[request] = self._clock()
        try:
            yield partial(self._begun, request)
            self.succeeded()
        except Exception as error:
            self.failed(kind_of(error))
            raise
        finally:
            with self._lock:
                self._silent.pop(request, None)
            if is_trying:
                self.given_up()
            self._tell(label)

    def _tell(self, label: str) -> None:
        """Log once that a provider is not asked any more, and once that it is asked again."""
        is_off = self._since is not None
        if is_off != self._is_told:
            self._is_told = is_off
            said = "is asked again" if not is_off else f"failed, and is not asked for {self._cooldown_s:g} s at a time"
            _log.warning("%s %s", label, said)

    def given_up(self) -> None:
        """A request ended without a result, so that another one may try."""
        with self._lock:
            self._tried = None


def kind_of(error: Exception) -> FailureKind:
    """The kind of failure that an error stands for."""
    if isinstance(error, ProviderError):
        return error.kind
    return FailureKind.TIMEOUT if isinstance(error, TimeoutError) else FailureKind.UNKNOWN


class Breakers:
    """One breaker for each provider and model, which chains may share."""

    def __init__(
        self, *, after: int = AFTER, cooldown_s: float = _COOLDOWN_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Create the collection; see :class:`Breaker`.

        Args:
            after: The number of failures in a row that opens a breaker.
            cooldown_s: How long a breaker stays open, in seconds.
            clock: A clock that never goes back, in seconds.
        """
        self._made: dict[tuple[str, str], Breaker] = {}
        self._make = partial(Breaker, after=after, cooldown_s=cooldown_s, clock=clock)

    def of(self, provider: str, model: str) -> Breaker:
        """The breaker of a model."""
        found = self._made.get((provider, model))
        return found or self._made.setdefault((provider, model), self._make())

    def states(self) -> dict[tuple[str, str], BreakerState]:
        """The state of each breaker by provider and model."""
        return {key: breaker.state for key, breaker in list(self._made.items())}
