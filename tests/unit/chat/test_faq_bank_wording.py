"""Bank answers have the policy's wording, unless the owner's gate accepts a model's wording."""

import shutil
from contextlib import asynccontextmanager

import pytest

import parbake as pb
from parbake.testing import FakeClock
from parbake_llm.ports.generator import Delta
from parbake_semantic.embedder import Embedder
from retail_assistant import compose
from retail_assistant.faq.faq_tasks import faq_answers, faq_bank
from retail_assistant.knowledge.knowledge_tasks import evidence
from retail_assistant.settings import Settings

NOW = 1_790_000_000.0
NONSENSE = "Books like to be read in the bath."


class Dreamer:
    """A model whose sentences make no claim, so that the check of claims accepts them."""

    name = "dreamer"

    def __init__(self):
        self.asked = 0

    async def stream(self, prompt, *, max_tokens, timeout_s):
        self.asked += 1
        yield Delta(NONSENSE)


class Owner:
    """A gate with a fixed verdict that records what it was shown."""

    def __init__(self, verdict):
        self.verdict, self.shown = verdict, []

    def accepts(self, question, section, answer):
        self.shown.append((question, section, answer))
        return self.verdict


@pytest.fixture
def dreamer(monkeypatch):
    """Make ``LLM`` name a model that writes nonsense."""
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
    """Return the bank's answers by section, and the sections."""
    answers = {section: answer.text async for section, answer in app.stored(faq_answers)}
    sections = {}
    for section in answers:
        blocks = (await app.serve(evidence, f"policy/{section.partition('#')[0]}")).value
        sections[section] = next(block for block in blocks if block.id == f"policy/{section}")
    return answers, sections


async def test_without_a_gate_the_bank_holds_the_policys_own_text(shop, dreamer):
    """Without a gate the answers are the sections' text with slots, and the model is not called."""
    async with shop() as app:
        await app.materialize(faq_bank)
        answers, sections = await bank(app)
    assert len(answers) > 10
    assert answers == {name: block.text for name, block in sections.items()}
    assert any("{{" in text for text in answers.values())
    assert dreamer.asked == 0


async def test_a_gate_that_refuses_leaves_the_policys_own_text(shop, dreamer):
    """The model is called, and its refused answers are dropped."""
    gate = Owner(verdict=False)
    async with shop(answer_gate=gate) as app:
        await app.materialize(faq_bank)
        answers, sections = await bank(app)
    assert answers == {name: block.text for name, block in sections.items()}
    assert len(gate.shown) == dreamer.asked == len(answers)


async def test_a_gate_that_accepts_lets_the_models_words_into_the_bank(shop, dreamer):
    """The gate gets question, section and answer with slots filled, and accepted answers enter the bank."""
    gate = Owner(verdict=True)
    async with shop(answer_gate=gate) as app:
        await app.materialize(faq_bank)
        answers, sections = await bank(app)
    assert set(answers.values()) == {NONSENSE}
    assert {section for _, section, _ in gate.shown} == {block.plain for block in sections.values()}
    assert {answer for _, _, answer in gate.shown} == {NONSENSE}
    assert all(question and "{{" not in section for question, section, _ in gate.shown)


async def test_a_gate_that_fails_fails_the_run_and_changes_no_answer(shop, dreamer):
    """An exception of the gate fails the run, and the bank keeps its answers."""

    class Broken:
        def accepts(self, question, section, answer):
            raise OSError("the list of accepted answers is gone")

    async with shop(answer_gate=Broken()) as app:
        with pytest.raises(pb.errors.ComputeFailed, match="the list of accepted answers is gone"):
            await app.materialize(faq_bank)
        answers, sections = await bank(app)
    assert answers == {name: block.text for name, block in sections.items()}
