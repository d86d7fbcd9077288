"""Finds adapters by the scheme of their URL: parbake's own by a table, others by the entry points of their wheels."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from parbake.errors import DeclarationError, ParbakeError
from parbake.values.redaction import names_of_options, without_credentials


def entry_points(group: str) -> Any:
    """Return the entry points of a group that installed packages bring."""
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    return entry_points(group=group)


def entry_point(group: str, name: str) -> Any:
    """Return the entry point of a name that an installed package brings; ``None`` if there is none.

    Raises:
        DeclarationError: Several packages bring one of this name.
    """
    found = [entry for entry in entry_points(group) if entry.name == name]
    if len(found) > 1:
        claims = ", ".join(sorted(entry.value for entry in found))
        raise DeclarationError(f"several installed packages claim {name!r} in {group}: {claims}; uninstall one")
    return found[0] if found else None


def url_options(query: str, known: Collection[str], *, setting: str, error: type[ParbakeError]) -> dict[str, str]:
    """Return the options in the query string of an adapter's URL; the last one of a name counts.

    Args:
        query: The query string.
        known: The names of the adapter's options.
        setting: The name of the setting that holds the URL, for the error.
        error: The class of error to raise for an option that is not known.
    """
    options = {name: values[-1] for name, values in parse_qs(query).items()}
    if unknown := options.keys() - set(known):
        raise error(
            f"{names_of_options(unknown)} is not an option; the options are {', '.join(sorted(known))}", field=setting
        )
    return options


def split_url(url: str, *, setting: str, error: type[ParbakeError]) -> SplitResult:
    """Split an adapter's URL.

    Args:
        url: The URL.
        setting: The name of the setting that holds the URL, for the error.
        error: The class of error to raise for one that cannot be split, such as one with an open bracket.
    """
    try:
        return urlsplit(url)
    except ValueError:
        raise error(f"{setting}={without_credentials(url)!r} is not a URL", field=setting) from None


@dataclass(frozen=True)
class Schemes:
    """The adapters of one kind.

    Attributes:
        group: The group of entry points in which other wheels name theirs: ``scheme = "module:open_url"``.
        ours: The module of each scheme of parbake itself, whose ``open_url`` opens a URL.
        setting: The name of the setting that holds the URL, for errors.
        example: A URL that would be right, for errors.
        error: The class of error to raise for a URL without an adapter.
    """

    group: str
    ours: Mapping[str, str]
    setting: str
    example: str
    error: type[ParbakeError]

    def open(self, url: str) -> Any:
        """Open a URL with the adapter of its scheme. Only that adapter is imported, and a scheme of ours is ours.

        Args:
            url: The URL. The part before an ``@`` may be a password and is never shown.

        Raises:
            ParbakeError: It is not a URL, no adapter has its scheme, or two wheels claim it.
        """
        scheme, separator, _ = url.partition("://")
        if not separator or not re.fullmatch(r"[a-z][a-z0-9]*", scheme):
            raise self._wrong(url, f"is not a URL such as {self.example}")
        if scheme in self.ours:
            return importlib.import_module(self.ours[scheme]).open_url(url)
        return self._other(url, scheme)(url)

    def _other(self, url: str, scheme: str) -> Callable[[str], Any]:
        named = entry_point(self.group, scheme)
        if named is None:
            known = ", ".join(sorted({*self.ours, *entry_points(self.group).names}))
            raise self._wrong(url, f"has a scheme that no adapter is named after: {scheme!r}; there are {known}")
        load: Callable[[str], Any] = named.load()
        return load

    def _wrong(self, url: str, what: str) -> ParbakeError:
        return self.error(f"{self.setting}={without_credentials(url)!r} {what}", field=self.setting)
