"""What type checkers report for right and wrong uses of the public interface."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

FILES = ("accepted.py", "rejected.py")
MARK = "# E:"


def mypy_lines(folder, root, _scratch):
    """Return mypy's errors in both files, by place."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", *(str(folder / name) for name in FILES)]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^(\S+?\.py):(\d+): error: (.*)$", done.stdout, flags=re.MULTILINE)
    return {(path.rpartition("/")[2], int(line)): message for path, line, message in found}


def pyright_lines(folder, root, scratch):
    """Return pyright's errors in both files, by place."""
    # Pyright skips files that the project excludes, even if they are named, so it gets its own project.
    shutil.copytree(folder, scratch, dirs_exist_ok=True)
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["pyright"]
    settings |= {"include": FILES, "exclude": []}
    (scratch / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--level", "error", "--pythonpath", sys.executable]
    done = subprocess.run([*command, "--project", scratch], check=False, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(FILES), done.stdout
    return {
        (item["file"].rpartition("/")[2], item["range"]["start"]["line"] + 1): item["message"]
        for item in report["generalDiagnostics"]
    }


@pytest.fixture(scope="module", params=[mypy_lines, pyright_lines], ids=["mypy", "pyright"])
def reported(request, root, tmp_path_factory):
    """Return one checker's errors by (file name, line)."""
    return request.param(root / "tests" / "typing", root, tmp_path_factory.mktemp("typing"))


def test_correct_uses_are_accepted(reported):
    """A checker reports no error in the uses that the documentation shows."""
    assert {place: message for place, message in reported.items() if place[0] == "accepted.py"} == {}


def test_wrong_uses_are_rejected(reported, root):
    """A checker reports exactly the lines that are marked as wrong."""
    lines = (root / "tests" / "typing" / "rejected.py").read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if MARK in line}
    found = {line: message for (name, line), message in reported.items() if name == "rejected.py"}
    assert marked, "rejected.py marks no line"
    assert {line: lines[line - 1] for line in marked - found.keys()} == {}
    assert {line: message for line, message in found.items() if line not in marked} == {}
