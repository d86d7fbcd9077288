"""The log: lines for people, or one JSON object a line for a collector."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime

import msgspec

from parbake.process.about import ABOUT
from parbake.values.redaction import conceal_environment, without_secrets

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_IDS = ("request", "answer", "event", "trace_id", "span_id")
"""What a record may say that it is about."""
_CLIENTS = ("anthropic", "boto3", "botocore", "httpcore", "httpx", "httpx2", "openai", "urllib3")
"""Clients whose logs of each request have its whole address, which may hold secrets."""


class Lines(logging.Formatter):
    """Writes records without secrets, also those in the text of an error or in a source line of a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, on several lines if it has a traceback."""
        text = super().format(record)
        args = record.args if isinstance(record.args, tuple) else ()
        has_error = bool(record.exc_info or record.exc_text or record.stack_info)
        has_error |= any(isinstance(value, BaseException) for value in args)
        return without_secrets(text, of_errors=has_error)


class JsonLines(Lines):
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
    handler.setFormatter(JsonLines() if form == "json" else Lines(_FORMAT))
    conceal_environment(os.environ)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for client in _CLIENTS:
        logging.getLogger(client).setLevel(logging.WARNING)
