"""Is an older value served as fresh after ``parbake_wait`` was true, whatever happened to a store or to the database?

Two servers with stores of their own read one database. Each round changes a row by plain SQL around a fault, asks
``parbake_wait`` until the answer is not "not yet", and reads the row from both servers, at once and until they are well
again. A value that is served as fresh and is older than a change whose answer was true is counted. The faults:

- a store is cut off from the database, without a word; it is stopped, and goes on after the answer; it is cut off, and
  retired as soon as that is allowed;
- a replica is promoted in the place of the database;
- the folder of the database is put back, or its rows are loaded from a dump, under running and under stopped servers;
- the same under a role that may not report.

The limits are shortened: a store that hears nothing for a second trusts nothing any more.
"""

from __future__ import annotations

import contextlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from _copies.rounds import play_all, read_options
from _copies.servers import Forwarder, Server, Shop, eventually
from _copies.tasks import SHORT_MAX_SILENCE
from _report import Goal, report
from tests.servers import pg

KEYS = 6
READS = 3
LONGEST_DELAY_S = 0.7
"""More than the pause between two reports, so that a fault may begin anywhere between them."""
NO_GRANT = "restored, role without the grant"
FAULTS = ("cut off", "stopped", "retired", "promoted", "restored", NO_GRANT)
SELECTED = "facts, parbake_outbox, parbake_outbox_gone, parbake_reader, parbake_capture"


class World:
    """A database, and two servers with stores of their own."""

    def __init__(self, fault: str, folder: Path, place: Path, seed: int) -> None:
        """Start everything."""
        self.answers, self.older = Counter[str](), list[str]()
        self.reads = self.without_fresh = 0
        self._rng, self._place, self._fault = random.Random(f"{seed}/{fault}"), place, fault
        self._database = pg.Postgresql(place / "data0")
        self._copies, self._last = 0, 0
        role = "stranger" if fault == NO_GRANT else "postgres"
        settings = [f"UPDATE parbake_setting SET value = '{SHORT_MAX_SILENCE}'"]
        if role != "postgres":
            settings += [f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON {SELECTED} TO {role}"]
        self._shop = Shop(self._database, *settings)
        self._numbers = dict.fromkeys(range(KEYS), 0)
        for key in range(KEYS):
            self._shop.change(f"k{key}", 0)
        self._forwarders = [Forwarder(self._shop.port) for _ in range(2)]
        stores = [f"lmdb://{folder}/store?map_size=64MiB", "memory://"]
        self._servers = [
            Server(folder, {"DATABASE": self._shop.address(one.port, role), "STORE": store, "TRUTH": "", "SHORT": "1"})
            for one, store in zip(self._forwarders, stores, strict=True)
        ]
        for server in self._servers:
            server.start()

    def play(self) -> None:
        """Play one round."""
        key = self._rng.randrange(KEYS)
        for server in self._servers:
            self._must_serve(server, key)
        time.sleep(self._rng.random() * LONGEST_DELAY_S)
        victim = self._rng.randrange(2)
        play = {
            "cut off": self._cut_off,
            "stopped": self._stop,
            "retired": self._retire,
            "promoted": self._promote,
            "restored": self._restore,
            NO_GRANT: self._restore,
        }
        play[self._fault](key, victim)
        for forwarder in self._forwarders:
            forwarder.mend()
        for server in self._servers:
            self._must_serve(server, key)

    def _change(self, key: int) -> int:
        self._last += 1
        self._numbers[key] = self._last
        return self._shop.change(f"k{key}", self._last)

    def _change_and_wait(self, key: int) -> None:
        """Change a row, and count what ``parbake_wait`` says in the end."""
        ticket = self._change(key)
        answer = self._shop.wait(ticket)
        self.answers[{True: "true", None: "NULL"}[answer]] += 1
        if answer is None:
            self._numbers[key] = 0  # nobody was told that it arrived

    def _judge(self, server: Server, key: int) -> bool:
        seen, number = server.read("fact", f"k{key}"), self._numbers[key]
        self.reads += 1
        if seen is None:
            self.without_fresh += 1
            return False
        if seen < number:
            self.older.append(f"{self._fault}: {key} is {seen}, acknowledged was {number}")
        return seen >= number

    def _look(self, key: int) -> None:
        for _ in range(READS):
            for server in self._servers:
                self._judge(server, key)

    def _must_serve(self, server: Server, key: int) -> None:
        eventually(lambda: self._judge(server, key), f"{self._fault}: no fresh answer")

    def _cut_off(self, key: int, victim: int) -> None:
        self._forwarders[victim].cut()
        self._change_and_wait(key)
        self._look(key)

    def _stop(self, key: int, victim: int) -> None:
        server = self._servers[victim]
        server.send(signal.SIGSTOP)
        self._change_and_wait(key)
        going_on = threading.Timer(0.02, server.send, [signal.SIGCONT])  # a request waits for it
        going_on.start()
        self._look(key)
        going_on.join()

    def _retire(self, key: int, victim: int) -> None:
        self._forwarders[victim].cut()
        silent = "SELECT store FROM parbake_reader WHERE heard < clock_timestamp() - INTERVAL '1 s' AND NOT is_retired"
        stores = eventually(lambda: self._database.sql(silent, dbname="shop"), "no store is silent")
        words = [sys.executable, "-m", "parbake", "capture", "retire", self._shop.address(), stores[0][0], "--apply"]
        eventually(lambda: not subprocess.run(words, capture_output=True, check=False).returncode, "not retired")
        self._change_and_wait(key)
        self._look(key)

    def _promote(self, key: int, victim: int) -> None:
        del victim
        self._copies += 1
        place = self._place / f"data{self._copies}"
        words = ["-D", place, "-R", "-X", "stream", "--checkpoint=fast"]
        pg.run("pg_basebackup", "-d", self._database.address, *words)
        standby = pg.Postgresql(place, made=True)
        self._change(key)
        self._numbers[key] = 0  # asynchronous: the replica may lack it
        for forwarder in self._forwarders:
            forwarder.cut()
        former, self._database = self._database, standby
        is_killed = self._rng.random() < 0.5
        if is_killed:
            former.clear_away()
        pg.run("pg_ctl", "promote", "-D", place, "-w")
        self._shop.server, self._shop.port = standby, standby.port
        delays = [self._rng.random() * 2 * LONGEST_DELAY_S for _ in self._forwarders]
        switches = [
            threading.Timer(delay, one.switch, [standby.port])
            for delay, one in zip(delays, self._forwarders, strict=True)
        ]
        for switch in switches:
            switch.start()
        self._change_and_wait(key)
        self._look(key)
        for switch in switches:
            switch.join()
        if not is_killed:
            former.clear_away()

    def _restore(self, key: int, victim: int) -> None:
        del victim
        is_stopped, is_folder = self._rng.random() < 0.5, self._rng.random() < 0.5
        copy = self._database.copied() if is_folder else self._dump()
        for _ in range(self._rng.randrange(1, 4)):
            self._change(key)
            with contextlib.suppress(TimeoutError):
                eventually(lambda: self._servers[0].read("fact", f"k{key}") == self._last, "lags", 1.0)
        if is_stopped:
            for server in self._servers:
                server.send(signal.SIGSTOP)
        self._numbers[key] = 0  # the database has lost them
        if isinstance(copy, Path):
            self._database.put_back(copy)
        else:
            self._database.sql(*copy, dbname="shop")
        self._change_and_wait(key)
        for server in self._servers:
            server.send(signal.SIGCONT)
        self._look(key)

    def _dump(self) -> list[str]:
        """Return the statements that load the present rows again, table by table."""
        tables = ["-t", "parbake_*", "-t", "facts"]
        printed = pg.output("pg_dump", "-d", self._shop.address(), *tables, "--data-only", "--inserts")
        inserts: dict[str, list[str]] = {}
        for line in printed.splitlines():
            if table := re.match(r"INSERT INTO public\.(\w+)", line):
                inserts.setdefault(table[1], []).append(line)
        emptied = "facts, parbake_reader, parbake_run_start, parbake_setting, parbake_format, parbake_capture"
        truncated = f"TRUNCATE {emptied}; TRUNCATE parbake_outbox, parbake_outbox_gone"
        return [truncated, *("\n".join(lines) for lines in inserts.values())]

    def close(self) -> None:
        """End everything."""
        for server in self._servers:
            server.close()
        for forwarder in self._forwarders:
            forwarder.close()
        self._database.clear_away()


def play_fault(fault: str, play_rounds: Callable[[World], None], seed: int) -> World:
    """Play all rounds of one fault."""
    with pg.folder() as place, tempfile.TemporaryDirectory() as folder:
        world = World(fault, Path(folder), place, seed)
        play_rounds(world)
    return world


def main() -> None:
    """Play the rounds, and print what was seen."""
    options = read_options(__doc__, "make bench NAME=waits ARGS='--rounds 20 --kinds \"cut off;stopped\"'", FAULTS)
    started = time.monotonic()
    worlds = play_all(options, partial(play_fault, seed=options.seed))
    rows = [
        (fault, world.answers["true"], world.answers["NULL"], world.reads, world.without_fresh, len(world.older))
        for fault, world in worlds.items()
    ]
    older = [one for world in worlds.values() for one in world.older]
    for line in older[:10]:
        print(line)
    answers = sum((world.answers for world in worlds.values()), Counter[str]())
    figures = {
        "rounds": answers.total(),
        "answers_true": answers["true"],
        "answers_null": answers["NULL"],
        "reads": sum(world.reads for world in worlds.values()),
        "older": len(older),
        "seed": options.seed,
        "seconds": round(time.monotonic() - started, 1),
    }
    wanted = options.rounds * len(worlds)
    goals = [
        Goal("older values after parbake_wait was true", len(older), "answers", "= 0", not older),
        Goal("rounds", answers.total(), "rounds", f">= {wanted}", answers.total() >= wanted),
    ]
    columns = ("fault", "true", "NULL", "reads", "no fresh answer", "older answers")
    report("waits", columns, rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
