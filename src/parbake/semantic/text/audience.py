"""For whom an answer holds, and what may be asked of a second opinion before it is served."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

_log = logging.getLogger(__name__)

Verifier = Callable[[str, str], bool]
"""Whether a question asks the same as the matched wording: a cross-encoder, a model, a rule of the application."""


class Scope(msgspec.Struct, frozen=True):
    """What a stored answer is for, as part of its key: nothing of one scope is ever seen in another.

    ``extra`` holds whatever else changes answers: the hash of the system prompt, the stamp of the sources.
    """

    tenant: str = ""
    locale: str = ""
    channel: str = ""
    tier: str = ""
    extra: str = ""


def verified(verifier: Verifier | None, question: str, alias: str) -> str | None:
    """A reason code unless the verifier says yes. It fails closed: an error, or anything but ``True``, is a no."""
    if verifier is None:
        return None
    try:
        answer = verifier(question, alias)
    except Exception:  # noqa: BLE001  # whatever it is: no second opinion, no answer
        _log.exception("the verifier failed; the question is answered afresh")
        return "verifier_failed"
    return None if answer is True else "verifier_refused"
