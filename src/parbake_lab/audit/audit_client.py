"""One server, as a client sees it.

The connection is kept open, so that the duration of a read is that of a read only.
"""

from __future__ import annotations

import contextlib
import http.client
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from parbake.errors import BadInput
from parbake.http.access.callers import TOKEN, TOKEN_FILE
from parbake.values.redaction import without_credentials
from parbake_lab.audit.read_judge import Expectation, ServerAnswer

OK, _ACCEPTED, _UNAUTHORIZED = 200, 202, 401
_UNREACHABLE = (OSError, http.client.HTTPException, msgspec.DecodeError)


_MAY_PASS = (408, 429)
"""Statuses below 500 that say nothing of the request itself."""


class NotAcceptedError(Exception):
    """An event was not acknowledged; ``is_refusal`` says that the server will not accept it later either."""

    def __init__(self, message: str, *, is_refusal: bool = False) -> None:
        super().__init__(message)
        self.is_refusal = is_refusal


class Client:
    """Blocking requests to one server, one after the other. Not thread-safe."""

    def __init__(self, url: str, timeout_s: float, token: str | None = None) -> None:
        """Create a client.

        Args:
            url: The server's address.
            timeout_s: Seconds until a request has failed.
            token: The operator token, sent with events only, because reads are to be those of any client.

        Raises:
            BadInput: The address is invalid.
        """
        shown = without_credentials(url)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise BadInput(f"SERVER={shown!r} is not an address such as http://host:port", field="SERVER") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"SERVER={shown!r} must begin with http:// or https://", field="SERVER")
        if "@" in parts.netloc:
            raise BadInput(
                f"SERVER={shown!r}: remove the user or password from the address; it would not be sent", field="SERVER"
            )
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.url = url.rstrip("/")
        self._token = token
        self._base = parts.path.rstrip("/")
        self._connection = kind(parts.hostname, port, timeout=timeout_s)

    def serve(self, task: str, key: Any) -> ServerAnswer:
        """Serve a task by key."""
        path = f"/v1/serve/{quote(task, safe='')}"
        try:
            status, found = self._post(path, {"key": key}, {"Content-Type": "application/json"})
        except _UNREACHABLE as error:
            return ServerAnswer(failed=f"{type(error).__name__}: {error}")
        if status != OK:
            return ServerAnswer(failed=self._answered(path, status, found), is_refusal=_is_refusal(status))
        return ServerAnswer(found.get("value"), found.get("verdict", ""), _stamp(found), found.get("task", ""))

    def publish(self, tag: str) -> tuple[int, int]:
        """Publish that a tag has changed, and return the stamp. Raises :class:`NotAcceptedError`."""
        event = {
            "specversion": "1.0", "id": uuid.uuid4().hex, "source": "parbake-audit", "subject": tag,
            "type": "audit.changed",
        }  # fmt: skip
        headers = {"Content-Type": "application/cloudevents+json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            status, found = self._post("/v1/events", event, headers)
        except _UNREACHABLE as error:
            raise NotAcceptedError(f"{self.url}: {type(error).__name__}: {error}") from error
        if status != _ACCEPTED:
            raise NotAcceptedError(self._answered("/v1/events", status, found), is_refusal=_is_refusal(status))
        sequence = found["acked"].get(tag, found["stamp"])
        return _stamp(found)[0], sequence

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _answered(self, path: str, status: int, found: Mapping[str, Any]) -> str:
        """What a server answered instead of what was asked for."""
        advice = f"; set {TOKEN} or {TOKEN_FILE}" if status == _UNAUTHORIZED else ""
        return f"{self.url}{path} answered {status}: {found.get('detail', '')}"[:300] + advice

    def _post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        for is_last in (False, True):
            was_open = self._connection.sock is not None
            try:
                whole = {"User-Agent": "parbake-audit", **headers}
                self._connection.request("POST", self._base + path, msgspec.json.encode(body), whole)
                response = self._connection.getresponse()
                return response.status, _document(response.status, response.read())
            except (ConnectionError, http.client.BadStatusLine):
                self._connection.close()
                if is_last or not was_open:  # the server may have closed the kept connection in the meantime
                    raise
            except BaseException:
                self._connection.close()
                raise
        raise AssertionError("one of the two tries has returned or raised")

    def wait(self, timeout_s: float) -> None:
        """Raise :class:`BadInput` unless the server can be reached in time; any answer says that it is there."""
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(*_UNREACHABLE):
                self.close()
                self._post("/healthz", {}, {"Content-Type": "application/json"})
                return
            if time.monotonic() > deadline:
                raise BadInput(f"SERVER={self.url!r} cannot be reached", field="SERVER")
            time.sleep(0.1)


def _document(status: int, body: bytes) -> dict[str, Any]:
    """The JSON of an answer; empty if a refusal has none, such as that of a proxy."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        if not _is_refusal(status):
            raise
        return {}


def _is_refusal(status: int) -> bool:
    return 400 <= status < 500 and status not in _MAY_PASS  # noqa: PLR2004 - the client's errors (RFC 9110, 15.5)


def _stamp(found: Mapping[str, Any]) -> tuple[int, int]:
    return found.get("incarnation", 0), found.get("stamp", 0)


class Publisher:
    """Publishes an event per tag, to one server after the other, without changing any data."""

    def __init__(self, clients: list[Client], task: str, key: Any, tags: list[str]) -> None:
        """Create the publisher; the ``clients`` must not be used elsewhere."""
        self._clients, self._task, self._key, self._tags = clients, task, key, tags

    def __call__(self, n: int) -> list[Expectation]:
        """Publish change ``n``. The last tag's stamp is the highest and covers the others."""
        client = self._clients[n % len(self._clients)]
        stamp, last = (0, 0), ""
        for tag in self._tags:
            stamp, last = max((client.publish(tag), tag), (stamp, last))
        return [Expectation(task=self._task, key=self._key, stamp=stamp, tag=last)]
