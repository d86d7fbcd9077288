"""Shoppers' own accounts: of each passphrase only a slow, salted hash is kept (scrypt, RFC 7914)."""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3

from retail_assistant.shop import checks
from retail_assistant.shop.errors import WrongPassphrase
from retail_assistant.shop.records import ensure_shopper
from retail_assistant.shop.schema import transaction

LEAST = 12
"""Characters of the shortest passphrase."""
LONGEST = 200
_NOBODY = bytes(16)
"""The salt of a name without an account, so that a wrong name takes as long as a wrong passphrase."""


def put_account(conn: sqlite3.Connection, shopper: str, passphrase: str, *, now: float, is_test: bool = False) -> None:
    """Give a shopper a passphrase, or change it.

    Args:
        conn: The shop file.
        shopper: Whose account it is; a shopper whom the shop does not know yet is added.
        passphrase: 12 to 200 characters.
        now: Epoch seconds.
        is_test: Whether the account is for trying the shop out; its name is shown to everybody.

    Raises:
        BadValue: The name or the passphrase cannot be used.
    """
    name = checks.identifier(shopper, "shopper")
    salt, said = os.urandom(16), checks.text(passphrase, "passphrase", longest=LONGEST, shortest=LEAST)
    with transaction(conn):
        ensure_shopper(conn, name, now)
        row = (name, salt, _hashed(said, salt), is_test, now)
        conn.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?)", row)


def sign_in(conn: sqlite3.Connection, shopper: str, passphrase: str) -> str:
    """Return the shopper whose passphrase it is; raises :class:`WrongPassphrase` for any other pair."""
    row = conn.execute("SELECT shopper, salt, digest FROM accounts WHERE shopper = ?", (shopper,)).fetchone()
    name, salt, digest = row or ("", _NOBODY, b"")
    if not hmac.compare_digest(_hashed(passphrase[: LONGEST + 1], salt), digest):
        raise WrongPassphrase("this name and this passphrase do not belong together", field="passphrase")
    return str(name)


def list_test_accounts(conn: sqlite3.Connection) -> list[str]:
    """The names of the accounts for trying the shop out."""
    return [name for (name,) in conn.execute("SELECT shopper FROM accounts WHERE is_test ORDER BY shopper")]


def _hashed(passphrase: str, salt: bytes) -> bytes:
    said = passphrase.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(said, salt=salt, n=2**14, r=8, p=1)
