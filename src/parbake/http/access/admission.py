"""Which requests are admitted: by their host and their origin in a browser, and, on most routes, their body's type.

A page of any site can send requests to a server on its visitor's machine. A page whose name resolves to that machine
("DNS rebinding") can also read the answers. Browsers report this in ``Host``, in ``Sec-Fetch-Site`` (W3C, Fetch
Metadata Request Headers) and in ``Origin`` (RFC 6454). Other programs send neither of the last two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address

from parbake.errors import BadInput
from parbake.http.access.denials import JSON_TYPES, CrossSiteWrite, UnknownHost, UnsupportedType

_OPEN_TO_ALL = frozenset({"/healthz", "/readyz"})
"""Paths without a host check: probes use any address, and the answers contain nothing sensitive."""
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\s:\[\]@/,*]+))(?::[0-9]{1,5})?")
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({"same-origin", "none"})
"""From a page of this server, or typed into the address bar."""


class Admission:
    """Admits requests, or rejects them with the reason."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        """Create the check. ``hosts`` are the server's names besides loopback's; raises :class:`BadInput`."""
        self._hosts: set[str] = set()
        self._admitted = lru_cache(256)(self._answers_for)
        self.allow(hosts)

    def allow(self, hosts: Iterable[str]) -> None:
        """Accept further host names."""
        if isinstance(hosts, str):
            raise BadInput(f"hosts must be a list of names, such as [{hosts!r}]; got {hosts!r}", field="hosts")
        for host in hosts:
            name = name_of(host) if isinstance(host, str) else ""
            if not name:
                raise BadInput(f"hosts must be host names, such as 'shop.example'; got {host!r}", field="hosts")
            self._hosts.add(name)
        self._admitted.cache_clear()

    def _answers_for(self, host: str) -> bool:
        """Whether a ``Host`` header names this server."""
        name = name_of(host)
        return name in self._hosts or is_loopback(name)

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Raise an error for a request that is not admitted.

        Args:
            method: The HTTP method.
            path: The path.
            headers: The headers, by lower-case name.
        """
        host = headers.get("host", "")
        if not self._admitted(host) and path not in _OPEN_TO_ALL:
            raise UnknownHost(
                f"this server does not serve the host {host[:100]!r}; if it should, add it to hosts= or --allow-host",
                field="host",
            )
        if method not in _READS:
            _check_site(host, headers)


def _check_site(host: str, headers: Mapping[str, str]) -> None:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        is_own = site in _OWN_SITES
    else:  # an older browser, or one that used this server without TLS under a name other than loopback's
        is_own = origin is None or origin.partition("://")[2].lower() == host.lower()
    if not is_own:
        who = "a page of another site" if origin is None else f"a page of {origin[:100]}"
        raise CrossSiteWrite(f"{who} may not write here; only pages of this server and programs may", field="origin")


def check_type(method: str, headers: Mapping[str, str]) -> None:
    """Reject body types that an HTML form can send. For JSON or a ``ce-`` header, a browser first asks the server.

    Args:
        method: The HTTP method.
        headers: The headers, by lower-case name.

    Raises:
        UnsupportedType: The body is not declared to be JSON.
    """
    if method in _READS:
        return
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    found = headers.get("content-type", "")
    if has_body and "ce-id" not in headers and found.partition(";")[0].strip().lower() not in JSON_TYPES:
        raise UnsupportedType(
            f"the body's content-type is {found[:100] or 'missing'}; send content-type: {JSON_TYPES[0]}",
            field="content-type",
        )


@lru_cache(256)
def name_of(host: str) -> str:
    """The name or address in a ``Host`` header, without port and brackets; empty if it is invalid."""
    found = _HOST.fullmatch(host.strip().lower())
    return "" if found is None else (found["address"] or found["name"]).removesuffix(".")


@lru_cache(256)
def is_loopback(name: str) -> bool:
    """Whether a name can only mean this machine (RFC 6761, 6.3)."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
