"""Copies of a store that come back under real servers: is an answer older than a change that was acknowledged before?

Two servers and a worker share a store. Each round reads a key, copies the store's data, changes the key (by ``touch``,
by an event over HTTP, or by a row of a database), has that acknowledged, and puts the copy in place: under running
servers, or between their end and their next start. Then each server is read, before and after one of them was killed,
until it serves the right answer as fresh; an answer that is served as fresh and is older than the change is counted.

What is put back: the folder of an LMDB store (rm -r and cp -r, cp over its file, rsync --inplace); the whole disk of an
LMDB store with its side file, while a journal or the database that is read lies elsewhere; the append-only file of
Valkey; the folder or the rows of a PostgreSQL server that is the store. Each is played for so many rounds.
"""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from _copies.rounds import play_all, read_options
from _copies.servers import Part, Server, Shop, eventually, touch
from _copies.stores import AppendOnlyFile, Kept, LmdbDisk, LmdbFolder, PostgresqlStore
from _report import Goal, report
from tests.servers import pg
from tests.servers.launch import Valkey

DOORS = ("touch", "HTTP", "outbox")
KEYS = 12
READS = 3
"""How often each server is read before it has to serve the right answer."""
KINDS = ("LMDB folder", "LMDB disk, journal elsewhere", "LMDB disk, database elsewhere", "Valkey", "PostgreSQL")


class World:
    """Two servers and a worker over one store, a database, and a folder of policies."""

    def __init__(self, kind: str, kept: Kept, shop: Shop, folder: Path, seed: int) -> None:
        """Start the servers."""
        self.rounds = Counter[str]()
        self.reads = self.without_fresh = 0
        self.older: list[str] = []
        self.kept = kept
        self._shop, self._rng, self._truth = shop, random.Random(f"{seed}/{kind}"), folder / "truth"
        self._truth.mkdir()
        self._doors = ("outbox",) if kind.endswith("database elsewhere") else DOORS
        self.environment = {"DATABASE": shop.address(), "STORE": kept.url, "TRUTH": str(self._truth)}
        if kind.endswith("journal elsewhere"):
            self.environment["JOURNAL"] = str(folder / "journal")
        self._numbers = dict.fromkeys([(door, key) for door in DOORS for key in range(KEYS)], 0)
        self._last = 0
        for key in range(KEYS):
            for door in DOORS:
                self._write(door, key, 0)
        self.servers = [Server(folder, self.environment) for _ in range(2)]
        self._parts: list[Part] = [*self.servers, Part(["worker"], folder, self.environment)]
        self._start()

    def _start(self) -> None:
        for part in self._parts:
            part.start()

    def _write(self, door: str, key: int, number: int) -> int:
        """Write the truth, and return the transaction that did if there was one."""
        if door == "outbox":
            return self._shop.change(f"k{key}", number)
        new = self._truth / "new"
        new.write_text(str(number))
        new.replace(self._truth / f"{door}{key}")
        return 0

    def _change(self, door: str, key: int) -> int:
        """Change a key, have that acknowledged, and return its new number."""
        self._last += 1
        number = self._last
        ticket = self._write(door, key, number)
        if door == "outbox":
            assert self._shop.wait(ticket) is True
        elif door == "touch":
            eventually(lambda: touch(f"policy/{door}{key}", self.environment), "no acknowledgement")
        else:
            eventually(lambda: self._rng.choice(self.servers).tell(f"policy/{door}{key}", number), "no acknowledgement")
        return number

    def _read(self, server: Server, door: str, key: int) -> int | None:
        task, name = ("fact", f"k{key}") if door == "outbox" else ("policy", f"{door}{key}")
        return server.read(task, name)

    def play(self) -> None:
        """Play one round."""
        rng, way, door = self._rng, self._rng.choice(self.kept.ways), self._rng.choice(self._doors)
        is_running = not self.kept.needs_stopped_servers and rng.random() < 0.5
        key = rng.randrange(KEYS)
        name = f"{way}, {door}, {'running' if is_running else 'stopped'}"
        for server in self.servers:
            self._must_serve(server, door, key, self._numbers[door, key], name)
        if rng.random() < 0.5:
            self._stop()
            self.kept.copy(way)
            self._start()
        else:
            self.kept.copy(way)
            self._start()
        number = self._numbers[door, key] = self._change(door, key)
        readers = self.servers if self.kept.must_have_seen_more else rng.sample(self.servers, rng.randrange(2))
        for server in readers:
            self._read(server, door, key)
        if not is_running:
            self._stop()
        self.kept.put_back(way, is_running=is_running)
        if not is_running:
            self._start()
        for _ in range(READS):
            for server in self.servers:
                self._judge(server, door, key, number, name)
        one = rng.choice(self.servers)
        one.end(signal.SIGKILL)
        self._start()
        for server in self.servers:
            self._must_serve(server, door, key, number, name)
        self.rounds[name] += 1

    def _stop(self) -> None:
        how = self._rng.choice((signal.SIGTERM, signal.SIGKILL))
        for part in self._parts:
            part.end(how)

    def _judge(self, server: Server, door: str, key: int, number: int, name: str) -> bool:
        """Read from a server, count what is older, and return whether it is right."""
        seen = self._read(server, door, key)
        self.reads += 1
        if seen is None:
            self.without_fresh += 1
            return False
        if seen < number:
            self.older.append(f"{name}: {key} is {seen}, acknowledged was {number}")
        return seen >= number

    def _must_serve(self, server: Server, door: str, key: int, number: int, name: str) -> None:
        def serves() -> bool:
            with contextlib.suppress(TimeoutError, SystemExit):
                self._start()
            return self._judge(server, door, key, number, name)

        eventually(serves, f"{name}: no fresh answer")

    def close(self) -> None:
        """End the servers."""
        for part in self._parts:
            part.close()


def kept_of(kind: str, folder: Path, stack: contextlib.ExitStack) -> Kept:
    """Return the data of a store of a kind."""
    if kind == "LMDB folder":
        return LmdbFolder(folder)
    if kind == "Valkey":
        server = Valkey(folder)
        stack.callback(server.kill)
        return AppendOnlyFile(server)
    if kind == "PostgreSQL":
        place = stack.enter_context(pg.folder())
        return PostgresqlStore(stack.enter_context(pg.postgresql(place / "data")))
    return LmdbDisk(folder)


def play_kind(kind: str, play_rounds: Callable[[World], None], seed: int) -> World:
    """Play all rounds with one kind of store."""
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(pg.postgresql(stack.enter_context(pg.folder()) / "data"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = World(kind, kept_of(kind, folder, stack), Shop(source), folder, seed)
        play_rounds(world)
    return world


def main() -> None:
    """Play the rounds, and print what was seen."""
    options = read_options(__doc__, "make bench NAME=copies ARGS='--rounds 20 --kinds Valkey'", KINDS)
    started = time.monotonic()
    worlds = play_all(options, partial(play_kind, seed=options.seed))
    rows = [
        (kind, way, count, sum(one.startswith(f"{way}:") for one in world.older))
        for kind, world in worlds.items()
        for way, count in sorted(world.rounds.items())
    ]
    older = [one for world in worlds.values() for one in world.older]
    for line in older[:10]:
        print(line)
    rounds = sum(world.rounds.total() for world in worlds.values())
    figures = {
        "rounds": rounds,
        "reads": sum(world.reads for world in worlds.values()),
        "without_fresh_answer": sum(world.without_fresh for world in worlds.values()),
        "older": len(older),
        "seed": options.seed,
        "seconds": round(time.monotonic() - started, 1),
    }
    wanted = options.rounds * len(worlds)
    goals = [
        Goal("answers older than an acknowledgement", len(older), "answers", "= 0", not older),
        Goal("rounds", rounds, "rounds", f">= {wanted}", rounds >= wanted),
    ]
    columns = ("store", "what came back, how it was changed", "rounds", "older answers")
    report("copies", columns, rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
