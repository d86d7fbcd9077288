"""Which shopper got a reply: its id ends in a mark of that shopper, so that nothing has to be kept."""

from __future__ import annotations

import hashlib
import hmac

from parbake_planner.ledger.answer_table import new_id
from retail_assistant.shop.voices import ANONYMOUS, is_named, spelled
from retail_assistant.vouching import Vouching

_MARK_BYTES = 16


class Receipts:
    """Makes ids of replies, and tells whose they are."""

    def __init__(self, vouching: Vouching) -> None:
        """``vouching`` has the secrets: the last one marks, and all are accepted."""
        self._secrets = vouching.secrets

    def new(self, shopper: str) -> str:
        """An id that cannot be guessed, for a reply to a shopper or to nobody."""
        begin = new_id()
        return begin + _mark(self._secrets[-1], begin, shopper)

    def is_of(self, answer_id: str, shopper: str) -> bool:
        """Whether a shopper got the reply with this id, or somebody who was not signed in, who may be that shopper."""
        begin, mark = answer_id[: -2 * _MARK_BYTES], answer_id[-2 * _MARK_BYTES :]
        possible = [_mark(secret, begin, name) for secret in self._secrets for name in (shopper, ANONYMOUS)]
        return any(hmac.compare_digest(mark, one) for one in possible)


def _mark(secret: str, begin: str, shopper: str) -> str:
    """What a shopper's name and the beginning of an id make; nobody can tell the name from it without the secret."""
    name = spelled(shopper) if is_named(shopper) else ANONYMOUS
    return hmac.digest(secret.encode(), f"answer\n{begin}\n{name}".encode(), hashlib.sha256)[:_MARK_BYTES].hex()
