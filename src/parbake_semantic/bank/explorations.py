"""Which questions may become aliases: asked by enough users, not dominated by one, and without personal data."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

from parbake_semantic.text.normalize import MOST_LETTERS, normalize
from parbake_semantic.text.veto import VETOES, Veto, is_personal, screen

FEWEST_USERS = 3
MOST_PER_USER = 20
_MOST_WAITING = 10_000


class Explorations:
    """Questions whose match was right and that wait until ``fewest`` different users have asked them.

    One user can contribute at most ``most_per_user`` questions, so that nobody can fill a bank alone. Users
    are stored as hashes. Thread-safe.

    Args:
        fewest: How many users must have asked a question.
        most_per_user: How many questions one user may contribute.
        vetoes: What refuses a question by itself.
    """

    def __init__(
        self, fewest: int = FEWEST_USERS, most_per_user: int = MOST_PER_USER, vetoes: Sequence[Veto] = VETOES
    ) -> None:
        self.fewest, self.most_per_user, self._vetoes = fewest, most_per_user, vetoes
        self._asked: dict[tuple[str, str], set[bytes]] = {}
        self._brought: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def note(self, question: str, answer: str, user: str) -> bool:
        """Record that a user asked a question that has this answer.

        Personal questions, questions that the screening refuses, and users without a name do not count. Names that
        look alike to a reader count as one user.

        Args:
            question: The question.
            answer: The answer's name.
            user: The name of the user who asked.

        Returns:
            ``True`` once, when enough users have asked the question.
        """
        name = normalize(user[:MOST_LETTERS])
        if not name or screen(question, self._vetoes).refusal or is_personal(question):
            return False
        who = hashlib.sha256(name.encode()).digest()[:16]
        key = (normalize(question), answer)
        with self._lock:
            users = self._asked.get(key)
            if users is None:
                if len(self._asked) >= _MOST_WAITING:
                    del self._asked[next(iter(self._asked))]  # drop the one that has waited longest
                users = self._asked[key] = set()
            if who not in users:
                if self._brought.get(who, 0) >= self.most_per_user:
                    return False
                self._brought[who] = self._brought.get(who, 0) + 1
                users.add(who)
            if len(users) < self.fewest:
                return False
            del self._asked[key]
            return True
