"""``parbake models``: installed models are listed and verified by their hash."""

import dataclasses
import hashlib

import pytest
from tests.unit.commands import invoke

from parbake_semantic import model_files
from parbake_semantic.cli import models_command as commands


@pytest.fixture
def one(tmp_path, monkeypatch):
    """Return the path of one known model, whose file the test writes."""
    path = tmp_path / "model.bin"
    file = dataclasses.replace(model_files.SMOLLM2, model="one", sha256=hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setattr(commands, "files_of", lambda name: [file])
    monkeypatch.setattr(commands, "MODELS", ("one",))
    monkeypatch.setattr(commands, "installed", lambda file: path if path.is_file() else None)
    return path


def test_every_model_is_listed_with_what_needs_it():
    """The list names each model, its package and the class that uses it."""
    shown = invoke("none", "models", "list").output
    for file in model_files.MODEL_FILES:
        assert all(word in shown for word in (file.model, file.distribution, file.use))


def test_every_model_is_in_the_lock_with_a_hash():
    """The lock that ``fetch`` gives to pip has one version and the hashes of each package."""
    for file in model_files.MODEL_FILES:
        (entry,) = commands._locked(file.distribution)
        assert "--hash=sha256:" in entry
        assert "==" in entry.splitlines()[0]


def test_a_file_that_differs_fails_the_check(one):
    """``verify`` exits with 1 and names the file if its bytes differ, and with 0 otherwise."""
    one.write_bytes(b"weights")
    assert invoke("none", "models", "verify").exit_code == 0
    one.write_bytes(b"other")
    found = invoke("none", "models", "verify")
    assert found.exit_code == 1
    assert f"differs: {one}" in found.output


def test_an_absent_model_fails_the_check_only_where_it_is_named(one):
    """``verify`` fails for an absent model only if its name is given."""
    assert invoke("none", "models", "verify").exit_code == 0
    assert invoke("none", "models", "verify", "one").exit_code == 1


def test_a_name_that_no_model_has_is_one_line():
    """The error for an unknown model lists the known ones."""
    error = invoke("none", "models", "fetch", "minilmm").exception
    assert str(error) == "'minilmm' is not a model that parbake knows: minilm, smollm2"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("ERROR: Could not find a version\nERROR: No matching distribution found for x\n", "No matching distribution"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE FILE\n    x: got y\n", "another hash than the lock"),
        ("WARNING: Retrying after connection broken by 'x'\nERROR: No matching\n", "no package index could be reached"),
        ("Segmentation fault\n", "Segmentation fault"),
        ("", "did not say why"),
    ],
)
def test_the_reason_is_one_line(said, reason):
    """The output of pip is reduced to one line with the reason."""
    assert reason in commands._reason(said)
    assert "\n" not in commands._reason(said)
