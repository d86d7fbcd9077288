"""A webhook: each alert as one JSON POST. The URL comes from the environment or a file and is never logged."""

from __future__ import annotations

import asyncio
import urllib.request
from typing import Any

import msgspec

from parbake.errors import ParbakeError
from parbake.ports import Alert

TIMEOUT_S = 5.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for a failure: it could lead to an address that only this machine reaches."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


_opener = urllib.request.build_opener(_NoRedirects)


class WebhookSink:
    """Posts alerts to a URL."""

    def __init__(self, url: str) -> None:
        """Only http and https URLs are posted to."""
        if not url.startswith(("http://", "https://")):
            raise ParbakeError("the alert webhook must be an http or https URL", field="alerts.webhook")
        self._url = url

    async def send(self, alert: Alert) -> None:
        """Post one alert; raises ``OSError`` unless it is taken within five seconds. Redirects are not followed."""
        await asyncio.to_thread(self._post, msgspec.json.encode(alert))

    def _post(self, body: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked at construction
            self._url, data=body, headers={"content-type": "application/json"}, method="POST"
        )
        with _opener.open(request, timeout=TIMEOUT_S):
            pass
