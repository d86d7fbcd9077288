"""Which questions may become aliases: asked by enough shoppers, not dominated by one, and without personal data."""

from __future__ import annotations

import hashlib
import threading

from parbake.semantic.text.normalize import normalize
from parbake.semantic.text.veto import is_personal, screen

FEWEST_SHOPPERS = 3
MOST_PER_SHOPPER = 20
_MOST_WAITING = 10_000


class Explorations:
    """Questions whose match was right and that wait until ``fewest`` different shoppers have asked them.

    One shopper can contribute at most ``most_per_shopper`` questions, so that nobody can fill a bank alone. Shoppers
    are stored as hashes. Thread-safe.
    """

    def __init__(self, fewest: int = FEWEST_SHOPPERS, most_per_shopper: int = MOST_PER_SHOPPER) -> None:
        self.fewest, self.most_per_shopper = fewest, most_per_shopper
        self._asked: dict[tuple[str, str], set[bytes]] = {}
        self._brought: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def note(self, question: str, answer: str, shopper: str) -> bool:
        """Record that a shopper asked a question that has this answer.

        Personal questions, questions that the screening refuses, and shoppers without a name do not count. Names that
        look alike to a reader count as one shopper.

        Args:
            question: The question.
            answer: The answer's name.
            shopper: The shopper's name.

        Returns:
            ``True`` once, when enough shoppers have asked the question.
        """
        name = normalize(shopper)
        if not name or is_personal(question) or screen(question).refusal:
            return False
        who = hashlib.sha256(name.encode()).digest()[:16]
        key = (normalize(question), answer)
        with self._lock:
            shoppers = self._asked.get(key)
            if shoppers is None:
                if len(self._asked) >= _MOST_WAITING:
                    del self._asked[next(iter(self._asked))]  # drop the one that has waited longest
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
