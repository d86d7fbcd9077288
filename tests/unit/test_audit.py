"""``parbake audit``: how a read is judged, how reads are summarized, and the errors for wrong options."""

import http.server
import json
import math
import sys
import threading

import pytest
from tests.waiting import HANGS_S
from typer.testing import CliRunner

import parbake as pb
from parbake.cli.main import cli
from parbake.process.counters import Counters
from parbake_lab.audit import Expectation
from parbake_lab.audit import audit_report as report
from parbake_lab.audit.audit_client import Client, NotAcceptedError
from parbake_lab.audit.read_judge import AuditRead, AuditTally, ServerAnswer, at, checked, judge, nines, percentiles

BY_STAMP = Expectation(task="note", key="a", stamp=(1, 7), tag="fact/a")
BY_VERSION = Expectation(task="note", key="a", at_least=7, path="version")


@pytest.mark.parametrize(
    ("expected", "answer", "outcome"),
    [
        (BY_STAMP, ServerAnswer("x", "fresh", (1, 7), "note"), "fresh"),
        (BY_STAMP, ServerAnswer("x", "fresh", (2, 1), "note"), "fresh"),
        (BY_STAMP, ServerAnswer("x", "fresh", (1, 6), "note"), "violation"),
        (BY_STAMP, ServerAnswer("x", "degraded", (1, 6), "note"), "violation"),
        (BY_STAMP, ServerAnswer("x", "degraded", (1, 6), "other"), "behind"),
        (BY_STAMP, ServerAnswer("x", "degraded", (1, 7), "note"), "behind"),
        (BY_STAMP, ServerAnswer(None, "unknown", (1, 9), "note"), "nothing"),
        (BY_STAMP, ServerAnswer(failed="status 500"), "failed"),
        (BY_VERSION, ServerAnswer({"version": 7}, "fresh"), "fresh"),
        (BY_VERSION, ServerAnswer({"version": 6}, "fresh", (9, 9)), "violation"),
        (BY_VERSION, ServerAnswer({"version": "x"}, "fresh"), "violation"),
        (BY_VERSION, ServerAnswer({}, "fresh"), "violation"),
        (Expectation(task="note", key="a", shows=lambda v: v > 1), ServerAnswer(2, "fresh"), "fresh"),
        (Expectation(task="note", key="a", shows=lambda v: v > 1), ServerAnswer(1, "fresh"), "violation"),
    ],
)
def test_what_a_read_proves(expected, answer, outcome):
    """A value older than the acknowledgement is a violation, no value counts as nothing, a new one as fresh."""
    assert judge(expected, answer)[0] == outcome


def test_a_refreshed_tag_may_be_behind():
    """With ``allow_degraded`` an old value marked degraded is behind; one marked fresh is a violation."""
    assert judge(BY_STAMP, ServerAnswer("x", "degraded", (1, 6), "note"), allow_degraded=True)[0] == "behind"
    assert judge(BY_STAMP, ServerAnswer("x", "fresh", (1, 6), "note"), allow_degraded=True)[0] == "violation"


def test_a_path_leads_into_plain_data():
    """A path follows names and positions; the result for a missing element cannot be compared."""
    assert at({"rows": [{"version": 3}]}, "rows.0.version") == 3
    assert at(5, "") == 5
    with pytest.raises(TypeError):
        assert at({"rows": []}, "rows.0.version") >= 0


def test_nines_are_a_bound_without_violations():
    """One violation in 1,000 is three nines; none in 3,000 is a bound of three; no reads give no number."""
    assert nines(1, 1000) == (pytest.approx(3.0), False)
    assert nines(0, 3000) == (pytest.approx(3.0), True)
    assert nines(0, 2) == (0.0, True)
    assert nines(5, 5) == (0.0, False)
    assert nines(0, 0) == (None, False)


def test_percentiles_are_values_that_were_seen():
    """Percentiles use the nearest rank, and an empty list has no percentiles."""
    assert percentiles(range(1, 101)) == {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    assert percentiles([]) == {}


def test_a_tally_keeps_twenty_examples_and_counts_all():
    """The summary counts every read by its outcome and keeps at most twenty violations as examples."""
    tally = AuditTally()
    for n in range(50):
        tally.add(AuditRead("http://a", n / 1000, n / 1000, "violation" if n < 30 else "nothing"))
    found = tally.summary()
    assert (found.reads, found.answered, found.violations, len(found.examples)) == (50, 30, 30, 20)
    assert (found.unavailable_share, found.nines) == (0.4, 0.0)


def test_reads_without_a_value_say_why_once():
    """Reads without a value are listed once for each server and reason, however many there were."""
    tally = AuditTally()
    for n in range(30):
        tally.add(AuditRead("http://a", n, n, "failed", seen="status 404: no task is named 'nota'"))
    tally.add(AuditRead("http://b", 0.1, 0.1, "nothing", seen="unknown"))
    found = tally.summary()
    assert [(read.server, read.seen[:10]) for read in found.unanswered] == [
        ("http://a", "status 404"),
        ("http://b", "unknown"),
    ]
    assert [table.row_count for table in report.tables(found)] == [7, 2]


def test_an_audit_that_saw_no_change_at_all_doubts_itself():
    """If no read was fresh, the summary hints at a wrong tag or path; one fresh read removes the hint."""
    tally = AuditTally()
    assert not tally.summary().hint
    tally.add(AuditRead("http://a", 0.1, 0.1, "violation"))
    assert "is the task invalidated by what was changed" in tally.summary().hint
    tally.add(AuditRead("http://a", 0.1, 0.1, "fresh"))
    assert not tally.summary().hint


def test_a_value_without_the_path_says_so():
    """If a value has nothing at the path, the message names the path."""
    assert judge(BY_VERSION, ServerAnswer({}, "fresh")) == ("violation", "nothing at 'version'")


def test_the_report_names_what_was_broken():
    """The JSON report holds the examples; the OpenMetrics report holds the count and the histogram and ends in EOF."""
    tally = AuditTally()
    tally.add(AuditRead("http://a", 0.001, 0.002, "violation", "stamp >= 7", "stamp 6"))
    tally.fresh_s = [0.02, 0.2]
    found = tally.summary()
    assert json.loads(report.as_json(found))["examples"][0]["seen"] == "stamp 6"
    text = report.open_metrics(found, tally.fresh_s).decode()
    assert "parbake_stale_reads_total 1.0" in text
    assert 'parbake_time_to_fresh_seconds_bucket{le="0.025"} 1.0' in text
    assert text.endswith("# EOF\n")
    assert [table.row_count for table in report.tables(found)] == [7, 1]
    assert report.consistency(AuditTally().summary()) == "nothing was judged"


def test_a_write_returns_expectations():
    """A write returns one expectation or several; another type or an empty list is refused by name."""
    assert checked(BY_STAMP) == [BY_STAMP]
    with pytest.raises(pb.BadInput, match="NoneType"):
        checked(None)
    with pytest.raises(pb.BadInput, match="list"):
        checked([])


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["http://127.0.0.1:1", "--key", "a", "--touch", "f/a"], "task"),
        (["http://127.0.0.1:1", "--task", "t", "--touch", "f/a"], "key"),
        (["http://127.0.0.1:1", "--task", "t", "--key", "a"], "touch"),
        (["http://127.0.0.1:1", "--write", "writer:write", "--touch", "f/a"], "touch"),
        (["http://127.0.0.1:1", "--task", "t", "--key", "a", "--touch", "f/a", "--value-path", "x"], "value-path"),
        (["http://127.0.0.1:1", "--write", "writer:nothing"], "write"),
        (["http://127.0.0.1:1", "--write", "writer:write", "--count", "0"], "count"),
        (["http://127.0.0.1:1", "--write", "writer:write", "--rate", "nan"], "rate"),
        (["http://127.0.0.1:1", "--write", "writer:write", "--timeout", "-1"], "timeout"),
        (["http://127.0.0.1:1", "--write", "writer:write", "--patience", "0"], "patience"),
        (["ftp://127.0.0.1", "--write", "writer:write"], "SERVER"),
        (["http://127.0.0.1:x", "--write", "writer:write"], "SERVER"),
        (["http://[::1", "--write", "writer:write"], "SERVER"),
        (["http://u:geheim@127.0.0.1:1", "--write", "writer:write"], "SERVER"),
        (["ftp://u:ge#heim@127.0.0.1:1", "--write", "writer:write"], "SERVER"),
        (["http://127.0.0.1:1", "--write", "writer:write", "--report", "absent/out.json"], "report"),
        (["http://127.0.0.1:1", "--write", "writer:write", "--metrics", "absent/out.prom"], "metrics"),
        (["http://127.0.0.1:1", "--write", "writer:write"], "SERVER"),
    ],
)
def test_bad_options_are_named(words, field, tmp_path, monkeypatch):
    """Each wrong option is refused by its name before anything is written, and no password is shown."""
    monkeypatch.setattr("parbake_lab.cli.audit_command.REQUEST_S", 0.2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "writer", raising=False)
    (tmp_path / "writer.py").write_text("nothing = 7\ndef write(n): raise AssertionError(n)\n")
    found = CliRunner().invoke(cli, ["audit", *words]).exception
    assert isinstance(found, pb.BadInput), repr(found)
    assert found.field == field
    assert "heim" not in str(found)  # a password


def test_a_server_that_is_gone_is_a_failed_read():
    """A refused connection is recorded as a failed read and does not end the audit."""
    client = Client("http://127.0.0.1:1", 0.2)
    assert "refused" in client.serve("note", "a").failed


class NotOurs(http.server.BaseHTTPRequestHandler):
    """Answers every POST with 404 and a page, as a proxy does that knows no such path."""

    def do_POST(self):
        """Answer."""
        self.send_error(404)

    def log_message(self, *_):
        """Log nothing."""


def test_a_refusal_that_is_no_json_is_a_refusal():
    """A 404 with a page of HTML is told as 404, for a read and for an event."""
    with http.server.HTTPServer(("127.0.0.1", 0), NotOurs) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        client = Client(f"http://127.0.0.1:{server.server_port}", HANGS_S)
        answer = client.serve("note", "a")
        with pytest.raises(NotAcceptedError, match="/v1/events answered 404") as caught:
            client.publish("fact/a")
        client.close()
        server.shutdown()
        serving.join()
    assert (answer.is_refusal, "answered 404" in answer.failed, caught.value.is_refusal) == (True, True, True)


def test_the_time_to_fresh_is_counted_by_task():
    """Time to fresh is counted by task; a negative time, from a wrong clock, counts as zero."""
    counters = Counters()
    counters.refreshed("note", 0.02)
    counters.refreshed("note", -1.0)
    assert counters.time_to_fresh["note"].total_s == pytest.approx(0.02)
    assert sum(counters.time_to_fresh["note"].counts) == 2
    assert math.inf not in counters.time_to_fresh["note"].bounds
