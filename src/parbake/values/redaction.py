"""What error messages may show: the path of an invalid member of a document, an address without its password."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from parbake.errors import ParbakeError

_REASON = 500
"""Greatest length of a stored reason, in characters."""
_ADDRESS = re.compile(r"//\S*@")
_NAMED = re.compile(
    r"(?i)((?:password|passwd|pwd|secret|cookie|session|token|api[_-]?key|authorization)[\w-]*[\"']?\s*[:=]\s*)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s,;)}\]]+)"
)
_KEY = re.compile(r"\b(sk|pk|rk|pbk|ghp|gho|xox[abp])([-_])[\w-]{8,}")
"""Keys whose beginning tells what they are."""
_USER = re.compile(r"(:/{1,2})[^\s/@\"']*:[^\s\"']*@")
"""A user with a password in an address, also in one that lacks a slash."""
_UP_TO_USER = re.compile(r"(?s)\A(\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?/{1,2})?.*@")
"""What an address has before its last ``@``, apart from its scheme."""
_OPTION = re.compile(
    r"(?is)((?:\A|[\s?&])[\w-]*(?:pas|pwd|pw\b|secret|token|key|cred)[\w-]*\s*=\s*)"
    r"(?:'(?:[^'\\]|\\.)*(?:'|\Z)|(?:\\.|[^\s\\])+)"
)
"""A password among names and values, as libpq reads them, or among the options of an address, also if its name is
misspelt."""
_MIN_CHARACTERS = 8
"""A shorter secret would be found in words that are none."""
_SECRET_NAME = re.compile(r"(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|KEY)$")
_concealed: set[str] = set()
_SCHEME = re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]{8,}")


def without_credentials(url: str) -> str:
    """An address that is safe to show. Everything between its scheme and the last ``@`` may be a part of a password.

    So this is removed, also if the address has no slashes, or none where they belong. In a text of names and values, as
    libpq reads it, and among the options of an address, the password is removed.
    """
    return _NAMED.sub(r"\1***", _OPTION.sub(r"\1***", _UP_TO_USER.sub(lambda found: f"{found[1] or ''}***@", url)))


def names_of_options(names: Iterable[str]) -> str:
    """Names of unknown options, to show. With an ``@`` they are what a password has behind a question mark."""
    listed = ", ".join(sorted(names))
    return "***" if "@" in listed else listed


def conceal(secret: str) -> None:
    """Let no line of the log show a secret from now on, in this process."""
    if len(secret) >= _MIN_CHARACTERS:
        _concealed.add(secret)


def conceal_environment(environment: Mapping[str, str]) -> None:
    """Let no line of the log show the variables whose names say that they are secrets."""
    for name, secret in environment.items():
        if _SECRET_NAME.search(name.upper()):
            conceal(secret)


def without_secrets(text: str, *, of_errors: bool = False) -> str:
    """A text of any number of lines without what is known or looks like a secret.

    Args:
        text: The text.
        of_errors: Whether it quotes errors or source code: then also the value after a name such as ``password=`` goes.
    """
    for secret in sorted(_concealed, key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _KEY.sub(r"\1\2***", _SCHEME.sub(r"\1 ***", _USER.sub(r"\1***@", text)))
    return _NAMED.sub(r"\1***", text) if of_errors else text


def described(error: BaseException) -> str:
    """The class of an error and its text, even if the text cannot be produced."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as unsaid:  # noqa: BLE001 - any error: the first error is the one to report
        return f"{type(error).__name__} (its message cannot be read: {type(unsaid).__name__})"


def one_line(error: BaseException) -> str:
    """An error's text in a form that can be stored and shown: one line of at most 500 printable characters.

    What looks like a secret is masked: credentials in an address, the value after a name such as ``password=``.
    """
    text = str(error) if isinstance(error, ParbakeError) else described(error)
    words = ("".join(filter(str.isprintable, word)) for word in text[: 4 * _REASON].split())
    text = " ".join(filter(None, words)).removesuffix(":")
    text = without_secrets(_ADDRESS.sub("//***@", text), of_errors=True)
    return text if len(text) <= _REASON else f"{text[: _REASON - 1]}…"


def visible(text: str, longest: int) -> str:
    """Untrusted text in a form that is safe for a terminal: printable, one line, at most ``longest`` characters."""
    opening = text[: 4 * longest]  # white space goes, so that some more is read than is returned
    return " ".join("".join(c if c.isprintable() else " " for c in opening).split())[:longest]


def field_of(error: msgspec.ValidationError) -> str:
    """The path of the invalid member (``live.page``, ``[0].subject``), or ``body`` for the whole document."""
    text = str(error)
    quoted = text.split("`")[1::2]
    path = next((p for p in reversed(quoted) if p.startswith("$")), "$")
    names_member = "missing required field" in text or "unknown field" in text
    member = f".{quoted[0]}" if names_member and quoted else ""
    return f"{path}{member}".removeprefix("$").removeprefix(".") or "body"
