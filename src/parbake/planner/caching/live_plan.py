"""The plan of a prompt cache at work: each request's breakpoints follow from the requests before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from parbake.planner.caching.asked import Asked
from parbake.planner.caching.marking import Planned
from parbake.planner.caching.pricing import CachePrices
from parbake.ports.prompts import Breakpoint, Prompt
from parbake.prompt.writing.placement import CacheRules, estimated_tokens
from parbake.prompt.writing.render import PromptPart, parts

MOST_SEEN = 200_000
"""Blocks after which the plan begins to learn anew, so that its memory stays bounded."""


class LivePlan:
    """Places breakpoints as :class:`Planned` decides, at the ends of parts. Not thread-safe."""

    def __init__(self, prices: CachePrices, *, block: int) -> None:
        """Have seen no request yet.

        Args:
            prices: The prices of cached tokens.
            block: The tokens of a block, by which prefixes are told apart.
        """
        self._prices, self._block = prices, block
        self._planned = Planned(prices, warms=False)
        self._seen = 0

    def __call__(self, prompt: Prompt, rules: CacheRules, now: float) -> Prompt:
        """Return the prompt with breakpoints, and learn that it was sent.

        Args:
            prompt: The prompt; one that has breakpoints keeps them.
            rules: How the provider caches.
            now: Epoch seconds.
        """
        if prompt.breakpoints is not None or rules.mechanism != "breakpoints":
            return prompt if prompt.breakpoints is not None else msgspec.structs.replace(prompt, breakpoints=())
        stable = [part for part in parts(prompt) if part.volatility != "request"]
        ends = list(_ends(stable))
        asked = self._asked(stable, ends, prompt, now)
        marks = {mark.depth: mark.hour for mark in self._planned.marks(asked, 0)}
        self._saw(asked)
        found: dict[str, Breakpoint] = {}
        for depth, hour in sorted(marks.items()):
            within = [at for at, end in enumerate(ends) if end < (depth + 1) * self._block]
            if within and ends[within[-1]] >= rules.minimum:
                name = stable[within[-1]].name
                found[name] = Breakpoint(name, "1h" if hour and "1h" in rules.ttls else rules.ttls[0])
        return msgspec.structs.replace(prompt, breakpoints=_longest_first(list(found.values())[-rules.most :]))

    def _saw(self, request: Asked) -> None:
        self._seen += len(request.blocks)
        if self._seen > MOST_SEEN:
            self._planned, self._seen = Planned(self._prices, warms=False), len(request.blocks)
        self._planned.saw(request)

    def _asked(self, stable: list[PromptPart], ends: list[int], prompt: Prompt, now: float) -> Asked:
        """The request as blocks: each has the hash of everything before its end."""
        text = "".join(part.text for part in stable)
        tokens = ends[-1] if ends else 0
        size = max(1, round(len(text) * self._block / tokens)) if tokens else 1
        digest, blocks = hashlib.blake2b(digest_size=8), []
        for at in range(tokens // self._block):
            digest.update(text[at * size : (at + 1) * size].encode(errors="surrogatepass"))
            blocks.append(int.from_bytes(digest.copy().digest()))
        return Asked(now, tuple(blocks), self._block, tokens, prompt.session)


def _ends(stable: list[PromptPart]) -> Iterator[int]:
    """The tokens up to the end of each part."""
    total = 0
    for part in stable:
        total += estimated_tokens(part.text)
        yield total


def _longest_first(breakpoints: list[Breakpoint]) -> tuple[Breakpoint, ...]:
    """The breakpoints with times to live that do not rise: behind one for minutes, none asks for an hour."""
    found: list[Breakpoint] = []
    for one in breakpoints:
        is_behind = bool(found) and found[-1].ttl != "1h"
        found.append(Breakpoint(one.after, "5m") if is_behind and one.ttl == "1h" else one)
    return tuple(found)
