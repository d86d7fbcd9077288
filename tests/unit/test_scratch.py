"""The folder that an executor's processes share is removed, however its owner ends."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import parbake as pb
from parbake.adapters._scratch import LOCK, PREFIX, Scratch, remove_left_over
from parbake.adapters.local import LocalExecutor

OWN = "import sys; from parbake.adapters._scratch import Scratch; s = Scratch(); print(s.path, flush=True); input()"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Return a folder for the temporary files of this process and its children."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_process_left_is_removed_by_the_next(temporary):
    """A killed owner's folder is removed by the next ``Scratch``; folders of living owners stay."""
    command = [sys.executable, "-c", OWN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        left = temporary / owner.stdout.readline().strip()
        (left / "model").write_bytes(b"x" * 1000)
        first = Scratch()
        assert left.exists()
        owner.send_signal(signal.SIGKILL)
    second = Scratch()
    assert not left.exists()
    assert sorted(temporary.iterdir()) == sorted([first.path, second.path])
    first.close()
    second.close()
    assert list(temporary.iterdir()) == []


def test_only_what_is_surely_left_over_is_removed(temporary):
    """A new folder, a non-empty folder without a lock, and a symbolic link are not removed."""
    new, old, full, elsewhere = (temporary / name for name in (f"{PREFIX}a", f"{PREFIX}b", f"{PREFIX}c", "mine"))
    for folder in (new, old, full, elsewhere):
        folder.mkdir()
    (full / "model").touch()
    (elsewhere / LOCK).touch()
    for folder in (old, full):
        os.utime(folder, (0, 0))
    (temporary / f"{PREFIX}d").symlink_to(elsewhere)
    remove_left_over()
    assert sorted(path.name for path in temporary.iterdir()) == ["mine", new.name, full.name, f"{PREFIX}d"]
    assert (elsewhere / LOCK).exists()


def test_a_folder_that_is_removed_before_it_is_locked_is_made_anew(temporary, monkeypatch):
    """If another process removes the new folder before it is locked, a second one is made."""
    make, made = tempfile.mkdtemp, []

    def seen_at_once(**options):
        made.append(make(**options))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", seen_at_once)
    own = Scratch()
    assert str(own.path) == made[1]
    own.close()


async def test_a_folder_for_temporary_files_that_is_gone_fails_the_run_and_heals(temporary):
    """Without the temporary folder a run fails by name; once it exists again, processes start."""
    executor = LocalExecutor("nowhere:app", processes=1)
    temporary.rmdir()
    with pytest.raises(pb.errors.ComputeFailed, match=str(temporary)) as caught:
        await executor.run(b"")
    assert caught.value.field == "TMPDIR"
    temporary.mkdir()
    with contextlib.closing(Scratch()):  # a scratch folder can be made again
        assert executor._opened()[1].path.is_dir()
    await executor.close()


async def test_a_folder_that_was_cleared_away_is_made_anew(temporary):
    """If the shared folder is deleted, a new folder and a new pool of processes replace it."""
    executor = LocalExecutor("nowhere:app", processes=1)
    pool, models = executor._opened()
    assert executor._opened() == (pool, models)
    shutil.rmtree(models.path)
    another, made = executor._opened()
    assert made.path.is_dir()
    assert another is not pool
    await executor.close()
    assert list(temporary.iterdir()) == []
