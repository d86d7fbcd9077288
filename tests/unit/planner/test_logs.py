"""Logs that people already have: how each kind is told, read and refused."""

import csv
import gzip
import io
import json
import os
from pathlib import Path

import pytest

from parbake.errors import BadInput
from parbake_planner.logs.read_requests import read_requests
from parbake_planner.logs.recognition import FORMS, recognise

NOW = 1_780_000_000.0
DAY = "2026-03-0"
COMBINED = (
    '10.0.0.{host} - {user} [0{day}/Mar/2026:10:00:0{second} {zone}] "{request}" {status} 512 "https://shop/" "Mozilla"'
)
COMMON = '10.0.0.{host} - {user} [0{day}/Mar/2026:10:00:0{second} {zone}] "{request}" {status} -'


def line(request="GET /a?x=1 HTTP/1.1", *, form=COMBINED, **changed):
    """Return one line of an access log."""
    values = {"host": 1, "user": "-", "day": 1, "second": 0, "zone": "+0000", "status": 200} | changed
    return form.format(request=request, **values)


def spend(**changed):
    """Return one row of LiteLLM's table, as its proxy returns it."""
    return {
        "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": "88dc28", "spend": 0.002,
        "total_tokens": 120, "prompt_tokens": 100, "completion_tokens": 20, "startTime": f"{DAY}1T10:00:00.120000Z",
        "endTime": f"{DAY}1T10:00:01.120000Z", "model": "gpt-5-mini", "model_group": "small", "user": "u1",
        "metadata": {}, "cache_hit": "False", "cache_key": "Cache OFF", "messages": {}, "session_id": "s1",
        "status": "success", "proxy_server_request": {},
    } | changed  # fmt: skip


def generation(**changed):
    """Return one observation as Langfuse's API returns it."""
    return {
        "id": "o1", "traceId": "t1", "type": "GENERATION", "name": "answer", "startTime": f"{DAY}1T10:00:00.000Z",
        "model": "gpt-5-mini", "input": [{"role": "user", "content": "How long may I return it? " * 20}],
        "usageDetails": {"input": 100, "output": 20, "total": 120}, "calculatedTotalCost": 0.003, "level": "DEFAULT",
    } | changed  # fmt: skip


BODY = {"model": "small", "messages": [{"role": "user", "content": "How long? " * 30}]}


@pytest.fixture
def put(tmp_path):
    """Return a function that writes a file of text, bytes or JSON lines, and returns its path."""

    def write(content, name="log"):
        path = tmp_path / name
        if isinstance(content, list):
            content = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(path, **options):
    """Read a log as of the tests' time."""
    return read_requests(path, now=NOW, **options)


def as_csv(rows):
    """Return rows as CSV, with objects as JSON in their fields, as databases export them."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows({k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()} for row in rows)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("key,timestamp\na,1772359200\n", "table"),
        (line(), "access"),
        (line(form=COMMON), "access"),
        (json.dumps(spend()), "litellm"),
        (json.dumps([spend(), spend()], indent=2), "litellm"),
        (json.dumps({"data": [spend()], "total": 1, "page": 1}, indent=1), "litellm"),
        (as_csv([spend()]), "litellm"),
        (json.dumps(generation()), "langfuse"),
        (json.dumps([generation()]), "langfuse"),
        (as_csv([generation()]), "langfuse"),
        (as_csv([{"id": "t", "timestamp": f"{DAY}1 10:00:00.000000", "name": "n", "session_id": "", "input": "q"}]),
         "langfuse"),
        ('{"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": [1]}', "trace"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n", "trace"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_packed", [False, True])
def test_the_kind_is_told_by_the_content(put, content, kind, is_packed):
    """Each real form is recognised whatever the file is called, packed or not, and with a byte order mark."""
    for data in (content.encode(), b"\xef\xbb\xbf" + content.encode()):
        path = put(gzip.compress(data) if is_packed else data, "file.dat")
        assert recognise(path, among=list(FORMS)) == kind


@pytest.mark.parametrize(
    ("content", "field", "said"),
    [
        ("", "log", "the file is empty"),
        ("\n \n", "log", "the file is empty"),
        ("some words\nand more\n", "log", "of an unknown kind"),
        (b"\x00\x01\x02", "log", "not a text"),
        ("key,timestamp\n".encode("utf-16"), "log", "not a text"),
        (gzip.compress(b"x" * 99_999)[:40], "log", "ended"),
        (b"\x1f\x8bnot gzip at all", "log", "Unknown compression"),
        ("[", "log", "is not JSON"),
        ("[1, 2]", "log", "no record"),
        ('[{"a": ' + "[" * 200_000, "log", "nested too deeply"),
        ("{\n" * 100_000, "log", "record 1 is not JSON"),
        (json.dumps(spend() | {"id": "1", "type": "x", "traceId": "t"}), "format", "--format litellm or --format lang"),
        ('{"timestamp": 1, "input_tokens": 5}', "log", "a trace with timestamp and input_tokens; what can be read"),
    ],
    ids=range(13),
)
def test_what_is_unreadable_or_ambiguous_is_refused_with_what_to_do(put, content, field, said):
    """Empty, foreign, broken and ambiguous files end with an error that names the field and the kinds."""
    with pytest.raises(BadInput) as refused:
        read(put(content))
    assert refused.value.field == field
    assert said in str(refused.value)


def test_a_stated_kind_is_used_and_an_unknown_one_is_refused(put):
    """``--format`` decides where the content does not, and its possible values are named."""
    both = put([spend(id="1", type="GENERATION", traceId="t", input="q", cache_key="k")])
    assert (read(both, given="litellm").kind, read(both, given="langfuse").kind) == ("litellm", "langfuse")
    with pytest.raises(BadInput, match="table, access, litellm, langfuse"):
        read(both, given="apache")


def test_a_pipe_is_refused(tmp_path):
    """What can be read only once is not half read by the recognition; the error says what to do."""
    there, here = os.pipe()
    os.write(here, b"key,timestamp\n")
    os.close(here)
    with pytest.raises(BadInput, match="write it to a file"):
        read(Path(f"/dev/fd/{there}"))
    os.close(there)


def test_an_access_log_counts_successful_gets_by_path(put):
    """Other methods, other statuses and other lines are left out with their reasons; the key has no query."""
    found = read(put([
        line(), line("GET /a HTTP/2.0", second=1), line("GET /b HTTP/1.1", status=304, form=COMMON),
        line("POST /a HTTP/1.1"), line(status=404), line(status=301), "broken", line("-", status=400), "",
        line("GET /c HTTP/1.1", user="a person"), line(day=9, second="x"),
        '[::1] - - [01/Mar/2026:10:00:03 +0000] "GET /d\\"e HTTP/1.1" 200 5',
    ]))  # fmt: skip
    assert sorted(found.log.names) == ["/a", "/b", "/c", '/d\\"e']
    assert found.skipped == {"not a GET": 2, "not successful": 2, "not a line of an access log": 2}
    assert (found.rows, found.log.requests) == (11, 5)
    assert any("left out: 2 (not a GET), 2" in note for note in found.log.notes)


def test_offsets_of_an_access_log_are_converted(put):
    """Equal moments in different zones are equal, and the notes say how many offsets there were."""
    found = read(put([line(zone="+0000"), line("GET /b HTTP/1.1", zone="+0100"), line("GET /c H", zone="-0930")]))
    assert dict(zip((found.log.names[k] for k in found.log.key), found.log.time, strict=True)) == {
        "/a": 1_772_359_200.0, "/b": 1_772_355_600.0, "/c": 1_772_359_200.0 + 9.5 * 3600,
    }  # fmt: skip
    assert any("3 UTC offsets" in note for note in found.log.notes)


def test_impossible_days_of_an_access_log_are_left_out(put):
    """A thirtieth of February or an unknown month is counted and does not end the reading."""
    wrong = [line().replace("01/Mar", day) for day in ("30/Feb", "01/Xyz")]
    assert read(put([line(), *wrong])).skipped == {"no readable time": 2}


def test_requests_of_one_second_all_count(put):
    """An access log has whole seconds; several requests of one key in one of them are not taken for a repeated row."""
    assert read(put([line(host=n) for n in range(5)])).log.requests == 5


def test_the_key_of_an_access_log_can_be_stated(put):
    """The group of a pattern over the request line is the key; where it does not match, the line is left out."""
    path = put([line("GET /item?id=7&x=1 H"), line("GET /item?id=8 H"), line("GET /about H")])
    found = read(path, key_pattern=r"^GET /item\?id=(\d+)")
    assert list(found.log.names) == ["7", "8"]
    assert found.skipped == {"the pattern of the key does not match": 1}
    for pattern, said in (("(", "unterminated"), ("GET", "0 groups"), ("(a)(b)", "2 groups")):
        with pytest.raises(BadInput, match=said) as refused:
            read(path, key_pattern=pattern)
        assert refused.value.field == "key_pattern"
    with pytest.raises(BadInput, match="is for an access log"):
        read(put("key,timestamp\na,1772359200\n"), key_pattern="(a)")


def test_hostile_lines_of_an_access_log_are_left_out(put):
    """Huge lines and invalid UTF-8 are counted, and the rest is read."""
    good = line().encode()
    path = put(b"\n".join([good, b"x" * 3_000_000, line().encode().replace(b"/a", b"/\xff"), good, b'"' * 60_000]))
    found = read(path)
    assert found.log.requests == 2
    assert found.skipped == {"longer than 64 KiB": 1, "not UTF-8": 1, "not a line of an access log": 1}


def test_a_packed_access_log_is_read(put):
    """A rotated log that is packed with gzip needs no other option; one that is cut off is refused."""
    data = gzip.compress("\n".join(line(second=n % 9) for n in range(3_000)).encode())
    assert read(put(data)).rows == 3_000
    with pytest.raises(BadInput, match="ended"):
        read(put(data[:-20]))


@pytest.mark.parametrize("write", [
    lambda rows: "\n".join(map(json.dumps, rows)), json.dumps, lambda rows: json.dumps(rows, indent=3), as_csv,
    lambda rows: json.dumps({"data": rows}),
])  # fmt: skip
def test_spend_logs_have_the_keys_of_the_cache(put, write):
    """In every form the cache_key is the key, a hit of the cache counts as a request, and its cost does not count."""
    found = read(put(write([
        spend(cache_key="k1", spend=0.002), spend(cache_key="k1", startTime=f"{DAY}2 10:00:00.5", spend=0.004),
        spend(cache_key="k2", startTime=f"{DAY}3T10:00:00+00:00", spend=0.0, cache_hit="True"),
        spend(cache_key="k3", startTime=f"{DAY}4T10:00:00Z", status="failure"),
    ])))  # fmt: skip
    assert (found.kind, list(found.log.names), found.log.requests) == ("litellm", ["k1", "k2"], 3)
    assert (found.usd, found.measured, found.skipped) == (pytest.approx(0.003), 2, {"failed calls": 1})
    assert found.spent_a_month == pytest.approx(0.006 / 2 * 30, rel=1e-3)


@pytest.mark.parametrize("stored", [{"proxy_server_request": BODY}, {"messages": json.dumps(BODY["messages"])}])
def test_spend_logs_without_a_cache_have_keys_of_model_and_messages(put, stored):
    """Where no cache is configured, equal models and messages are one key, and another model is another."""
    found = read(
        put([spend(**stored), spend(startTime=f"{DAY}2T10:00:00Z", **stored), spend(model_group="large", **stored)])
    )
    assert [len(name) for name in found.log.names] == [24, 24]
    assert found.log.requests == 3


def test_spend_logs_without_any_key_are_refused(put):
    """LiteLLM's default stores neither keys nor messages; the error says which settings do."""
    with pytest.raises(BadInput, match="store_prompts_in_spend_logs"):
        read(put([spend(), spend(cache_key=""), spend(messages="{}", cache_key=None)]))


def test_only_the_latest_turn_is_no_prompt(put):
    """A stored text that is too short for the tokens of the prompt is not taken for what identifies it."""
    short = {"messages": [{"role": "user", "content": "yes"}]}
    with pytest.raises(BadInput, match="whole messages"):
        read(put([spend(proxy_server_request=short, prompt_tokens=3_000)]))


def test_texts_that_were_cut_are_said_to_be(put):
    """Requests that LiteLLM has shortened keep a key, and a note says that they may be confused."""
    cut = {"messages": [{"role": "user", "content": "a... (litellm_truncated skipped 9000 chars) ...b"}]}
    notes = read(put([spend(proxy_server_request=cut, prompt_tokens=3_000)])).log.notes
    assert any("has cut long texts in 1 rows" in note for note in notes)


def test_generations_have_keys_of_input_and_model(put):
    """Spans and errors are left out; costs come from the field that has one."""
    rows = [
        generation(), generation(startTime=f"{DAY}2T10:00:00Z", calculatedTotalCost=None, totalCost=0.005),
        generation(startTime=f"{DAY}2T11:00:00Z", calculatedTotalCost=0, costDetails={"total": 0.007}),
        generation(model="large"), generation(input="another"), generation(type="SPAN"), generation(level="ERROR"),
        generation(input=None), generation(startTime="yesterday"),
    ]  # fmt: skip
    found = read(put(rows))
    assert (len(found.log.names), found.log.requests, found.measured) == (3, 5, 5)
    assert found.usd == pytest.approx(0.003)
    assert sorted(found.skipped.values()) == [1, 1, 1, 1]
    packed = {**generation(), "provided_model_name": "m", "start_time": f"{DAY}1 10:00:00.000000"}
    assert read(put(as_csv([{k: v for k, v in packed.items() if k != "startTime"}]))).log.requests == 1


def test_traces_have_keys_of_input_and_name(put):
    """A trace is one request, whatever observations it has, and its name is part of the key."""
    trace = {"id": "t", "timestamp": f"{DAY}1T10:00:00Z", "name": "faq", "input": {"q": "?"}, "totalCost": 0.01}
    rows = [
        trace,
        trace | {"name": "other"},
        trace | {"observations": [generation()], "timestamp": f"{DAY}2T10:00:00Z"},
    ]
    found = read(put(rows))
    assert (len(found.log.names), found.log.requests, found.usd) == (2, 3, 0.01)


def test_hostile_records_are_left_out(put):
    """Broken lines, other values, deep nesting, invalid UTF-8 and lone surrogates do not end the reading."""
    good = json.dumps(spend(cache_key="k")).encode()
    deep = b'{"request_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    odd = json.dumps(spend(cache_key=None, proxy_server_request={"messages": ["\ud800" * 300]})).encode()
    found = read(put(b"\n".join([good, b'{"request_id"', b"17", deep, b'{"a": "\xff"}', odd, b"", good])))
    assert found.log.requests == 2
    assert found.skipped == {"not JSON": 2, "not a JSON object": 1, "not UTF-8": 1}


def test_an_array_that_is_cut_off_is_refused(put):
    """An export that ended in the middle is not planned from; the error names the record."""
    with pytest.raises(BadInput, match=r"record 3 is not JSON.*complete"):
        read(put(json.dumps([spend(cache_key="k")] * 3)[:-30]))


def test_an_array_is_decoded_in_parts(put):
    """Records are whole wherever the window onto a long array ends, also those that are longer than it."""
    rows = [spend(cache_key=f"k{n}", metadata="m" * (n * 40_000 % 2_500_000)) for n in range(60)]
    assert len(read(put(json.dumps(rows))).log.names) == 60


def test_rows_of_csv_that_do_not_fit_are_left_out(put):
    """A row with another number of fields is counted; a field as long as a prompt is read."""
    long = spend(cache_key=None, proxy_server_request={"messages": ["long " * 100_000]})
    found = read(put(as_csv([spend(cache_key="k"), long]) + "1,2\n"))
    assert (found.log.requests, found.skipped) == (2, {"fields that do not fit the header": 1})
