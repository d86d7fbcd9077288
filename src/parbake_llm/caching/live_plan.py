"""The plan of a prompt cache at work: breakpoints and warm-ups follow from the requests before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from parbake.ports.usage import Usage
from parbake_llm.caching.asked import Asked
from parbake_llm.caching.held import HeldPrefixes, Lapsing, Mark
from parbake_llm.caching.policies_of_caching import CachingPolicy
from parbake_llm.caching.pricing import PLANNED_TTLS
from parbake_llm.ports.prompts import Breakpoint, Prompt
from parbake_llm.watching.prompt_watch import Marked, Marking, WarmUp
from parbake_llm.writing.placement import CHARACTERS_A_TOKEN, CachePlace, CacheRules, cut_at, placed
from parbake_llm.writing.render import parts

MOST_SEEN = 50_000
"""Different blocks after which a plan begins to learn anew, so that its memory stays bounded."""
_AHEAD_S = 20.0
"""How long before a prefix lapses it is warmed, in seconds."""
_TOO_LATE_S = 2.0
"""How long before it lapses a prefix is given up, because a warm-up might write it anew."""
_ANSWERED_S = 30.0
"""A warm-up without an answer for so many seconds has kept nothing."""
_MOST_UNREAD = 2
"""After so many warm-ups in a row that read nothing, a cache is not warmed any more: it does not work as predicted."""


class _Measured(NamedTuple):
    """A prompt as blocks, and for each part that may be cached its name and its end in tokens."""

    asked: Asked
    names: tuple[str, ...]
    ends: tuple[int, ...]


class _Awaited(NamedTuple):
    """A warm-up without an answer so far: what it reads, and until when that is held if it does."""

    request: Asked
    depth: int
    since: float
    until: float


class _PlaceState:
    """What is known of one provider's cache: the policy with what it has learnt, and what is expected to be held."""

    def __init__(self, policy: CachingPolicy, *, warms: bool) -> None:
        self.policy, self.warms = policy, warms
        self.held = HeldPrefixes(minimum=0)
        self.seen: set[int] = set()
        self.prompts: dict[int, Prompt] = {}
        """The shortest prompt that reads an entry, by the entry's last block."""
        self.awaited: dict[int, _Awaited] = {}
        """The warm-ups that are under way, by the last block of what they read."""
        self.unread = 0

    def note(self, asked: Asked, prompt: Prompt, ends: Sequence[tuple[int, Breakpoint]], at: float) -> None:
        """Hold what a request has read and written.

        Args:
            asked: The request.
            prompt: What was sent.
            ends: Its breakpoints in their order, each with the number of blocks before it.
            at: When it was sent.
        """
        read = self.held.readable(asked, at)
        self.held.read(asked, read, at)
        for depth, end in ends:
            if not depth or asked.blocks[depth - 1] not in self.seen:  # sent before this plan was followed
                continue
            if depth > read:
                self.held.write(asked, [Mark(depth, end.ttl == "1h")], at)
            if (shared := cut_at(prompt, end)) is not None:
                self.prompts[asked.blocks[depth - 1]] = shared

    def warm(self, lapsing: Lapsing, now: float) -> tuple[Prompt, int] | None:
        """Return the prompt that reads a lapsing entry again if that pays, and the last block of what it reads.

        Otherwise forget the entry.
        """
        blocks = lapsing.request.blocks
        may_warm = self.warms and lapsing.at > now + _TOO_LATE_S
        depth = self.policy.keep(lapsing, self.held) if may_warm else 0
        prompt = self.prompts.get(blocks[depth - 1]) if depth else None
        if prompt is None or depth < lapsing.depth:
            self._forget(lapsing.request, lapsing.depth)
        if prompt is None:
            return None
        self.held.read(lapsing.request, depth, now)
        entry = blocks[depth - 1]
        self.awaited[entry] = _Awaited(lapsing.request, depth, now, self.held.until(entry))
        return prompt, entry

    def give_up(self, now: float) -> None:
        """Forget what was to be kept by warm-ups that nobody has answered."""
        for block, one in list(self.awaited.items()):
            if now > one.since + _ANSWERED_S:
                del self.awaited[block]
                for depth in range(1, one.depth + 1):
                    if self.held.until(one.request.blocks[depth - 1]) == one.until:
                        self._forget(one.request, depth)

    def _forget(self, request: Asked, depth: int) -> None:
        self.held.forget(request.blocks[depth - 1])
        self.prompts.pop(request.blocks[depth - 1], None)


class LivePlan(Marking):
    """Places breakpoints as a policy decides, at the ends of parts, and says what to warm. Not thread-safe."""

    def __init__(self, policy: Callable[[bool], CachingPolicy], *, block: int) -> None:
        """Have seen no request yet.

        Args:
            policy: Creates the policy of one cache, which has seen nothing yet; called with whether it can be warmed.
            block: The tokens of a block, by which prefixes are told apart.
        """
        self._new, self._block = policy, block
        self._places: dict[CachePlace, _PlaceState] = {}

    def __call__(self, place: CachePlace, rules: CacheRules, prompt: Prompt, now: float) -> Marked:
        """Return the prompt with breakpoints, and learn that it was asked for.

        Args:
            place: The cache.
            rules: How it works.
            prompt: The prompt; one that has breakpoints keeps them, and nothing is learnt of it. The blocks' volatility
                decides for a cache with other times to live than plans are made for.
            now: Epoch seconds.
        """
        if rules.mechanism != "breakpoints" or not set(rules.ttls) <= PLANNED_TTLS:
            return Marked(placed(prompt, rules))
        measured, state = self._measured(prompt, now), self._state(place)
        if prompt.breakpoints is not None:
            return Marked(prompt, measured)
        read = state.held.readable(measured.asked, now)
        marks = sorted(state.policy.marks(measured.asked, read))
        if read:  # a cache is read up to a breakpoint only
            hour = state.held.is_for_an_hour(measured.asked.blocks[read - 1])
            marks.insert(0, Mark(read, hour or any(mark.hour for mark in marks)))
        state.policy.saw(measured.asked)
        state.seen.update(measured.asked.blocks)
        prompt = msgspec.structs.replace(prompt, breakpoints=self._breakpoints(marks, measured, rules))
        return Marked(prompt, measured)

    def answered(self, place: CachePlace, sent: Marked, usage: Usage, at: float, *, is_warm_up: bool) -> None:
        prompt, measured = sent
        if measured is None:  # sent before this plan was followed, or to a cache that it does not plan
            return
        state = self._state(place)
        ends = [(self._depth(measured, one), one) for one in prompt.breakpoints or ()]
        reported = (usage.cache_read, usage.cache_write, usage.cache_write_hour)
        if is_warm_up and ends:
            state.awaited.pop(measured.asked.blocks[ends[-1][0] - 1], None)
            state.unread = 0 if usage.cache_read else state.unread + 1
            if state.unread >= _MOST_UNREAD:
                self.warms_no_more(place)
                return
        if any(reported):
            state.note(measured.asked, prompt, ends, at)

    def kept_elsewhere(self, warm_up: WarmUp) -> None:
        """See :class:`parbake_llm.watching.prompt_watch.Marking`: what the warm-up reads is held on."""
        self._state(warm_up.place).awaited.pop(warm_up.entry, None)

    def due(self, now: float) -> list[WarmUp]:
        """Take the warm-ups that pay, of prefixes that are about to lapse and belong to no single user.

        Args:
            now: Epoch seconds.
        """
        found = []
        for place, state in self._places.items():
            state.give_up(now)
            while (lapsing := state.held.lapsing(now + _AHEAD_S)) is not None:
                if (kept := state.warm(lapsing, now)) is not None:
                    found.append(WarmUp(place, kept[0], lapsing.at, kept[1]))
        return found

    def _state(self, place: CachePlace) -> _PlaceState:
        state = self._places.get(place)
        if state is None or len(state.seen) > MOST_SEEN:
            state = self._begin(place, warms=state is None or state.warms)
        return state

    def warms_no_more(self, place: CachePlace) -> None:
        """Plan anew for a cache that cannot be warmed: what is marked there has to pay without."""
        self._begin(place, warms=False)

    def _begin(self, place: CachePlace, *, warms: bool) -> _PlaceState:
        state = self._places[place] = _PlaceState(self._new(warms), warms=warms)
        return state

    def _breakpoints(self, marks: Sequence[Mark], measured: _Measured, rules: CacheRules) -> tuple[Breakpoint, ...]:
        """A breakpoint behind the part that each mark stands in, if the provider caches so short a prefix.

        What is held up to a place within a part is read from the part's end: a conversation grows, and providers look
        back from a breakpoint.
        """
        found: dict[str, Breakpoint] = {}
        for mark in marks:
            ends = enumerate(measured.ends)
            at = next((at for at, end in ends if end >= mark.depth * self._block), None)
            if at is not None and measured.ends[at] >= max(rules.minimum, self._block):
                name, hour = measured.names[at], mark.hour and "1h" in rules.ttls
                found[name] = Breakpoint(name, "1h") if hour else found.get(name) or Breakpoint(name, rules.ttls[0])
        return _longest_first(list(found.values())[-rules.most :]) if rules.most else ()

    def _depth(self, measured: _Measured, end: Breakpoint) -> int:
        """The blocks up to a breakpoint; 0 if there is no such part."""
        found = dict(zip(measured.names, measured.ends, strict=True))
        return found.get(end.after, 0) // self._block

    def _measured(self, prompt: Prompt, now: float) -> _Measured:
        """The prompt as blocks: each has the hash of everything before its end."""
        stable = [part for part in parts(prompt) if part.volatility != "request"]
        size = self._block * CHARACTERS_A_TOKEN
        text, digest, blocks = "".join(part.text for part in stable), hashlib.blake2b(digest_size=8), []
        for at in range(len(text) // size):
            digest.update(text[at * size : (at + 1) * size].encode(errors="surrogatepass"))
            blocks.append(int.from_bytes(digest.copy().digest()))
        ends, total = [], 0
        for part in stable:
            total += len(part.text)
            ends.append(total // CHARACTERS_A_TOKEN)
        asked = Asked(now, tuple(blocks), self._block, len(text) // CHARACTERS_A_TOKEN, prompt.session)
        return _Measured(asked, tuple(part.name for part in stable), tuple(ends))


def _longest_first(breakpoints: list[Breakpoint]) -> tuple[Breakpoint, ...]:
    """The breakpoints with times to live that do not rise: behind one for minutes, none asks for an hour."""
    found: list[Breakpoint] = []
    for one in breakpoints:
        is_behind = bool(found) and found[-1].ttl != "1h"
        found.append(Breakpoint(one.after, "5m") if is_behind and one.ttl == "1h" else one)
    return tuple(found)
