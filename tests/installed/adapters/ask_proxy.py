"""Asks a provider through ``parbake proxy`` with LangChain's ChatOpenAI, which knows nothing of the cache."""

import json
import re
import subprocess
import sys
import urllib.request

from both_box import BothBox
from langchain_openai import ChatOpenAI

TAGS = {"parbake-tags": "policy/returns"}
PROMPT = [("system", "Be kind."), ("human", "How long may I return a lamp?")]
EVENT = {"specversion": "1.0", "id": "1", "source": "shop", "type": "shop.policy.changed", "subject": "policy/returns"}
box = BothBox()


def ask(chat):
    """Return the answer, and whether the provider was asked."""
    before = len(box.requests)
    return chat.invoke(PROMPT).content, len(box.requests) > before


def told(chat):
    """Return a streamed answer, and whether the provider was asked."""
    before = len(box.requests)
    return "".join(chunk.content for chunk in chat.stream(PROMPT)), len(box.requests) > before


with box:
    command = [sys.executable, "-m", "parbake", "proxy", "--upstream", box.openai_url, "--port", "0",
               "--embedder", "none", "--family", "policy"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as proxy:
        try:
            address = re.search(r"http://\S+(?=/v1,)", proxy.stderr.readline())[0]
            chat = ChatOpenAI(model="m", base_url=f"{address}/v1", api_key=box.key, max_retries=0, default_headers=TAGS)
            first, is_fresh = ask(chat)
            assert is_fresh
            assert ask(chat) == (first, False)
            assert told(chat) == (first, False)
            body, kind = json.dumps(EVENT).encode(), {"content-type": "application/cloudevents+json"}
            urllib.request.urlopen(urllib.request.Request(f"{address}/v1/events", body, kind)).close()  # loopback
            assert told(chat)[1]
            assert not ask(chat)[1]
        finally:
            proxy.terminate()
