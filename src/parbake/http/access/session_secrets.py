"""What signs the sessions of browsers: a secret of the environment, or of a file that is made at the first start.

It is apart from the keys, because a file of hashes must not be enough to sign a session. All servers of an app need the
same secret: those of one user on one host find the same file, and servers on several hosts are given one.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from parbake.errors import BadInput
from parbake.process.private_files import MIN_SECRET, stored_secret
from parbake.values.secret_settings import secret_of

SESSION_SECRET, _SESSION_SECRET_FILE = "PARBAKE_SESSION_SECRET", "PARBAKE_SESSION_SECRET_FILE"
_FILE_NAME = "session.key"
_BYTES = 32
_log = logging.getLogger("parbake.keys")


def read_secret(environment: Mapping[str, str]) -> bytes:
    """Return the secret that the environment brings or names; a file that is missing is made.

    Where no file can be made and none is named, the secret is good for this process, and the log says so.

    Args:
        environment: The variables of the environment.

    Raises:
        BadInput: The secret is too short, or the file that is named can neither be read nor made.
    """
    secret = _configured_secret(environment)
    if secret is not None:
        return _validate_secret(secret)
    try:
        return _of_user(environment)
    except BadInput as error:
        _log.warning(
            "%s. Sessions end with this process, and other processes refuse them: set %s", error, _SESSION_SECRET_FILE
        )
        return secrets.token_bytes(_BYTES)


def share_secret(environment: MutableMapping[str, str]) -> None:
    """Give the processes that inherit an environment one secret, also where no file can be made."""
    if SESSION_SECRET not in environment and _SESSION_SECRET_FILE not in environment:
        try:
            _of_user(environment)
        except BadInput:
            environment[SESSION_SECRET] = secrets.token_urlsafe(_BYTES)


def _validate_secret(secret: str) -> bytes:
    """Return a secret as bytes; raises :class:`BadInput` if it can be guessed."""
    if len(secret.strip()) < MIN_SECRET:
        message = f"{SESSION_SECRET}: the secret of sessions needs at least {MIN_SECRET} characters"
        raise BadInput(message, field=SESSION_SECRET)
    return secret.strip().encode()


def _configured_secret(environment: Mapping[str, str]) -> str | None:
    """The secret that the environment brings or whose file it names, which is made if it is missing."""
    place = environment.get(_SESSION_SECRET_FILE)
    if place and SESSION_SECRET not in environment:
        return stored_secret(Path(place))
    return secret_of(environment, SESSION_SECRET)


def _of_user(environment: Mapping[str, str]) -> bytes:
    path = _default_path(environment)
    if path is None:
        raise BadInput("this user has no home, in which the secret of sessions could be", field=SESSION_SECRET)
    return stored_secret(path).encode()


def _default_path(environment: Mapping[str, str]) -> Path | None:
    """The file in the folder for the state of services (systemd), or in that of the user (XDG Base Directory)."""
    if of_service := environment.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(of_service) / _FILE_NAME
    if of_user := environment.get("XDG_STATE_HOME"):
        return Path(of_user) / "parbake" / _FILE_NAME
    try:
        return Path.home() / ".local" / "state" / "parbake" / _FILE_NAME
    except RuntimeError:  # this user has no home
        return None
