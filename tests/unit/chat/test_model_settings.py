"""``LLM`` names one generator or a chain, and what it may do follows from it."""

import pytest
from tests.waiting import HANGS_S

import parbake as pb
from parbake.errors import FailureKind, ProviderError
from parbake_llm.generators.chain import Chain
from parbake_llm.ports.prompts import Prompt
from parbake_llm.testing import ProviderBox
from retail_assistant.compose import check, generator, model_use
from retail_assistant.settings import Settings, from_environment


@pytest.mark.parametrize(
    ("llm", "use"),
    [
        ("", "none"),
        ("extractive", "none"),
        ("llama", "wording"),
        ("openai", "tools"),
        ("anthropic -> llama -> extractive", "tools"),
        ("llama->extractive", "wording"),
    ],
)
def test_what_a_generator_does_follows_from_its_name(llm, use):
    """A hosted model looks things up, the local one words answers, and without a model nothing is generated."""
    assert model_use(from_environment({"LLM": llm})) == use


@pytest.mark.parametrize("llm", ["gpt", "openai -> gpt", "openai -> openai", "openai ->", "-> llama", "openai, llama"])
def test_an_unknown_generator_is_named(llm):
    """A name that does not exist, or one twice, is refused with the names that do."""
    with pytest.raises(pb.BadInput, match="choose one of extractive, llama") as caught:
        from_environment({"LLM": llm})
    assert caught.value.field == "LLM"


def test_a_chain_is_made_of_what_its_line_names(tmp_path, monkeypatch):
    """The members of the chain are the named generators in their order."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    made = generator(Settings(tmp_path, llm="anthropic -> llama -> extractive"))
    assert isinstance(made, Chain)
    assert list(made.members) == ["anthropic", "llama", "extractive"]
    assert made.calls_tools
    assert "secret" not in repr(made)


@pytest.mark.parametrize(
    ("llm", "variable"), [("openai", "OPENAI_API_KEY"), ("anthropic -> extractive", "ANTHROPIC_API_KEY")]
)
def test_a_missing_key_is_said_before_anything_is_served(tmp_path, monkeypatch, llm, variable):
    """Without its key a hosted generator is refused at the start, by the name of the variable."""
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(pb.errors.ProviderError, match=variable) as caught:
        check(Settings(tmp_path, llm=llm))
    assert caught.value.field == variable


async def test_a_single_provider_that_hangs_is_not_asked_for_long(tmp_path, monkeypatch):
    """``LLM=openai`` has a circuit breaker without a chain: the request after the failures fails without a call."""
    with ProviderBox() as box:
        box.slow_s = HANGS_S
        for name, value in {
            "API_KEY": box.key, "BASE_URL": box.openai_url, "MODEL": "slow", "FIRST_S": "0.3", "FAILURES": "2",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"OPENAI_{name}", value)
        made, kinds = generator(Settings(tmp_path, llm="openai")), []
        for _ in range(3):
            with pytest.raises(ProviderError) as caught:
                [piece async for piece in made.stream(Prompt(question="?"), max_tokens=9, timeout_s=HANGS_S)]
            kinds.append(caught.value.kind)
        await made.aclose()
    assert kinds == [FailureKind.TIMEOUT, FailureKind.TIMEOUT, FailureKind.SKIPPED]
