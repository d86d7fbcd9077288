"""Rules of the source tree, checked here or by import-linter."""

import graphlib
import io
import json
import os
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
from tests.unit.import_graph import PACKAGES, graph, imported_names, modules

import parbake as pb

PUBLIC = re.compile(
    r"(parbake\.(errors|http|testing|ports\.\w+|adapters\.[a-z]\w*|stores\.[a-z]\w*|tasks\.(contract|gates|task_types)"
    r"|protocol\.(record|cause))"
    r"|parbake_llm\.(ports|generators)\.[a-z]\w*|parbake_semantic(\.guard|\.embedder|\.embedders\.[a-z]\w*)?"
    r"|parbake_planner\.(ledger\.(answers|answer_table)|breakeven)|parbake_capture|parbake_capture\.[a-z]\w*|parbake_console|parbake_llm|parbake_planner|parbake_proxy)(\.\w+)?$"
)
"""What users import besides the names of the package itself."""
LAZY = {"lmdb", "numpy", "prometheus_client", "rich", "typer", "uvicorn"}
MODULES_LOADED_AT_MOST = 90

SUPPRESSION = re.compile(
    r"#\s*(?:noqa(?P<codes>:\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*)?"
    r"|type:\s*ignore(?P<rule>\[[\w\-, ]+\])?|pyright:\s*ignore(?P<check>\[[\w\-, ]+\])?"
    r"|pragma:\s*no (?:cover|branch))(?P<reason>.*)"
)
# Split into parts, so that this file does not contain the names that it searches for.
NOWHERE = ["pypi" + ".org", "python" + "hosted", "npmjs" + ".org", "debian" + ".org/debian", "file:" + "///"]
NOT_IN_LOCKS = re.compile(r"^\s*(?:--(?:extra-)?index|--find|-f\b|-i\b)", re.MULTILINE)


@pytest.fixture(scope="module")
def texts(root):
    """Return the text of every file that git tracks or would add."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    paths = [path for name in names if name and (path := root / name).is_file()]
    return {path.relative_to(root): path.read_text(errors="replace") for path in paths}


@pytest.mark.parametrize(
    ("folder", "package"), [*(("src", package) for package in PACKAGES), ("assistant/src", "retail_assistant")]
)
def test_imports_form_no_cycle(root, folder, package):
    """No module imports itself through other modules."""
    found = modules(root / folder, package)
    order = list(graphlib.TopologicalSorter(graph(found)).static_order())
    assert set(found) <= set(order)


@pytest.mark.parametrize("room", ["parbake.adapters", "parbake_llm.generators", "parbake_semantic.embedders"])
def test_sibling_adapters_do_not_know_each_other(root, room):
    """From its own folder an adapter imports only private helpers."""
    found = modules(root / "src", room.partition(".")[0])
    prefix = f"{room}."
    wrong = [
        f"{module} imports {target}"
        for module, targets in graph(found).items()
        if module.startswith(prefix)
        for target in targets
        if target.startswith(prefix) and not target.removeprefix(prefix).startswith("_")
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES[1:])
def test_a_shipped_plugin_touches_nothing_private(root, package):
    """No package beside the core silences the rule against private attributes of others: the seam would lack a part."""
    found = modules(root / "src", package).values()
    assert [str(path) for path in found if "SLF001" in path.read_text()] == []


def test_the_parts_of_a_plugin_are_few_and_public():
    """``Parts`` has at most twelve public names, and hands out nothing else."""
    app = pb.App(pb.Registry(), plugins=[Looks()])
    parts = app.plugins[Looks]
    assert len([name for name in dir(parts) if not name.startswith("_")]) <= 13
    app.sync.run(app.close())


class Looks(pb.Plugin):
    """Hands out its parts."""

    def open(self, parts):
        return parts


def test_the_assistant_uses_the_public_interface_only(root):
    """The assistant imports only public modules of parbake."""
    inside = {name for package in PACKAGES for name in modules(root / "src", package)} - {"parbake"}
    wrong = [
        f"{module} imports {name}"
        for module, path in modules(root / "assistant/src", "retail_assistant").items()
        for name in imported_names(path)
        if (name in inside or name.rpartition(".")[0] in inside) and not PUBLIC.match(name)
    ]
    assert wrong == []


def test_layers_hold(root):
    """Every import-linter contract is kept."""
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [tool, "--no-cache", "--no-logo"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": "tools"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_is_light(tmp_path):
    """``import parbake`` adds at most ninety modules, and none of the clients that only some users need."""
    code = (
        "import json, sys; before = set(sys.modules); import parbake; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    loaded = set(json.loads(done.stdout))
    assert loaded & LAZY == set()
    assert len(loaded) <= MODULES_LOADED_AT_MOST


def unexplained(text):
    """Yield the comments that silence a checker without naming the rule and a reason."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (match := SUPPRESSION.search(token.string)):
            names_rule = "pragma" in token.string or match["codes"] or match["rule"] or match["check"]
            if not names_rule or len(re.findall(r"\w+", match["reason"])) < 2:
                yield f"{token.start[0]}: {token.string}"


def test_suppressions_give_a_reason(source_files, root):
    """Each comment that silences a checker names the rule and says why."""
    found = [f"{path.relative_to(root)}:{line}" for path in source_files for line in unexplained(path.read_text())]
    assert found == []


@pytest.mark.parametrize("silent", ["noqa", "noqa: S101", "type: ignore[misc]", "pragma: no cover", "noqa: S101 x"])
def test_an_unexplained_suppression_is_found(silent):
    """A suppression without a reason is reported, and with a reason it is accepted."""
    assert list(unexplained(f"x = 1  # {silent}\n"))
    if silent != "noqa":
        assert not list(unexplained(f"x = 1  # {silent}  # this is why\n"))


def test_no_file_names_a_registry_or_this_machine(texts, root):
    """No committed file names a package registry or a path of this checkout."""
    local = [str(root)] if len(root.parts) > 2 else []
    assert [f"{name}: {word}" for name, text in texts.items() for word in NOWHERE + local if word in text] == []


def test_lock_files_are_hashed_and_name_no_index(root):
    """Each locked package has an exact version and a hash, and no lock file names a package index."""
    for lock in (*sorted((root / "requirements").glob("*.txt")), root / "src/parbake_semantic/model_files.txt"):
        text = lock.read_text()
        assert not NOT_IN_LOCKS.search(text), lock
        entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
        assert all("==" in entry and "--hash=sha256:" in entry for entry in entries if entry), lock
