"""A clinic over SQLite: practitioners, rooms, appointments, insurers and what patients pay."""

import json
import sqlite3
from pathlib import Path

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake_capture.opening import install

SCHEMA = """
CREATE TABLE rooms(code TEXT PRIMARY KEY, floor INTEGER NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('exam', 'lab', 'talk')),
  equipment TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(equipment)), opens TEXT NOT NULL, closes TEXT NOT NULL);
CREATE TABLE services(code TEXT PRIMARY KEY, title TEXT NOT NULL UNIQUE, minutes INTEGER NOT NULL CHECK (minutes > 0),
  cents INTEGER NOT NULL, room_kind TEXT, prep TEXT CHECK (json_valid(prep)), successor TEXT REFERENCES services);
CREATE TABLE practitioners(id INTEGER PRIMARY KEY, name TEXT NOT NULL, specialty TEXT NOT NULL,
  languages TEXT NOT NULL CHECK (json_valid(languages)), room TEXT NOT NULL REFERENCES rooms,
  supervisor INTEGER REFERENCES practitioners, active INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)));
CREATE TABLE insurers(code TEXT PRIMARY KEY, name TEXT NOT NULL, terms TEXT NOT NULL CHECK (json_valid(terms)));
CREATE TABLE patients(id INTEGER PRIMARY KEY, name TEXT NOT NULL, born TEXT NOT NULL,
  insurer TEXT REFERENCES insurers ON DELETE SET NULL, contact TEXT NOT NULL CHECK (json_valid(contact)));
CREATE TABLE copays(insurer TEXT NOT NULL, service TEXT NOT NULL REFERENCES services, percent INTEGER NOT NULL
  CHECK (percent BETWEEN 0 AND 100), PRIMARY KEY (insurer, service));
CREATE TABLE visits(id INTEGER PRIMARY KEY, patient INTEGER NOT NULL REFERENCES patients ON DELETE CASCADE,
  practitioner INTEGER NOT NULL REFERENCES practitioners, service TEXT NOT NULL REFERENCES services, day TEXT NOT NULL,
  at TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('booked', 'done', 'cancelled', 'noshow')), note TEXT,
  UNIQUE (practitioner, day, at));
CREATE TABLE absences(id INTEGER PRIMARY KEY, practitioner INTEGER NOT NULL REFERENCES practitioners ON DELETE CASCADE,
  first TEXT NOT NULL, last TEXT NOT NULL, reason TEXT, CHECK (first <= last));
CREATE VIEW day_sheet AS SELECT v.id, v.practitioner, v.day, v.at, p.name AS patient, s.title, v.patient AS patient_id,
  v.service FROM visits v JOIN patients p ON p.id = v.patient JOIN services s ON s.code = v.service WHERE v.status = 'booked';
"""
CAPTURED = (
    "rooms:room/{code}",
    "services:service/{code}",
    "practitioners:practitioner/{id}",
    "insurers:insurer/{code}",
    "patients:patient/{id}",
    "copays:copay/{insurer}",
    "visits:visit/{id},diary/{practitioner},history/{patient}",
    "absences:absence/{practitioner}",
)
FAMILIES = ["room", "service", "practitioner", "insurer", "patient", "copay", "visit", "diary", "history", "absence"]


def create(where: str) -> None:
    db = sqlite3.connect(where)
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(SCHEMA)
    kinds, special = ("exam", "lab", "talk"), ("heart", "skin", "child", "bones")
    db.executemany("INSERT INTO rooms VALUES (?, ?, ?, ?, ?, ?)", [
        (f"R{n:02}", n % 4, kinds[n % 3], json.dumps(["bed", "ecg", "lamp", "scale"][: n % 5]), f"{7 + n % 3:02}:00",
         f"{11 + n % 5:02}:00") for n in range(20)])
    db.executemany("INSERT INTO services VALUES (?, ?, ?, ?, ?, ?, ?)", [
        (f"S{n:02}", f"Service {chr(65 + n)}", 15 + 15 * (n % 3), 2000 + 350 * n, None if n % 4 == 0 else kinds[n % 3],
         None if n % 5 == 0 else json.dumps({"steps": [f"step {i}" for i in range(n % 4)], "fasting": n % 2 == 0}),
         f"S{n - 1:02}" if n % 6 == 3 else None) for n in range(20)])
    db.executemany("INSERT INTO practitioners VALUES (?, ?, ?, ?, ?, ?, ?)", [
        (n, f"Dr. {'Abel Baum Cox Dahl Egger Frei'.split()[n % 6]} {n}", special[n % 4],
         json.dumps(["en", "de", "fr", "it"][n % 3 : n % 3 + 2]), f"R{n % 15:02}", n - 1 if n % 3 == 2 else None,
         0 if n % 11 == 10 else 1) for n in range(1, 25)])
    db.executemany("INSERT INTO insurers VALUES (?, ?, ?)", [
        (f"I{n}", f"Insurer {n}", json.dumps({"cap": 5000 + 500 * n, "letters": n % 2 == 0})) for n in range(1, 21)])
    db.executemany("INSERT INTO patients VALUES (?, ?, ?, ?, ?)", [
        (n, f"Patient {n:03}", f"{1940 + n}-{1 + n % 12:02}-11", None if n % 7 == 0 else f"I{1 + n % 6}",
         json.dumps({"mail": f"p{n}@example.org", "sms": n % 3 == 0, "guardian": n - 1 if n % 10 == 5 else None}))
        for n in range(1, 61)])
    db.executemany("INSERT INTO copays VALUES (?, ?, ?)", [("default", f"S{n:02}", 40 - n) for n in range(18)] + [
        (f"I{i}", f"S{n:02}", 5 * i) for i in range(1, 5) for n in range(0, 20, 3)])
    db.executemany("INSERT INTO visits VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [
        (n, 1 + n * 7 % 50, 1 + n % 12, f"S{n * 3 % 14:02}", f"2027-03-{1 + n % 5:02}", f"{8 + n // 12:02}:{30 * (n % 2):02}",
         ("booked", "done", "booked", "noshow", "cancelled", "done")[n // 2 % 6], None if n % 3 else f"note {n}")
        for n in range(1, 73)])
    db.executemany("INSERT INTO absences VALUES (?, ?, ?, ?, ?)", [
        (n, 1 + n % 10, f"2027-03-{1 + n % 9:02}", f"2027-03-{1 + n % 9 + n % 3:02}", None if n % 2 else "course")
        for n in range(1, 21)])
    db.commit()
    db.close()
    Path(where).with_name("letterhead.json").write_text('{"sender": "Clinic at the Lake"}')
    install(f"sqlite:///{where}", *CAPTURED)


class Letterhead:
    """A file of the office. Who changes it calls ``app.touch("letterhead")``."""

    def __init__(self, where: str) -> None:
        self.path = Path(where).with_name("letterhead.json")

    def sender(self) -> str:
        return json.loads(self.path.read_text())["sender"] if self.path.exists() else "Clinic"


class Offer(pb.View):
    families = ("service", "room", "copay")

    def service(self, code: str) -> tuple | None:
        self.entity(f"service/{code}")
        found = self.rows("SELECT title, minutes, cents, room_kind, prep, successor FROM services WHERE code = :code", code=code)
        return found[0] if found else None

    def steps(self, code: str) -> list[str]:
        self.entity(f"service/{code}")
        return [row[0] for row in self.rows(
            "SELECT j.value FROM services s, json_each(s.prep, '$.steps') j WHERE s.code = :code ORDER BY j.key", code=code)]

    def rooms_of_kind(self, kind: str) -> list[tuple]:
        self.whole_set("room")
        return list(self.rows("SELECT code, floor FROM rooms WHERE kind = :kind ORDER BY floor, code LIMIT 3", kind=kind))

    def room(self, code: str) -> tuple | None:
        self.entity(f"room/{code}")
        found = self.rows("SELECT floor, kind, equipment, opens, closes FROM rooms WHERE code = :code", code=code)
        return found[0] if found else None

    def percent(self, insurer: str | None, service: str) -> int:
        """What a patient pays: the insurer's own rule, or the default one, or all."""
        if insurer:
            self.entity(f"copay/{insurer}")
            own = self.rows("SELECT percent FROM copays WHERE insurer = :i AND service = :s", i=insurer, s=service)
            if own:
                return own[0][0]
        self.entity("copay/default")
        rule = self.rows("SELECT percent FROM copays WHERE insurer = 'default' AND service = :s", s=service)
        return rule[0][0] if rule else 100


class Staff(pb.View):
    families = ("practitioner", "absence", "diary")

    def person(self, number: int) -> tuple | None:
        self.entity(f"practitioner/{number}")
        found = self.rows("SELECT name, specialty, room, supervisor, active FROM practitioners WHERE id = :n", n=number)
        return found[0] if found else None

    def in_room(self, room: str) -> list[str]:
        self.whole_set("practitioner")
        return [row[0] for row in self.rows("SELECT name FROM practitioners WHERE room = :r AND active = 1 ORDER BY name", r=room)]

    def speaking(self, language: str) -> list[str]:
        self.whole_set("practitioner")
        return [row[0] for row in self.rows(
            "SELECT p.name FROM practitioners p WHERE p.active = 1 AND EXISTS (SELECT 1 FROM json_each(p.languages) l "
            "WHERE l.value = :l) ORDER BY p.name", l=language)]

    def busiest(self, specialty: str) -> list[tuple]:
        self.whole_set("practitioner")
        self.whole_set("diary")
        return list(self.rows(
            "WITH load AS (SELECT p.name, count(v.id) AS n FROM practitioners p LEFT JOIN visits v ON v.practitioner = p.id "
            "AND v.status = 'done' WHERE p.specialty = :s GROUP BY p.id) "
            "SELECT name, n, rank() OVER (ORDER BY n DESC) FROM load ORDER BY 3, name", s=specialty))

    def is_away(self, number: int, day: str) -> bool:
        self.entity(f"absence/{number}")
        return bool(self.rows("SELECT 1 FROM absences WHERE practitioner = :n AND :d BETWEEN first AND last", n=number, d=day))

    def taken(self, number: int, day: str) -> list[str]:
        self.entity(f"diary/{number}")
        return [row[0] for row in self.rows(
            "SELECT at FROM visits WHERE practitioner = :n AND day = :d AND status <> 'cancelled' ORDER BY at", n=number, d=day)]

    def present(self, day: str) -> list[str]:
        self.whole_set("practitioner")
        self.whole_set("absence")
        return [row[0] for row in self.rows(
            "SELECT p.name FROM practitioners p WHERE p.active = 1 AND NOT EXISTS (SELECT 1 FROM absences a "
            "WHERE a.practitioner = p.id AND :d BETWEEN a.first AND a.last) ORDER BY p.name", d=day)]


class Diary(pb.View):
    families = ("visit", "diary", "patient", "service")

    def sheet(self, number: int, day: str) -> list[str]:
        self.entity(f"diary/{number}")
        found = self.rows("SELECT at, patient, title, patient_id, service FROM day_sheet WHERE practitioner = :n AND day = :d "
                          "ORDER BY at", n=number, d=day)
        for row in found:
            self.entity(f"patient/{row[3]}")
            self.entity(f"service/{row[4]}")
        return [f"{at} {patient}: {title}" for at, patient, title, *_ in found]

    def minutes(self, number: int) -> int:
        self.entity(f"diary/{number}")
        self.whole_set("service")
        return self.rows("SELECT coalesce(sum(s.minutes), 0) FROM visits v JOIN services s ON s.code = v.service "
                         "WHERE v.practitioner = :n AND v.status = 'booked'", n=number)[0][0]

    def visit(self, number: int) -> tuple | None:
        self.entity(f"visit/{number}")
        found = self.rows("SELECT patient, practitioner, service, day, at, status FROM visits WHERE id = :n", n=number)
        return found[0] if found else None


class Patients(pb.View):
    families = ("patient", "insurer", "history", "service")

    def person(self, number: int) -> tuple | None:
        self.entity(f"patient/{number}")
        found = self.rows("SELECT name, born, insurer, contact FROM patients WHERE id = :n", n=number)
        return found[0] if found else None

    def insured(self, number: int) -> str:
        self.entity(f"patient/{number}")
        name, insurer, title = self.rows("SELECT p.name, p.insurer, i.name FROM patients p LEFT JOIN insurers i "
                                         "ON i.code = p.insurer WHERE p.id = :n", n=number)[0]
        if insurer is not None:
            self.entity(f"insurer/{insurer}")
        return f"{name} ({title or 'pays alone'})"

    def terms(self, code: str) -> dict:
        self.entity(f"insurer/{code}")
        found = self.rows("SELECT terms FROM insurers WHERE code = :c", c=code)
        return json.loads(found[0][0]) if found else {}

    def missed(self, number: int) -> int:
        self.entity(f"history/{number}")
        return self.rows("SELECT count(*) FROM visits WHERE patient = :n AND status = 'noshow'", n=number)[0][0]

    def billed(self, insurer: str) -> tuple[int, int]:
        for family in ("patient", "history", "service"):
            self.whole_set(family)
        return tuple(self.rows(
            "SELECT count(DISTINCT p.id), coalesce(sum(s.cents), 0) FROM patients p JOIN visits v ON v.patient = p.id "
            "JOIN services s ON s.code = v.service WHERE p.insurer = :i AND v.status IN ('done', 'noshow')", i=insurer)[0])


tasks = pb.Registry()
COMMON = {"freshness_sla": "24h", "fallback_if_stale": pb.Recompute(), "owner": "desk"}
OFFER = [pb.fence("service"), pb.fence("room"), pb.fence("copay")]
STAFF = [pb.fence("practitioner"), pb.fence("absence"), pb.fence("diary")]


def every_service() -> list[str]:
    return [f"S{n:02}" for n in range(20)]


def every_room() -> list[str]:
    return [f"R{n:02}" for n in range(20)]


def every_hour() -> list[str]:
    return [f"{n}@2027-03-0{d}" for n in (1, 2, 3) for d in (1, 2, 3)]


def every_patient() -> list[int]:
    return list(range(1, 61))


def every_insurer() -> list[str]:
    return [f"I{n}" for n in range(1, 21)]


@tasks.artifact(**COMMON, keys=every_service, invalidated_by=OFFER)
def service_card(code: str, *, offer: pb.Source[Offer]) -> str | pb.Absent:
    found = offer.service(code)
    if found is None:
        return pb.Absent("no such service")
    title, minutes, cents, _, prep, successor = found
    steps = ", ".join(offer.steps(code)) if prep else "nothing to prepare"
    newer = offer.service(successor) if successor else None
    return f"{title}: {minutes} min, {cents / 100:.2f}; {steps}" + (f"; see also {newer[0]}" if newer else "")


@tasks.artifact(**COMMON, keys=every_service, invalidated_by=OFFER)
def where_done(code: str, *, offer: pb.Source[Offer]) -> list[str]:
    found = offer.service(code)
    if found is None or found[3] is None:
        return ["any room"]
    return [f"{room} on floor {floor}" for room, floor in offer.rooms_of_kind(found[3])]


@tasks.artifact(**COMMON, keys=every_room, invalidated_by=[pb.fence("room/{room}"), *OFFER[::2], *STAFF])
def room_board(room: pb.Keys[str], *, offer: pb.Source[Offer], staff: pb.Source[Staff]) -> dict[str, str]:
    shown = {}
    for one in room:
        found = offer.room(one)
        if found is None:
            continue
        floor, kind, equipment, opens, closes = found
        things = ", ".join(json.loads(equipment)) or "empty"
        shown[one] = f"{kind}, floor {floor}, {opens}-{closes}: {things}; {', '.join(staff.in_room(one)) or 'nobody'}"
    return shown


@tasks.artifact(**COMMON, keys=every_hour, invalidated_by=[*STAFF, *OFFER])
def free_hours(key: str, *, staff: pb.Source[Staff], offer: pb.Source[Offer]) -> list[str]:
    number, _, day = key.partition("@")
    person = staff.person(int(number))
    if person is None or not person[4] or staff.is_away(int(number), day):
        return []
    _, _, _, opens, closes = offer.room(person[2])
    busy = {at[:2] for at in staff.taken(int(number), day)}
    return [f"{hour:02}:00" for hour in range(int(opens[:2]), int(closes[:2])) if f"{hour:02}" not in busy]


@tasks.artifact(**COMMON, invalidated_by=STAFF)
def busiest(specialty: str, *, staff: pb.Source[Staff]) -> list[str]:
    return [f"{place}. {name} ({count})" for name, count, place in staff.busiest(specialty)]


@tasks.artifact(**COMMON, invalidated_by=STAFF)
def speakers(language: str, *, staff: pb.Source[Staff]) -> str:
    names = staff.speaking(language)
    return f"{len(names)} speak {language}: {'; '.join(names[:4])}"


@tasks.artifact(**COMMON, invalidated_by=STAFF)
def on_duty(day: str, *, staff: pb.Source[Staff]) -> str:
    names = staff.present(day)
    return f"{len(names)} on duty: {', '.join(names)}" if len(names) >= 5 else "emergency staff only"


@tasks.artifact(**COMMON, 
                invalidated_by=[*STAFF, pb.fence("visit"), pb.fence("patient"), pb.fence("service")])
def desk_sheet(number: int, *, staff: pb.Source[Staff], diary: pb.Source[Diary]) -> str:
    person = staff.person(number)
    if person is None:
        return "unknown"
    chief = staff.person(person[3]) if person[3] else None
    days = [line for day in ("2027-03-01", "2027-03-02", "2027-03-03") for line in diary.sheet(number, day)]
    return f"{person[0]} (to {chief[0] if chief else 'nobody'}), {diary.minutes(number) / 60:.1f} h: " + "; ".join(days)


@tasks.artifact(**COMMON, keys=every_patient,
                invalidated_by=[pb.fence("patient"), pb.fence("insurer"), pb.fence("history"), pb.ignore("service", "not shown")])
def banner(number: int, *, patients: pb.Source[Patients]) -> str | pb.Absent:
    if patients.person(number) is None:
        return pb.Absent("no such patient")
    missed = patients.missed(number)
    return patients.insured(number) + (" - deposit" if missed >= 2 else f" - missed {missed}" if missed else "")


@tasks.artifact(**COMMON, invalidated_by=[pb.fence("patient"), pb.fence("insurer"), pb.ignore("history", "no visits here"), *OFFER])
def quote(key: str, *, patients: pb.Source[Patients], offer: pb.Source[Offer]) -> int | pb.Absent:
    number, _, code = key.partition("-")
    person, service = patients.person(int(number)), offer.service(code)
    if person is None or service is None:
        return pb.Absent("nothing to quote")
    share = round(service[2] * offer.percent(person[2], code) / 100)
    return min(share, patients.terms(person[2]).get("cap", share)) if person[2] else share


@tasks.artifact(**COMMON, keys=every_insurer,
                invalidated_by=[pb.fence(name) for name in ("patient", "insurer", "history", "service")])
def insurer_report(code: str, *, patients: pb.Source[Patients]) -> dict[str, int]:
    people, cents = patients.billed(code)
    return {"people": people, "cents": cents, "over": int(cents > patients.terms(code).get("cap", 0))}


@tasks.artifact(**COMMON, invalidated_by=[pb.fence("letterhead"), *STAFF, *[pb.fence(name) for name in (
    "visit", "patient", "service", "insurer")], pb.ignore("history", "only the visit itself")])
def reminder(number: int, *, diary: pb.Source[Diary], patients: pb.Source[Patients], staff: pb.Source[Staff],
             office: pb.Resource[Letterhead], cards: pb.Reader[str, str] = pb.Input(service_card)) -> str | pb.Absent:
    visit = diary.visit(number)
    if visit is None or visit[5] != "booked":
        return pb.Absent("nothing to remind of")
    name, _, _, contact = patients.person(visit[0])
    way = json.loads(contact)
    if way["guardian"]:
        guardian = patients.person(way["guardian"])
        way = json.loads(guardian[3]) if guardian else way
    text = f"{name}, {visit[3]} {visit[4]}, {staff.person(visit[1])[0]}. {cards.read(visit[2]).unwrap()}. {office.sender()}"
    return f"SMS {text[:160]}" if way["sms"] else f"{way['mail']}: {text}"


@tasks.artifact(**COMMON, invalidated_by=[])
def overview(_: str, *, reports: pb.Reader[str, dict] = pb.Input(insurer_report),
             ranks: pb.Reader[str, list] = pb.Input(busiest)) -> str:
    found = [reports.read(f"I{n}").unwrap() for n in range(1, 7)]
    best = [" ".join(ranks.read(name).unwrap()[:1]) for name in ("heart", "skin")]
    return f"{sum(one['people'] for one in found)} insured, {sum(one['over'] for one in found)} over; {' / '.join(best)}"


@tasks.live(why="the day is the caller's")
async def first_free(number: pb.Live[int], day: pb.Live[str], *, hours: pb.Reader[str, list] = pb.Input(free_hours)) -> str:
    found = (await hours.get(f"{number}@{day}")).unwrap()
    return found[0] if found else "no hour left"


def build(where: str) -> pb.App:
    source = SqliteSource(where, families=FAMILIES, views=[Offer, Staff, Diary, Patients], name="clinic")
    return pb.App(tasks, sources=[source], resources={Letterhead: Letterhead(where)}, open=["letterhead"])
