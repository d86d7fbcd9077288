"""The plan of a prompt cache at work: breakpoints and warm-ups follow from the requests before."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence

import msgspec

from parbake.planner.caching.asked import Asked
from parbake.planner.caching.held import HeldPrefixes, Lapsing, Mark
from parbake.planner.caching.policies_of_caching import CachingPolicy
from parbake.ports.prompts import Breakpoint, Prompt
from parbake.prompt.watching.prompt_watch import WarmUp
from parbake.prompt.writing.placement import CachePlace, CacheRules, estimated_tokens, until
from parbake.prompt.writing.render import PromptPart, parts

MOST_SEEN = 200_000
"""Blocks after which the plan begins to learn anew, so that its memory stays bounded."""
AHEAD_S = 20.0
"""How long before a prefix lapses it is warmed, in seconds."""
TOO_LATE_S = 2.0
"""How long before it lapses a prefix is given up, because a warm-up might write it anew."""


@dataclasses.dataclass(slots=True)
class _Held:
    """What one provider is expected to hold, and how each of its entries is read again."""

    prefixes: HeldPrefixes
    prompts: dict[int, Prompt] = dataclasses.field(default_factory=dict)


class LivePlan:
    """Places breakpoints as a policy decides, at the ends of parts, and says what to warm. Not thread-safe."""

    def __init__(self, policy: Callable[[], CachingPolicy], *, block: int) -> None:
        """Have seen no request yet.

        Args:
            policy: Creates the policy, which has seen nothing yet.
            block: The tokens of a block, by which prefixes are told apart.
        """
        self._new, self._block = policy, block
        self._begin()

    def _begin(self) -> None:
        self._policy, self._seen = self._new(), 0
        self._held: dict[CachePlace, _Held] = {}

    def __call__(self, place: CachePlace, rules: CacheRules, prompt: Prompt, now: float) -> Prompt:
        """Return the prompt with breakpoints, and learn that it was sent.

        Args:
            place: The cache.
            rules: How it works.
            prompt: The prompt; one that has breakpoints keeps them, and nothing is learnt of it.
            now: Epoch seconds.
        """
        if prompt.breakpoints is not None or rules.mechanism != "breakpoints":
            return prompt if prompt.breakpoints is not None else msgspec.structs.replace(prompt, breakpoints=())
        stable = [part for part in parts(prompt) if part.volatility != "request"]
        ends = list(_ends(stable))
        asked = self._asked(stable, ends, prompt, now)
        if self._seen + len(asked.blocks) > MOST_SEEN:
            self._begin()
        marks = self._policy.marks(asked, 0)
        self._seen += len(asked.blocks)
        self._policy.saw(asked)
        chosen = self._chosen(sorted(marks), [part.name for part in stable], ends, rules)
        breakpoints = _longest_first([one for _, one in chosen])
        marked = msgspec.structs.replace(prompt, breakpoints=breakpoints)
        held = [Mark(mark.depth, one.ttl == "1h") for (mark, _), one in zip(chosen, breakpoints, strict=True)]
        self._note(place, asked, held, marked)
        return marked

    def _chosen(
        self, marks: Sequence[Mark], names: Sequence[str], ends: Sequence[int], rules: CacheRules
    ) -> list[tuple[Mark, Breakpoint]]:
        """The breakpoint at the end of the last part within each mark, if the provider caches so short a prefix."""
        found: dict[str, tuple[Mark, Breakpoint]] = {}
        for mark in marks:
            within = [at for at, end in enumerate(ends) if end < (mark.depth + 1) * self._block]
            if within and ends[within[-1]] >= max(rules.minimum, self._block):
                name, depth = names[within[-1]], ends[within[-1]] // self._block
                one = Breakpoint(name, "1h" if mark.hour and "1h" in rules.ttls else rules.ttls[0])
                found[name] = Mark(depth, mark.hour), one
        return list(found.values())[-rules.most :]

    def due(self, now: float) -> list[WarmUp]:
        """Take the warm-ups that pay, of prefixes that are about to lapse and belong to no single user.

        Args:
            now: Epoch seconds.
        """
        found = []
        for place, held in self._held.items():
            while (lapsing := held.prefixes.lapsing(now + AHEAD_S)) is not None:
                prompt = self._kept(held, lapsing, now)
                if prompt is not None:
                    found.append(WarmUp(place, prompt))
        return found

    def _kept(self, held: _Held, lapsing: Lapsing, now: float) -> Prompt | None:
        """The prompt that reads a lapsing entry again, if that pays; otherwise the entry is forgotten."""
        blocks = lapsing.request.blocks
        is_in_time = lapsing.at > now + TOO_LATE_S
        depth = self._policy.keep(lapsing, held.prefixes) if is_in_time else 0
        prompt = held.prompts.get(blocks[depth - 1]) if depth else None
        if prompt is None or depth < lapsing.depth:
            held.prefixes.forget(lapsing)
            held.prompts.pop(blocks[lapsing.depth - 1], None)
        if prompt is not None:
            held.prefixes.read(lapsing.request, depth, now)
        return prompt

    def _note(self, place: CachePlace, asked: Asked, marks: Sequence[Mark], marked: Prompt) -> None:
        """Remember what the provider holds once it has answered, and how it is read again."""
        held = self._held.setdefault(place, _Held(HeldPrefixes(minimum=0)))
        read = held.prefixes.readable(asked, asked.at)
        held.prefixes.read(asked, read, asked.at)
        held.prefixes.write(asked, [mark for mark in marks if mark.depth > read], asked.at)
        for mark, breakpoint_ in zip(marks, marked.breakpoints or (), strict=True):
            if (shared := until(marked, breakpoint_)) is not None:
                held.prompts[asked.blocks[mark.depth - 1]] = shared

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
