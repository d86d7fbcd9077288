"""``make demo`` from a clean clone, in an environment with exactly the locked packages."""

import re
import subprocess
import time
from pathlib import Path

import pytest
from environments import ROOT, ask, clean_environment, copy_checkout, eventually, one_line, started

SIZES = {"RETAIL_PRODUCTS": "200", "RETAIL_SHOPPERS": "150"}
QUESTION = "How many days do I have to send a book back?"
STEADY_S = 20.0
KEY = "the-key-of-the-tour"


@pytest.fixture(scope="module")
def demo(request, tmp_path_factory):
    """Start the demo from its own clone; return it with its folder and its URL once it prints "ready"."""
    folder = copy_checkout(tmp_path_factory.mktemp("demo") / "parbake")
    command = ["make", "demo", f"PYTHON={request.param}", "PORT=0"]
    with started(command, cwd=folder, DEMO_TOKEN=KEY, **SIZES) as running:
        address = running.says(r"ready in .* open (http://\S+)", within_s=500)[1]
        yield running, folder, address


def pytest_generate_tests(metafunc):
    """Run the demo on each interpreter, or on the newest, as a test is marked."""
    from conftest import PYTHONS

    if "demo" in metafunc.fixturenames:
        is_once = metafunc.definition.get_closest_marker("newest_python")
        pythons = dict(list(PYTHONS.items())[-1:] if is_once else PYTHONS)
        metafunc.parametrize("demo", list(pythons.values()), ids=list(pythons), indirect=True, scope="module")


def names(text):
    """Return the names of the packages in a lock file."""
    return {name.lower().replace("_", "-") for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}


def workers(folder):
    """Return the process ids of the workers that run from a clone's environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if words[0].startswith(str(folder)) and "worker" in words and "--parent" in words:
                found.append(int(entry.name))
    return found


def chat(address, message):
    """Ask the assistant; return the text of its reply and the details."""
    body = {"user": "u00007", "messages": [{"role": "user", "content": message}]}
    status, document = ask(f"{address}/v1/chat/completions", body, key=KEY)
    assert status == 200, document
    return document["choices"][0]["message"]["content"], document["parbake"]


@pytest.mark.timeout(700)
def test_the_demo_lives_from_its_lock(demo):
    """The demo keeps one worker, follows a policy change and a purchase, and has only locked packages."""
    running, folder, address = demo
    began, (worker,) = time.monotonic(), workers(folder)
    whole = {"status": "ready", "lacking": [], "degraded": []}
    first = ask(f"{address}/readyz")
    assert first in [(200, whole), (200, whole | {"degraded": ["not_built"]})], "only what is still made may be missing"
    _a_policy_is_followed(address)
    _a_purchase_is_followed(address)
    eventually(lambda: ask(f"{address}/readyz") == (200, whole), within_s=120)
    time.sleep(max(0.0, began + STEADY_S - time.monotonic()))
    assert workers(folder) == [worker], running.output
    assert "starting another" not in running.output
    locks = [ROOT / "requirements/runtime.txt", ROOT / "src/parbake_semantic/model_files.txt"]
    locked = set.union(*(names(lock.read_text()) for lock in locks))
    found = {path.name.partition("-")[0] for path in folder.glob(".venv/lib/python*/site-packages/*.dist-info")}
    own = {"pip", "setuptools", "parbake", "retail-assistant"}
    assert {name.lower().replace("_", "-") for name in found} - locked - own == set()


def _a_policy_is_followed(address):
    text, made_of = chat(address, QUESTION)
    assert ("30 days" in text, made_of["lane"]) == (True, "batch"), (text, made_of)
    status, _ = ask(f"{address}/shop/policies/returns", {"facts": {"window_days": 14}}, method="PUT", key=KEY)
    assert status == 200
    text, _ = chat(address, QUESTION)
    assert "14 days" in text

    def precompiled():
        text, made_of = chat(address, QUESTION)
        return "14 days" in text and made_of["lane"] == "event"

    eventually(precompiled, within_s=120)


def _a_purchase_is_followed(address):
    def candidates():
        status, served = ask(f"{address}/v1/serve/candidates", {"key": "u00007"}, key=KEY)
        assert status == 200, served
        return served

    before = candidates()
    asins = [candidate["asin"] for candidate in before["value"]]

    def buy(asin):
        return ask(f"{address}/shop/purchases", {"shopper": "u00007", "asin": asin}, key=KEY)[0]

    bought = next(asin for asin in asins if buy(asin) == 201)  # not all of them are in stock
    after = eventually(
        lambda: (c := candidates())["stamp"] > before["stamp"] and c["lane"] == "event" and c, within_s=120
    )
    assert bought not in [candidate["asin"] for candidate in after["value"]]


TWO_HOURS_AGO = """
import time

now = time.time
time.time = lambda: now() - 7200
"""


@pytest.mark.newest_python
@pytest.mark.timeout(400)
def test_a_run_that_is_due_is_made_by_the_worker(demo, tmp_path):
    """Over a shop that was prepared two hours ago, the demo's worker makes the hourly run."""
    _, folder, _ = demo
    (tmp_path / "sitecustomize.py").write_text(TWO_HOURS_AGO)
    environment = SIZES | {"RETAIL_HOME": str(tmp_path / "shop")}
    command = [folder / ".venv/bin/retail-assistant", "prepare"]
    before = clean_environment(PYTHONPATH=str(tmp_path), **environment)
    done = subprocess.run(command, cwd=folder, env=before, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    python = (folder / ".venv/bin/python").resolve()
    with started(["make", "demo", f"PYTHON={python}", "PORT=0"], cwd=folder, **environment) as running:
        address = running.says(r"ready in .* open (http://\S+)", within_s=120)[1]
        _the_ways_in_are_printed(running, address)
        row = eventually(lambda: (found := trending(address))["age_max_s"] < 3600 and found, within_s=120)
        assert row["generation"] > 0
        assert time.time() - row["last_run"] < 3600


def _the_ways_in_are_printed(running, address):
    """Without a key of one's own the demo prints one, and a link and a passphrase that sign in."""
    session = running.says(r"sign in as u00007: \S+/#/sign-in/(\S+)", within_s=10)[1]
    status, told = ask(f"{address}/shop/sign-in", {"session": session})
    assert (status, told["shopper"]) == (200, "u00007")
    passphrase = running.says(r"u00001, u00003, u00007 with the passphrase (\S+)", within_s=10)[1]
    assert ask(f"{address}/shop/sign-in", {"shopper": "u00003", "passphrase": passphrase})[0] == 200
    assert ask(f"{address}/shop/sign-in", {"shopper": "u00004", "passphrase": passphrase})[0] == 401
    key = running.says(r"act for any shopper: (\S+)", within_s=10)[1]
    assert ask(f"{address}/shop/orders/u00009")[0] == 401
    assert ask(f"{address}/shop/orders/u00009", key=key)[0] == 200


def trending(address):
    """Return the freshness row of the hourly task."""
    (row,) = [row for row in ask(f"{address}/v1/freshness")[1]["tasks"] if row["task"] == "trending"]
    return row


@pytest.mark.timeout(300)
def test_a_demo_that_cannot_start_says_why_in_one_line(demo):
    """A folder that cannot be written and a port in use each give one line, and nothing is written."""
    _, folder, address = demo
    port = address.rpartition(":")[2]
    command = [folder / ".venv/bin/retail-assistant", "demo", "--port"]

    def run(port, home):
        return subprocess.run(
            [*command, port], cwd=folder, env=clean_environment(RETAIL_HOME=str(home), **SIZES), capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip

    one_line(run("0", folder / "README.md/data"), "RETAIL_HOME=", "cannot be a folder")
    one_line(run(port, folder / "other"), f"port {port}")
    assert not (folder / "other").exists()
