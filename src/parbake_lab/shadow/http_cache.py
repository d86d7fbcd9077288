"""A cache behind HTTP as the cache under test. It sends only GET."""

from __future__ import annotations

import email.message
import http.client
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from parbake.errors import BadInput
from parbake.values.redaction import without_credentials
from parbake.values.schemes import split_url
from parbake_lab.shadow.caches import CacheEntry, Decode, UndecodableError, decoded

TIMEOUT_S = 5.0
_BODY_AT_MOST = 8 << 20
ABSENT = (404, 410, 504)
"""Statuses for "not cached"; a proxy answers 504 if it would have to fetch the value from its origin."""
_HEADERS = {"User-Agent": "parbake-shadow", "Cache-Control": "only-if-cached"}  # the check must not fill the cache
_IN_ADDRESSES = "/%?&=:@!$'()*+,;~"
"""What a key may contain that is part of an address already."""
_UNREACHABLE = (OSError, http.client.HTTPException)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Does not follow redirects, because they lead away from the cache."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow no redirect."""
        return


class HttpCache:
    """Values under ``http://host/path/{key}`` (see :class:`parbake_lab.shadow.caches.Cache`).

    The caller lists the keys.
    """

    def __init__(
        self, template: str, keys: Sequence[str], decode: Decode, *, seed: int | None = None, are_encoded: bool = False
    ) -> None:
        """Create the cache.

        Args:
            template: The address, with ``{key}``. Where that follows the host, a key is a path.
            keys: The keys, or the key of each request.
            decode: Converts bytes to a value.
            seed: Seed of the random sample.
            are_encoded: Whether keys are parts of addresses already; paths are, too. Others are percent-encoded.

        Raises:
            BadInput: The address has no ``{key}``, or has a user.
        """
        shown = without_credentials(template)
        if "{key}" not in template:
            raise BadInput(f"CACHE={shown!r} must contain {{key}}, because it is an HTTP cache", field="CACHE")
        host = split_url(template, setting="CACHE", error=BadInput).netloc
        if "@" in host:  # the client would send all of it to the resolver
            raise BadInput(f"CACHE={shown!r}: a user or password in the address is not sent", field="CACHE")
        if host.endswith("{key}"):  # a key begins a path, and never changes the host
            template, are_encoded = template.replace("{key}", "/{key}", 1), True
        self._template, self._keys, self._decode = template, keys, decode
        self._safe = _IN_ADDRESSES if are_encoded else ""
        self._random = random.Random(seed)  # noqa: S311 - a sample needs no secret
        self._opener = urllib.request.build_opener(_NoRedirect)

    def sample(self, count: int, *, until: float) -> list[str]:  # noqa: ARG002 - the keys are known: nothing takes time
        """See :class:`parbake_lab.shadow.caches.Cache`. Requests one key, to check that the cache can be reached."""
        keys = self._random.sample(self._keys, min(count, len(self._keys)))
        try:
            if keys:
                self.read(keys[0])
        except UndecodableError as error:
            if isinstance(error.__cause__, _UNREACHABLE) and not isinstance(error.__cause__, urllib.error.HTTPError):
                reason = getattr(error.__cause__, "reason", error.__cause__)
                raise BadInput(f"CACHE cannot be reached: {reason}", field="CACHE") from error
        return keys

    def read(self, key: str) -> CacheEntry | None:
        try:
            body, headers = self._get(key)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in ABSENT:
                return None
            raise UndecodableError(f"status {error.code}") from error
        except _UNREACHABLE as error:
            raise UndecodableError(f"not readable: {type(error).__name__}") from error
        if len(body) > _BODY_AT_MOST:
            raise UndecodableError(f"over {_BODY_AT_MOST >> 20} MiB")
        return CacheEntry(decoded(self._decode, body), _age_s(headers, time.time()))

    def _get(self, key: str) -> tuple[bytes, email.message.Message]:
        quoted = urllib.parse.quote(key, safe=self._safe)
        url = self._template.replace("/{key}", "/" + quoted.removeprefix("/")).replace("{key}", quoted)
        request = urllib.request.Request(url, headers=_HEADERS, method="GET")  # noqa: S310 - http or https: see open_cache
        with self._opener.open(request, timeout=TIMEOUT_S) as response:
            if response.status != 200:  # noqa: PLR2004 - only a full answer is a value
                raise UndecodableError(f"status {response.status}")
            return response.read(_BODY_AT_MOST + 1), response.headers

    def close(self) -> None:
        """Do nothing: no connection is kept open."""


def _age_s(headers: email.message.Message, now: float) -> float | None:
    """The age in seconds from the headers: ``Age``, or else the time since ``Date``."""
    try:
        if "Age" in headers:
            return max(0.0, float(headers["Age"]))
        return max(0.0, now - parsedate_to_datetime(headers["Date"]).timestamp()) if "Date" in headers else None
    except ValueError:
        return None
