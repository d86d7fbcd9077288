"""The caches for LiteLLM, LangChain and LangGraph, with the libraries themselves and a provider in a box."""

import pytest
from environments import ROOT

LIBRARIES = ("litellm", "langchain", "langgraph", "proxy")
ASKS = ROOT / "tests/installed/adapters"
LOCAL = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"}
"""The libraries ask nobody but the box."""


@pytest.mark.one_python
@pytest.mark.timeout(900)
def test_the_libraries_answer_from_the_cache_until_something_changes(make_environment, clone, python):
    """The second call asks nobody, another scope asks for itself, and no answer outlives a change of its tag."""
    environment = make_environment(python)
    environment.install(f".[{','.join(LIBRARIES)}]", "langchain-openai", cwd=clone)
    for library in LIBRARIES:
        done = environment.python(ASKS / f"ask_{library}.py", **LOCAL)
        assert done.returncode == 0, done.stdout + done.stderr
