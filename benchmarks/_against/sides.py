"""A side of a comparison: the tree of a revision, with an environment made from its own lock."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".against"
OWN_SCRIPT = Path("benchmarks", "_against", "round.py")
OLD_SCRIPT = ROOT / "benchmarks" / "_against" / "round_1fadcc1.py"
"""The script of revisions that have none of their own."""
LOCKS = ("requirements/runtime.txt", "requirements/models.in")
KEPT = ("PATH", "HOME", "TMPDIR")
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Side:
    """A tree below ``folder``, the interpreter that runs it, and the folder of its shop."""

    name: str
    folder: Path
    python: Path
    home: Path

    def started(self, kind: str) -> subprocess.Popen[str]:
        """Start a kind of round; what it logs is added to a file."""
        own = self.folder / OWN_SCRIPT
        command = [self.python, own if own.is_file() else OLD_SCRIPT, kind, self.folder, self.home]
        pipe = subprocess.PIPE
        with (CACHE / f"{self.name}.log").open("a") as log:
            return subprocess.Popen(command, env=self._environment(), stdin=pipe, stdout=pipe, stderr=log, text=True)

    def _environment(self) -> dict[str, str]:
        """The tree is what is imported, texts hash alike on every side, and no setting of the caller gets in."""
        path = os.pathsep.join(str(self.folder / source) for source in ("src", "assistant/src"))
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return kept | THREADS | {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}


def present(homes: Path) -> Side:
    """The tree as it stands here, with what is not committed."""
    return Side("now", ROOT, environment_of(ROOT), homes / "now")


def earlier(commit: str, homes: Path) -> Side:
    """The tree of a commit, extracted once."""
    folder = CACHE / commit
    if not folder.is_dir():
        packed = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        aside = folder.with_suffix(".new")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(aside, filter="data")
        aside.rename(folder)
    return Side(commit[:7], folder, environment_of(folder), homes / commit)


def commit_of(revision: str) -> str:
    """The full hash of a revision."""
    command = ["git", "rev-parse", "--verify", f"{revision}^{{commit}}"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def environment_of(folder: Path) -> Path:
    """The interpreter of an environment that matches a tree's lock; trees with the same lock share one.

    The packages of a tree itself come from ``PYTHONPATH``, before those that the environment was made with.
    """
    locks = b"".join((folder / lock).read_bytes() for lock in LOCKS)
    key = hashlib.sha256(sys.version.encode() + locks).hexdigest()[:12]
    made = CACHE / f"venv-{key}"
    if not made.is_dir():
        subprocess.run([folder / "scripts/venv.sh", sys.executable, made, "runtime"], cwd=folder, check=True)
    return made / "bin/python"
