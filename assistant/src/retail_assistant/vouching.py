"""Who vouches for shoppers, how often they may act, and the keys that stand behind it.

Keys are kept in files that only their owner can read, unless the environment brings them; the store has none of them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

import parbake as pb
from parbake.http import secret_of, stored_secret

SESSION_SECRET, BACKEND_KEY = "RETAIL_SESSION_SECRET", "RETAIL_BACKEND_KEY"
_OF_OPERATORS = ("PARBAKE_TOKEN", "PARBAKE_TOKEN_FILE")
_OF_SESSIONS = ("PARBAKE_SESSION_SECRET", "PARBAKE_SESSION_SECRET_FILE")
_OF_KEYS = (SESSION_SECRET, f"{SESSION_SECRET}_FILE", BACKEND_KEY, f"{BACKEND_KEY}_FILE")
OF_SERVER = frozenset({"RETAIL_VOUCHES", *_OF_OPERATORS, *_OF_SESSIONS, *_OF_KEYS})
"""Variables that only a server needs."""
LEAST = 16
"""Characters of the shortest key."""
WORDS = "accounts, key, or header:NAME such as header:x-shopper"
By = Literal["accounts", "key", "header"]


class Vouching(msgspec.Struct, frozen=True):
    """Who vouches for shoppers.

    ``by`` is ``accounts`` (shoppers sign in with a passphrase), ``key`` (the shop's backend, which sends ``key``), or
    ``header`` (a proxy, which sets ``header`` on every request and connects from one of ``proxies``). ``secrets`` sign
    sessions: the last one signs, and all are accepted.
    """

    by: By = "accounts"
    header: str = ""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    key: str = ""
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Vouching(by={self.by!r}, header={self.header!r}, proxies={self.proxies!r})"

    def kept_in(self, folder: Path) -> Vouching:
        """The same with a secret; one is made and kept in a folder if the environment brings none."""
        return self if self.secrets else msgspec.structs.replace(self, secrets=(_kept(folder / "sessions.key"),))

    @property
    def test_passphrase(self) -> str:
        """The passphrase of the accounts for trying the shop out; nobody can guess it who does not have the secret."""
        made = hmac.digest(self.secrets[-1].encode(), b"test accounts", hashlib.sha256).hex()
        return f"{made[:4]}-{made[4:8]}-{made[8:12]}"


class Rates(msgspec.Struct, frozen=True):
    """Chats and writes a second that one client and one shopper may go on making; 0 limits nothing.

    A client is an address. Behind a proxy all have the proxy's, so that the proxy has to limit clients there.
    """

    client: float = 20.0
    shopper: float = 5.0


def vouching(env: Mapping[str, str]) -> Vouching:
    """Read ``RETAIL_VOUCHES`` and what goes with it.

    Raises:
        parbake.BadInput: A variable is invalid, or one that is needed is missing; ``field`` names it.
    """
    by, _, header = (env.get("RETAIL_VOUCHES") or "accounts").partition(":")
    if by not in ("accounts", "key", "header") or (by == "header") != bool(header):
        raise pb.BadInput(f"RETAIL_VOUCHES={env['RETAIL_VOUCHES']!r}: choose {WORDS}", field="RETAIL_VOUCHES")
    key = secret_of(env, BACKEND_KEY) or ""
    if (by == "key") != bool(key):
        need = "is needed with RETAIL_VOUCHES=key" if by == "key" else "is used only with RETAIL_VOUCHES=key"
        raise pb.BadInput(f"{BACKEND_KEY}, or the file that {BACKEND_KEY}_FILE names, {need}", field=BACKEND_KEY)
    signing = tuple((secret_of(env, SESSION_SECRET) or "").split())
    for name, words in ((BACKEND_KEY, [key] if key else []), (SESSION_SECRET, signing)):
        if any(len(word) < LEAST for word in words):
            raise pb.BadInput(f"{name}: a key needs at least {LEAST} characters", field=name)
    proxies = tuple((env.get("RETAIL_PROXIES") or "127.0.0.1 ::1").split())
    return Vouching(by, header.lower(), proxies, key, signing)  # type: ignore[arg-type]  # checked above


def operators_key(folder: Path, env: Mapping[str, str] = os.environ) -> str | None:
    """The operators' key that is kept in a folder; ``None`` if the environment brings one."""
    return None if any(name in env for name in _OF_OPERATORS) else _kept(folder / "operators.key")


def _kept(path: Path) -> str:
    """The key in a file, which is made at the first use and which only its owner can read.

    Where there is no folder yet, nothing is kept: the key is good for this process.
    """
    return stored_secret(path) if path.parent.is_dir() else secrets.token_urlsafe(24)
