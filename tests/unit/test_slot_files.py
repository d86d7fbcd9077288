"""Files of computed prefixes are found by all they depend on, checked before they are loaded, and made again."""

import logging
import os

import pytest

from parbake.errors import ProviderError
from parbake_llm.generators._slot_files import KEPT, SlotFiles

TOKENS = list(range(20))


@pytest.fixture
def model(tmp_path):
    """Return a file that stands for a model."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def files(tmp_path, model):
    """Return the files of one model and engine."""
    return SlotFiles(tmp_path / "prefixes", model, "engine 1")


def saved(files, tokens=TOKENS, content=b"state"):
    """Save a prefix whose slot holds ``content``."""
    files.save(tokens, lambda path: path.write_bytes(content))
    return files.path(tokens)


def restored(files, tokens=TOKENS, holds=None):
    """Return whether a prefix could be loaded, and what was loaded."""
    seen = []

    def load(path):
        seen.append(path.read_bytes())
        return len(tokens) if holds is None else holds

    return files.restore(tokens, load), seen


def test_what_was_saved_is_loaded(files):
    """A saved prefix is loaded as it was written, and no half-written file stays."""
    path = saved(files)
    assert restored(files) == (True, [b"state"])
    assert sorted(each.suffix for each in path.parent.iterdir()) == [".blake2b", ".slot"]
    assert restored(files, [1, 2, 3]) == (False, [])


def test_another_model_engine_or_prefix_has_another_file(tmp_path, model, files):
    """The name depends on the tokens, the engine, and the model's file."""
    names = {files.path(TOKENS).name, files.path(TOKENS[:-1]).name}
    names.add(SlotFiles(tmp_path, model, "engine 2").path(TOKENS).name)
    model.write_bytes(b"other weights")
    names.add(SlotFiles(tmp_path, model, "engine 1").path(TOKENS).name)
    assert len(names) == 4


@pytest.mark.parametrize("damage", [b"stat", b"stale", b"", None])
def test_a_damaged_file_is_not_loaded_but_deleted(files, caplog, damage):
    """A cut, changed or emptied file, and one without its digest, is logged, deleted, and can be made again."""
    path = saved(files)
    if damage is None:
        path.with_suffix(".blake2b").unlink()
    else:
        path.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert restored(files) == (False, [])
    assert "is not used and is made again" in caplog.text
    assert not path.exists()
    saved(files)
    assert restored(files)[0]


def test_a_file_that_the_engine_refuses_or_that_holds_too_little_is_deleted(files, caplog):
    """If the engine cannot read the file, or finds another number of tokens, the file is deleted."""
    saved(files)
    assert restored(files, holds=7)[0] is False
    assert "holds 7 tokens instead of 20" in caplog.text
    saved(files)

    def refuse(_):
        raise ProviderError("no space", field="llama")

    assert files.restore(TOKENS, refuse) is False
    assert not files.path(TOKENS).exists()


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path, model, caplog):
    """A failing write is logged and raises nothing."""
    (tmp_path / "taken").write_text("a file")
    saved(SlotFiles(tmp_path / "taken", model, "engine"))
    assert "could not be written" in caplog.text


def test_a_folder_keeps_few_files(files):
    """Only the files used last stay."""
    for n in range(KEPT + 3):
        path = saved(files, [n])
        os.utime(path, (n, n))
    left = [n for n in range(KEPT + 3) if files.path([n]).exists()]
    assert len(left) <= KEPT + 1
    assert left[-1] == KEPT + 2
    assert 0 not in left
