"""``parbake proxy`` as a process: official clients run through it, and two of them share answers and the fence."""

import contextlib
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anthropic
import httpx
import openai
import pytest
from tests.model_server import ModelServer, text_of
from tests.waiting import HANGS_S, eventually

QUESTION = "How long may customers return an opened box?"
CHANGE = {"specversion": "1.0", "source": "shop", "type": "shop.policy.changed", "subject": "policy/returns"}


class Proxies:
    """Starts proxies in front of a model server, with one store."""

    def __init__(self, folder, models):
        """Keep where they work."""
        self.folder, self.models, self.running = folder, models, []

    def start(self, *options):
        """Start one, and return its address."""
        command = [sys.executable, "-m", "parbake", "proxy", "--upstream", self.models.url, "--port", "0",
                   "--embedder", "none", "--family", "policy", "--store", "lmdb://answers", *options]  # fmt: skip
        process = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, text=True)
        self.running.append(process)
        lines = []
        threading.Thread(target=lambda: lines.extend(iter(process.stderr.readline, "")), daemon=True).start()
        found = eventually(lambda: re.search(r" at (http://\S+)/v1,", "".join(lines)) or process.poll() is not None)
        assert found is not True, "".join(lines)
        return found[1]

    def end(self):
        """End all of them."""
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self.running:
            process.wait(HANGS_S)
            process.stderr.close()


@pytest.fixture
def models():
    """Return a model server."""
    with ModelServer() as found:
        yield found


@pytest.fixture
def proxies(tmp_path, models):
    """Return what starts proxies."""
    found = Proxies(tmp_path, models)
    yield found
    found.end()


def test_official_clients_run_through_it(proxies, models):
    """OpenAI's and Anthropic's clients get answers, streams and tool calls, with the second answer from the cache."""
    url = proxies.start()
    asks = [{"role": "user", "content": QUESTION}]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="key-of-one") as client:
        for _ in range(2):
            made = client.chat.completions.create(model="small", messages=asks)
            assert made.choices[0].message.content == QUESTION.upper()
        stream = client.chat.completions.create(model="small", messages=asks, stream=True)
        assert "".join(part.choices[0].delta.content or "" for part in stream) == QUESTION.upper()
        assert [model.id for model in client.models.list()] == ["small"]
        assert len(models.asked) == 1
        raw = client.chat.completions.with_raw_response.create(model="small", messages=asks)
        assert raw.headers["cache-status"].startswith("parbake; hit")
        call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        models.reply = lambda _: [call]
        tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
        made = client.chat.completions.create(model="small", messages=asks, tools=[tool])
        assert made.choices[0].message.tool_calls[0].function.name == "look"
    models.reply = lambda body: text_of(body).lower()
    with anthropic.Anthropic(base_url=url, api_key="key-of-one") as client:
        for _ in range(2):
            with client.messages.stream(model="small", max_tokens=9, messages=asks) as stream:
                assert "".join(stream.text_stream) == QUESTION.lower()
        made = client.messages.create(model="small", max_tokens=9, messages=asks)
        assert made.content[0].text == QUESTION.lower()
    assert len([one for one in models.asked if one["path"] == "/v1/messages"]) == 1


def ask(url, question=QUESTION, key="key-of-one"):
    """Ask a proxy, and return its answer with what it says of the cache."""
    body = {"model": "small", "messages": [{"role": "user", "content": question}]}
    headers = {"authorization": f"Bearer {key}", "parbake-tags": "policy/returns"}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=HANGS_S)
    answer.raise_for_status()
    return answer.json()["choices"][0]["message"]["content"], answer.headers["x-parbake-cache"]


def change(url, number):
    """Tell a proxy of a change, and wait until it is acknowledged."""
    headers = {"content-type": "application/cloudevents+json"}
    answer = httpx.post(f"{url}/v1/events", json=CHANGE | {"id": str(number)}, headers=headers, timeout=HANGS_S)
    assert answer.status_code == 202


def test_two_proxies_share_answers_changes_and_what_is_withdrawn(proxies, models):
    """What one has stored, or was told, holds in the other; what a killed one has acknowledged, too."""
    one, two = proxies.start(), proxies.start()
    assert ask(one) == (QUESTION.upper(), "miss")
    assert ask(two) == (QUESTION.upper(), "hit")
    models.reply = lambda _: "14 days"
    change(two, 1)
    proxies.running[1].kill()
    assert ask(one) == ("14 days", "miss")
    third = proxies.start()
    assert ask(third) == ("14 days", "hit")
    httpx.put(f"{third}/v1/proxy/bypass", json={"on": True}).raise_for_status()
    assert eventually(lambda: ask(one)[1] == "bypass")


def test_another_proxy_takes_a_complaint_right_after_the_answer(proxies):
    """A complaint that another process gets while the answer is still being stored withdraws it."""
    one, two = proxies.start(), proxies.start()
    for number in range(10):
        question = f"how long may topic{chr(97 + number)} be returned"
        body = {"model": "small", "messages": [{"role": "user", "content": question}]}
        answer = httpx.post(f"{one}/v1/chat/completions", json=body, timeout=HANGS_S)
        complaint = {"answer": answer.headers["x-parbake-answer"]}
        httpx.post(f"{two}/v1/proxy/complaints", json=complaint, timeout=HANGS_S).raise_for_status()
        again = httpx.post(f"{one}/v1/chat/completions", json=body, timeout=HANGS_S)
        assert again.headers["x-parbake-cache"] == "miss"


def test_the_ledger_has_what_all_proxies_saved_also_those_that_ended(proxies):
    """What a proxy that was ended has saved and what another one has saved are one sum."""
    one, two = (proxies.start("--ledger", "ledger.db") for _ in range(2))
    for url in (one, one, two):
        ask(url)
    proxies.running[0].send_signal(signal.SIGTERM)
    proxies.running[0].wait(HANGS_S)

    def saved():
        (cost,) = httpx.get(f"{two}/v1/costs", timeout=HANGS_S).json()["costs"] or [{}]
        return cost.get("saved")

    assert eventually(lambda: saved() == 2)


def test_an_answer_from_before_a_change_is_never_served_after_it(proxies, models):
    """An answer that the provider is making while a change is acknowledged is served to nobody who asks later."""
    one, two = proxies.start(), proxies.start()
    version, begun, go_on = ["old"], threading.Event(), threading.Event()

    def reply(_):
        made = version[0]
        begun.set()
        assert go_on.wait(HANGS_S)
        return made

    models.reply = reply
    with ThreadPoolExecutor(1) as pool:
        for n in range(20):
            version[0] = f"old {n}"
            begun.clear()
            go_on.clear()
            asking = pool.submit(ask, one)
            assert begun.wait(HANGS_S)
            version[0] = f"new {n}"
            change(two, n)
            go_on.set()
            assert asking.result()[0] == f"old {n}", "its own caller asked before"
            assert ask(two)[0] == f"new {n}"
            assert ask(one)[0] == f"new {n}"
            change(one, f"end {n}")


def test_answers_of_many_keys_do_not_cross(proxies, models):
    """Each of many keys gets the answers to its own questions only."""
    url = proxies.start()
    keys = [f"key-{n}" for n in range(40)]
    models.reply = lambda _: models.asked[-1]["headers"]["authorization"]
    for _ in range(2):
        for key in keys:
            assert ask(url, key=key)[0] == f"Bearer {key}"
    assert len(models.asked) == len(keys)
