"""The blind half of omissions.py: 50, drawn by the seed 20261130."""

from __future__ import annotations

from _prove_apps.omissions import Omission

PLANTED = (
    Omission(
        'helper_query', 'clinic',
        '        found = self.rows("SELECT floor, kind, equipment, opens, closes FROM rooms WHERE code = :code", code=code)\n        return found[0] if found else None\n',
        '        found = self.rows("SELECT floor, kind, equipment, opens, closes FROM rooms WHERE code = :code", code=code)\n        return (found[0][0], found[0][1] + self._beside(code), *found[0][2:]) if found else None\n\n    def _beside(self, code: str) -> str:\n        found = self.rows("SELECT kind FROM rooms WHERE code > :code ORDER BY code LIMIT 1", code=code)\n        return f" beside {found[0][0]}" if found else ""\n',
    ),
    Omission(
        'capture_wrong_column', 'library',
        '"loans:loan/{copy},account/{card}"',
        '"loans:loan/{id},account/{card}"',
    ),
    Omission(
        'helper_query', 'library',
        '        return list(self.rows("SELECT b.title, c.acquired FROM copies c JOIN',
        '        return list((title + _mark(self, title), acquired) for title, acquired in self.rows("SELECT b.title, c.acquired FROM copies c JOIN',
        also=(
            ('class Shelves(pb.View):\n',
             'def _mark(view: pb.View, title: str) -> str:\n    """A star for what somebody waits for."""\n    waits = view.rows("SELECT count(*) FROM holds h JOIN books b ON b.isbn = h.isbn WHERE b.title = :t", t=title)[0][0]\n    return "*" if waits >= 1 else ""\n\n\nclass Shelves(pb.View):\n'),
        ),
    ),
    Omission(
        'not_exists', 'energy',
        '        self.whole_set("region")\n        self.whole_set("outage")\n',
        '        self.whole_set("region")\n',
    ),
    Omission(
        'order_by_other_table', 'library',
        '"AND c.isbn = b.isbn) ORDER BY b.year DESC, b.title LIMIT 4"',
        '"AND c.isbn = b.isbn) ORDER BY (SELECT a.born FROM authors a WHERE a.id = b.author) DESC, b.title LIMIT 4"',
    ),
    Omission(
        'join_added', 'energy',
        'WITH used AS (SELECT c.name, sum(r.kwh) AS kwh FROM customers c JOIN',
        "WITH used AS (SELECT c.name || ', ' || g.name AS name, sum(r.kwh) AS kwh FROM customers c JOIN regions g ON g.code = c.region JOIN",
        also=(
            ('GROUP BY c.id) SELECT name',
             'GROUP BY c.id, g.name) SELECT name'),
        ),
    ),
    Omission(
        'database_view', 'clinic',
        'p.name AS patient, s.title, v.patient AS patient_id,\n  v.service FROM visits v JOIN patients p ON p.id = v.patient JOIN services s ON s.code = v.service',
        "p.name AS patient, s.title || ', floor ' || r.floor AS title, v.patient AS patient_id,\n  v.service FROM visits v JOIN patients p ON p.id = v.patient JOIN services s ON s.code = v.service\n  JOIN practitioners d ON d.id = v.practitioner JOIN rooms r ON r.code = d.room",
    ),
    Omission(
        'name_from_wrong_value', 'library',
        '        for copy, branch, *_ in found:\n',
        '        for copy, _, branch, _ in found:\n',
    ),
    Omission(
        'not_exists', 'library',
        'for tag in (f"member/{card}", f"account/{card}"):',
        'for tag in (f"member/{card}",):',
    ),
    Omission(
        'order_by_other_table', 'clinic',
        '"WHERE l.value = :l) ORDER BY p.name"',
        '"WHERE l.value = :l) ORDER BY (SELECT r.floor FROM rooms r WHERE r.code = p.room), p.name"',
    ),
    Omission(
        'set_left_out', 'energy',
        'for family in ("clientele", "household", "usage"):',
        'for family in ("clientele", "usage"):',
    ),
    Omission(
        'entity_for_set', 'library',
        '        self.whole_set("book")\n        self.whole_set("author")\n        return [f"{title}',
        '        self.whole_set("book")\n        self.entity(f"author/{word}")\n        return [f"{title}',
    ),
    Omission(
        'config_file', 'energy',
        '        return f"{name}: power is out since',
        '        name += f" (call {HOTLINE.read_text().strip()})" if HOTLINE.exists() else ""\n        return f"{name}: power is out since',
        also=(
            ('from decimal import Decimal\n',
             'from decimal import Decimal\nfrom pathlib import Path\n'),
            ('tasks = pb.Registry()\n',
             'HOTLINE = Path("/tmp/energy_hotline.txt")\ntasks = pb.Registry()\n'),
        ),
    ),
    Omission(
        'found_rows_only', 'library',
        '        self.whole_set("member")\n        return [row[0] for row in self.rows("SELECT card FROM members WHERE branch = :b ORDER BY card", b=branch)]',
        '        self.entity(f"branch/{branch}")\n        found = [row[0] for row in self.rows("SELECT card FROM members WHERE branch = :b ORDER BY card", b=branch)]\n        for card in found:\n            self.entity(f"member/{card}")\n        return found',
    ),
    Omission(
        'name_from_wrong_value', 'energy',
        '        self.entity(f"discount/{segment}")\n        return self.rows(',
        '        found = self.rows("SELECT code FROM discounts WHERE segment = :s ORDER BY percent DESC", s=segment)\n        self.entity(f"discount/{found[0][0] if found else segment}")\n        return self.rows(',
    ),
    Omission(
        'second_query', 'library',
        '                             "WHERE card = :c AND back_on IS NOT NULL", c=card)[0][0])',
        '                             "WHERE card = :c AND back_on IS NOT NULL", c=card)[0][0]) + 10 * len(self.rows(\n            "SELECT c.id FROM copies c JOIN loans l ON l.copy = c.id WHERE l.card = :c AND c.state = \'lost\'", c=card))',
    ),
    Omission(
        'python_cache', 'energy',
        '    families = ("outage", "holiday", "region")\n',
        '    families = ("outage", "holiday", "region")\n    _known: dict[str, tuple] = {}  # names of regions hardly change\n',
        also=(
            ('        return (self.rows("SELECT name, parent FROM regions WHERE code = :c", c=code) or [("?", None)])[0]',
             '        if code not in self._known:\n            self._known[code] = (self.rows("SELECT name, parent FROM regions WHERE code = :c", c=code) or [("?", None)])[0]\n        return self._known[code]'),
        ),
    ),
    Omission(
        'column_of_joined_row', 'energy',
        'found = self.rows("SELECT m.serial, r.day, r.kwh FROM meters m LEFT JOIN LATERAL',
        'found = self.rows("SELECT m.serial, r.day, r.kwh || coalesce(\' at \' || t.cents, \'\') FROM meters m LEFT JOIN tariffs t ON t.id = m.tariff LEFT JOIN LATERAL',
    ),
    Omission(
        'default_row', 'library',
        '    def rules(self, tier: str | None) -> tuple[int, int, int]:\n        name = tier or "basic"\n        self.entity(f"tier/{name}")\n',
        '    def rules(self, tier: str | None) -> tuple[int, int, int]:\n        self.entity(f"tier/{tier}")\n        name = tier or "basic"\n',
    ),
    Omission(
        'exists', 'energy',
        "count(m.serial) FILTER (WHERE m.kind = 'heat')::int",
        "count(m.serial) FILTER (WHERE m.kind = 'heat' AND EXISTS (SELECT 1 FROM readings r WHERE r.meter = m.serial))::int",
    ),
    Omission(
        'config_file', 'library',
        '        best.setdefault(genre, []).append(f"{title} x{count}")',
        '        best.setdefault(labels.get(genre, genre), []).append(f"{title} x{count}")',
        also=(
            ('    best: dict[str, list[str]] = {}\n',
             '    best: dict[str, list[str]] = {}\n    file = FOLDER / "genres.json"\n    labels = json.loads(file.read_text()) if file.exists() else {}\n'),
            ('import sqlite3\n',
             'import sqlite3\nfrom pathlib import Path\n'),
            ('def build(where: str) -> pb.App:\n',
             'def build(where: str) -> pb.App:\n    global FOLDER\n    FOLDER = Path(where).parent\n'),
        ),
    ),
    Omission(
        'wrong_family', 'clinic',
        '        self.whole_set("practitioner")\n        self.whole_set("diary")\n',
        '        self.whole_set("practitioner")\n        self.whole_set("absence")\n',
    ),
    Omission(
        'wrong_family', 'library',
        'self.entity(f"oeuvre/{number}")',
        'self.entity(f"author/{number}")',
    ),
    Omission(
        'capture_too_few_tags', 'library',
        '"copies:copy/{id},stock/{isbn}"',
        '"copies:copy/{id}"',
    ),
    Omission(
        'raw_connection', 'clinic',
        '    return f"{len(names)} on duty: ',
        '    with sqlite3.connect(DATABASE) as db:\n        rooms = db.execute("SELECT count(*) FROM rooms WHERE kind = \'exam\'").fetchone()[0]\n    return f"{rooms} exam rooms, {len(names)} on duty: ',
        also=(
            ('def build(where: str) -> pb.App:\n',
             'def build(where: str) -> pb.App:\n    global DATABASE\n    DATABASE = where\n'),
        ),
    ),
    Omission(
        'not_exists', 'clinic',
        '        self.whole_set("practitioner")\n        self.whole_set("absence")\n',
        '        self.whole_set("practitioner")\n',
    ),
    Omission(
        'cascade', 'energy',
        '        "readings:usage/{meter}",\n',
        '',
    ),
    Omission(
        'json_path', 'clinic',
        '        found = self.rows("SELECT name, born, insurer, contact FROM patients WHERE id = :n", n=number)',
        '        found = self.rows("SELECT p.name, p.born, p.insurer, coalesce(json_set(g.contact, \'$.guardian\', NULL), p.contact) FROM patients p "\n                          "LEFT JOIN patients g ON g.id = json_extract(p.contact, \'$.guardian\') WHERE p.id = :n", n=number)',
    ),
    Omission(
        'self_join', 'clinic',
        '"SELECT name, specialty, room, supervisor, active FROM practitioners WHERE id = :n"',
        '"SELECT name, specialty, room, (SELECT s.name FROM practitioners s WHERE s.id = p.supervisor), active FROM practitioners p WHERE p.id = :n"',
        also=(
            ('    chief = staff.person(person[3]) if person[3] else None\n',
             '    chief = (person[3],) if person[3] else None\n'),
        ),
    ),
    Omission(
        'aggregate', 'clinic',
        'SELECT title, minutes, cents, room_kind, prep, successor FROM services WHERE code = :code"',
        'SELECT title, minutes, cents + (SELECT coalesce(max(percent), 0) FROM copays c WHERE c.service = services.code), room_kind, prep, successor FROM services WHERE code = :code"',
    ),
    Omission(
        'default_row', 'library',
        '            self.entity("branch/B00")\n',
        '',
    ),
    Omission(
        'second_query', 'clinic',
        '        return json.loads(found[0][0]) if found else {}',
        '        if not found:\n            return {}\n        terms = json.loads(found[0][0])\n        highest = self.rows("SELECT coalesce(max(percent), 0) FROM copays WHERE insurer = :c", c=code)[0][0]\n        return {**terms, "cap": terms["cap"] * (100 + highest) // 100} if "cap" in terms else terms',
    ),
    Omission(
        'helper_query', 'energy',
        '        self.entity(f"holiday/{region}")\n        return self.rows(',
        '        self.entity(f"holiday/{region}")\n        return _all(self) + self.rows(',
        also=(
            ('class Grid(pb.View):\n',
             'def _all(view: pb.View) -> str:\n    return f"of {view.rows(\'SELECT count(*) FROM holidays\')[0][0]}: "\n\n\nclass Grid(pb.View):\n'),
        ),
    ),
    Omission(
        'second_query', 'energy',
        '        return float(cents)\n',
        '        trouble = self.rows("SELECT count(*) FROM outages WHERE region = :c AND ended IS NULL", c=region)[0][0]\n        return float(cents) - trouble\n',
    ),
    Omission(
        'config_file', 'clinic',
        'def on_duty(day: str, *, staff: pb.Source[Staff]) -> str:\n    names = staff.present(day)\n    return f"{len(names)} on duty',
        'def on_duty(day: str, *, staff: pb.Source[Staff], office: pb.Resource[Letterhead]) -> str:\n    names = staff.present(day)\n    return f"{office.sender()}: {len(names)} on duty',
    ),
    Omission(
        'template_splits_batch', 'library',
        '@tasks.artifact(**COMMON, keys=every_branch, invalidated_by=SHELVES)\ndef monday',
        '@tasks.artifact(**COMMON, keys=every_branch, invalidated_by=[pb.fence("branch/{branch}"), *SHELVES])\ndef monday',
    ),
    Omission(
        'table_not_captured', 'energy',
        '        "holidays:holiday/{region}",\n',
        '',
    ),
    Omission(
        'contract_ignores', 'clinic',
        'pb.fence("history"), pb.ignore("service", "not shown")]',
        'pb.ignore("history", "old visits do not matter"), pb.ignore("service", "not shown")]',
    ),
    Omission(
        'default_row', 'energy',
        '        self.whole_set("tariff")\n        return self.rows("SELECT id FROM tariffs WHERE region = :r OR region IS NULL ORDER BY region IS NULL, valid_from, id LIMIT 1",\n                         r=region)[0][0]',
        '        found = self.rows("SELECT id FROM tariffs WHERE region = :r OR region IS NULL ORDER BY region IS NULL, valid_from, id LIMIT 1",\n                          r=region)[0][0]\n        self.entity(f"tariff/{found}")\n        return found',
    ),
    Omission(
        'entity_for_set', 'clinic',
        '    def speaking(self, language: str) -> list[str]:\n        self.whole_set("practitioner")',
        '    def speaking(self, language: str) -> list[str]:\n        self.entity(f"practitioner/{language}")',
    ),
    Omission(
        'early_return', 'energy',
        '        self.entity(f"household/{customer}")\n        found = self.rows("SELECT m.serial, r.day',
        '        if not self.rows("SELECT 1 FROM meters WHERE customer = :c", c=customer):\n            self.entity(f"customer/{customer}")\n            return []\n        self.entity(f"household/{customer}")\n        found = self.rows("SELECT m.serial, r.day',
    ),
    Omission(
        'wrong_family', 'energy',
        '        self.whole_set("tariff")\n        return list(',
        '        self.whole_set("discount")\n        return list(',
    ),
    Omission(
        'column_of_joined_row', 'library',
        '"SELECT b.title, c.acquired FROM copies c JOIN books b ON b.isbn = c.isbn WHERE c.branch = :b "',
        '"SELECT b.title || \' by \' || a.name, c.acquired FROM copies c JOIN books b ON b.isbn = c.isbn JOIN authors a ON a.id = b.author WHERE c.branch = :b "',
    ),
    Omission(
        'default_row', 'clinic',
        '        if insurer:\n            self.entity(f"copay/{insurer}")\n            own = self.rows("SELECT percent FROM copays WHERE insurer = :i AND service = :s", i=insurer, s=service)\n            if own:\n                return own[0][0]\n        self.entity("copay/default")\n',
        '        self.entity(f"copay/{insurer or \'default\'}")\n        if insurer:\n            own = self.rows("SELECT percent FROM copays WHERE insurer = :i AND service = :s", i=insurer, s=service)\n            if own:\n                return own[0][0]\n',
    ),
    Omission(
        'forgotten_name', 'energy',
        '        for serial, *_ in found:\n            self.entity(f"usage/{serial}")\n        return [f"{serial} {day',
        '        return [f"{serial} {day',
    ),
    Omission(
        'environment', 'energy',
        "{', '.join(names[:5])}",
        "{', '.join(names[: int(os.environ.get('CALM_SHOWN', '5'))])}",
        also=(
            ('import json\n',
             'import json\nimport os\n'),
        ),
    ),
    Omission(
        'environment', 'library',
        '    return round(accounts.late_days(card) * accounts.rules(member[1] if member else None)[2] / 100, 1)',
        '    return min(float(os.environ.get("FINE_CAP", "20")), round(accounts.late_days(card) * accounts.rules(member[1] if member else None)[2] / 100, 1))',
        also=(
            ('import json\n',
             'import json\nimport os\n'),
        ),
    ),
    Omission(
        'cascade', 'library',
        'self.entity(f"queue/{isbn}")',
        'self.entity(f"book/{isbn}")',
    ),
    Omission(
        'capture_too_few_tags', 'clinic',
        '"visits:visit/{id},diary/{practitioner},history/{patient}"',
        '"visits:visit/{id},history/{patient}"',
    ),
    Omission(
        'spelled_otherwise', 'clinic',
        'self.entity(f"absence/{number}")',
        'self.entity(f"absence/{number:03}")',
    ),
)
