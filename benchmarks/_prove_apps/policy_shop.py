"""A shop's policies on SQLite: rules by region, with defaults, exceptions and settings."""

import json
import sqlite3
from pathlib import Path

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake_capture.sqlite_triggers import SqliteCapture
from parbake_capture.tables import Captured

FAMILIES = ("policy", "region", "exception", "setting")
TABLES = (
    Captured("policies", ("policy/{id}",)),
    Captured("regions", ("region/{code}",)),
    Captured("exceptions", ("exception/{policy}",)),
    Captured("settings", ("setting/{name}",)),
)
SCHEMA = """
CREATE TABLE regions(
  code TEXT PRIMARY KEY, name TEXT NOT NULL, parent TEXT REFERENCES regions(code), tax REAL NOT NULL CHECK (tax >= 0)
);
CREATE TABLE policies(
  id TEXT PRIMARY KEY, topic TEXT NOT NULL, region TEXT NOT NULL REFERENCES regions(code), title TEXT NOT NULL,
  facts TEXT NOT NULL, is_public INTEGER NOT NULL CHECK (is_public IN (0, 1)), rank INTEGER NOT NULL,
  UNIQUE (topic, region)
);
CREATE TABLE exceptions(
  id INTEGER PRIMARY KEY, policy TEXT NOT NULL REFERENCES policies(id), product TEXT NOT NULL, days INTEGER NOT NULL
);
CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
CODES = ("all", "eu", "us", "de", "fr", "ca")
PARENTS = {"eu": "all", "us": "all", "de": "eu", "fr": "eu", "ca": "us"}
TOPICS = ("returns", "shipping", "warranty", "gifts", "repairs")


def create(path: Path) -> None:
    """Fill a new file, and capture its tables."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(SCHEMA)
    for number, code in enumerate(CODES):
        db.execute("INSERT INTO regions VALUES (?, ?, ?, ?)", (code, code.upper(), PARENTS.get(code), number % 4 / 10))
    for number, topic in enumerate(TOPICS):
        for place, code in enumerate(CODES):
            if place == 0 or (number + place) % 3:
                facts = json.dumps({"days": 10 + number + place, "fee": {"cents": 100 * number}})
                values = (f"{topic}-{code}", topic, code, f"{topic} in {code}", facts, int(place != 3), 10 * number)
                db.execute("INSERT INTO policies VALUES (?, ?, ?, ?, ?, ?, ?)", values)
                db.execute(
                    "INSERT INTO exceptions(policy, product, days) VALUES (?, ?, ?)",
                    (f"{topic}-{code}", f"p{place}", 3 + place),
                )
    db.executemany("INSERT INTO settings VALUES (?, ?)", [("tone", "kind"), ("currency", "EUR"), ("footer", "Bye")])
    capture = SqliteCapture(db)
    capture.run(capture.install(TABLES, app="policies"))
    db.close()


class Policies(pb.View):
    families = ("policy", "exception")

    def ids(self) -> list[str]:
        self.whole_set("policy")
        return [row[0] for row in self.rows("SELECT id FROM policies ORDER BY id")]

    def get(self, policy: str) -> tuple[str, dict] | None:
        self.entity(f"policy/{policy}")
        rows = self.rows("SELECT title, facts FROM policies WHERE id = :id", id=policy)
        return (rows[0][0], json.loads(rows[0][1])) if rows else None

    def exceptions(self, policy: str) -> list[tuple[str, int]]:
        self.entity(f"exception/{policy}")
        return self.rows("SELECT product, days FROM exceptions WHERE policy = :p ORDER BY product, days", p=policy)

    def days(self, topic: str, region: str) -> int | None:
        """The days of a topic in a region, or those that hold everywhere."""
        own, usual = f"{topic}-{region}", f"{topic}-all"
        self.entity(f"policy/{own}")
        self.entity(f"policy/{usual}")
        rows = self.rows(
            "SELECT json_extract(facts, '$.days') FROM policies WHERE id IN (:own, :usual) ORDER BY id = :own DESC "
            "LIMIT 1",
            own=own,
            usual=usual,
        )
        return rows[0][0] if rows else None

    def public(self, topic: str) -> list[str]:
        self.whole_set("policy")
        return [
            row[0]
            for row in self.rows(
                "SELECT title FROM policies WHERE topic = :t AND is_public = 1 ORDER BY title", t=topic
            )
        ]

    def strictest(self, topic: str) -> str | None:
        self.whole_set("policy")
        self.whole_set("exception")
        rows = self.rows(
            "SELECT p.title FROM policies p LEFT JOIN exceptions e ON e.policy = p.id WHERE p.topic = :t "
            "ORDER BY coalesce(e.days, 99), p.id LIMIT 1",
            t=topic,
        )
        return rows[0][0] if rows else None


class Regions(pb.View):
    families = ("region", "policy")

    def codes(self) -> list[str]:
        self.whole_set("region")
        return [row[0] for row in self.rows("SELECT code FROM regions ORDER BY code")]

    def tax(self, region: str) -> float | None:
        """The tax of a region, or of the region around it if it has none."""
        self.entity(f"region/{region}")
        rows = self.rows("SELECT tax, parent FROM regions WHERE code = :c", c=region)
        if not rows or rows[0][0] or not rows[0][1]:
            return rows[0][0] if rows else None
        self.entity(f"region/{rows[0][1]}")
        return self.rows("SELECT tax FROM regions WHERE code = :c", c=rows[0][1])[0][0]

    def around(self, region: str) -> str:
        """The name of a region with that of the one around it."""
        self.whole_set("region")
        rows = self.rows(
            "SELECT r.name, p.name FROM regions r LEFT JOIN regions p ON p.code = r.parent WHERE r.code = :c", c=region
        )
        return " in ".join(filter(None, rows[0])) if rows else ""

    def counted(self, region: str) -> int:
        """How many policies a region has."""
        self.whole_set("policy")
        return self.rows("SELECT count(*) FROM policies WHERE region = :c", c=region)[0][0]


class Words(pb.View):
    families = ("setting",)

    def get(self, name: str) -> str:
        self.entity(f"setting/{name}")
        rows = self.rows("SELECT value FROM settings WHERE name = :n", n=name)
        return rows[0][0] if rows else ""


tasks = pb.Registry()
TERMS = {"freshness_sla": "1d", "fallback_if_stale": pb.Recompute(), "owner": "support"}


def every_policy(policies: pb.Source[Policies]) -> list[str]:
    return policies.ids()


def every_region(regions: pb.Source[Regions]) -> list[str]:
    return regions.codes()


def every_topic() -> list[str]:
    return list(TOPICS)


@tasks.artifact(
    invalidated_by=[pb.fence("policy"), pb.fence("exception"), pb.fence("setting")], keys=every_policy, **TERMS
)
def answer(policy: str, *, policies: pb.Source[Policies], words: pb.Source[Words]) -> str | pb.Absent:
    found = policies.get(policy)
    if found is None:
        return pb.Absent("no such policy")
    title, facts = found
    but = "; ".join(f"{product}: {days}" for product, days in policies.exceptions(policy))
    return f"{title}: {facts['days']} days, {words.get('currency')} {facts['fee']['cents']} ({but}) {words.get('tone')}"


NO_EXCEPTIONS = pb.ignore("exception", "not shown")
NO_POLICIES = pb.ignore("policy", "not shown")


@tasks.artifact(invalidated_by=[pb.fence("policy"), NO_EXCEPTIONS], keys=every_region, **TERMS)
def days(region: str, *, policies: pb.Source[Policies]) -> dict[str, int | None]:
    return {topic: policies.days(topic, region) for topic in TOPICS}


@tasks.artifact(invalidated_by=[pb.fence("region/{region}"), NO_POLICIES], keys=every_region, **TERMS)
def around(region: str, *, regions: pb.Source[Regions]) -> str:
    return regions.around(region)


@tasks.artifact(
    invalidated_by=[pb.fence("policy"), pb.ignore("region", "only its code is read")], keys=every_region, **TERMS
)
async def counted(region: str, *, regions: pb.Source[Regions]) -> int:
    return regions.counted(region)


@tasks.artifact(invalidated_by=[pb.fence("region"), NO_POLICIES], keys=every_region, **TERMS)
def tax(region: pb.Keys[str], *, regions: pb.Source[Regions]) -> dict[str, float]:
    found = {one: regions.tax(one) for one in region}
    return {one: value for one, value in found.items() if value is not None}


@tasks.artifact(invalidated_by=[pb.fence("policy"), NO_EXCEPTIONS], keys=every_topic, **TERMS)
def public(topic: str, *, policies: pb.Source[Policies]) -> list[str]:
    return policies.public(topic)


@tasks.artifact(invalidated_by=[pb.fence("policy"), pb.fence("exception")], keys=every_topic, **TERMS)
def strictest(topic: str, *, policies: pb.Source[Policies]) -> str:
    return policies.strictest(topic) or "none"


@tasks.artifact(invalidated_by=[pb.fence("policy"), pb.fence("exception"), pb.fence("setting")], **TERMS)
async def reply(policy: str, *, answers: pb.Reader[str, str] = pb.Input(answer), words: pb.Source[Words]) -> str:
    found = await answers.get(policy)
    return f"{found.value} {words.get('footer')}"


def build(path: Path) -> pb.App:
    source = SqliteSource(path, families=FAMILIES, views=[Policies, Regions, Words], name="policies")
    return pb.App(tasks, sources=[source])
