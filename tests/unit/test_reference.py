"""The pages of docs/reference match the code."""

import subprocess
import sys
from pathlib import Path

from tests.waiting import HANGS_S

ROOT = Path(__file__).parents[2]


def _check(folder, *words):
    command = [sys.executable, str(folder / "scripts/reference.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANGS_S, check=False)


def test_the_pages_are_those_that_the_code_makes():
    """``make reference`` would change no page."""
    done = _check(ROOT, "--check")
    assert done.returncode == 0, done.stderr


def test_a_page_that_differs_is_named(tmp_path):
    """The check fails for a page that differs, names it and does not change it."""
    for name in ("scripts", "src", "docs"):
        (tmp_path / name).mkdir()
    (tmp_path / "assistant").symlink_to(ROOT / "assistant")
    for path in (ROOT / "scripts").glob("reference*.py"):
        (tmp_path / "scripts" / path.name).write_text(path.read_text())
    (tmp_path / "src").rmdir()
    (tmp_path / "src").symlink_to(ROOT / "src")
    assert _check(tmp_path).returncode == 0
    (tmp_path / "docs/reference/causes.md").write_text("something else")
    done = _check(tmp_path, "--check")
    assert done.returncode == 1
    assert done.stderr.startswith("docs/reference/causes.md: ")
    assert (tmp_path / "docs/reference/causes.md").read_text() == "something else"
