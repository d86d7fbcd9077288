"""Whom an answer is for, and the second check before it is served."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

_log = logging.getLogger(__name__)

Verifier = Callable[[str, str], bool]
"""Whether a question means the same as the matched wording: a cross-encoder, a model, or the application's rule."""


class Scope(msgspec.Struct, frozen=True):
    """For whom a stored answer holds. It is a part of the key: nothing of one scope is ever visible in another.

    ``extra`` is for everything else that changes answers: the hash of the system prompt, the stamp of the sources.
    """

    tenant: str = ""
    locale: str = ""
    channel: str = ""
    tier: str = ""
    extra: str = ""


def verified(verifier: Verifier | None, question: str, alias: str) -> str | None:
    """Ask the verifier for a second check. If it raises or returns anything but ``True``, the match is refused.

    Args:
        verifier: The verifier; ``None`` accepts every match.
        question: The question.
        alias: The matched wording.

    Returns:
        A reason code, or ``None`` if the verifier agrees.
    """
    if verifier is None:
        return None
    try:
        answer = verifier(question, alias)
    except Exception:  # noqa: BLE001  # any error: without a second check there is no answer
        _log.exception("the verifier failed; a fresh answer is computed")
        return "verifier_failed"
    return None if answer is True else "verifier_refused"
