"""The log: lines for people, or one JSON object a line for a collector."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import msgspec

from parbake.process.about import ABOUT

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_IDS = ("request", "answer", "event", "trace_id", "span_id")
"""What a record may say that it is about."""
_CLIENTS = ("anthropic", "boto3", "botocore", "httpcore", "httpx", "httpx2", "openai", "urllib3")
"""Clients whose logs of each request have its whole address, which may hold secrets."""


class JsonLines(logging.Formatter):
    """Writes a record as a JSON object with ``time``, ``level``, ``logger`` and ``message``.

    A traceback stands in the message, behind its text. Behind that stand the ids of what the line is about, as far as
    they are known: ``request``, ``answer``, ``event``, and with a plugin that traces ``trace_id`` and ``span_id``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record in one line."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": super().format(record),
        }
        about = ABOUT.get()
        said |= about.ids() if about is not None else {}
        own = {name: getattr(record, name, None) for name in _IDS}
        said |= {name: found for name, found in own.items() if isinstance(found, str) and found}
        return msgspec.json.encode(said).decode()


def set_up_log(level: str, form: str) -> None:
    """Log to standard error.

    Args:
        level: The least level that is logged, such as ``info``.
        form: ``text``, or ``json`` for one object a line.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for client in _CLIENTS:
        logging.getLogger(client).setLevel(logging.WARNING)
