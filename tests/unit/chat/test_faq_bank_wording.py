"""Who words what the bank answers: the policy, unless the owner's gate accepts what a model wrote."""

import shutil
from contextlib import asynccontextmanager

import pytest

import parbake as pb
from parbake.ports.models import Delta, Embedder
from parbake.testing import FakeClock
from retail_assistant import compose
from retail_assistant.faq.tasks import faq_answers, faq_bank
from retail_assistant.knowledge.tasks import evidence
from retail_assistant.settings import Settings

NOW = 1_790_000_000.0
NONSENSE = "Books like to be read in the bath."


class Dreamer:
    """A model whose sentences claim nothing, so that the check of claims finds nothing wrong with them."""

    name = "dreamer"

    def __init__(self):
        self.asked = 0

    async def stream(self, prompt, *, max_tokens, timeout_s):
        self.asked += 1
        yield Delta(NONSENSE)


class Owner:
    """A gate that says the same of everything, and keeps what it was shown."""

    def __init__(self, verdict):
        self.verdict, self.shown = verdict, []

    def accepts(self, question, section, answer):
        self.shown.append((question, section, answer))
        return self.verdict


@pytest.fixture
def dreamer(monkeypatch):
    """Let a model that writes nonsense be the one that ``LLM`` names."""
    model = Dreamer()
    monkeypatch.setattr(compose, "generator", lambda _: model)
    return model


@pytest.fixture
def shop(prepared, tmp_path, embedder):
    """Return a context with an app over a fresh copy of the shop, whose bank was made without a gate."""

    @asynccontextmanager
    async def opened(**gate):
        shutil.copytree(prepared, tmp_path / "data")
        app = compose.build(Settings(tmp_path / "data", llm="llama"), clock=FakeClock(NOW), **gate)
        app.settings.resources[Embedder] = embedder
        await app.drain()
        yield app
        await app.close()

    return opened


async def bank(app):
    """Return the bank's answers by section, and what their sections say."""
    answers = {section: answer.text async for section, answer in app.stored(faq_answers)}
    sections = {}
    for section in answers:
        blocks = (await app.serve(evidence, f"policy/{section.partition('#')[0]}")).value
        sections[section] = next(block for block in blocks if block.id == f"policy/{section}")
    return answers, sections


async def test_without_a_gate_the_bank_holds_the_policys_own_text(shop, dreamer):
    """Nonsense that claims nothing enters no answer; the model is not even asked, slots and all is the section's."""
    async with shop() as app:
        await app.materialize(faq_bank)
        answers, sections = await bank(app)
    assert len(answers) > 10
    assert answers == {name: block.text for name, block in sections.items()}
    assert any("{{" in text for text in answers.values())
    assert dreamer.asked == 0


async def test_a_gate_that_refuses_leaves_the_policys_own_text(shop, dreamer):
    """The model is asked, and what it wrote is dropped."""
    gate = Owner(verdict=False)
    async with shop(answer_gate=gate) as app:
        await app.materialize(faq_bank)
        answers, sections = await bank(app)
    assert answers == {name: block.text for name, block in sections.items()}
    assert len(gate.shown) == dreamer.asked == len(answers)


async def test_a_gate_that_accepts_lets_the_models_words_into_the_bank(shop, dreamer):
    """The owner's gate sees question, section and answer as a customer reads them, and its word counts."""
    gate = Owner(verdict=True)
    async with shop(answer_gate=gate) as app:
        await app.materialize(faq_bank)
        answers, sections = await bank(app)
    assert set(answers.values()) == {NONSENSE}
    assert {section for _, section, _ in gate.shown} == {block.plain for block in sections.values()}
    assert {answer for _, _, answer in gate.shown} == {NONSENSE}
    assert all(question and "{{" not in section for question, section, _ in gate.shown)


async def test_a_gate_that_fails_fails_the_run_and_changes_no_answer(shop, dreamer):
    """An error of the gate is the run's; the bank before it goes on to answer in the policy's words."""

    class Broken:
        def accepts(self, question, section, answer):
            raise OSError("the list of accepted answers is gone")

    async with shop(answer_gate=Broken()) as app:
        with pytest.raises(pb.errors.ComputeFailed, match="the list of accepted answers is gone"):
            await app.materialize(faq_bank)
        answers, sections = await bank(app)
    assert answers == {name: block.text for name, block in sections.items()}
