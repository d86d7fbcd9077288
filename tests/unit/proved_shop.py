"""A shop over SQLite, whose apps ``parbake prove`` judges in tests."""

import asyncio
import sqlite3

import parbake as pb
from parbake.adapters.sqlite import OUTBOX_DDL, SqliteSource
from parbake_capture.sqlite_triggers import SqliteCapture
from parbake_capture.tables import parsed
from parbake_lab.prove.prove_run import ProveLimits, prove

TERMS = {"freshness_sla": "1d", "fallback_if_stale": pb.Recompute(), "owner": "support"}
TABLES = ("policies:policy/{id}", "regions:region/{code}", "settings:setting/{name}")
SCHEMA = """
CREATE TABLE regions(code TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE policies(
  id TEXT PRIMARY KEY, region TEXT NOT NULL REFERENCES regions(code), days INTEGER NOT NULL CHECK (days > 0), note TEXT
);
CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE visits(policy TEXT, count INTEGER);
CREATE VIEW assets AS SELECT id, days FROM policies WHERE days > 20;
INSERT INTO regions VALUES ('eu', 'Europe'), ('us', 'America');
INSERT INTO policies VALUES ('returns', 'eu', 30, NULL), ('gifts', 'us', 10, 'x'), ('default', 'eu', 7, NULL);
INSERT INTO settings VALUES ('tone', 'kind'), ('unit', 'days');
INSERT INTO visits VALUES ('returns', 3);
"""


def made(folder):
    """Return a shop's file without triggers."""
    found = folder / "shop.db"
    with sqlite3.connect(found) as db:
        db.executescript(OUTBOX_DDL + ";" + SCHEMA)
    db.close()
    return found


def captured(path, tables=TABLES):
    """Capture the tables of a file."""
    db = sqlite3.connect(path, isolation_level=None)
    capture = SqliteCapture(db)
    capture.run(capture.install(list(map(parsed, tables)), app="shop"))
    db.close()


def every_policy() -> list[str]:
    """Return the keys."""
    return ["returns", "gifts"]


def app_of(path, read, *, families=("policy", "region", "setting"), by=None, keys=every_policy, **source):
    """Return an app with one task, which returns what a method of a view reads for a key."""
    view = type("Policies", (pb.View,), {"families": families, "read": read})
    tasks = pb.Registry()

    def answer(policy, *, policies):
        return str(policies.read(policy))

    answer.__annotations__ = {"policy": str, "policies": pb.Source[view], "return": str}
    by = [pb.fence(name) for name in families] if by is None else by
    tasks.artifact(invalidated_by=by, keys=keys, **TERMS)(answer)
    names = ["policy", "region", "setting"]
    return pb.App(tasks, sources=[SqliteSource(path, families=names, views=[view], **source)])


def proved(app, anew=None, **limits):
    """Return what is found in an app; ``anew`` loads it again."""
    return asyncio.run(prove(app, ProveLimits(**limits), progress=lambda done, total: None, anew=anew))


def places(proof):
    """Return what changes, of each finding."""
    return {finding.what for finding in proof.findings}
