"""What leaves of a draft: every sentence is checked against what holds now, before it is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

import parbake as pb
import parbake_semantic.guard
from retail_assistant.answers.draft import Draft
from retail_assistant.answers.guardrails import UNGROUNDED, Checked, guardrails
from retail_assistant.chat.turn import Turn

MOST_VIOLATIONS = 3


class Release:
    """Checks drafts, each of their sentences once."""

    def __init__(self, app: pb.App) -> None:
        """Keep what checks."""
        self._app = app

    async def checked(self, draft: Draft, turn: Turn, said: Collection[str] = ()) -> AsyncIterator[str]:
        """Release sentence by sentence; what fails the check is left out, and the evidence stands in for it once.

        Args:
            draft: The answer.
            turn: What it answers.
            said: What the reply has said before, which is not repeated.
        """
        shown: set[str] = set()
        violations = 0
        async for sentence in draft.sentences():
            checked = await self._check(sentence, draft, turn)
            if checked.violation:
                violations += 1
                draft.refusals.append(f"guard: {checked.violation}")
                if draft.stream is not None and not shown:
                    break  # its main sentence does not hold, and what follows would be an answer without it
            if violations == MOST_VIOLATIONS or checked.text in shown:
                break  # a generator that goes on like this has nothing more to say
            answers_nothing = draft.stream is not None and parbake_semantic.guard.is_courtesy(sentence)
            if checked.text and not answers_nothing and checked.text not in said:
                shown.add(checked.text)
                draft.worded = draft.worded or draft.stream is not None
                yield checked.text + " "
        if not shown:
            for sentence in parbake_semantic.guard.sentences(draft.fallback):
                checked = await self._check(sentence, draft, turn)
                if checked.text:
                    shown.add(checked.text)
                    yield checked.text + " "
        if not shown:
            yield "I cannot answer that reliably right now; please ask our support team."

    async def is_outdated(self, draft: Draft, turn: Turn) -> bool:
        """Whether what a draft was made of changed meanwhile, before any of it is shown.

        A compiled text shows that by any sentence that fails; a generated one by a main sentence that fails although
        it claims nothing but what the generator was told.
        """
        if draft.stream is None:
            checks = [
                await self._check(sentence, draft, turn) for sentence in parbake_semantic.guard.sentences(draft.text)
            ]
            return any(checked.violation for checked in checks)
        main = await draft.main_sentence()
        is_wrong = bool(main) and (await self._check(main, draft, turn)).violation.startswith(UNGROUNDED)
        return is_wrong and not parbake_semantic.guard.ungrounded(main, draft.told)

    async def _check(self, sentence: str, draft: Draft, turn: Turn) -> Checked:
        """Check a sentence of a draft, once."""
        if sentence not in draft.checks:
            worded = draft.told if draft.stream else ()
            served = await self._app.serve(
                guardrails, sentence=sentence, sources=draft.sources, told=worded, question=turn.message
            )
            draft.checks[sentence] = served.unwrap()
        return draft.checks[sentence]
