"""Reading traces of model requests: the forms that are understood, and what is refused."""

import json

import pytest

from parbake.errors import BadInput
from parbake_llm.caching.asked import TraceRow, traced
from parbake_llm.caching.trace_file import read_trace


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file and returns its path."""

    def put(name, text):
        path = tmp_path / name
        path.write_text(text if isinstance(text, str) else "".join(json.dumps(row) + "\n" for row in text))
        return path

    return put


def test_mooncakes_form_is_in_milliseconds(write):
    """A relative timestamp beside input_length and hash_ids counts milliseconds, and the notes say so."""
    row = {"input_length": 1100, "output_length": 5, "hash_ids": [1, 2, 3]}
    trace = read_trace(write("t.jsonl", [row | {"timestamp": 0}, row | {"timestamp": 2500, "hash_ids": [1, 2, 9]}]))
    assert [one.at for one in trace.requests] == [0.0, 2.5]
    first, second = (one.blocks for one in trace.requests)
    assert first[:2] == second[:2]
    assert first[2] != second[2]
    assert trace.notes == ("times are taken as milliseconds",)
    assert trace.requests[0].until(3) == 1100


def test_azures_form_has_no_prefixes(write):
    """Seven decimals of a second are read, and the notes say that no request is known to repeat another."""
    rows = ("2023-11-16 18:15:46.6805900,1200,44", "2023-11-16 18:15:50.9951690,1200,109")
    trace = read_trace(write("a.csv", "\n".join(("TIMESTAMP,ContextTokens,GeneratedTokens", *rows))))
    assert trace.requests[1].at - trace.requests[0].at == pytest.approx(4.314579, abs=1e-5)
    assert trace.without_repeat() == 2
    assert any("neither hash_ids nor a session" in note for note in trace.notes)


def test_a_session_repeats_its_last_prompt_and_reply(write):
    """The next prompt shares the blocks of prompt and reply; a shorter one begins anew; sessions share nothing."""
    trace = read_trace(write("s.csv", "timestamp,session,input_tokens,output_tokens\n"
                             "0,a,1000,200\n1,b,1000,200\n2,a,1500,100\n3,a,900,0\n"), size=100)  # fmt: skip
    a, b, longer, shorter = (one.blocks for one in trace.requests)
    assert len(a) == 10
    assert longer[:10] == a
    assert len(longer) == 15
    assert not set(shorter) & set(longer)
    assert not set(a) & set(b)


def test_ids_count_with_all_ids_before_them():
    """The same id behind different ones is another prefix, as for ids of contents instead of prefixes."""
    one, other = traced([TraceRow(0, 20, ids=(1, 5)), TraceRow(1, 20, ids=(2, 5))], size=10).requests
    assert one.blocks[1] != other.blocks[1]


@pytest.mark.parametrize(
    ("head", "unit", "second"),
    [("timestamp_ms", None, 5.0), ("timestamp", None, 5000.0), ("timestamp", "ms", 5.0), ("timestamp_s", None, 5000.0)],
)
def test_the_unit_of_times_is_told_by_option_or_name(write, head, unit, second):
    """An option or the column's name states the unit; small numbers without either are seconds."""
    trace = read_trace(write("t.csv", f"{head},input_tokens\n0,10\n5000,10\n"), unit=unit)
    assert trace.requests[1].at == second


def test_numbers_too_great_for_seconds_are_milliseconds(write):
    """Epoch milliseconds are recognized."""
    trace = read_trace(write("t.csv", "timestamp,input_tokens\n1760054400000,10\n1760054401500,10\n"))
    assert trace.span_s == 1.5


def test_rows_out_of_order_are_sorted_and_counted(write):
    """The trace is in order of time, and a note says how many rows were moved."""
    trace = read_trace(write("t.csv", "timestamp,input_tokens\n5,10\n1,20\n9,30\n"))
    assert [one.tokens for one in trace.requests] == [20, 10, 30]
    assert any("2 of them were moved" in note for note in trace.notes)


def test_ids_in_a_csv_field_are_words(write):
    """Ids separated by spaces, or written as a list, are read alike."""
    trace = read_trace(write("t.csv", 'timestamp,input_tokens,hash_ids\n0,20,1 2\n1,20,"[1, 2]"\n'), size=10)
    assert trace.requests[0].blocks == trace.requests[1].blocks


@pytest.mark.parametrize(
    ("name", "text", "field", "said"),
    [
        ("t.csv", "", "trace", "no requests"),
        ("t.csv", "timestamp,input_tokens\n", "trace", "no requests"),
        ("t.csv", "when,input_tokens\n1,2\n", "timestamp", "no column 'timestamp'"),
        ("t.csv", "timestamp,tokens\n1,2\n", "input_length", "no column 'input_length'"),
        ("t.csv", "timestamp,input_tokens\n1,2\n2,\n", "input_tokens", "line 3"),
        ("t.csv", "timestamp,input_tokens\n1,-2\n", "input_tokens", "line 2"),
        ("t.csv", "timestamp,input_tokens\n1,1e15\n", "input_tokens", "10,000,000"),
        ("t.csv", "timestamp,input_tokens\n1,1.5\n", "input_tokens", "whole number"),
        ("t.csv", "timestamp,input_tokens\n,10\n", "timestamp", "line 2"),
        ("t.csv", "timestamp,input_tokens\n-1,10\n", "timestamp", "not negative"),
        ("t.csv", "timestamp,input_tokens\nnan,10\n", "timestamp", "not negative"),
        ("t.csv", "timestamp,input_tokens\n1,10\n2026-01-01,10\n", "timestamp", "mixed"),
        ("t.csv", "timestamp,input_tokens\n1,10,3\n", "trace", "3 fields, not 2"),
        ("t.csv", "timestamp,session,input_tokens\n1,,3\n", "session", "session is missing"),
        ("t.jsonl", "{\n", "trace", "line 1: not JSON"),
        ("t.jsonl", "[1]\n", "trace", "not a JSON object"),
        ("t.jsonl", '{"timestamp": 1, "input_tokens": 5, "hash_ids": 7}\n', "hash_ids", "must be a list"),
        ("t.jsonl", '{"timestamp": 1, "input_tokens": true}\n', "input_tokens", "line 1"),
        ("t.jsonl", '{"timestamp": 1, "input_tokens": 5, "hash_ids": [1, 2]}\n', "tokens_per_block", "2 hash_ids"),
    ],
)  # fmt: skip
def test_bad_traces_are_refused_with_the_column_and_row(write, name, text, field, said):
    """Each mistake is an error that names the column and says where it is or what is wrong."""
    with pytest.raises(BadInput) as refused:
        read_trace(write(name, text))
    assert refused.value.field == field
    assert said in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    """A missing file and one that is not text are bad input, not a crash."""
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00timestamp")
    for path in (tmp_path / "absent.csv", tmp_path / "binary.csv"):
        with pytest.raises(BadInput, match=path.name):
            read_trace(path)


def test_a_trace_that_would_fill_the_memory_is_refused():
    """Too many blocks are refused before they are made."""
    with pytest.raises(BadInput) as refused:
        traced([TraceRow(at, 10_000_000) for at in range(30)], size=1)
    assert refused.value.field == "tokens_per_block"


def test_blocks_that_are_larger_than_stated_are_noticed():
    """A note asks for the size of a block if ids cover only a part of most requests, and not otherwise."""
    rows = [TraceRow(at=float(n), tokens=4096 + n, ids=(1, 2)) for n in range(10)]
    assert "--tokens-per-block" in traced(rows, size=512).notes[-1]
    assert traced(rows, size=2048).notes == ()
