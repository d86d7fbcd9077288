"""The port for delivering alerts, and the kinds of alerts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec


class AlertKind(NamedTuple):
    """What a kind of alert means: when it is sent, by which process, what to do, and which kind it ends, if any."""

    when: str
    sender: str
    action: str
    ends: str = ""


class Alert(msgspec.Struct, frozen=True):
    """A message to a contract's owner.

    Attributes:
        kind: One of the kinds of the alert reference.
        task: The task that it concerns; empty if it concerns the whole store.
        owner: Who gets it.
        message: One sentence.
        at: When it was sent, in epoch seconds.
        dedupe_key: Equal for alerts about the same trouble, from whichever process, and for the alert that ends it.
            Left empty, it is made of the kind, the task and the owner. What is sent begins with a digest of the
            store's URL.
    """

    kind: str
    task: str
    owner: str
    message: str
    at: float
    dedupe_key: str = ""


class AlertSink(Protocol):
    """Delivers alerts."""

    async def send(self, alert: Alert) -> None:
        """Deliver one alert. The caller logs a failure and goes on."""
        ...


REPEATED_S = 900.0
"""Seconds after which the same alert is sent again."""
_WORKER, _SERVERS = "the worker", "each server, once"
KINDS: Mapping[str, AlertKind] = {
    "stale": AlertKind(
        "The current generation of a task is older than its SLA.",
        "one process",
        "Look at `parbake runs`: a run fails, takes too long, or no worker runs.",
    ),
    "recovered": AlertKind("The task is within its SLA again.", "one process", "Nothing.", "stale"),
    "gate_failed": AlertKind(
        "A gate has refused a new generation; the previous one stays current.",
        _WORKER,
        "Read the reason in the message, and mend the data or the gate.",
    ),
    "run_failed": AlertKind(
        "A batch run has failed. It is tried again every half minute, and the alert is repeated after 15 minutes.",
        _WORKER,
        "Read the reason in the message. The log of the worker has the traceback at level DEBUG.",
    ),
    "quarantined": AlertKind(
        "A complaint has put a task in quarantine.",
        "the process that took the complaint",
        "Look at the answer, mend its cause, then `parbake quarantine clear`.",
    ),
    "worker_silent": AlertKind(
        "No worker has reported for 15 seconds: nothing is refreshed ahead or on events.",
        _SERVERS,
        "Start a worker, or look why it hangs.",
    ),
    "worker_back": AlertKind("A worker reports again.", _SERVERS, "Nothing.", "worker_silent"),
    "source_silent": AlertKind(
        "No poll has reached the end of a source within the silence limit, so its families are unknown. It is sent at "
        "once if the source is not the one that the store was built from, such as a restored copy: its changes are not "
        "acknowledged any more, and its families are unknown after the silence limit.",
        _SERVERS,
        "Look whether the database or the topic can be reached; the message has the last error. Contracts say what is "
        "served until then. If the source is another one: restore it, or `parbake events restart APP SOURCE`.",
    ),
    "source_back": AlertKind("The source is read to its end again.", _SERVERS, "Nothing.", "source_silent"),
    "store_silent": AlertKind("The store does not answer.", _SERVERS, "Look at the store's server and at the network."),
    "store_back": AlertKind(
        "The store answers again, and is trusted. The message says whether what it held was kept.",
        _SERVERS,
        "Nothing.",
        "store_silent",
    ),
    "store_damaged": AlertKind(
        "The control record of the store lies on a damaged page, so nothing can be read until a worker replaces it.",
        _SERVERS,
        "Run a worker: it sets the store aside. Look for the cause on the disk.",
    ),
    "store_outdated": AlertKind(
        "An earlier store has come back in place of the current one. It may lack changes, so it is not used.",
        _SERVERS,
        "Move the current store back, or delete the earlier one and restart every process to begin with an empty one.",
    ),
    "store_lost": AlertKind(
        "What the store held was discarded, and is computed again: the store was emptied, replaced or set back, or it "
        "was restarted and nothing proves that it has kept its last changes. The message says which. After an outage "
        "that was told, `store_back` says it instead.",
        _SERVERS,
        "If it was emptied or set back, find out by whom. Requests compute meanwhile, so watch the load on models and "
        "databases. What reads a model gets 503 `Not materialized` until a worker has trained it again.",
    ),
    "disk_full": AlertKind(
        "The store has no room: events are not acknowledged, and computed values are served without being stored.",
        _SERVERS,
        "Give the store more room: the message names the setting.",
    ),
    "unknown_family": AlertKind(
        "Events carry a tag whose family no task and no source declares, mostly because of a typing error. "
        "Whichever process reads the event, every server tells of it. The condition ends without an alert, an hour "
        "after the last such event.",
        _SERVERS,
        "Correct the tag where the event is written, or name the family in `App(open=[...])`.",
    ),
    "changes_untold": AlertKind(
        "A captured table can be changed without an event, because its triggers are missing, disabled or altered, or "
        "because of how it is filled. Its families are raised with every poll meanwhile. On SQLite also: an earlier "
        "version made the triggers, so that each change of the schema raises their families.",
        _SERVERS,
        "The message names the table. Run `parbake capture install`, which puts the triggers back.",
    ),
    "keys_unreadable": AlertKind(
        "A server cannot read its file of keys. After a minute it takes none of them any more.",
        _SERVERS,
        "Let the user that the server runs as read the file that `PARBAKE_KEYS_FILE` names, or put it back.",
    ),
    "keys_readable": AlertKind("The server reads its keys again.", _SERVERS, "Nothing.", "keys_unreadable"),
    "disk_free": AlertKind("The store takes writes again.", _SERVERS, "Nothing.", "disk_full"),
}
"""The core's kinds of alerts; a plugin documents its own."""
