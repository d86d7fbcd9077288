"""Works through a page as a reader does: writes its files, runs its commands and compares their output."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.signals import born_with
from tests.waiting import HANGS_S, eventually

PAGE = Path(__file__).parents[1] / "docs/tutorial.md"
LAST_PART = "\n## 10. "
BLOCK = re.compile(r"(<!-- eventually -->\s+)?^```(\w+) ?([\w./]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STAYS = re.compile(r"\bparbake (serve|worker)\b|manage\.py runserver|-m uvicorn")


class Step(NamedTuple):
    """Code for a file, or commands with their output; ``is_awaited`` means that the output may take a moment."""

    text: str
    file: str = ""
    shown: str = ""
    is_awaited: bool = False


def steps(text):
    """Return the steps of a part of the page; a ``text`` block right after commands is their output."""
    found, is_open = [], False
    for waits, language, file, block in BLOCK.findall(text):
        if language == "text":
            if is_open:
                found[-1] = found[-1]._replace(shown=block)
            is_open = False
        else:
            found.append(Step(block, file, is_awaited=bool(waits)))
            is_open = language == "sh"
    return found


def parts():
    """Return the page up to its last part, and its last part."""
    before, _, last = PAGE.read_text().partition(LAST_PART)
    return before, last


def matches(shown, printed):
    """Return whether an output is as shown, where ``...`` matches anything within a line."""
    pattern = r"[^\n]*".join(map(re.escape, shown.strip().split("...")))
    return re.fullmatch(pattern, printed.strip()) is not None


class Reader:
    """A reader who works through the page in a folder; ``swaps`` are the addresses that a test replaces."""

    def __init__(self, folder, swaps):
        """Make ``python`` and ``parbake`` available, as a virtual environment would."""
        self.folder, self.swaps, self.started = folder / "courier", swaps, []
        programs = folder / "bin"
        programs.mkdir()
        self.folder.mkdir()
        for name, words in (("python", ""), ("parbake", " -m parbake")):
            (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{words} "$@"\n')
            (programs / name).chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        self.environment.pop("STORE", None)

    def take(self, step):
        """Take a step; raise ``AssertionError`` with the output if it is not as shown."""
        text, shown = self._swapped(step.text), self._swapped(step.shown)
        if step.file:
            with (self.folder / step.file).open("a") as file:
                file.write(text)
        elif STAYS.search(text):
            self._start(text, shown)
        elif step.is_awaited:
            self._wait(text, shown)
        else:
            printed = self._run(text)
            assert matches(shown, printed), f"{text}\nprinted\n{printed}\nand not\n{shown}"

    def _swapped(self, text):
        for old, new in self.swaps.items():
            text = text.replace(old, new)
        return text

    def _run(self, text):
        done = subprocess.run(
            ["bash", "-ec", text], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=HANGS_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _wait(self, text, shown):
        """Repeat these commands until they print what is shown; a read may change what the next one sees."""
        printed = ""

        def look():
            nonlocal printed
            printed = self._run(text)
            return matches(shown, printed)

        try:
            eventually(look)
        except AssertionError:
            raise AssertionError(f"{text}\nprinted last\n{printed}\nand not\n{shown}") from None

    def _start(self, text, shown):
        log = self.folder.parent / f"{len(self.started)}.log"
        with log.open("w") as file, born_with(signal.SIG_DFL):
            process = subprocess.Popen(
                ["bash", "-c", re.sub(r"\b(?=parbake |python -?m)", "exec ", text)], cwd=self.folder,
                env=self.environment, stdout=file, stderr=file,
            )  # fmt: skip
        self.started.append((process, log))
        if shown:
            eventually(lambda: matches(shown, log.read_text()) or process.poll() is not None)
            assert process.poll() is None, log.read_text()

    def stop(self):
        """Interrupt what was started, as Ctrl-C does; each process must end without a traceback."""
        for process, _ in self.started:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        ends = time.monotonic() + HANGS_S
        for process, log in self.started:
            process.wait(max(1.0, ends - time.monotonic()))
            assert "Traceback" not in log.read_text(), log.read_text()
        self.started = []
