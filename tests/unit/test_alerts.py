"""Where alerts go."""

import http.server
import json
import threading

import pytest

import parbake as pb

ALERT = pb.Alert("stale", "faq", "support", "faq is 2h old", 1.0)


@pytest.fixture
def receiver():
    """Return a loopback server and the bodies it was sent."""
    bodies = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", bodies
        server.shutdown()


async def test_a_webhook_gets_the_alert_as_json(receiver):
    """One POST with everything the owner needs."""
    url, bodies = receiver
    await pb.WebhookSink(url).send(ALERT)
    assert bodies == [{"kind": "stale", "task": "faq", "owner": "support", "message": "faq is 2h old", "at": 1.0}]


def test_a_webhook_posts_to_http_only():
    """Another scheme is refused, and the URL, which may hold a secret, is not repeated."""
    with pytest.raises(pb.ParbakeError) as caught:
        pb.WebhookSink("ftp://secret@nowhere")
    assert caught.value.field == "alerts.webhook"
    assert "secret" not in str(caught.value)


async def test_a_webhook_follows_no_redirect(receiver):
    """An address that answers with another one has not taken the alert, and the other one hears nothing."""
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
                await pb.WebhookSink(f"http://127.0.0.1:{server.server_port}/").send(ALERT)
        server.shutdown()
    assert bodies == []


async def test_an_app_without_sinks_alerts_by_its_log(caplog):
    """Nobody who forgot a sink is left without a word."""
    await pb.App(pb.Registry()).alert(ALERT)
    assert "stale: faq is 2h old (owner: support)" in caplog.text


async def test_the_log_names_task_and_owner(caplog):
    """An alert is a warning in the log."""
    await pb.LogSink().send(ALERT)
    assert "stale: faq is 2h old (owner: support)" in caplog.text
