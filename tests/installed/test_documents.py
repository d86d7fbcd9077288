"""Every example in the README and the guides runs in the environment that its document's text installs."""

import json
import re
import shlex

import pytest
from environments import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALL = re.compile(r"^(?:.*`)?pip install ([^`#\n]+)", re.MULTILINE)
FETCH = re.compile(r"parbake models fetch (\w+)")
PREPARE = re.compile(r"^retail-assistant (prepare)\b", re.MULTILINE)
PARSE = """
import json, sys
import typer
from parbake.cli.main import cli

root = typer.main.get_command(cli)
for words in json.load(sys.stdin):
    command, context = root, None
    try:
        context = command.make_context("parbake", list(words[1:]))
        while hasattr(command, "commands"):
            rest = [*getattr(context, "_protected_args", ()), *context.args]
            name, command, rest = command.resolve_command(context, rest)
            context = command.make_context(name, rest, parent=context)
    except BaseException as error:
        print(" ".join(words), "->", type(error).__name__, getattr(error, "message", error))
"""


def examples(path):
    """Return (installs, models, shops, code) for each Python block: what its text runs first, and all code so far."""
    text, found, code = path.read_text(), [], ""
    for block in BLOCK.finditer(text):
        if block[1] == "python":
            before = text[: block.start()]
            installs = tuple(words.strip() for words in INSTALL.findall(before)) or (".",)
            code += block[2] + "\n"
            found.append((installs, tuple(FETCH.findall(before)), tuple(PREPARE.findall(before)), code))
    return found


def groups():
    """Return what runs in each environment: (installs, models, shops, named codes)."""
    merged = {}
    for path in DOCUMENTS:
        for *needed, code in examples(path):
            merged.setdefault(tuple(needed), []).append((str(path.relative_to(ROOT)), code))
    return [(*needed, codes) for needed, codes in merged.items()]


def is_heavy(group):
    """Whether what a group installs takes so long that one interpreter has to do."""
    return any("litellm" in words for words in group[0])


GROUPS = [group for group in groups() if not is_heavy(group)]
HEAVY = [group for group in groups() if is_heavy(group)]


@pytest.mark.newest_python  # `make test` runs them on the oldest
@pytest.mark.timeout(900)
@pytest.mark.parametrize("group", GROUPS, ids=["; ".join(installs) for installs, *_ in GROUPS])
def test_examples_run_where_their_text_installs_them(make_environment, clone, python, group):
    """Each Python block succeeds, after those before it in its document, in an environment without other packages."""
    assert failures(group, make_environment(python), clone) == []


@pytest.mark.one_python
@pytest.mark.timeout(900)
@pytest.mark.parametrize("group", HEAVY, ids=["; ".join(installs) for installs, *_ in HEAVY])
def test_examples_of_other_libraries_run_where_their_text_installs_them(make_environment, clone, python, group):
    """The same for pages that install large libraries of others."""
    assert failures(group, make_environment(python), clone) == []


def failures(group, environment, clone):
    """Run the examples of a group in an environment, and return what was said by those that failed."""
    installs, models, shops, codes = group
    for words in installs:
        environment.install(*shlex.split(words), cwd=clone)
    done = [(name, environment.parbake("models", "fetch", name, timeout=600)) for name in models]
    done += [(command, environment.python("-m", "retail_assistant", command, timeout=300)) for command in shops]
    done += [(name, environment.python("-c", code, timeout=300)) for name, code in codes]
    return [f"{name}: {one.stderr}" for name, one in done if one.returncode]


def command_lines():
    """Return the words of every ``parbake`` command that a document shows, without where the shell sends its output."""
    found = []
    for path in DOCUMENTS:
        for block in BLOCK.finditer(path.read_text()):
            if block[1] in ("sh", "text"):
                lines = block[2].replace("\\\n", " ").splitlines()
                commands = [line.partition(" > ")[0] for line in lines if line.startswith("parbake ")]
                found += [shlex.split(command, comments=True) for command in commands]
    return found


@pytest.mark.timeout(300)
@pytest.mark.one_python
def test_commands_of_the_documents_are_understood(make_environment, wheel, python):
    """Every ``parbake`` line in a document can be parsed by the installed command."""
    lines = command_lines()
    assert len(lines) > 20
    environment = make_environment(python)
    environment.install(wheel)
    (environment.work / "lines.json").write_text(json.dumps(lines))
    program = PARSE.replace("sys.stdin", "open('lines.json')")
    done = environment.python("-c", program)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
