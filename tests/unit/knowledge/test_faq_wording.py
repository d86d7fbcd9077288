"""The wording of bank answers: a model's text needs the owner's gate, and each claim must be in the policy."""

import pytest

from parbake_llm.generators.extractive import Extractive
from parbake_llm.ports.generator import Delta
from retail_assistant.faq.wording import BankWording, with_slots
from retail_assistant.knowledge.blocks import Block

TEXT = "Send it back within {{policy:returns.window_days}} of delivery. A label costs {{policy:returns.label_eur}}."
PLAIN = "Send it back within 30 days of delivery. A label costs €2.90."
BLOCK = Block("policy/returns#window", "policy/returns", "Window", TEXT, PLAIN)


class Writer:
    """A generator that writes given text and records its prompt."""

    name = "writer"

    def __init__(self, *pieces):
        """Take the pieces of the reply."""
        self.pieces = pieces

    async def stream(self, prompt, *, max_tokens, timeout_s):
        """Stream the pieces."""
        self.prompt = prompt
        for piece in self.pieces:
            yield Delta(piece)


class Gate:
    """A gate with a fixed verdict that records what it was shown."""

    def __init__(self, verdict=True):
        self.verdict, self.shown = verdict, []

    def accepts(self, *shown):
        self.shown.append(shown)
        return self.verdict


OPEN = BankWording(Gate())


async def test_a_models_answer_holds_slots_where_the_section_does():
    """Numbers that are slots in the section become slots in the model's answer."""
    writer = Writer("You have 30 days from delivery ", "to send it back. The label is €2.90.")
    answer = await OPEN.answer("how long do I have", BLOCK, writer)
    assert answer == (
        "You have {{policy:returns.window_days}} from delivery to send it back. "
        "The label is {{policy:returns.label_eur}}."
    )
    assert writer.prompt.evidence == (PLAIN,)
    assert "30" not in answer


async def test_a_sentence_that_the_section_does_not_state_is_left_out():
    """Sentences with another number, an invented slot or no end are dropped."""
    writer = Writer("You have 60 days. Send it back within 30 days. It costs {{price:B1}}. And then you")
    assert await OPEN.answer("how long", BLOCK, writer) == "Send it back within {{policy:returns.window_days}}."
    assert await OPEN.answer("how long", BLOCK, Writer("You have 60 days.")) == TEXT
    assert await OPEN.answer("how long", BLOCK, Writer()) == TEXT


async def test_a_generator_that_only_quotes_leaves_the_section_as_it_is():
    """An extractive generator leaves the section's text."""
    assert await OPEN.answer("how long", BLOCK, Extractive()) == TEXT


def test_a_value_that_two_slots_hold_stays_as_it_is():
    """A number that two slots share is not replaced by a slot."""
    block = Block("b", "policy/p", "T", "{{policy:p.a_days}} or {{policy:p.b_days}}.", "5 days or 5 days.")
    assert with_slots("It takes 5 days.", block) == "It takes 5 days."


async def test_without_a_gate_the_model_is_not_asked():
    """Without a gate the answer is the section's text, and the model is not called."""
    writer = Writer("Send it back within 30 days.")
    assert await BankWording().answer("how long", BLOCK, writer) == TEXT
    assert not hasattr(writer, "prompt")


@pytest.mark.parametrize("verdict", [False, None, "no", 1])
async def test_anything_but_true_leaves_the_section(verdict):
    """Any verdict but ``True`` keeps the section's text."""
    gate = Gate(verdict)
    assert await BankWording(gate).answer("how long", BLOCK, Writer("Send it back within 30 days.")) == TEXT
    assert gate.shown == [("how long", PLAIN, "Send it back within 30 days.")]


async def test_a_gate_is_shown_only_what_the_section_states():
    """The gate gets only grounded sentences, and is not called if none is left."""
    gate = Gate()
    wording = BankWording(gate)
    await wording.answer("how long", BLOCK, Writer("You have 60 days. Send it back within 30 days."))
    await wording.answer("how long", BLOCK, Writer("You have 60 days."))
    assert [answer for *_, answer in gate.shown] == ["Send it back within 30 days."]


async def test_a_gate_that_fails_is_heard():
    """An exception of the gate is raised."""

    class Broken:
        def accepts(self, question, section, answer):
            raise OSError("the list of accepted answers is gone")

    with pytest.raises(OSError, match="is gone"):
        await BankWording(Broken()).answer("how long", BLOCK, Writer("Send it back within 30 days."))
