"""Files that only their owner can read: made once for all processes, or replaced as a whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

from parbake.errors import BadInput
from parbake.values.redaction import conceal

MIN_SECRET = 16
"""Least length of a secret in characters; a shorter one can be guessed."""
_SECRET_BYTES = 32
_MODE = 0o600


def stored_secret(path: Path) -> str:
    """Return the secret in a file, which is made at the first use and which only its owner can read.

    The file appears with its whole content, so that processes that start together all read the same.

    Args:
        path: The file.

    Raises:
        BadInput: The file can neither be read nor made, or has less than 16 characters.
    """
    try:
        if not path.exists():
            _create(path, secrets.token_urlsafe(_SECRET_BYTES))
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: the secret can neither be read nor made ({type(error).__name__})"
        raise BadInput(message, field="secret") from error
    if len(secret) < MIN_SECRET:
        raise BadInput(f"{path}: a secret needs at least {MIN_SECRET} characters", field="secret")
    conceal(secret)
    return secret


def replace(path: Path, content: bytes) -> None:
    """Replace a file by another content, and keep its owner, group, mode and extended attributes, such as its ACL.

    A link stays one: what it leads to is replaced. A new file gets the owner of its folder if that is possible. Only
    one process may replace a file at a time.

    Args:
        path: The file.
        content: Its new content.

    Raises:
        OSError: It cannot be written, or cannot be given to the owner of the file before; that file stays then.
    """
    target = _resolved(path)
    aside = target.with_name(f"{target.name}.new")
    aside.unlink(missing_ok=True)
    try:
        _write(aside, content, like=target if target.exists() else None)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    _sync(target.parent)


def make_folder(path: Path) -> None:
    """Make a folder for data that only its owner can read, unless there is one; that keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_file(path: Path) -> None:
    """Make an empty file that only its owner can read, unless there is one; that keeps its mode.

    The side files that SQLite makes beside a database have the mode of the database.
    """
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        try:
            _give_to_owner_of_folder(descriptor, path)
        finally:
            os.close(descriptor)


def copy_owner_and_mode(source: Path, target: Path) -> None:
    """Give a new file or folder to the owner and group of the one whose place it takes, with its mode.

    Raises:
        OSError: This process may not give it to them.
    """
    before, own = source.stat(), target.stat()
    if (before.st_uid, before.st_gid) != (own.st_uid, own.st_gid):
        os.chown(target, before.st_uid, before.st_gid)
    target.chmod(before.st_mode & 0o777)


def open_lock(path: Path) -> int:
    """Open the file beside another that a process locks to change it; returns the file descriptor.

    The lock belongs to the owner of the file, so that commands of root and of that owner can follow each other.
    """
    target = _resolved(path)
    lock = target.with_name(f"{target.name}.lock")
    before = (target if target.exists() else target.parent).stat()
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except FileExistsError:
        # Whoever owns the folder may have put a link there, or another kind of file: nothing of it is changed.
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "a lock must be a regular file", str(lock)) from None
        return descriptor
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    return descriptor


def _resolved(path: Path) -> Path:
    """The file that a path leads to; raises :class:`OSError` for a link that another user has made."""
    if path.is_symlink() and path.lstat().st_uid not in (0, os.geteuid()):
        raise OSError(errno.EPERM, "it is a link of another user", str(path))
    return path.resolve()


def _give_to_owner_of_folder(descriptor: int, path: Path) -> None:
    """Give a file that this process has just created to the owner of its folder, if this process may."""
    folder = path.parent.stat()
    if folder.st_uid != os.fstat(descriptor).st_uid:
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, folder.st_uid, folder.st_gid)


def _create(path: Path, content: str) -> None:
    """Create a file unless another process is faster."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(aside, content.encode(), like=None)
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _write(path: Path, content: bytes, *, like: Path | None) -> None:
    """Write a new file to the disk that has the owner and the rights of another one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), "wb") as file:
        if like is None:
            _give_to_owner_of_folder(file.fileno(), path)
        else:
            _copy_rights(like, file.fileno())
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _copy_rights(source: Path, descriptor: int) -> None:
    before, own = source.stat(), os.fstat(descriptor)
    if (before.st_uid, before.st_gid) != (own.st_uid, own.st_gid):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, before.st_mode & 0o777)
    for name in os.listxattr(source) if hasattr(os, "listxattr") else ():
        with contextlib.suppress(OSError):  # some belong to the kernel, and some file systems have none
            os.setxattr(descriptor, name, os.getxattr(source, name))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
