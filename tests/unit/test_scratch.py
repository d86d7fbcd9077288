"""The folder that an executor's processes share: it goes with its owner, however that one ends."""

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
from parbake.executors._scratch import LOCK, PREFIX, Scratch, remove_left_over
from parbake.executors.local import LocalExecutor

OWN = "import sys; from parbake.executors._scratch import Scratch; s = Scratch(); print(s.path, flush=True); input()"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Return a folder for temporary files, for this process and those it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_process_left_is_removed_by_the_next(temporary):
    """A living owner keeps its folder; once it was killed, whoever makes one removes it, and its own stays."""
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
    """A folder that was just made or that holds something but no lock, and a link to elsewhere, stay as they are."""
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
    """Another process looks into it just when it was made: the owner does without that one."""
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
    """The failure is typed, names the folder and the setting; once it is there again, so are the processes."""
    executor = LocalExecutor("nowhere:app", processes=1)
    temporary.rmdir()
    with pytest.raises(pb.errors.ComputeFailed, match=str(temporary)) as caught:
        await executor.run(b"")
    assert caught.value.field == "TMPDIR"
    temporary.mkdir()
    with contextlib.closing(Scratch()):  # can be made again
        assert executor._opened()[1].path.is_dir()
    await executor.close()


async def test_a_folder_that_was_cleared_away_is_made_anew(temporary):
    """Its processes, which were told the old one, are succeeded by others."""
    executor = LocalExecutor("nowhere:app", processes=1)
    pool, models = executor._opened()
    assert executor._opened() == (pool, models)
    shutil.rmtree(models.path)
    another, made = executor._opened()
    assert made.path.is_dir()
    assert another is not pool
    await executor.close()
    assert list(temporary.iterdir()) == []
