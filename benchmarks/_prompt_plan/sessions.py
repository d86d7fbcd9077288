"""A seeded trace of an assistant: a shared policy prefix, sessions of several turns, and tool loops within a turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parbake_llm.caching.asked import PromptTrace, TraceRow, traced

SIZE = 128
"""Tokens of a block."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How people use the assistant.

    Attributes:
        hours: The length of the trace.
        between_s: The mean time between two sessions, in seconds.
        turns: The mean number of turns of a session.
        think_s: The median time from a reply to the next turn, in seconds; it varies by a factor of e.
        policy: The tokens of the shared prefix.
        profile: The tokens of what is known about one user.
        evidence: The mean tokens of what is looked up for a question, which the next turn does not repeat.
        releases: How often the shared prefix changes.
    """

    hours: float = 6.0
    between_s: float = 30.0
    turns: float = 4.0
    think_s: float = 60.0
    policy: int = 6_000
    profile: int = 400
    evidence: int = 900
    releases: int = 2


class _Session:
    """One conversation, which writes its requests as rows."""

    def __init__(self, name: str, habits: Habits, rng: np.random.Generator) -> None:
        self._name, self._habits, self._rng = name, habits, rng

    def rows(self, begin: float) -> list[TraceRow]:
        """The requests of all turns, in order of time."""
        habits, rng, found = self._habits, self._rng, list[TraceRow]()
        release = int(begin / (habits.hours * 3600) * (habits.releases + 1))
        history = [(f"policy {release}", habits.policy), (f"profile {self._name}", habits.profile)]
        now = begin
        for turn in range(int(rng.geometric(1 / habits.turns))):
            name, question = f"{self._name} {turn}", int(rng.integers(20, 120))
            prompt = [*history, (f"evidence {name}", int(rng.exponential(habits.evidence)) + 50)]
            for call in range(1 + int(rng.choice(4, p=(0.4, 0.3, 0.2, 0.1)))):
                found.append(self._row(now, prompt))
                prompt = [*prompt, (f"call {name} {call}", int(rng.integers(100, 600)))]
                now += float(rng.uniform(1, 6))
            history = [*history, (f"turn {name}", question + int(rng.integers(100, 400)))]
            now += float(habits.think_s * rng.lognormal(0, 1))
        return found

    def _row(self, now: float, prompt: list[tuple[str, int]]) -> TraceRow:
        """A request whose blocks are named by the text that they end in."""
        ids, end = list[str](), 0
        for text, tokens in prompt:
            first = end // SIZE
            end += tokens
            ids += [f"{text}: {at - first}" for at in range(len(ids), end // SIZE)]
        return TraceRow(now, end, 200, self._name, tuple(ids))


def sessions(habits: Habits, *, seed: int) -> PromptTrace:
    """Make a trace.

    Args:
        habits: How people use the assistant.
        seed: The seed of everything that is drawn.
    """
    rng = np.random.default_rng(seed)
    found, begin, number = list[TraceRow](), 0.0, 0
    while (begin := begin + float(rng.exponential(habits.between_s))) < habits.hours * 3600:
        found += _Session(f"s{number}", habits, rng).rows(begin)
        number += 1
    return traced(sorted(found, key=lambda row: row.at), size=SIZE)
