"""Delivery of alerts: to webhooks, from a durable queue, and to the log."""

import asyncio
import http.server
import json
import threading
import time

import pytest
from tests.waiting import HANGS_S, until

import parbake as pb
from parbake.adapters._alert_queue import AlertQueue
from parbake.adapters.log import LogSink
from parbake.adapters.prometheus import render
from parbake.adapters.webhook import WebhookSink
from parbake.lanes.worker.notifier import Notifier
from parbake.ports.alerts import Alert
from parbake.values.backoff import Backoff

ALERT = Alert("stale", "faq", "support", "faq is 2h old", 1.0)


async def test_a_webhook_gets_the_alert_as_json(receiver):
    """An alert is one POST with kind, task, owner, message and time."""
    url, bodies = receiver
    await WebhookSink(url).send(ALERT)
    sent = {"kind": "stale", "task": "faq", "owner": "support", "message": "faq is 2h old", "at": 1.0, "dedupe_key": ""}
    assert bodies == [sent]


def test_a_webhook_posts_to_http_only():
    """Another URL scheme is refused, and the error does not repeat the URL, which may hold a secret."""
    with pytest.raises(pb.ParbakeError) as caught:
        WebhookSink("ftp://secret@nowhere")
    assert caught.value.field == "alerts.webhook"
    assert "secret" not in str(caught.value)


async def test_a_webhook_follows_no_redirect(receiver):
    """A redirect counts as a failed delivery, and nothing is sent to its target."""
    url, bodies = receiver

    class Redirecting(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(self.server.status)
            self.send_header("location", url)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for server.status in (301, 302, 303, 307, 308):
            with pytest.raises(OSError, match=str(server.status)):
                await WebhookSink(f"http://127.0.0.1:{server.server_port}/").send(ALERT)
        server.shutdown()
    assert bodies == []


class Moody(http.server.BaseHTTPRequestHandler):
    """Answers 503 to each alert until ``is_in_the_mood`` is set."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.tried.append(self.headers["idempotency-key"])
        self.send_response(204 if self.server.is_in_the_mood else 503)
        self.end_headers()
        if self.server.is_in_the_mood:
            self.server.taken.append(body["message"])
        self.server.asked.set()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def moody():
    """Return a loopback server that refuses every alert until ``is_in_the_mood`` is set."""
    with http.server.HTTPServer(("127.0.0.1", 0), Moody) as server:
        server.is_in_the_mood, server.asked, server.tried, server.taken = False, threading.Event(), [], []
        server.url = f"http://127.0.0.1:{server.server_port}/hook"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def heard(server, count=1):
    """Wait until this many alerts were accepted, and return them."""
    while len(server.taken) < count:
        assert server.asked.wait(HANGS_S), "nobody asked"
        server.asked.clear()
    return server.taken


async def test_an_alert_that_was_not_taken_is_sent_again(moody, tmp_path, monkeypatch):
    """A refused alert is sent again with the same idempotency key, and leaves the queue once it is accepted."""
    monkeypatch.setattr("parbake.adapters._alert_queue.BACKOFF", Backoff(0.01, 0.01))
    sink = WebhookSink(moody.url, queue=tmp_path / "alerts.db")
    await sink.send(ALERT)
    assert moody.asked.wait(HANGS_S)
    moody.is_in_the_mood = True
    assert await asyncio.to_thread(heard, moody) == ["faq is 2h old"]
    assert len(moody.tried) >= 2
    assert len(set(moody.tried)) == 1
    await empty(tmp_path / "alerts.db")


async def test_an_alert_that_is_retried_is_logged_once(moody, tmp_path, monkeypatch, caplog):
    """However often an alert is refused, the log has one line when that begins and one when it is over."""
    monkeypatch.setattr("parbake.adapters._alert_queue.BACKOFF", Backoff(0.01, 0.01))
    await WebhookSink(moody.url, queue=tmp_path / "alerts.db").send(ALERT)
    await until(lambda: len(moody.tried) > 3)
    moody.is_in_the_mood = True
    await until(lambda: "works again" in caplog.text)
    assert [record.getMessage() for record in caplog.records] == [
        "the delivery of an alert failed, will retry: the webhook did not take it (HTTPError)",
        "the delivery of an alert works again",
    ]


async def test_a_queue_outlives_its_process(moody, tmp_path, monkeypatch):
    """Sinks that open a queue file deliver each alert in it once, without a new alert."""
    monkeypatch.setattr("parbake.adapters._alert_queue.CLAIMED_S", 0.0)
    queue = AlertQueue(tmp_path / "alerts.db")
    for number in range(3):
        queue.add(json.dumps({"message": f"{number}"}).encode())
    monkeypatch.setattr("parbake.adapters._alert_queue.CLAIMED_S", HANGS_S)
    moody.is_in_the_mood = True
    monkeypatch.setattr("parbake.adapters.webhook.LOOK_AGAIN_S", 0.05)
    for _ in range(2):  # as two processes would
        WebhookSink(moody.url, queue=tmp_path / "alerts.db")
    assert sorted(await asyncio.to_thread(heard, moody, 3)) == ["0", "1", "2"]
    await empty(tmp_path / "alerts.db")
    assert len(moody.taken) == 3


def test_what_nobody_takes_for_a_day_is_given_up(tmp_path, monkeypatch):
    """The queue drops the oldest alerts beyond its maximum, and an alert whose retention time is over."""
    monkeypatch.setattr("parbake.adapters._alert_queue.MOST", 2)
    queue = AlertQueue(tmp_path / "alerts.db")
    for number in range(4):
        queue.add(f"{number}".encode())
    later = time.time() + 60.0
    monkeypatch.setattr("time.time", lambda: later)
    kept = [queue.claim(), queue.claim()]
    assert [alert.body for alert in kept] == [b"2", b"3"]
    assert queue.claim() is None
    assert queue.failed(kept[0])
    monkeypatch.setattr("parbake.adapters._alert_queue.KEPT_S", -1.0)
    assert not queue.failed(kept[0])
    queue.delivered(kept[1])
    assert queue.pause_s() is None


def test_the_end_of_a_trouble_is_not_told_before_its_beginning(tmp_path):
    """An alert waits while an earlier one of the same trouble does; alerts of other troubles do not wait for it."""
    queue = AlertQueue(tmp_path / "alerts.db")
    begun, over, other = (
        b'{"kind": "worker_silent", "dedupe_key": "worker"}',
        b'{"kind": "worker_back", "dedupe_key": "worker"}',
        b'{"kind": "stale", "dedupe_key": "another"}',
    )
    first = queue.add(begun)
    assert first is not None
    assert queue.add(over) is None
    queue.failed(first)
    assert queue.add(other).body == other
    assert queue.claim() is None
    queue.delivered(first)
    assert queue.claim().body == over


async def test_a_sink_that_hangs_does_not_stop_who_alerts():
    """The next trouble is looked at while a sink hangs; its alerts are sent in their order, and none is left out."""
    going, taken = asyncio.Event(), []

    class Hanging:
        async def send(self, alert):
            await going.wait()
            taken.append(alert.kind)

    notifier = Notifier([Hanging()])
    for kind in ("store_silent", "source_silent", "disk_full"):
        await asyncio.wait_for(notifier.send(Alert(kind, "", "support", "", 1.0)), HANGS_S)
    assert taken == []
    going.set()
    await notifier.close()
    assert taken == ["store_silent", "source_silent", "disk_full"]


async def test_alerts_that_are_not_delivered_are_counted(moody, tmp_path, monkeypatch):
    """What waits in a queue and what a sink has refused is in the metrics, until the queue is delivered."""
    monkeypatch.setattr("parbake.adapters._alert_queue.BACKOFF", Backoff(0.01, 0.01))
    monkeypatch.setattr("parbake.adapters.webhook.LOOK_AGAIN_S", 0.05)
    queued, bare = WebhookSink(moody.url, queue=tmp_path / "alerts.db"), WebhookSink(moody.url)
    app = pb.App(pb.Registry(), alerts=[queued, bare])

    def told():
        lines = dict(line.rsplit(" ", 1) for line in render(app.counters).decode().splitlines() if line[:1] != "#")
        return lines.get("parbake_alerts_waiting"), lines.get("parbake_alerts_lost_total")

    await app.ops.alert(ALERT)
    await until(lambda: told() == ("1.0", "1.0"))
    moody.is_in_the_mood = True
    await until(lambda: told()[0] == "0.0")
    assert told() == ("0.0", "1.0")
    await empty(tmp_path / "alerts.db")
    await app.close()


async def empty(path):
    """Wait until a queue is empty."""
    queue = AlertQueue(path)
    await until(lambda: queue.pause_s() is None)


async def test_an_answer_that_never_ends_holds_back_no_other_alert(tmp_path, monkeypatch):
    """A webhook that sends its answer byte by byte times out, and the next alert is sent."""
    monkeypatch.setattr("parbake.adapters.webhook.TIMEOUT_S", 0.2)
    tried, ended = [], threading.Event()

    class Dripping(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            tried.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["kind"])
            self.wfile.write(b"HTTP/1.1 204 No")
            while not ended.wait(0.05):
                self.wfile.write(b"x")
            self.close_connection = True

        def log_message(self, *_):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as server:
        server.daemon_threads = False  # so that closing the server waits for them
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sink = WebhookSink(f"http://127.0.0.1:{server.server_port}/", queue=tmp_path / "alerts.db")
        for kind in ("first", "second"):
            await sink.send(Alert(kind, "faq", "support", "old", 1.0))
        await until(lambda: set(tried) == {"first", "second"})
        assert tried.index("first") < tried.index("second")
        ended.set()
        for thread in threading.enumerate():
            if thread.name == "parbake-webhook-post":
                await asyncio.to_thread(thread.join, HANGS_S)
        server.shutdown()


async def test_what_another_process_left_behind_is_delivered(moody, tmp_path, monkeypatch):
    """An idle sink looks into the queue again and delivers an alert that another process left there."""
    monkeypatch.setattr("parbake.adapters.webhook.LOOK_AGAIN_S", 0.05)
    moody.is_in_the_mood = True
    sink = WebhookSink(moody.url, queue=tmp_path / "alerts.db")
    await sink.send(ALERT)
    assert await asyncio.to_thread(heard, moody) == ["faq is 2h old"]
    monkeypatch.setattr("parbake.adapters._alert_queue.CLAIMED_S", 0.0)
    AlertQueue(tmp_path / "alerts.db").add(b'{"message": "left"}')
    assert await asyncio.to_thread(heard, moody, 2) == ["faq is 2h old", "left"]
    await empty(tmp_path / "alerts.db")


async def test_an_alert_of_a_short_command_is_taken_before_it_ends(moody, tmp_path):
    """If the webhook is up, ``send`` returns after delivery and the queue is empty."""
    moody.is_in_the_mood = True
    await WebhookSink(moody.url, queue=tmp_path / "alerts.db").send(ALERT)
    assert moody.taken == ["faq is 2h old"]
    assert AlertQueue(tmp_path / "alerts.db").pause_s() is None


@pytest.mark.parametrize("content", [None, b"text" * 300])
def test_a_queue_that_cannot_be_one_is_refused_at_once(tmp_path, content):
    """A folder or a file that is not a queue is refused, and the error does not repeat the URL."""
    place = tmp_path if content is None else tmp_path / "other"
    if content is not None:
        place.write_bytes(content)
    with pytest.raises(pb.ParbakeError, match="queue=") as refused:
        WebhookSink("http://secret@127.0.0.1:1/", queue=place)
    assert "secret" not in str(refused.value)


def test_a_queue_in_a_folder_that_does_not_exist_is_refused_at_once(tmp_path):
    """A queue that could not be created with the first alert is refused before there is one."""
    with pytest.raises(pb.ParbakeError, match="its folder does not exist"):
        WebhookSink("http://127.0.0.1:1/", queue=tmp_path / "missing" / "alerts.db")


async def test_an_app_without_sinks_alerts_by_its_log(caplog):
    """An app without alert sinks writes its alerts to the log."""
    await pb.App(pb.Registry()).ops.alert(ALERT)
    assert "stale: faq is 2h old (owner: support)" in caplog.text


async def test_the_log_names_task_and_owner(caplog):
    """The log sink writes an alert with its kind, message and owner."""
    await LogSink().send(ALERT)
    assert "stale: faq is 2h old (owner: support)" in caplog.text


async def test_processes_that_share_a_queue_tell_of_a_trouble_once(moody, tmp_path):
    """Two servers of a machine see one outage: its owner hears once that it began, and once that it is over."""
    moody.is_in_the_mood = True
    sinks = [WebhookSink(moody.url, queue=tmp_path / "alerts.db") for _ in range(2)]
    kinds = ["store_silent", "store_back", "store_silent"]
    for kind in kinds:
        for sink in sinks:
            await sink.send(Alert(kind, "", "team", kind, 1.0, "app/store/team"))
    assert await asyncio.to_thread(heard, moody, 3) == kinds
    assert AlertQueue(tmp_path / "alerts.db").count() == 0
