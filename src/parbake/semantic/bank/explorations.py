"""Which questions may become aliases: asked by enough shoppers, by none too often, and telling of nobody."""

from __future__ import annotations

import hashlib
import threading

from parbake.semantic.text.normalize import normalize
from parbake.semantic.text.veto import is_personal, veto

FEWEST_SHOPPERS = 3
MOST_PER_SHOPPER = 20
_MOST_WAITING = 10_000


class Explorations:
    """Questions whose match was right, waiting until ``fewest`` different shoppers have asked them.

    One shopper can bring at most ``most_per_shopper`` questions, so that nobody fills a bank alone. Shoppers are
    kept as hashes. Safe to share between threads.
    """

    def __init__(self, fewest: int = FEWEST_SHOPPERS, most_per_shopper: int = MOST_PER_SHOPPER) -> None:
        """Begin without any."""
        self.fewest, self.most_per_shopper = fewest, most_per_shopper
        self._asked: dict[tuple[str, str], set[bytes]] = {}
        self._brought: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def note(self, question: str, answer: str, shopper: str) -> bool:
        """Note that a shopper's question has that answer; whether it has been asked by enough, once.

        What is personal, vetoed by itself or told by a shopper without a name does not count; names that a reader
        could take for each other are one shopper.
        """
        name = normalize(shopper)
        if not name or is_personal(question) or veto(question, question):
            return False
        who = hashlib.sha256(name.encode()).digest()[:16]
        key = (normalize(question), answer)
        with self._lock:
            shoppers = self._asked.get(key)
            if shoppers is None:
                if len(self._asked) >= _MOST_WAITING:
                    del self._asked[next(iter(self._asked))]  # the one that has waited longest
                shoppers = self._asked[key] = set()
            if who not in shoppers:
                if self._brought.get(who, 0) >= self.most_per_shopper:
                    return False
                self._brought[who] = self._brought.get(who, 0) + 1
                shoppers.add(who)
            if len(shoppers) < self.fewest:
                return False
            del self._asked[key]
            return True
