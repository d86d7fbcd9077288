"""A webhook: each alert as one JSON POST. The URL comes from the environment or a file and is never logged."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import urllib.error
import urllib.request
from contextvars import copy_context
from pathlib import Path
from typing import Any

import msgspec

from parbake.adapters._alert_queue import AlertQueue, Waiting
from parbake.errors import ParbakeError
from parbake.ports.alerts import Alert, AlertSink
from parbake.process import forks
from parbake.process.outgoing import along
from parbake.process.trouble import Trouble

TIMEOUT_S = 5.0
LOOK_AGAIN_S = 10.0
"""Interval in seconds of checks for alerts that another process added before it ended."""
_log = logging.getLogger("parbake.alerts")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Treats a redirect as a failure, because it could lead to an address that only this machine can reach."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow no redirect."""


_opener = urllib.request.build_opener(_NoRedirects)


class WebhookSink(AlertSink, forks.Forkable):
    """Posts alerts to a URL, and with a ``queue`` retries failed deliveries."""

    def __init__(self, url: str, *, queue: str | Path | None = None) -> None:
        """Create the sink. Only http and https URLs are accepted.

        Args:
            url: Where alerts are posted.
            queue: An SQLite file, for this webhook only, in which alerts wait until they are delivered, for at most a
                day. It outlives the process, and the processes of one machine may share it: then they tell of one
                trouble once. Each alert carries an ``idempotency-key``, because it may arrive twice. Without a queue
                each process posts an alert once.
        """
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise ParbakeError("the alert webhook must be an http or https URL", field="alerts.webhook")
        self._url = url
        self._queue = None if queue is None else AlertQueue(Path(queue))
        self._trouble = Trouble("the delivery of an alert", _log)
        self.waiting = 0
        """How many alerts were in the queue when its thread last looked."""
        self.after_fork_in_child()
        forks.watch(self)
        if self._queue is not None:
            try:
                self._queue.pause_s()
            except sqlite3.Error as error:
                raise ParbakeError(
                    f"queue={str(queue)!r} is not a queue of alerts ({error})", field="alerts.webhook"
                ) from error
            self._start()

    def after_fork_in_child(self) -> None:
        """Start a new delivery thread when needed; the parent's does not exist here."""
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._added = threading.Event()

    async def send(self, alert: Alert) -> None:
        """Post one alert. With a queue it is stored until it is delivered, and retried. Redirects are not followed.

        Raises:
            OSError: Without a queue: it was not delivered within five seconds.
            sqlite3.Error: The queue cannot be written.
        """
        body = msgspec.json.encode(alert)
        if self._queue is None:
            await self.post(body)
            return
        queue = self._queue
        await asyncio.to_thread(self._add, queue, body, alert)
        self._start()
        self._added.set()

    async def post(self, body: bytes, *, key: str = "", token: str = "") -> None:
        """Post any JSON document once, without the queue; raises ``OSError`` if it was not taken within five seconds.

        Args:
            body: The document.
            key: The same for a document that may be sent twice; sent as ``idempotency-key``.
            token: Sent as the bearer token of ``authorization``.
        """
        await asyncio.to_thread(self._post_in_time, body, key=key, token=token)

    def _add(self, queue: AlertQueue, body: bytes, alert: Alert) -> None:
        if (waiting := queue.add(body, trouble=alert.dedupe_key, kind=alert.kind)) is not None:
            self._deliver(queue, waiting)

    def _start(self) -> None:
        """Start one thread that delivers the waiting alerts, including those of processes that have ended."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._deliver_all, name="parbake-webhook", daemon=True)
                self._thread.start()

    def _deliver_all(self) -> None:
        queue = self._queue
        while queue is not None:
            self._added.clear()
            try:
                while (alert := queue.claim()) is not None:
                    self._deliver(queue, alert)
                pause_s, self.waiting = queue.pause_s(), queue.count()
            except sqlite3.Error as error:
                self._trouble.met(str(error))
                pause_s = None
            self._added.wait(LOOK_AGAIN_S if pause_s is None else min(pause_s, LOOK_AGAIN_S))

    def _deliver(self, queue: AlertQueue, alert: Waiting) -> None:
        try:
            self._post_in_time(alert.body, key=alert.id)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from being taken, it is tried again
            self._trouble.met(f"the webhook did not take it ({type(error).__name__})")
            if not queue.failed(alert):
                _log.error("an alert was not delivered within a day, and is given up")
        else:
            queue.delivered(alert)
            self._trouble.is_over()

    def _post(self, body: bytes, *, key: str = "", token: str = "") -> None:
        given = {"idempotency-key": key, "authorization": token and f"Bearer {token}"}
        headers = {"content-type": "application/json", **{k: v for k, v in given.items() if v}, **along()}
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked at construction
            self._url, data=body, headers=headers, method="POST"
        )
        try:
            _opener.open(request, timeout=TIMEOUT_S).close()
        except urllib.error.HTTPError as refused:
            refused.close()
            raise

    def _post_in_time(self, body: bytes, *, key: str, token: str = "") -> None:
        """Post with a total time limit; raises ``TimeoutError`` also for an answer that arrives byte by byte."""
        failed: list[BaseException] = []

        def post() -> None:
            try:
                self._post(body, key=key, token=token)
            except Exception as error:  # noqa: BLE001 - it is raised again below
                failed.append(error)

        # The thread knows what goes along with the call: a first try is made for whoever alerts, later ones for nobody.
        posting = threading.Thread(target=copy_context().run, args=(post,), name="parbake-webhook-post", daemon=True)
        posting.start()
        posting.join(2 * TIMEOUT_S)
        if posting.is_alive():
            raise TimeoutError
        for error in failed:
            raise error
