"""Deliveries on PostgreSQL: types, constraints, views of the database, and several schemas of keys."""

import json

import psycopg

import parbake as pb
from parbake.adapters.postgresql import PostgresqlSource
from parbake_capture.postgresql_triggers import PostgresqlCapture
from parbake_capture.tables import Captured

FAMILIES = ("parcel", "carrier", "rate", "depot", "holiday")
TABLES = (
    Captured("parcels", ("parcel/{id}",)),
    Captured("carriers", ("carrier/{code}",)),
    Captured("rates", ("rate/{carrier}",)),
    Captured("depots", ("depot/{id}",)),
    Captured("holidays", ("holiday/{country}",)),
)
SCHEMA = """
CREATE TYPE state AS ENUM ('packed', 'sent', 'delivered');
CREATE TABLE depots(id INT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, city TEXT NOT NULL, country TEXT NOT NULL,
  is_open BOOLEAN NOT NULL DEFAULT true);
CREATE TABLE carriers(code TEXT PRIMARY KEY, name TEXT NOT NULL, hours INT NOT NULL CHECK (hours BETWEEN 1 AND 400),
  extra JSONB NOT NULL DEFAULT '{}');
CREATE TABLE rates(carrier TEXT NOT NULL REFERENCES carriers(code), zone INT NOT NULL, price NUMERIC(8, 2) NOT NULL,
  PRIMARY KEY (carrier, zone));
CREATE TABLE parcels(id BIGINT PRIMARY KEY, carrier TEXT NOT NULL REFERENCES carriers(code),
  depot INT NOT NULL REFERENCES depots(id), zone INT NOT NULL, grams INT NOT NULL CHECK (grams > 0),
  state state NOT NULL, due DATE);
CREATE TABLE holidays(country TEXT NOT NULL, day DATE NOT NULL, name TEXT, PRIMARY KEY (country, day));
CREATE VIEW open_parcels AS SELECT * FROM parcels WHERE state <> 'delivered';
"""


def create(address: str) -> None:
    """Fill a new database, and capture its tables."""
    with psycopg.connect(address, autocommit=True) as db:
        db.execute(SCHEMA)
        cities = (("Bonn", "DE"), ("Lyon", "FR"), ("Kiel", "DE"), ("Gent", "BE"))
        for city, country in cities:
            db.execute("INSERT INTO depots(city, country) VALUES (%s, %s)", (city, country))
        for number, code in enumerate(("post", "fast", "bike", "usual")):
            extra = json.dumps({"insured": number * 100, "tags": ["a"]})
            db.execute("INSERT INTO carriers VALUES (%s, %s, %s, %s)", (code, code.title(), 24 + 12 * number, extra))
            for zone in range(1, 4):
                if (number + zone) % 4:
                    db.execute("INSERT INTO rates VALUES (%s, %s, %s)", (code, zone, 2 + number + zone / 2))
        for number in range(1, 61):
            db.execute(
                "INSERT INTO parcels VALUES (%s, %s, %s, %s, %s, %s, DATE '2026-12-01' + %s::INT)",
                (
                    number, ("post", "fast", "bike")[number % 3], 1 + number % 4, 1 + number % 3, 200 + 31 * number,
                    ("packed", "sent", "delivered")[number % 5 % 3], number % 20,
                ),
            )  # fmt: skip
        for country in ("DE", "FR"):
            db.execute("INSERT INTO holidays VALUES (%s, DATE '2026-12-25', 'Christmas')", (country,))
    capture = PostgresqlCapture(address)
    capture.run(capture.install(TABLES, app="deliveries"))
    capture.close()


class Parcels(pb.View):
    families = ("parcel", "carrier", "depot", "holiday")

    def ids(self) -> list[int]:
        self.whole_set("parcel")
        return [row[0] for row in self.rows("SELECT id FROM parcels ORDER BY id")]

    def track(self, parcel: int) -> tuple[str, str, str, str] | None:
        self.entity(f"parcel/{parcel}")
        rows = self.rows(
            "SELECT p.state::TEXT, c.name, d.city, coalesce(p.due::TEXT, '?'), c.code, d.id FROM parcels p "
            "JOIN carriers c ON c.code = p.carrier JOIN depots d ON d.id = p.depot WHERE p.id = :id",
            id=parcel,
        )
        if not rows:
            return None
        self.entity(f"carrier/{rows[0][4]}")
        self.entity(f"depot/{rows[0][5]}")
        return rows[0][:4]

    def is_late(self, parcel: int) -> bool:
        """Whether a holiday of its depot's country comes before it is due."""
        self.entity(f"parcel/{parcel}")
        self.whole_set("depot")
        self.whole_set("holiday")
        return bool(
            self.rows(
                "SELECT 1 FROM parcels p WHERE p.id = :id AND EXISTS (SELECT 1 FROM holidays h JOIN depots d "
                "ON d.country = h.country WHERE d.id = p.depot AND h.day <= p.due + 10)",
                id=parcel,
            )
        )

    def load(self, depot: int) -> tuple[int, int]:
        """How many parcels wait at a depot, and their weight."""
        self.whole_set("parcel")
        statement = "SELECT count(*), coalesce(sum(grams), 0) FROM open_parcels WHERE depot = :d"
        return self.rows(statement, d=depot)[0]

    def depot(self, depot: int) -> str:
        self.entity(f"depot/{depot}")
        rows = self.rows("SELECT city, is_open FROM depots WHERE id = :d", d=depot)
        return f"{rows[0][0]} {'open' if rows[0][1] else 'closed'}" if rows else ""

    def next_due(self, depot: int) -> list[int]:
        self.whole_set("parcel")
        rows = self.rows("SELECT id FROM open_parcels WHERE depot = :d ORDER BY due, id LIMIT 3", d=depot)
        return [row[0] for row in rows]


class Rates(pb.View):
    families = ("rate", "carrier")

    def codes(self) -> list[str]:
        self.whole_set("carrier")
        return [row[0] for row in self.rows("SELECT code FROM carriers ORDER BY code")]

    def price(self, carrier: str, zone: int) -> str:
        """The price of a carrier in a zone, or the usual one."""
        self.entity(f"rate/{carrier}")
        rows = self.rows("SELECT price FROM rates WHERE carrier = :c AND zone = :z", c=carrier, z=zone)
        if not rows:
            self.entity("rate/usual")
            rows = self.rows("SELECT price FROM rates WHERE carrier = 'usual' AND zone = :z", z=zone)
        return str(rows[0][0]) if rows else "ask"

    def insured(self, carrier: str) -> int:
        self.entity(f"carrier/{carrier}")
        rows = self.rows("SELECT (extra->>'insured')::INT FROM carriers WHERE code = :c", c=carrier)
        return rows[0][0] if rows else 0

    def cheapest(self, zone: int) -> str:
        self.whole_set("rate")
        rows = self.rows("SELECT carrier FROM rates WHERE zone = :z ORDER BY price, carrier LIMIT 1", z=zone)
        return rows[0][0] if rows else ""

    def fastest(self) -> str:
        self.whole_set("carrier")
        return self.rows("SELECT code FROM carriers ORDER BY hours, code LIMIT 1")[0][0]


tasks = pb.Registry()
TERMS = {"freshness_sla": "1d", "fallback_if_stale": pb.Recompute(), "owner": "deliveries"}


def every_parcel(parcels: pb.Source[Parcels]) -> list[int]:
    return parcels.ids()


def every_carrier(rates: pb.Source[Rates]) -> list[str]:
    return rates.codes()


def _not(*families: str) -> list:
    return [pb.ignore(name, "not shown") for name in families]


@tasks.artifact(
    invalidated_by=[pb.fence("parcel"), pb.fence("carrier"), pb.fence("depot"), *_not("holiday")],
    keys=every_parcel,
    **TERMS,
)
def tracking(parcel: int, *, parcels: pb.Source[Parcels]) -> list[str] | pb.Absent:
    found = parcels.track(parcel)
    return list(found) if found else pb.Absent("no such parcel")


@tasks.artifact(
    invalidated_by=[pb.fence("parcel/{parcel}"), pb.fence("depot"), pb.refresh("holiday"), *_not("carrier")],
    keys=every_parcel,
    **TERMS,
)
def late(parcel: int, *, parcels: pb.Source[Parcels]) -> bool:
    return parcels.is_late(parcel)


@tasks.artifact(
    invalidated_by=[
        pb.fence("parcel"), pb.fence("depot"), pb.ignore("carrier", "not shown"), pb.ignore("holiday", "not shown"),
    ],
    **TERMS,
)  # fmt: skip
async def load(depot: int, *, parcels: pb.Source[Parcels]) -> list[str]:
    return [parcels.depot(depot), *map(str, parcels.load(depot))]


@tasks.artifact(invalidated_by=[pb.fence("parcel"), *_not("depot", "carrier", "holiday")], **TERMS)
def next_due(depot: int, *, parcels: pb.Source[Parcels]) -> list[int]:
    return parcels.next_due(depot)


@tasks.artifact(invalidated_by=[pb.fence("rate"), pb.fence("carrier/{carrier}")], keys=every_carrier, **TERMS)
def prices(carrier: str, *, rates: pb.Source[Rates]) -> list[str]:
    found = [rates.price(carrier, zone) for zone in (1, 2, 3)]
    return [*found, str(rates.insured(carrier))]


@tasks.artifact(invalidated_by=[pb.fence("rate"), *_not("carrier")], **TERMS)
def cheapest(zone: int, *, rates: pb.Source[Rates]) -> str:
    return rates.cheapest(zone)


@tasks.artifact(invalidated_by=[pb.fence("carrier"), *_not("rate")], **TERMS)
def fastest(carrier: str, *, rates: pb.Source[Rates]) -> str:
    return f"{carrier} or {rates.fastest()}"


@tasks.artifact(invalidated_by=[pb.fence("rate"), pb.fence("carrier")], keys=every_carrier, **TERMS)
def offer(carrier: str, *, table: pb.Reader[str, list[str]] = pb.Input(prices)) -> str:
    return " / ".join(table.read(carrier).unwrap())


def build(address: str) -> pb.App:
    source = PostgresqlSource(address, families=FAMILIES, views=[Parcels, Rates], name="deliveries")
    return pb.App(tasks, sources=[source])
