"""Request logs: what is read, what is refused, and which doubts are reported."""

import datetime as dt

import numpy as np
import pytest

from parbake.errors import BadInput
from parbake_planner.forecast.log_file import read
from parbake_planner.forecast.request_log import DAY, checked
from parbake_planner.forecast.windows import cut

NOW = 1_795_000_000.0
BEGIN = 1_790_812_800.0


def csv(folder, *lines, header="key,timestamp"):
    """Write a log and return its path."""
    path = folder / "log.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def steady(days=14, per_day=2_000, keys=50):
    """Return keys and evenly spread times."""
    rng = np.random.default_rng(0)
    time = np.sort(BEGIN + rng.random(days * per_day) * days * DAY)
    return rng.integers(0, keys, len(time)).astype(np.int32), time


def test_epoch_seconds_milliseconds_and_iso_are_the_same_time(tmp_path):
    """Epoch seconds, milliseconds and ISO 8601 are read as the same time."""
    moment = dt.datetime.fromtimestamp(BEGIN, dt.UTC)
    found = [
        read(csv(tmp_path, f"a,{text}"), now=NOW).time[0]
        for text in (BEGIN, int(BEGIN * 1000), moment.isoformat(), moment.isoformat().replace("+00:00", "Z"))
    ]
    assert found == [BEGIN] * 4


def test_offsets_are_brought_to_one_and_said(tmp_path):
    """Times with different UTC offsets are converted, with a note."""
    log = read(csv(tmp_path, "a,2026-10-01T14:00:00+02:00", "b,2026-10-01T12:00:00+00:00"), now=NOW)
    assert log.time[0] == log.time[1]
    assert "2 UTC offsets" in log.notes[0]


@pytest.mark.parametrize("other", ["2026-10-01T12:00:00", str(BEGIN)])
def test_times_with_and_without_a_zone_are_refused(tmp_path, other):
    """A log that mixes times with and without a time zone is refused."""
    with pytest.raises(BadInput, match="line 3: times with and without a time zone"):
        read(csv(tmp_path, "a,2026-10-01T12:00:00+02:00", f"b,{other}"), now=NOW)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ((), "no request"),
        (("a,",), "line 2: timestamp ''"),
        (("a,yesterday",), "or ISO 8601"),
        (("a",), "line 2: 1 fields"),
        ((f",{BEGIN}",), "the key is empty"),
        (("a,nan",), "not a finite number"),
        (("a,12",), "before 1990"),
        ((f"a,{NOW + 3 * DAY}",), "in the future"),
    ],
)
def test_a_row_that_is_none_is_refused(tmp_path, lines, says):
    """An empty log, a missing field or an impossible time is refused with its line."""
    with pytest.raises(BadInput, match=says):
        read(csv(tmp_path, *lines), now=NOW)


@pytest.mark.parametrize("header", ["user,timestamp", "key,when", ""])
def test_a_missing_column_is_named(tmp_path, header):
    """A log without one of its two columns is refused."""
    with pytest.raises(BadInput, match="no column"):
        read(csv(tmp_path, f"a,{BEGIN}", header=header), now=NOW)


def test_a_file_that_is_none(tmp_path):
    """A missing file, a file that is not UTF-8 and an invalid Parquet file are refused."""
    with pytest.raises(BadInput, match="No such file"):
        read(tmp_path / "absent.csv", now=NOW)
    (tmp_path / "log.csv").write_bytes(b"key,timestamp\n\xff\xfe,1\n")
    with pytest.raises(BadInput, match="UTF-8"):
        read(tmp_path / "log.csv", now=NOW)
    (tmp_path / "log.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadInput, match=r"log\.parquet"):
        read(tmp_path / "log.parquet", now=NOW)


def test_signals_are_no_requests(tmp_path):
    """Rows with a signal are not counted as requests; a log of signals only is refused."""
    log = read(csv(tmp_path, f"a,{BEGIN},1", f"a,{BEGIN + 1},", header="key,timestamp,signal"), now=NOW)
    assert (log.requests, list(log.signal)) == (1, [True, False])
    with pytest.raises(BadInput, match="no request"):
        read(csv(tmp_path, f"a,{BEGIN},open", header="key,timestamp,signal"), now=NOW)


def test_parquet_says_what_csv_says(tmp_path):
    """Parquet timestamps, integer milliseconds and text signals are read as in CSV."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    moments = pa.array([int(BEGIN * 1e6), int((BEGIN + 5) * 1e6)], pa.timestamp("us", "UTC"))
    for times in (moments, [int(BEGIN * 1000), int(BEGIN * 1000) + 5000]):
        pq.write_table(
            pa.table({"key": ["a", "b"], "timestamp": times, "signal": ["1", None]}), tmp_path / "log.parquet"
        )
        log = read(tmp_path / "log.parquet", now=NOW)
        assert (list(log.time), list(log.signal), log.names) == ([BEGIN, BEGIN + 5], [True, False], ["a", "b"])


def test_parquet_of_other_types_is_read_or_refused(tmp_path):
    """Nanoseconds are read with less precision, and keys that are not text are refused."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    nano = pa.array([1_760_054_400_123_456_789, 1_760_054_500_000_000_001], pa.timestamp("ns"))
    pq.write_table(pa.table({"key": ["a", "b"], "timestamp": nano}), tmp_path / "nano.parquet")
    assert read(tmp_path / "nano.parquet", now=NOW).time[0] == pytest.approx(1_760_054_400.123456)
    for keys in ([b"\xff", b"b"], [["a"], ["b"]], ["", "b"]):
        pq.write_table(pa.table({"key": keys, "timestamp": nano}), tmp_path / "odd.parquet")
        with pytest.raises(BadInput):
            read(tmp_path / "odd.parquet", now=NOW)


def test_repeated_rows_count_once():
    """Repeated rows are dropped, with a note."""
    key, time = steady()
    log = checked(np.repeat(key, 2), np.repeat(time, 2), keys=50, now=NOW)
    assert log.requests == len(key)
    assert "repeat the key and time" in log.notes[0]


def test_a_gap_leaves_its_windows_out():
    """Windows within a gap of two days are not used."""
    key, time = steady()
    kept = (time < BEGIN + 5 * DAY) | (time > BEGIN + 7 * DAY)
    log = checked(key[kept], time[kept], keys=50, now=NOW)
    assert "1 gaps" in log.notes[0]
    usable = cut(log, 6 * 3600.0).usable
    assert not usable[21:27].any()
    assert usable[:19].all()


def test_a_clock_that_was_set_back_leaves_its_windows_out():
    """The window in which a clock went back is not used; a log without any order is sorted."""
    key, time = steady()
    turned = time.copy()
    turned[time > BEGIN + 7 * DAY] -= 3600
    log = checked(key, turned, keys=50, now=NOW)
    assert "the clock went back 1 times" in log.notes[0]
    assert not cut(log, 6 * 3600.0).usable[27]
    order = np.random.default_rng(0).permutation(len(time))
    assert "have been ordered" in checked(key[order], time[order], keys=50, now=NOW).notes[0]


def test_what_makes_a_plan_careful():
    """A log under seven days, or with one dominant key, has a doubt."""
    key, time = steady(days=5)
    assert "covers 5.0 days" in checked(key, time, keys=50, now=NOW).doubts[0]
    key, time = steady()
    key[np.random.default_rng(1).random(len(key)) < 0.9] = 0
    assert "one key makes 90% of the requests" in checked(key, time, keys=50, now=NOW).doubts[0]
    assert checked(*steady(), keys=50, now=NOW).doubts == ()


def test_a_population_below_what_the_log_names_is_refused():
    """A population smaller than the number of keys in the log is refused."""
    with pytest.raises(BadInput, match="is less than the 50 keys"):
        checked(*steady(), keys=50, now=NOW, population=49)
