"""Every package that the code imports is among the dependencies that install with it."""

import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from tests.unit.import_graph import PACKAGES, graph, imported_names, modules

OWNERS = {
    "parbake_console": "console",
    "parbake_planner": "plan",
    "parbake_proxy": "proxy",
    "parbake_semantic": "semantic",
    "parbake_semantic.adapters.langchain": "langchain",
    "parbake_semantic.adapters.langgraph": "langgraph",
    "parbake_semantic.adapters.litellm": "litellm",
    "parbake_semantic.cache.index": "usearch",
    "parbake.values.logistic": "semantic",
    "parbake.cli.support.pictures": "plots",
    "parbake_llm.caching": "plan",
    "parbake_planner.cli.front_picture": "plots",
    "parbake_planner.cli.plan_command": "plan",
    "parbake_planner.cli.costs_command": "plan",
    "parbake_planner.ledger.postgresql_database": "postgresql",
    "parbake.http.connection": "http",
    "parbake.http.server": "http",
    "parbake_semantic.embedders.minilm": "embeddings",
    "parbake_semantic.embedders._int8": "embeddings",
    "parbake_llm.generators.llama": "llama",
    "parbake_llm.generators._hosted.openai_endpoint": "openai",
    "parbake_llm.generators._hosted.anthropic_endpoint": "anthropic",
    "parbake_llm.generators._hosted.clients.aws_clients": "bedrock",
    "parbake.adapters.kafka": "kafka",
    "parbake.adapters.ray": "ray",
    "parbake.adapters.postgresql": "postgresql",
    "parbake_capture.postgresql_quoting": "postgresql",
    "parbake_capture.postgresql_triggers": "postgresql",
    "parbake.adapters._postgresql.conninfo": "postgresql",
    "parbake.adapters._postgresql.search_path": "postgresql",
    "parbake.adapters._postgresql.wire": "postgresql",
    "parbake.adapters._dynamodb_table": "dynamodb",
    "parbake.adapters._redis_link": "redis",
    "parbake_lab.prove.postgresql_copy": "postgresql",
    "parbake_lab.shadow.redis_cache": "redis",
    "parbake.contrib.django": "django",
    "parbake.contrib.opentelemetry": "opentelemetry",
    "parbake.testing": "testing",
}
"""The extra that brings what a room, or a module of it, imports beside the base dependencies."""
STARTED_WITHOUT_EXTRAS = (
    "parbake",
    "parbake.app.application",
    "parbake.cli.main",
    "parbake.testing",
    "parbake.http.asgi",
)


COMES_WITH = {
    "aiohttp": {"yarl"},
    "boto3": {"botocore"},
    "django": {"asgiref"},
    "langchain-core": {"langchain_core"},
    "redis": {"hiredis"},
}
"""Packages that a requirement brings under another name."""
OPTIONAL = {
    "parbake.adapters._child": {"threadpoolctl"},
    "parbake.contrib.django.capturing": {"psycopg"},
    "parbake.values.codecs.numpy": {"numpy"},
    "parbake.values.codecs.pydantic": {"pydantic", "pydantic_core"},
}
"""Packages that a module uses where they happen to be installed."""


def third_party(path, *, on_import=False):
    """Return the packages from outside the standard library that a file imports; see :func:`imported_names`."""
    tops = {name.partition(".")[0] for name in imported_names(path, on_import=on_import)}
    return tops - sys.stdlib_module_names - {*PACKAGES, "retail_assistant"}


def distribution(requirement):
    """Return the name of the distribution that a requirement names, as package indexes spell it."""
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


@pytest.fixture(scope="module")
def project(root):
    """Return the ``project`` table of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


def brought_by(project, extra=""):
    """Return the distributions of the base dependencies and of an extra, with the extras that it refers to."""
    extras = project["optional-dependencies"]
    found, pending = set(), [*project["dependencies"], *extras.get(extra, ())]
    while pending:
        requirement = pending.pop()
        if match := re.match(r"parbake\[([\w,]+)\]", requirement):
            pending += [inner for name in match[1].split(",") for inner in extras[name]]
        else:
            name = distribution(requirement)
            found |= {name, *COMES_WITH.get(name, ())}
    return found


def owner(module):
    """Return the extra of a module's nearest owner, or an empty text for the base dependencies."""
    while module:
        if module in OWNERS:
            return OWNERS[module]
        module = module.rpartition(".")[0]
    return ""


@cache  # it reads the file list of every installed distribution
def providers():
    """Return the names of the distributions that provide each package that is installed here."""
    return {name: {distribution(d) for d in found} for name, found in packages_distributions().items()}


def missing(imported, brought):
    """Return the imported packages that no distribution of ``brought`` provides."""
    return {name for name in imported if not providers().get(name, {name}) & brought}


def test_each_module_imports_what_its_extra_brings(root, project):
    """Each module imports only base dependencies and packages of the extra that owns it."""
    wrong = {
        module: lacking
        for package in PACKAGES
        for module, path in modules(root / "src", package).items()
        if (lacking := missing(third_party(path), brought_by(project, owner(module))) - OPTIONAL.get(module, set()))
    }
    assert wrong == {}


@pytest.mark.parametrize("start", STARTED_WITHOUT_EXTRAS)
def test_it_starts_without_any_extra(root, project, start):
    """Importing the package, the app, the command line, the tests or the HTTP app needs no extra."""
    found = modules(root / "src", "parbake")
    edges = graph(found, on_import=True)
    seen, pending = set(), [start]
    while pending:
        module = pending.pop()
        if module not in seen:
            seen.add(module)
            pending += [*edges[module], *([parent] if (parent := module.rpartition(".")[0]) else [])]
    base = brought_by(project)
    wrong = {m: lack for m in seen if (lack := missing(third_party(found[m], on_import=True), base))}
    assert wrong == {}


def test_the_assistant_imports_what_its_lock_names(root):
    """Every package that the assistant imports is in the lock file that its users install."""
    lock = (root / "requirements/runtime.txt").read_text()
    locked = {distribution(line) for line in lock.splitlines() if "==" in line}
    wrong = {
        module: lacking
        for module, path in modules(root / "assistant/src", "retail_assistant").items()
        if (lacking := missing(third_party(path), locked))
    }
    assert wrong == {}


def test_a_package_that_nothing_brings_is_found(project):
    """The check reports a development package, and a package that only another extra installs."""
    assert missing({"pytest", "msgspec", "numpy"}, brought_by(project)) == {"pytest", "numpy"}
    assert missing({"numpy"}, brought_by(project, "usearch")) == set()
