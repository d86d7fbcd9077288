"""How an answer of the bank is worded: what a model writes is kept only as far as the policy states it."""

import parbake as pb
from retail_assistant.faq.wording import with_slots, word_answer
from retail_assistant.knowledge.blocks import Block

TEXT = "Send it back within {{policy:returns.window_days}} of delivery. A label costs {{policy:returns.label_eur}}."
PLAIN = "Send it back within 30 days of delivery. A label costs €2.90."
BLOCK = Block("policy/returns#window", "policy/returns", "Window", TEXT, PLAIN)


class Writer:
    """A generator that writes what it is told, and keeps the prompt."""

    name = "writer"

    def __init__(self, *pieces):
        """Keep the pieces of its reply."""
        self.pieces = pieces

    async def stream(self, prompt, *, max_tokens, timeout_s):
        """Stream the pieces."""
        self.prompt = prompt
        for piece in self.pieces:
            yield pb.Delta(piece)


async def test_a_models_answer_holds_slots_where_the_section_does():
    """Numbers that the section keeps as slots are slots in the answer too, so that none of them can grow old."""
    writer = Writer("You have 30 days from delivery ", "to send it back. The label is €2.90.")
    answer = await word_answer("how long do I have", BLOCK, writer)
    assert answer == (
        "You have {{policy:returns.window_days}} from delivery to send it back. "
        "The label is {{policy:returns.label_eur}}."
    )
    assert writer.prompt.evidence == (PLAIN,)
    assert "30" not in answer


async def test_a_sentence_that_the_section_does_not_state_is_left_out():
    """Another number, a sentence cut short, or a slot of the model's own making never reaches the bank."""
    writer = Writer("You have 60 days. Send it back within 30 days. It costs {{price:B1}}. And then you")
    assert await word_answer("how long", BLOCK, writer) == "Send it back within {{policy:returns.window_days}}."
    assert await word_answer("how long", BLOCK, Writer("You have 60 days.")) == TEXT
    assert await word_answer("how long", BLOCK, Writer()) == TEXT


async def test_a_generator_that_only_quotes_leaves_the_section_as_it_is():
    """Nothing is gained by quoting a quotation."""
    assert await word_answer("how long", BLOCK, pb.Extractive()) == TEXT


def test_a_value_that_two_slots_hold_stays_as_it_is():
    """Nobody can tell which of the two was meant; the fence on the policy keeps it current."""
    block = Block("b", "policy/p", "T", "{{policy:p.a_days}} or {{policy:p.b_days}}.", "5 days or 5 days.")
    assert with_slots("It takes 5 days.", block) == "It takes 5 days."
