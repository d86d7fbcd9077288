"""Metrics, folds and features of ``make bench NAME=hybrid``, and a small run."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.waiting import HANGS_S

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
DAY = 86_400.0


@pytest.fixture(scope="module")
def bench():
    """Return the benchmark's package, imported as the benchmarks import it."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import _hybrid.methods
        import _hybrid.rolling

        return _hybrid
    finally:
        sys.path.remove(str(BENCHMARKS))


def made_up_rows(users=80, items=150, events=40, seed=3):
    """Return interactions of users who each choose among nearby items, some at the same time."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        centre = rng.integers(items)
        chosen = (centre + rng.integers(0, 60, 2 * events)) % items
        times = np.sort(rng.integers(0, 400, len(chosen))) * DAY / 4
        rows += [(f"u{user}", f"i{item}", float(ts), 4.0) for item, ts in zip(chosen, times, strict=True)]
    return rows


@pytest.fixture(scope="module")
def data(bench):
    """Return these interactions as the benchmark reads them."""
    return bench.data.make_data("made up", made_up_rows(), tags={"i1": ["a"], "i2": ["a", "b"]}, left_out={})


@pytest.fixture(scope="module")
def chosen(bench):
    """Return settings that a run could have chosen."""
    return bench.models.Settings(10.0, 4.0, 90.0)


def test_ndcg_by_hand(bench):
    """NDCG and hit rate of four lists equal values computed by hand."""
    hits = np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)
    found = bench.judge.ndcg(hits, np.array([3, 1, 4, 9]))
    ideal = 1 + 1 / np.log2(3) + 1 / 2
    assert found == pytest.approx([1.5 / ideal, 1 / np.log2(6), 0.0, 1.0])
    assert bench.judge.hit_rate(hits).tolist() == [1.0, 1.0, 0.0, 1.0]


def test_every_user_counts_once(bench):
    """Requests are averaged within each user first."""
    means = bench.judge.by_user(np.array([1.0] * 9 + [0.0]), np.array([5] * 9 + [2]))
    assert means.tolist() == [0.0, 1.0]


def test_the_interval_covers_the_truth(bench):
    """Of a hundred samples, about 95 intervals contain the true ratio."""
    rng, covered = np.random.default_rng(11), 0
    for seed in range(100):
        theirs = rng.gamma(2.0, 1.0, 150)
        ours = 0.9 * theirs + rng.normal(0.0, 0.3, 150)
        found = bench.judge.ratio(ours, theirs, bench.judge.draw(150, resamples=400, seed=seed))
        covered += found.low <= 0.9 <= found.high
    assert 86 <= covered <= 99


def test_intervals_are_paired(bench):
    """A constant ratio over users gives an interval without width."""
    theirs = np.random.default_rng(1).random(60)
    found = bench.judge.ratio(0.9 * theirs, theirs, bench.judge.draw(60))
    assert (found.value, found.low, found.high) == pytest.approx((0.9, 0.9, 0.9))


def test_ties_in_time_are_shuffled(bench):
    """Items with the same time are shuffled for each user, reproducibly."""
    rows = [(f"u{user:03}", f"i{item:03}", 5.0, 0.0) for user in range(60) for item in range(100)]
    first, again = (bench.data.make_data("ties", rows, tags={}, left_out={}) for _ in range(2))
    assert np.array_equal(first.item, again.item)
    by_user = first.item.reshape(60, 100)
    assert len({tuple(row) for row in by_user.tolist()}) == 60
    assert abs(np.mean(np.diff(by_user, axis=1) > 0) - 0.5) < 0.05


def test_positions_say_nothing_about_ids(bench):
    """Positions, which break ties, do not follow the order of ids."""
    rows = [(f"u{user:03}", f"i{item:03}", float(item), 0.0) for user in range(60) for item in range(100)]
    data = bench.data.make_data("ids", rows, tags={}, left_out={})
    assert abs(np.corrcoef(np.arange(100), data.past(0, 100))[0, 1]) < 0.3


def test_requests_stand_at_a_strictly_later_time(bench, data):
    """A request sees only earlier events; it needs a history of 5 events, and each user has at most 4."""
    for fold in bench.folds.make_folds(data):
        requests = bench.folds.make_requests(data, fold, per_user=4).requests
        for request in requests:
            times = data.times(request.user)
            assert times[request.length - 1] < request.ts == times[request.length]
            assert fold.start <= request.ts < fold.end
            assert request.length >= 5
        users = [request.user for request in requests]
        assert all(users.count(user) <= 4 for user in users)


def test_wanted_is_what_comes_next(bench, data):
    """Wanted items are the known ones among the next ten, and labels lie within the fold."""
    for fold in bench.folds.make_folds(data)[3:6]:
        before = set(data.item[data.ts < fold.start].tolist())
        for request in bench.folds.make_requests(data, fold).requests:
            ahead = data.past(request.user, request.length + 10)[request.length :]
            assert request.wanted.tolist() == [item for item in ahead.tolist() if item in before]
            times = data.times(request.user)[request.length : request.length + 10]
            assert set(request.label.tolist()) == set(ahead[times < fold.end].tolist()) & before


def test_folding_in_by_prefixes_is_folding_in(bench, data, chosen):
    """Folding in all prefixes at once gives the same vectors as the assistant's fold-in of each."""
    model = bench.models.train_factors(data, np.inf, chosen)
    past, lengths = data.past(0, 30), [0, 1, 7, 30]
    found = bench.models.fold_in_prefixes(model, past, lengths, chosen.confidence)
    one_by_one = bench.models.fold_in(model, [past[:n] for n in lengths], chosen.confidence)
    np.testing.assert_allclose(found, one_by_one, atol=1e-5)


@settings(max_examples=15)
@given(drawn=st.tuples(st.integers(0, 10_000), st.floats(0, 1), st.sampled_from([0, 2, 5])))
def test_nothing_depends_on_what_is_still_to_come(bench, data, chosen, drawn):
    """Lists and features do not change if all events from the request's time on are replaced."""
    seed, pick, age = drawn
    fold = bench.folds.make_folds(data)[6]
    requests = bench.folds.make_requests(data, fold).requests
    request = requests[int(pick * (len(requests) - 1))]
    rng, later = np.random.default_rng(seed), data.ts >= request.ts
    item, stars, ts = data.item.copy(), data.stars.copy(), data.ts.copy()
    item[later] = rng.integers(0, data.items, later.sum())
    stars[later], ts[later] = rng.random(later.sum()), ts[later] + DAY * rng.integers(0, 9)
    other = dataclasses.replace(data, item=item, stars=stars, ts=ts)
    boards = []
    for source in (data, other):
        station = bench.station.make_station(source, fold, chosen)
        now = np.array([request.length])
        boards.append((station.board([request], now - age, now), station.shelf.trending))
    (before, popular), (after, same) = boards
    assert np.array_equal(popular, same)
    assert np.array_equal(before.items, after.items)
    assert np.array_equal(before.rows, after.rows)
    assert before.items.max() >= 0


def test_an_owned_item_is_never_listed(bench, data, chosen):
    """The live filter removes items that were chosen after a list was made, and keeps the order."""
    fold = bench.folds.make_folds(data)[6]
    requests = bench.folds.make_requests(data, fold).requests
    station = bench.station.make_station(data, fold, chosen)
    now = bench.methods.lengths(requests)
    board = station.board(requests, now - 5, now)
    for request, items, place in zip(requests, board.items, board.place, strict=True):
        listed = items[place >= 0]
        assert not np.isin(listed, data.past(request.user, request.length)).any()
        made = station.lists[request.user, request.length - 5][0]
        assert np.array_equal(made[place[place >= 0]], listed)


def test_the_linear_scorer_learns_what_decides(bench):
    """The deciding feature gets most of the weight, and excluded columns get none."""
    rng, examples = np.random.default_rng(5), bench.models.Examples()
    for _ in range(200):
        rows = rng.standard_normal((20, 3)).astype(np.float32)
        examples.add(rows, (np.arange(20) == np.argmax(rows[:, 1])).astype(float))
    weights = bench.models.train_linear(examples)
    assert weights[1] > 5 * max(abs(weights[0]), abs(weights[2]))
    assert bench.models.train_linear(examples, [0, 2])[1] == 0


def test_bad_rows_are_counted(bench, tmp_path):
    """A file may have a header in any order or none; unreadable rows are skipped and counted."""
    path = tmp_path / "some.csv"
    path.write_text("item,timestamp,user\na,1,u\nb,soon,u\n,3,u\nc,4\n\nd,5,v\n")
    assert bench.data.read_rows(path, columns=("user", "item", "timestamp", "rating")) == (
        [("u", "a", 1.0, 0.0), ("v", "d", 5.0, 0.0)],
        3,
    )
    path.write_text("u,a,1,4.5\nu,b,2\nu,c,3,much\n")
    rows, bad = bench.data.read_rows(path, columns=("user", "item", "timestamp", "rating"))
    assert (rows, bad) == ([("u", "a", 1.0, 4.5), ("u", "b", 2.0, 0.0)], 1)


def bench_run(*arguments, timeout=HANGS_S):
    """Run the benchmark as ``make bench`` does."""
    command = [sys.executable, str(BENCHMARKS / "hybrid.py"), *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key != "PARBAKE_DATA"}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout, env=environment)


def test_too_little_is_refused_in_a_sentence(tmp_path):
    """A file that is too small, a missing file and wrong prices each end with one sentence."""
    path = tmp_path / "few.csv"
    path.write_text("u,a,1\n")
    few = bench_run("--ratings", path)
    gone = bench_run("--movielens", tmp_path / "none")
    prices = bench_run("--ratings", path, "--prices", path)
    assert {few.returncode, gone.returncode, prices.returncode} == {1}
    assert few.stderr == "few.csv holds 1 interactions; below 2,000 the result would be chance\n"
    assert gone.stderr.startswith("no MovieLens at ")
    assert prices.stderr.startswith("cannot use the prices in ")


@pytest.mark.slow
def test_a_quick_run_says_everything(tmp_path):
    """A quick run on generated interactions prints every table, draws both pictures and ends with JSON."""
    path = tmp_path / "made-up.csv"
    path.write_text("\n".join(f"{user},{item},{ts},{stars}" for user, item, ts, stars in made_up_rows(120)))
    done = bench_run("--ratings", path, "--quick", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["name"] == "hybrid"
    assert found["figures"]["requests"] > 20
    assert 0 < found["figures"]["ratio_age5_linear"] < 2
    assert {"what", "value", "unit", "goal", "met"} == set(found["goals"][0])
    drawn = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert drawn == ["hybrid-age.png", "hybrid-age.svg", "hybrid-cost.png", "hybrid-cost.svg"]
    for told in ("of the next 10 items were known", "hybrid + events", "latency, ms", "US dollars a month"):
        assert told in done.stdout
