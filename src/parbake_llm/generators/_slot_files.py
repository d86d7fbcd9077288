"""Files that hold the computed prefix of a prompt, so that another process or slot need not compute it.

A file is named by everything that its content depends on: the model, the engine, its context and the tokens. Its
digest stands beside it, because the engine trusts what it loads.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from parbake.errors import ProviderError

KEPT = 8
"""How many files stay in a folder; those used longest ago are deleted."""
_SUFFIX = ".slot"
_log = logging.getLogger("parbake.llama")


class SlotFiles:
    """The files of one model and engine in a folder."""

    def __init__(self, folder: Path, model: Path, engine: str) -> None:
        """Keep files in a folder, which is created when the first is written.

        Args:
            folder: The folder.
            model: The model's file; another file at the same path gives other names.
            engine: The engine's version and settings.
        """
        self._folder = folder
        found = model.stat()
        self._of = f"{model.name} {found.st_size} {found.st_mtime_ns} {engine}"

    def path(self, tokens: Sequence[int]) -> Path:
        """Where the file of a prefix is kept."""
        digest = hashlib.blake2b(f"{self._of}\n{list(tokens)}".encode(), digest_size=16)
        return self._folder / f"{digest.hexdigest()}{_SUFFIX}"

    def restore(self, tokens: Sequence[int], load: Callable[[Path], int]) -> bool:
        """Load the file of a prefix, and return whether that worked. A damaged or foreign file is deleted, and logged.

        Args:
            tokens: The tokens of the prefix.
            load: Loads a file and returns the number of tokens in it.
        """
        path = self.path(tokens)
        try:
            if not path.is_file():
                return False
            wrong = _wrong(path, len(tokens), load)
            os.utime(path)
        except (OSError, ProviderError) as error:
            wrong = str(error)
        if wrong:
            _log.warning("the prefix file %s is not used and is made again: %s", path, wrong)
            _delete(path)
        return not wrong

    def save(self, tokens: Sequence[int], write: Callable[[Path], None]) -> None:
        """Write the file of a prefix; a failure is logged and costs only time later.

        Args:
            tokens: The tokens of the prefix.
            write: Writes what the slot holds to a file.
        """
        path = self.path(tokens)
        half = path.with_suffix(f".{os.getpid()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write(half)
            _beside(path).write_text(_digest(half))
            half.replace(path)
            for old in sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda each: -each.stat().st_mtime)[KEPT:]:
                _delete(old)
        except (OSError, ProviderError) as error:
            _log.warning("the prefix file %s could not be written: %s", path, error)
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)


def _wrong(path: Path, length: int, load: Callable[[Path], int]) -> str:
    """Load a file; return what is wrong with it, or an empty text."""
    if _digest(path) != _beside(path).read_text():
        return "it is damaged"
    held = load(path)
    return "" if held == length else f"it holds {held} tokens instead of {length}"


def _beside(path: Path) -> Path:
    return path.with_suffix(".blake2b")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _delete(path: Path) -> None:
    for each in (path, _beside(path)):
        with contextlib.suppress(OSError):
            each.unlink(missing_ok=True)
