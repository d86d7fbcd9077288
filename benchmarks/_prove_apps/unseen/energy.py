"""An energy supplier over PostgreSQL: tariffs, meters, readings, discounts and outages."""

import datetime as dt
import json
from decimal import Decimal

import psycopg

import parbake as pb
from parbake.adapters.postgresql import PostgresqlSource
from parbake_capture.opening import install

SCHEMA = """
CREATE TABLE regions(code TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, grid_cents NUMERIC(6, 2), parent TEXT REFERENCES regions);
CREATE TABLE tariffs(id TEXT PRIMARY KEY, region TEXT REFERENCES regions, title TEXT NOT NULL, cents NUMERIC(6, 2) NOT NULL
  CHECK (cents > 0), base INTEGER NOT NULL, valid_from DATE NOT NULL, valid_to DATE, bands JSONB NOT NULL, successor TEXT
  REFERENCES tariffs, CHECK (valid_to IS NULL OR valid_to > valid_from));
CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT NOT NULL, region TEXT NOT NULL REFERENCES regions, segment TEXT NOT NULL
  CHECK (segment IN ('home', 'farm', 'shop')), profile JSONB NOT NULL DEFAULT '{}');
CREATE TABLE meters(serial TEXT PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers ON DELETE CASCADE, kind TEXT NOT NULL
  CHECK (kind IN ('power', 'heat')), installed DATE NOT NULL, tariff TEXT REFERENCES tariffs ON DELETE SET NULL);
CREATE TABLE readings(meter TEXT NOT NULL REFERENCES meters ON DELETE CASCADE, day DATE NOT NULL, kwh NUMERIC(8, 1) NOT NULL
  CHECK (kwh >= 0), PRIMARY KEY (meter, day));
CREATE TABLE discounts(code TEXT PRIMARY KEY, segment TEXT, percent INTEGER NOT NULL CHECK (percent BETWEEN 1 AND 50), ends DATE);
CREATE TABLE holidays(region TEXT NOT NULL REFERENCES regions, day DATE NOT NULL, name TEXT NOT NULL, PRIMARY KEY (region, day));
CREATE TABLE outages(id INTEGER PRIMARY KEY, region TEXT NOT NULL REFERENCES regions, began TIMESTAMP NOT NULL, ended TIMESTAMP,
  severity INTEGER NOT NULL CHECK (severity BETWEEN 1 AND 5));
CREATE VIEW monthly_use AS SELECT meter, to_char(day, 'YYYY-MM') AS month, sum(kwh) AS kwh, count(*) AS days FROM readings GROUP BY 1, 2;
"""
FAMILIES = ["region", "tariff", "customer", "clientele", "meter", "household", "usage", "discount", "holiday", "outage"]


def create(where: str) -> None:
    date = dt.date(2027, 1, 1)
    with psycopg.connect(where) as db, db.cursor() as c:
        c.execute(SCHEMA)
        c.executemany("INSERT INTO regions VALUES (%s, %s, %s, %s)", [
            (f"G{n:02}", f"Region {n}", None if n % 3 == 2 else Decimal(5 + n) / 2, f"G{n // 3:02}" if n else None) for n in range(20)])
        c.executemany("INSERT INTO tariffs VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)", [
            (f"T{n:02}", None if n % 5 == 0 else f"G{n % 6:02}", f"Tariff {chr(65 + n)}", Decimal(2000 + 37 * (n * 7 % 20)) / 100,
             300 + 45 * (n % 7), date - dt.timedelta(days=30 * n), dt.date(2029, 6, 1) if n % 4 == 1 else None,
             json.dumps({"night": 15 + n % 4, "limits": [{"over": 200 + 10 * n, "plus": n % 3}]}), f"T{n - 1:02}" if n % 6 == 4 else None)
            for n in range(22)])
        c.executemany("INSERT INTO customers VALUES (%s, %s, %s, %s, %s)", [
            (n, f"Customer {n:02}", f"G{n % 12:02}", ("home", "home", "farm", "shop")[n % 4], json.dumps(
                {"lang": "de" if n % 2 else "fr", "payer": n - 1 if n % 9 == 4 else None})) for n in range(1, 41)])
        c.executemany("INSERT INTO meters VALUES (%s, %s, %s, %s, %s)", [
            (f"Z{n:03}", 1 + n % 30, "heat" if n % 7 == 6 else "power", date - dt.timedelta(days=100 + n), None if n % 4 == 2 else f"T{n % 15:02}")
            for n in range(44)])
        c.executemany("INSERT INTO readings VALUES (%s, %s, %s)", [
            (f"Z{n % 30:03}", date + dt.timedelta(days=n // 30 * 9 + n % 4), Decimal(40 + n * 17 % 90)) for n in range(120)])
        c.executemany("INSERT INTO discounts VALUES (%s, %s, %s, %s)", [
            (f"D{n:02}", (None, "home", "farm", "shop", "club")[n % 5 if n else 0] if n % 10 else None, 2 + n % 9,
             dt.date(2028, 1 + n % 12, 1) if n % 3 else None) for n in range(20)])
        c.executemany("INSERT INTO holidays VALUES (%s, %s, %s)", [
            (f"G{n % 10:02}", dt.date(2027, 1 + n % 12, 1 + n), f"Feast {n}") for n in range(26)])
        c.executemany("INSERT INTO outages VALUES (%s, %s, %s, %s, %s)", [
            (n, f"G{n * 5 % 14:02}", dt.datetime(2027, 1, n, 8), None if n % 4 == 0 else dt.datetime(2027, 1, n, 9 + n % 5), 1 + n % 5)
            for n in range(1, 25)])
    install(
        where,
        "regions:region/{code}",
        "tariffs:tariff/{id}",
        "customers:customer/{id},clientele/{region}",
        "meters:meter/{serial},household/{customer}",
        "readings:usage/{meter}",
        "discounts:discount/{segment}",  # a discount for everybody has no segment, and raises the family
        "holidays:holiday/{region}",
        "outages:outage/{region}",
    )


class Prices(pb.View):
    families = ("tariff", "region", "discount")

    def tariff(self, key: str) -> tuple | None:
        self.entity(f"tariff/{key}")
        found = self.rows("SELECT title, cents, base, valid_to, bands->>'night', bands #>> '{limits,0,over}', successor FROM tariffs "
                          "WHERE id = :id", id=key)
        return found[0] if found else None

    def offered(self, region: str) -> list[tuple]:
        self.whole_set("tariff")
        return list(self.rows("SELECT id, title, cents::float, base FROM tariffs WHERE (region = :r OR region IS NULL) AND "
                              "(valid_to IS NULL OR valid_to > DATE '2028-01-01') ORDER BY cents, id LIMIT 3", r=region))

    def standard(self, region: str) -> str:
        """The first tariff of a region, or the first of those that hold everywhere."""
        self.whole_set("tariff")
        return self.rows("SELECT id FROM tariffs WHERE region = :r OR region IS NULL ORDER BY region IS NULL, valid_from, id LIMIT 1",
                         r=region)[0][0]

    def grid(self, region: str, depth: int = 4) -> float:
        """What the grid of a region costs; a region without a price has that of the one above it."""
        self.entity(f"region/{region}")
        cents, parent = (self.rows("SELECT grid_cents, parent FROM regions WHERE code = :c", c=region) or [(None, None)])[0]
        if cents is None:
            return self.grid(parent, depth - 1) if parent and depth else 9.9
        return float(cents)

    def best_discount(self, segment: str) -> int:
        self.entity(f"discount/{segment}")
        return self.rows("SELECT coalesce(max(percent), 0) FROM discounts WHERE (segment = :s OR segment IS NULL) AND "
                         "(ends IS NULL OR ends > DATE '2028-03-01')", s=segment)[0][0]


class Use(pb.View):
    families = ("meter", "household", "usage", "customer", "clientele")

    def month(self, serial: str, month: str) -> tuple[float, int]:
        self.entity(f"usage/{serial}")
        found = self.rows("SELECT kwh::float, days::int FROM monthly_use WHERE meter = :m AND month = :n", m=serial, n=month)
        return found[0] if found else (0.0, 0)

    def meters(self, customer: int) -> list[tuple]:
        self.entity(f"household/{customer}")
        return list(self.rows("SELECT serial, tariff, kind FROM meters WHERE customer = :c ORDER BY serial", c=customer))

    def last(self, customer: int) -> list[str]:
        self.entity(f"household/{customer}")
        found = self.rows("SELECT m.serial, r.day, r.kwh FROM meters m LEFT JOIN LATERAL (SELECT day, kwh FROM readings WHERE "
                          "meter = m.serial ORDER BY day DESC LIMIT 1) r ON true WHERE m.customer = :c ORDER BY m.serial", c=customer)
        for serial, *_ in found:
            self.entity(f"usage/{serial}")
        return [f"{serial} {day:%d.%m.}: {kwh}" if day else f"{serial} unread" for serial, day, kwh in found]

    def customer(self, number: int) -> tuple | None:
        self.entity(f"customer/{number}")
        found = self.rows("SELECT name, region, segment, profile->>'lang', (profile->>'payer')::int FROM customers WHERE id = :n", n=number)
        return found[0] if found else None

    def ranking(self, region: str) -> list[tuple]:
        self.entity(f"clientele/{region}")
        self.whole_set("household")
        self.whole_set("usage")
        return list(self.rows(
            "WITH used AS (SELECT c.name, sum(r.kwh) AS kwh FROM customers c JOIN meters m ON m.customer = c.id JOIN readings r "
            "ON r.meter = m.serial WHERE c.region = :r GROUP BY c.id) SELECT name, kwh::float, "
            "round(100 * kwh / sum(kwh) OVER ())::int FROM used ORDER BY kwh DESC, name", r=region))

    def unread(self, region: str) -> list[str]:
        for family in ("clientele", "household", "usage"):
            self.whole_set(family)
        return [row[0] for row in self.rows(
            "SELECT m.serial FROM meters m JOIN customers c ON c.id = m.customer WHERE c.region = :r AND NOT EXISTS "
            "(SELECT 1 FROM readings r WHERE r.meter = m.serial AND r.day >= DATE '2027-01-20') ORDER BY 1", r=region)]

    def segments(self) -> list[tuple]:
        for family in ("customer", "meter"):
            self.whole_set(family)
        return list(self.rows("SELECT c.segment, count(DISTINCT c.id)::int, count(m.serial) FILTER (WHERE m.kind = 'heat')::int FROM "
                              "customers c LEFT JOIN meters m ON m.customer = c.id GROUP BY 1 HAVING count(*) > 2 ORDER BY 1"))


class Grid(pb.View):
    families = ("outage", "holiday", "region")

    def open_outages(self, region: str) -> list[tuple]:
        self.entity(f"outage/{region}")
        return list(self.rows("SELECT began, severity FROM outages WHERE region = :r AND ended IS NULL ORDER BY severity DESC, began", r=region))

    def region(self, code: str) -> tuple:
        self.entity(f"region/{code}")
        return (self.rows("SELECT name, parent FROM regions WHERE code = :c", c=code) or [("?", None)])[0]

    def calm(self) -> list[str]:
        self.whole_set("region")
        self.whole_set("outage")
        return [row[0] for row in self.rows("SELECT name FROM regions g WHERE NOT EXISTS (SELECT 1 FROM outages o WHERE o.region = g.code "
                                            "AND o.severity >= 4) ORDER BY code")]

    def feasts(self, region: str) -> str:
        self.entity(f"holiday/{region}")
        return self.rows("SELECT coalesce(string_agg(name || ' ' || to_char(day, 'DD.MM.'), ', ' ORDER BY day), 'none') FROM (SELECT * "
                         "FROM holidays WHERE region = :r ORDER BY day LIMIT 2) h", r=region)[0][0]


tasks = pb.Registry()
COMMON = {"freshness_sla": "24h", "fallback_if_stale": pb.Recompute(), "owner": "billing"}
PRICES = [pb.fence(name) for name in Prices.families]
USE = [pb.fence(name) for name in Use.families]
GRID = [pb.fence(name) for name in Grid.families]


def every_region() -> list[str]:
    return [f"G{n:02}" for n in range(14)]


@tasks.artifact(**COMMON, invalidated_by=PRICES)
def tariff_card(key: str, *, prices: pb.Source[Prices]) -> pb.Value[str] | pb.Absent:
    found = prices.tariff(key)
    if found is None:
        return pb.Absent("no such tariff")
    title, cents, base, ends, night, limit, successor = found
    newer = prices.tariff(successor) if successor else None
    until = dt.datetime(ends.year, ends.month, ends.day, tzinfo=dt.UTC).timestamp() if ends else None
    text = f"{title}: {cents} ct + {base / 100:.2f} a month, night {night} ct, up to {limit} kWh"
    return pb.Value(text + (f"; replaced by {newer[0]} at {newer[1]}" if newer else ""), valid_until=until)


@tasks.artifact(**COMMON, keys=every_region, invalidated_by=PRICES)
def offers(region: str, *, prices: pb.Source[Prices]) -> list[str]:
    fee = prices.grid(region)
    return [f"{title} {cents + fee:.2f}" for _, title, cents, _ in prices.offered(region)]


@tasks.artifact(**COMMON, keys=every_region, invalidated_by=[pb.fence("region/{region}"), *GRID[:2]])
def region_board(region: pb.Keys[str], *, grid: pb.Source[Grid]) -> dict[str, str]:
    return {one: f"{grid.region(one)[0]}: {len(grid.open_outages(one))} open; holidays {grid.feasts(one)}" for one in region}


@tasks.artifact(**COMMON, invalidated_by=GRID)
def outage_note(region: str, *, grid: pb.Source[Grid]) -> str:
    name, parent = grid.region(region)
    found = grid.open_outages(region)
    if found:
        return f"{name}: power is out since {found[0][0]:%d.%m. %H:%M} (level {found[0][1]})"
    above = grid.open_outages(parent) if parent else []
    return f"{name}: trouble in {grid.region(parent)[0]}" if above else f"{name}: all is well"


@tasks.artifact(**COMMON, invalidated_by=GRID)
def calm(_: str, *, grid: pb.Source[Grid]) -> str:
    names = grid.calm()
    return f"{len(names)} calm: {', '.join(names[:5])}"


@tasks.artifact(**COMMON, invalidated_by=USE)
def use(key: str, *, meters: pb.Source[Use]) -> dict[str, float]:
    serial, _, month = key.partition(":")
    kwh, days = meters.month(serial, month)
    return {"kwh": round(kwh, 1), "mean": round(kwh / days, 2) if days else 0.0}


@tasks.artifact(**COMMON, invalidated_by=[*USE, *PRICES])
def bill(key: str, *, meters: pb.Source[Use], prices: pb.Source[Prices], used: pb.Reader[str, dict] = pb.Input(use)) -> str | pb.Absent:
    number, _, month = key.partition(":")
    customer = meters.customer(int(number))
    if customer is None:
        return pb.Absent("no such customer")
    name, region, segment, language, payer = customer
    total, fee = 0.0, prices.grid(region)
    for serial, tariff, _ in meters.meters(int(number)):
        terms = prices.tariff(tariff or prices.standard(region))
        total += terms[2] + used.read(f"{serial}:{month}").unwrap()["kwh"] * (float(terms[1]) + fee)
    total *= 1 - prices.best_discount(segment) / 100
    paid = meters.customer(payer) if payer else None
    return f"{'Rechnung' if language == 'de' else 'Facture'} {name}: {total / 100:.2f}" + (f", paid by {paid[0]}" if paid else "")


@tasks.artifact(**COMMON, invalidated_by=USE)
def household(number: int, *, meters: pb.Source[Use]) -> list[str]:
    return meters.last(number)


@tasks.artifact(**COMMON, keys=every_region, invalidated_by=USE)
def ranking(region: str, *, meters: pb.Source[Use]) -> list[str]:
    return [f"{name} {kwh:.0f} kWh, {share} %" for name, kwh, share in meters.ranking(region)]


@tasks.artifact(**COMMON, invalidated_by=[*USE, *GRID])
def rounds(region: str, *, meters: pb.Source[Use], grid: pb.Source[Grid]) -> str:
    serials = meters.unread(region)
    return f"{grid.region(region)[0]}: " + (f"read {len(serials)}: {' '.join(serials[:3])}" if len(serials) >= 2 else "nothing to do")


@tasks.artifact(**COMMON, invalidated_by=USE)
def segments(_: str, *, meters: pb.Source[Use]) -> dict[str, str]:
    return {segment: f"{count} customers, {heat} with heat" for segment, count, heat in meters.segments()}


@tasks.artifact(**COMMON, invalidated_by=[*USE, *PRICES])
def saving(number: int, *, meters: pb.Source[Use], prices: pb.Source[Prices]) -> str | pb.Absent:
    customer = meters.customer(number)
    if customer is None:
        return pb.Absent("no such customer")
    now = [prices.tariff(tariff)[1] for _, tariff, kind in meters.meters(number) if tariff and kind == "power"]
    best = prices.offered(customer[1])[0]
    return f"{best[1]} saves {float(max(now)) - best[2]:.1f} ct" if now and float(max(now)) > best[2] else "stay"


@tasks.artifact(**COMMON, invalidated_by=[pb.fence("customer"), *[pb.ignore(name, "only the customer") for name in (
    "meter", "household", "usage", "clientele")]])
def letter(number: int, *, meters: pb.Source[Use], bills: pb.Reader[str, str] = pb.Input(bill),
           notes: pb.Reader[str, str] = pb.Input(outage_note)) -> str | pb.Absent:
    customer = meters.customer(number)
    if customer is None:
        return pb.Absent("no such customer")
    return f"{bills.read(f'{number}:2027-01').unwrap()}. {notes.read(customer[1]).unwrap()}"


@tasks.live(why="the request says how much")
async def estimate(region: pb.Live[str], kwh: pb.Live[int], *, found: pb.Reader[str, list] = pb.Input(offers)) -> list[str]:
    return [f"{one}: {float(one.rpartition(' ')[2]) * kwh / 100:.2f}" for one in (await found.get(region)).unwrap()]


def build(where: str) -> pb.App:
    source = PostgresqlSource(where, families=FAMILIES, views=[Prices, Use, Grid], name="energy")
    return pb.App(tasks, sources=[source])
