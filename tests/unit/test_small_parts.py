"""The embedder, model files, counters and their metrics, and the portal to an event loop."""

import asyncio
import hashlib
import importlib.metadata
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parbake as pb
from parbake.adapters.prometheus import render
from parbake.process.counters import LATENCY_BUCKETS_S, Counters, Histogram
from parbake.process.portal import Portal
from parbake.process.system_clock import SystemClock
from parbake.protocol.cause import Cause, Reason
from parbake.values.backoff import Backoff
from parbake_semantic import model_files
from parbake_semantic.embedders import minilm
from parbake_semantic.embedders._int8 import multiply_in_int8
from parbake_semantic.embedders.minilm import MiniLm


def test_a_backoff_grows_to_its_limit_and_stays_there():
    """Each pause is longer by the factor until the longest one; the ten thousandth attempt waits as long as that."""
    backoff = Backoff(0.2, 30.0, factor=5)
    assert [backoff.pause_s(attempt) for attempt in (0, 1, 2, 3, 4, 10_000)] == pytest.approx([0.2, 1, 5, 25, 30, 30])


def test_texts_become_unit_vectors_in_their_order(embedder):
    """Each text has a unit vector, nearly independent of the other texts in the call."""
    texts = ["How long can I return a book?", "gift cards", "A much longer text. " * 20, *"abcdefghijklmnopqr"]
    together = embedder.embed(texts)
    assert together.shape == (len(texts), embedder.dimensions)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-5)
    alone = np.concatenate([embedder.embed([t]) for t in texts])
    assert (together * alone).sum(axis=1).min() > 0.95


def test_meaning_is_near_and_no_text_is_no_vector(embedder):
    """A paraphrase is nearer than another topic, and no texts give no vectors."""
    asked, near, far = embedder.embed(["when can I send it back", "the return window", "manga about pirates"])
    assert asked @ near > asked @ far
    assert embedder.embed([]).shape == (0, embedder.dimensions)


@pytest.fixture(scope="module")
def int8():
    """Return the embedder with int8 products."""
    return MiniLm(int8=True)


def test_in_int8_meaning_stays_and_the_model_has_another_name(embedder, int8):
    """int8 vectors are near those of float32, and the model has another hash."""
    texts = ["when can I send it back", "the return window", "manga about pirates", "do you ship to Austria"]
    cosines = (embedder.embed(texts) * int8.embed(texts)).sum(axis=1)
    assert all(0.98 < cosine < 0.9999 for cosine in cosines)
    assert int8.model_hash != embedder.model_hash


def test_in_int8_a_vector_depends_on_its_text_alone(int8):
    """With int8 a vector does not depend on the other texts in the call."""
    texts = ["short", "a rather longer question about the return of a book that was bought last week"]
    assert (int8.embed(texts) == np.concatenate([int8.embed([text]) for text in texts])).all()


@pytest.mark.parametrize(
    ("machine", "flags", "may"),
    [("x86_64", "avx2 avx512f", True), ("x86_64", "avx2 avx_vnni", False), ("aarch64", "", False)],
)
def test_int8_is_exact_on_every_processor(machine, flags, may, tmp_path, monkeypatch):
    """An x86 processor whose sums may saturate is recognized by its flags."""
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}")
    monkeypatch.setattr(minilm, "CPU", tmp_path / "cpuinfo")
    monkeypatch.setattr(minilm.platform, "machine", lambda: machine)
    assert minilm.may_saturate() is may


def test_a_model_without_int8_weights_is_refused():
    """A model that was already rewritten is refused, because it has no product left to rewrite."""
    done = multiply_in_int8(model_files.locate(model_files.MINILM).read_bytes())
    with pytest.raises(ValueError, match="no product"):
        multiply_in_int8(done)


def test_one_embedder_serves_several_threads(embedder):
    """Texts that are embedded in parallel threads have the same vectors as one after the other."""
    texts = [f"question number {i}" for i in range(12)]
    expected = np.concatenate([embedder.embed([t]) for t in texts])
    found = [None] * len(texts)

    def work(i):
        found[i] = embedder.embed([texts[i]])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.concatenate(found) == pytest.approx(expected, abs=1e-6)


def test_a_missing_embedding_library_says_what_to_install(monkeypatch):
    """Without onnxruntime the embedder raises ``MissingDependency``, which names the extra."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(pb.errors.MissingDependency, match=r"\.\[embeddings\]"):
        MiniLm()


class Distribution:
    """A stand-in for an installed distribution with one file."""

    def __init__(self, path):
        self.files = [self]
        self.name = path.name
        self._path = path

    def locate(self):
        return self._path


def test_a_model_file_is_found_by_its_distribution_and_checked_by_its_hash(tmp_path, monkeypatch):
    """The right file is returned; a wrong or missing file or package raises an error with the fetch command."""
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    right = model_files.ModelFile("pack", "a-pack", "model.bin", hashlib.sha256(b"weights").hexdigest(), 1, "a reader")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Distribution(path))
    assert model_files.locate(right) == path
    with pytest.raises(pb.errors.MissingDependency, match=r"its hash differs; run: parbake models fetch pack$"):
        model_files.locate(replace(right, sha256="0" * 64))
    with pytest.raises(pb.errors.MissingDependency, match="a reader needs the model pack, which is not installed"):
        model_files.locate(replace(right, name="other.bin"))
    path.unlink()
    with pytest.raises(pb.errors.MissingDependency, match="not installed"):
        model_files.locate(right)
    monkeypatch.undo()
    with pytest.raises(pb.errors.MissingDependency, match=r"not installed; run: parbake models fetch pack$") as caught:
        model_files.locate(replace(right, distribution="no-such-distribution"))
    assert caught.value.field == "pack"


@given(st.lists(st.floats(0, 10), max_size=30))
def test_a_histogram_counts_every_observation_once_in_its_bucket(seconds):
    """Each observation is counted in the first bucket whose bound it does not exceed."""
    histogram = Histogram()
    for value in seconds:
        histogram.add(value)
    assert sum(histogram.counts) == len(seconds)
    assert histogram.total_s == pytest.approx(sum(seconds))
    for i, bound in enumerate(LATENCY_BUCKETS_S):
        assert sum(histogram.counts[: i + 1]) == sum(value <= bound for value in seconds)


def filled():
    """Return counters with one observation of each kind."""
    counters = Counters()
    counters.count_keys()
    counters.served("t", b"k", "fresh", "batch", 0.003)
    counters.served("t", b"k", "fresh", "batch", 30.0)
    counters.computed("t", b"k", "realtime", 0.5, outcome="ok")
    counters.missed("t", b"k", "stale", Reason(Cause.PAST_SLA, "1h"))
    counters.event(("policy/returns", "policy/*"), duplicates=2, seconds=0.001)
    return counters


def test_counters_keep_what_happened():
    """Reads, computations, misses and events are counted under their labels, and tags by family."""
    counters = filled()
    assert counters.serves == {("t", "fresh", "batch"): 2}
    assert counters.computes == {("t", "realtime", "ok"): 1}
    assert counters.compute_s == {("t", "realtime"): 0.5}
    assert counters.misses == {("t", "stale", "past_sla"): 1}
    assert (counters.events, counters.duplicates) == (1, 2)
    assert counters.tags_raised == {"policy": 2}


def test_heat_is_drained_once():
    """Draining returns the reads since the last drain."""
    counters = filled()
    assert counters.drain_heat() == {("t", b"k"): (2, 2)}
    assert counters.drain_heat() == {}
    counters.served("t", b"k2", "fresh", "realtime", 0.1)
    assert counters.drain_heat() == {("t", b"k2"): (1, 0)}


def test_the_exposition_holds_every_counter():
    """Each counter has a sample with its labels, and each histogram ends with +Inf."""
    lines = render(filled()).decode().splitlines()
    for line in (
        'parbake_serves_total{lane="batch",task="t",verdict="fresh"} 2.0',
        'parbake_computes_total{lane="realtime",outcome="ok",task="t"} 1.0',
        'parbake_compute_seconds_total{lane="realtime",task="t"} 0.5',
        'parbake_misses_total{cause="past_sla",task="t",verdict="stale"} 1.0',
        "parbake_events_total 1.0",
        "parbake_duplicates_total 2.0",
        'parbake_serve_seconds_bucket{le="0.0025",task="t"} 0.0',
        'parbake_serve_seconds_bucket{le="0.005",task="t"} 1.0',
        'parbake_serve_seconds_bucket{le="+Inf",task="t"} 2.0',
        'parbake_event_seconds_bucket{le="+Inf"} 1.0',
    ):
        assert line in lines


def test_a_portal_runs_coroutines_on_one_loop_of_its_own():
    """Coroutines run on one other thread, results and exceptions return to the caller, and closing ends it."""

    async def where():
        await asyncio.sleep(0)
        return threading.current_thread(), asyncio.get_running_loop()

    async def fail():
        raise ValueError("no")

    portal = Portal()
    first, second = portal.call(where()), portal.call(where())
    assert first == second
    assert first[0] is not threading.current_thread()
    with pytest.raises(ValueError, match="no"):
        portal.call(fail())
    portal.close()
    assert not first[0].is_alive()
    assert first[1].is_closed()


def test_the_systems_clock_is_wall_time():
    """The system clock returns the current wall time."""
    before = time.time()
    assert before <= SystemClock().now() <= time.time()
