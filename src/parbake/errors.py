"""Every error that parbake raises on purpose, with its HTTP status.

::

    ParbakeError             500
    |- DeclarationError      500  a task or contract that cannot work, found at registration
    |  |- ContractError           a field of a contract contradicts another
    |  |- RoleError               a parameter has no role, or two
    |  |- LaneError               a precomputed task reaches an input that exists only live
    |- RequestError          422  the request is wrong; nothing was written
    |  |- UnknownTask        404
    |  |- UnknownResource    404
    |  |- BodyTooLarge       413
    |  |- BadInput           422
    |- StoreError            503
    |  |- StoreUnreachable        its server does not answer
    |  |  |- DamagedStore         a page of its file is damaged
    |  |  |- OutdatedStore        an earlier store has come back in place of the current one
    |  |  |- TooManyWithoutStore  the store is away, and its sources have enough to do
    |  |- StoreFull               the map is full; names the setting that enlarges it
    |  |- ForeignStore            the file is corrupt, or was not written by parbake
    |  |- OtherStore              a process of an executor has opened another store than its run
    |  |- DamagedRecord           a record's bytes have changed; it counts as missing
    |  |- PromotionConflict  409  another run moved a pointer first
    |  |  |- RunLost         409  the store has lost rows of a run
    |  |- BlessingConflict   409  the store lost data again while its outboxes were replayed
    |- SourceError           503  a system of record cannot be read
    |  |- ForeignSource           the store was built from another outbox
    |  |- StoreWentBack           the source knows a later state of the store than the store itself
    |- NotAcknowledged       503  committed at the source, not yet raised in the store
    |- NotMaterialized       503  a model that no batch run has produced yet
    |- ComputeFailed         503  a task's function raised
    |- DeadlineExceeded      504
    |- GateFailed            500  a batch run was not promoted
    |- RunInProgress         409  another process works on a run of this task
    |- ProviderError         502  a model provider refused or broke off
    |- MissingDependency     500  an optional package is absent; names the extra
"""

from __future__ import annotations

import re
from enum import StrEnum


class ParbakeError(Exception):
    """Base of all parbake errors.

    ``field`` names the invalid setting, parameter or JSON member (empty if there is none); ``status`` is the HTTP
    status of the error's answer, and ``headers`` are the headers that the answer needs. ``others`` are further errors
    that were found together with this one.
    """

    status = 500
    title = "Internal error"
    headers: tuple[tuple[str, str], ...] = ()
    others: tuple[ParbakeError, ...] = ()

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field

    def __init_subclass__(cls) -> None:
        """Make a title of the class's name, unless the class has a title of its own."""
        if "title" not in vars(cls):
            cls.title = re.sub(r"(?<=.)[A-Z]", lambda letter: f" {letter[0].lower()}", cls.__name__)


class DeclarationError(ParbakeError):
    """A declaration that can never work; raised while tasks are being registered."""

    title = "Bad declaration"


class ContractError(DeclarationError):
    """A contract field is missing, malformed, or contradicts another."""


class RoleError(DeclarationError):
    """A parameter of a task has no role."""


class LaneError(DeclarationError):
    """A task that is computed ahead reaches an input that exists only at request time."""


class RequestError(ParbakeError):
    """The caller's request cannot be used; nothing was written."""

    status = 422
    title = "Bad request"


class UnknownTask(RequestError):
    """No task of that name is registered."""

    status = 404


class UnknownResource(RequestError):
    """The thing that was asked for does not exist."""

    status = 404
    title = "Not found"


class BodyTooLarge(RequestError):
    """The request body is over the limit."""

    status = 413


class BadInput(RequestError):
    """A field has the wrong type or an impossible value."""


class StoreError(ParbakeError):
    """The artifact store cannot answer.

    ``is_outage`` says whether a request may be answered without the store meanwhile. A mistake in the settings, a write
    that another one has overtaken, and sources that have enough to do are no outage.
    """

    status = 503
    title = "Store unavailable"
    is_outage = True


class StoreUnreachable(StoreError):
    """The store's server does not answer."""


class DamagedStore(StoreUnreachable):
    """A page of the store's file is damaged; a worker sets the file aside, and an empty store takes its place."""


class OutdatedStore(StoreUnreachable):
    """A store has come back that another one had replaced: it may lack changes that the other has acknowledged."""


class TooManyWithoutStore(StoreUnreachable):
    """The store is away, and as many values are computed from their sources already as may be at once; ask again."""

    is_outage = False

    def __init__(self, message: str, *, field: str = "", after_s: int = 1) -> None:
        """Create the error; ``after_s`` are the seconds after which to ask again."""
        super().__init__(message, field=field)
        self.headers = (("retry-after", str(after_s)),)


class StoreFull(StoreError):
    """The store has reached its configured size; the write was not made."""


class ForeignStore(StoreError):
    """The store's file is corrupt, or was not written by parbake."""

    is_outage = False


class DamagedRecord(StoreError):
    """The bytes of a stored record have changed; it counts as missing."""


class OtherStore(StoreError):
    """A process that computes for a run has opened another store than the run's; it wrote nothing."""


class PromotionConflict(StoreError):
    """Another run moved one of the pointers since this run read them."""

    status = 409
    is_outage = False


class RunLost(PromotionConflict):
    """The store has lost rows of a run, for example because it was emptied; another run begins again."""


class BlessingConflict(StoreError):
    """The store moved to another incarnation while the earlier one was being recovered."""

    status = 409


class SourceError(ParbakeError):
    """A system of record cannot be read."""

    status = 503
    title = "Source unavailable"


class ForeignSource(SourceError):
    """The store was built from another outbox than the source's, so its content says nothing about this source."""


class StoreWentBack(SourceError):
    """The store has reported more to a source than it knows now, as after the restore of an older copy of the store."""


class NotAcknowledged(ParbakeError):
    """The source committed the change, but its tags are not raised yet; the outbox will raise them later."""

    status = 503
    title = "Committed, not acknowledged"


class NotMaterialized(ParbakeError):
    """There is no value to use: a model has no promoted generation yet, or an input has no row for the key."""

    status = 503


class ComputeFailed(ParbakeError):
    """A task's function raised; the cause is chained."""

    status = 503


class DeadlineExceeded(ParbakeError):
    """The read's deadline passed before there was a value that the contract allows."""

    status = 504


class GateFailed(ParbakeError):
    """A batch run did not pass its gates; the previous generation stays."""


class RunInProgress(ParbakeError):
    """Another process works on a batch run of this task; wait for it, or for its lease to end."""

    status = 409


class ServerFailed(ParbakeError):
    """A server process could not start, and has said why."""


class PortTaken(ParbakeError):
    """Another process listens on the port."""

    @classmethod
    def at(cls, host: str, port: int, error: Exception, *, field: str) -> PortTaken:
        """Make the error for a port that cannot be bound.

        Args:
            host: The address.
            port: The port.
            error: Why it could not be bound.
            field: The setting to name.
        """
        why = getattr(error, "strerror", None) or error
        return cls(f"port {port} on {host} cannot be used ({why}); choose another", field=field)


class FailureKind(StrEnum):
    """Why a model provider gave no whole reply."""

    AUTH = "auth"
    """It rejected the key, or the key may not use the model."""
    REJECTED = "rejected"
    """It refused the request itself, which would fail again."""
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    """It failed on its side, or asked to try again."""
    UNREACHABLE = "unreachable"
    """There was no connection, or it broke before there was any response."""
    TIMEOUT = "timeout"
    """The deadline passed before the reply was whole."""
    CUT = "cut"
    """The stream ended before the reply did."""
    MALFORMED = "malformed"
    """The reply cannot be read."""
    TOO_LONG = "too_long"
    """The reply went on far beyond the length that was asked for."""
    SKIPPED = "skipped"
    """It was not asked, because it failed too often just now."""
    UNKNOWN = "unknown"


class ProviderError(ParbakeError):
    """A model provider refused, failed, or broke off; ``kind`` says why."""

    status = 502

    def __init__(self, message: str, *, field: str = "", kind: FailureKind = FailureKind.UNKNOWN) -> None:
        super().__init__(message, field=field)
        self.kind = kind


class MissingDependency(ParbakeError):
    """An optional package is not installed; the message names the command that installs it."""

    @classmethod
    def of(cls, what: str, extra: str, *, field: str) -> MissingDependency:
        """Make the error that says which extra contains a missing package.

        Args:
            what: What needs the package, as a singular subject, such as ``"planning"``.
            extra: The extra of parbake's distribution that contains the package.
            field: The name of the missing package.
        """
        return cls(
            f"{what} needs {field}, which is not installed; in a clone of parbake, run: pip install '.[{extra}]'",
            field=field,
        )
