"""``parbake prompt plan`` with logs that people already have."""

import datetime as dt
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parbake.cli.main import cli
from parbake.errors import BadInput
from parbake_llm.caching.call_logs import read_any_trace

TRACES = Path(__file__).parents[3] / "shared/data/prompt_traces"
YEAR = dt.datetime.now(dt.UTC).year - 1
RATE = {
    "provider": "acme", "model": "one", "since": f"{YEAR}-01-01", "input": 3.0, "output": 15.0, "cache_read": 0.1,
    "cache_write": 1.25,
}  # fmt: skip
SYSTEM = {"role": "system", "content": "You know all rules. " * 100}


def turn(number, words=100):
    """Return a message of a conversation."""
    return {"role": "user", "content": f"{number} " * words}


def spend(at, **changed):
    """Return a row of LiteLLM's table."""
    return {
        "request_id": f"r{at}", "call_type": "acompletion", "startTime": f"2026-03-01T10:{at:02}:00Z", "spend": 0.01,
        "model": "m", "prompt_tokens": 1000, "completion_tokens": 50, "cache_key": "Cache OFF", "session_id": f"s{at}",
    } | changed  # fmt: skip


def generation(at, **changed):
    """Return an observation of Langfuse."""
    return {
        "id": f"o{at}", "traceId": "t1", "type": "GENERATION", "startTime": f"2026-03-01T10:{at:02}:00Z", "model": "m",
        "usageDetails": {"input": 600, "input_cached_tokens": 400, "output": 50, "total": 1050},
    } | changed  # fmt: skip


@pytest.fixture
def put(tmp_path):
    """Return a function that writes rows as JSON lines, or a text, and returns the path."""

    def write(rows, name="log"):
        path = tmp_path / name
        path.write_text(rows if isinstance(rows, str) else "\n".join(map(json.dumps, rows)))
        return path

    return write


def shared(trace):
    """Return how many blocks the second request shares with the first."""
    first, second, *_ = (one.blocks for one in trace.requests)
    return sum(one == other for one, other in zip(first, second, strict=False))


def run(*arguments):
    """Run the command; return its output and exit status."""
    return CliRunner().invoke(cli, ["prompt", "plan", *map(str, arguments)])


@pytest.mark.parametrize("form", ["litellm", "langfuse"])
def test_messages_tell_which_requests_begin_alike(put, form):
    """Requests share the blocks that their common first messages fill, and no block behind them or of another model."""

    def row(at, messages, **changed):
        if form == "langfuse":
            return generation(at, input=messages, **changed)
        return spend(at, proxy_server_request={"model": "m", "messages": messages}, **changed)

    both = [row(0, [SYSTEM, turn(1)]), row(1, [SYSTEM, turn(2)])]
    trace = read_any_trace(put(both), size=10)
    whole = len(json.dumps(SYSTEM)) / (len(json.dumps(SYSTEM)) + len(json.dumps(turn(1))))
    assert shared(trace) == pytest.approx(100 * whole, abs=1)
    assert all(len(one.blocks) <= 100 for one in trace.requests)
    assert any("prefixes of 2 of 2 requests are those of their stored messages" in note for note in trace.notes)
    assert shared(read_any_trace(put([row(0, [SYSTEM, turn(1)]), row(1, [turn(1), SYSTEM])]), size=10)) == 0
    assert shared(read_any_trace(put([both[0], row(1, [SYSTEM, turn(2)], model="n")]), size=10)) == 0
    assert shared(read_any_trace(put([both[0], row(1, [SYSTEM, turn(1)])]), size=10)) == 100


def test_tools_come_before_messages(put):
    """Other tools change everything behind them, as they stand at the beginning of a prompt."""
    rows = [
        spend(at, proxy_server_request={"messages": [SYSTEM], "tools": [{"name": tool * 50}]})
        for at, tool in enumerate("aab")
    ]
    assert shared(read_any_trace(put(rows[:2]), size=10)) == 100
    assert shared(read_any_trace(put(rows[1:]), size=10)) == 0


def test_sessions_are_used_where_no_messages_are_stored(put):
    """Generations of one session or trace repeat one another; another model begins anew; a note says it."""
    rows = [generation(0), generation(1, usageDetails={"input": 1200, "output": 5}), generation(2, model="n")]
    trace = read_any_trace(put(rows), size=10)
    assert shared(trace) == 100
    assert not set(trace.requests[2].blocks) & set(trace.requests[0].blocks)
    assert trace.requests[0].tokens == 1000
    assert any("repeat its session's last prompt" in note for note in trace.notes)
    assert any("2 models (m, n), which are all priced as one" in note for note in trace.notes)


def test_generations_within_a_trace_are_read(put):
    """A trace that was downloaded as JSON gives its generations, in the session of the trace."""
    trace = {"id": "t", "timestamp": "2026-03-01T10:00:00Z", "name": "chat", "sessionId": "s",
             "observations": [generation(0), generation(1), generation(2, type="SPAN")]}  # fmt: skip
    found = read_any_trace(put(json.dumps(trace, indent=2)), size=10)
    assert [one.session for one in found.requests] == ["s m", "s m"]
    assert any("1 (observations that are no generation)" in note for note in found.notes)


def test_sessions_of_one_request_say_nothing(put):
    """LiteLLM gives each request a session if the caller names none; no prefix is made up of that."""
    trace = read_any_trace(put([spend(0), spend(1), spend(2)]), size=10)
    assert not trace.knows_prefixes
    assert any("no session has a second request" in note for note in trace.notes)


def test_rows_that_cannot_be_used_are_counted(put):
    """Embeddings, failures and rows without tokens are left out; a log of only those is refused."""
    rows = [spend(0, call_type="aembedding"), spend(1, status="failure"), spend(2, prompt_tokens=None)]
    trace = read_any_trace(put([*rows, spend(3)]), size=10)
    assert len(trace.requests) == 1
    with pytest.raises(BadInput, match="no request can be used") as refused:
        read_any_trace(put(rows), size=10)
    assert refused.value.field == "trace"


def test_an_access_log_is_refused(put):
    """A log without tokens is named as what it is, with what can be read."""
    line = '10.0.0.1 - - [01/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5'
    with pytest.raises(BadInput, match=r"is an access log.*spend logs of LiteLLM") as refused:
        read_any_trace(put(line), size=10)
    assert refused.value.field == "trace"


def test_without_prefixes_only_what_is_known_is_said(put, tmp_path):
    """A trace without sessions and ids ends well, with its amounts, no policy, and no dollars without a book."""
    path = put("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "2023-11-16 18:15:46.6805900,2000,44\n" * 5, "azure.csv")
    done = run(path, "--json", tmp_path / "plan.json")
    assert done.exit_code == 0, done.output
    assert "5 requests in 0.0 min, with 10,000 input tokens" in done.output
    assert "nothing can be planned about prefixes" in done.output
    assert "$" not in done.output
    found = json.loads((tmp_path / "plan.json").read_bytes())
    assert (found["adopted"], found["missing"], found["input_usd"]) == (None, ["prefixes", "prices"], None)
    book = put(json.dumps({"as_of": f"{YEAR}-02-01", "cpu_hour": 0.04, "rates": [RATE]}), "book.json")
    priced = run(path, "--book", book)
    assert "without a cache their input costs $0.03" in priced.output
    assert "adopted" not in priced.output


def test_a_log_is_planned_by_the_command(put):
    """Spend logs with messages are replayed under every policy, and ``--format`` states their kind."""
    rows = [
        spend(at % 60, startTime=f"2026-03-01T{at // 60:02}:{at % 60:02}:00Z", prompt_tokens=6_000,
              proxy_server_request={"messages": [{"role": "system", "content": f"{at // 5} rules " * 2_000}, turn(at)]})
        for at in range(60)
    ]  # fmt: skip
    done = run(put(rows), "--format", "litellm")
    assert done.exit_code == 0, done.output
    assert "repeats: 12 of 60 requests share nothing with an earlier one" in done.output
    assert "nothing is adopted without your prices" in done.output
    assert run(put(rows), "--format", "access").exception.field == "format"


@pytest.mark.skipif(not TRACES.is_dir(), reason="the public traces are absent")
def test_public_traces_are_read_as_they_are():
    """Mooncake's trace has its prefixes, and Azure's is known to have none."""
    mooncake = read_any_trace(TRACES / "mooncake_synthetic.jsonl", size=512)
    assert (len(mooncake.requests), mooncake.knows_prefixes) == (3_993, True)
    assert not read_any_trace(TRACES / "azure_conv_2023.csv", size=512).knows_prefixes
