"""``parbake init``: the project that it writes runs, and nothing that exists is changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.commands import invoke
from tests.waiting import HANGS_S

from parbake.errors import BadInput

FILES = {"README.md", "parbake.toml", "shop.py", "test_shop.py"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty folder, as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words, cwd):
    """Run a program of this environment in a folder, and return its output after asserting that it succeeded."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARBAKE_")}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=HANGS_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_project_runs_as_it_is_printed(folder):
    """What is written passes ruff with its default rules and its own test, and its commands need no APP."""
    done = invoke("shop", "init", "shop")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (folder / "shop").iterdir()} == FILES
    assert done.output.splitlines()[-1] == "next: cd shop && python shop.py && parbake dev"
    run("-m", "ruff", "check", "--isolated", "--no-cache", ".", cwd=folder / "shop")
    run("-m", "ruff", "format", "--isolated", "--no-cache", "--check", ".", cwd=folder / "shop")
    assert "2 passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder / "shop")
    run("shop.py", cwd=folder / "shop")
    assert run("-m", "parbake", "check", cwd=folder / "shop") == "nothing is wrong\n"
    assert "label: generation 1, 2 rows" in run("-m", "parbake", "materialize", "label", cwd=folder / "shop")


def test_a_change_by_another_program_is_served(folder):
    """As the README says, ``python shop.py tea 320`` changes a price, and the label is not served any more."""
    invoke("shop", "init")
    run("shop.py", cwd=folder)
    asks = "import shop; shop.app.sync.run(shop.app.drain()); print(shop.app.sync.serve(shop.label, 'tea').value)"
    assert run("-c", asks, cwd=folder) == "2.50 EUR\n"
    run("shop.py", "tea", "320", cwd=folder)
    assert run("-c", asks, cwd=folder) == "3.20 EUR\n"


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_that_exists_ends_it_before_anything_is_written(folder, name):
    """The error names the file and the argument; the file is as it was, and no other one is written."""
    (folder / name).write_text("# mine")
    error = invoke("shop", "init").exception
    assert isinstance(error, BadInput)
    assert (error.field, name in str(error)) == ("FOLDER", True)
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(name, "# mine")]


def test_a_link_that_leads_nowhere_is_not_followed(folder):
    """A symbolic link of the name of a file counts as that file, even if its target is missing."""
    (folder / "shop.py").symlink_to(folder / "elsewhere.py")
    assert "shop.py exists" in str(invoke("shop", "init").exception)
    assert not (folder / "elsewhere.py").exists()


def test_a_folder_that_cannot_be_made_is_named(folder):
    """A file in the place of the folder is refused with the argument."""
    (folder / "taken").write_text("")
    error = invoke("shop", "init", "taken").exception
    assert (error.field, "taken" in str(error)) == ("FOLDER", True)


def test_the_templates_lie_in_the_package():
    """The files of the project are part of the package, so that a wheel has them."""
    import parbake.cli

    found = {path.name.removesuffix(".txt") for path in (Path(parbake.cli.__file__).parent / "project").iterdir()}
    assert found == FILES
