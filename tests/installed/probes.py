"""For each extra, a program that uses its packages and the text that it must print."""

CLOSED = "127.0.0.1:9"
"""Where nobody answers: what gets as far as asking there has found its client."""

GENERATES = """
import asyncio
from parbake_llm.generators.anthropic import AnthropicGenerator
from parbake_llm.generators.bedrock import AwsAccount, BedrockGenerator
from parbake_llm.generators.llama import LlamaGenerator
from parbake_llm.generators.openai import OpenAIGenerator
from parbake_llm.ports.prompts import Prompt

async def main():
    async for _ in {generator}.stream(Prompt(question="hello"), max_tokens=1, timeout_s=9):
        pass

asyncio.run(main())
"""
STORES = "import parbake as pb; app = pb.App(pb.Registry(), store='{url}', open=['a']); app.sync.run(app.touch('a/b'))"
KAFKA = f"""
import asyncio
import parbake as pb

app = pb.App(pb.Registry(), events=["kafka://{CLOSED}/t?families=f"])
asyncio.run(app.drain())
"""
POSTGRESQL = f"""
import asyncio
from importlib import resources

import parbake as pb
import parbake.adapters.postgresql_store

assert (resources.files("parbake.adapters._postgresql") / "sql/postgresql_store_1.sql").is_file()
app = pb.App(pb.Registry(), events=["postgresql://{CLOSED}/shop?families=f"])
asyncio.run(app.drain())
"""
DYNAMODB = f"dynamodb://eu-west-1/t?endpoint=http://{CLOSED}&timeout_s=1"
OPENAI = f"OpenAIGenerator(model='m', api_key='k', base_url='http://{CLOSED}/v1')"
ANTHROPIC = f"AnthropicGenerator(api_key='k', base_url='http://{CLOSED}')"
BEDROCK = f"BedrockGenerator(model='m', account=AwsAccount('eu-west-1', 'k', 's'), endpoint_url='http://{CLOSED}')"

SLOT = """
import parbake_semantic
from parbake_semantic.adapters.{library} import {name}

{name}(parbake_semantic.SemanticCache(None, freshness_sla="1h"))
print("used")
"""
TRACED = """
import parbake as pb
from parbake.contrib.opentelemetry import OpenTelemetry

app = pb.App(pb.Registry(), plugins=[OpenTelemetry()])
print("traced by", app.plugins[OpenTelemetry])
app.sync.close()
"""
PROBES = {
    "semantic": ("import parbake_semantic; print(parbake_semantic.Bound(0.01))", "0.01"),
    "embeddings": (
        "from parbake_semantic.embedders.minilm import MiniLm; MiniLm()",
        "run: parbake models fetch minilm",
    ),
    "llama": (GENERATES.format(generator="LlamaGenerator()"), "run: parbake models fetch smollm2"),
    "anthropic": (GENERATES.format(generator=ANTHROPIC), "ProviderError"),
    "bedrock": (GENERATES.format(generator=BEDROCK), "ProviderError"),
    "openai": (GENERATES.format(generator=OPENAI), "ProviderError"),
    "django": ("from parbake.contrib.django.packing import packed, unpacked; print(unpacked(packed((1,))))", "(1,)"),
    "opentelemetry": (TRACED, "traced"),
    "postgresql": (POSTGRESQL, "SourceError"),
    "redis": (STORES.format(url=f"redis://{CLOSED}/0"), "Connect call failed"),
    "dynamodb": (STORES.format(url=DYNAMODB), "StoreError"),
    "kafka": (KAFKA, "SourceError"),
    "proxy": ("from parbake_proxy import Proxy; import aiohttp; Proxy('http://127.0.0.1:1'); print('used')", "used"),
    "usearch": ("import parbake_semantic.cache.index, usearch.index; print('used')", "used"),
    "langchain": (SLOT.format(library="langchain", name="LangChainCache"), "used"),
    "langgraph": (SLOT.format(library="langgraph", name="LangGraphCache"), "used"),
    "litellm": (SLOT.format(library="litellm", name="LiteLLMCache"), "used"),
    "plots": ("import matplotlib; print('used')", "used"),
    "prove": ("from parbake_lab.prove.statements import sqlglot; sqlglot(); print('used')", "used"),
    "testing": ("import parbake.testing.executor_suite, parbake.testing.store_suite; print('used')", "used"),
}
