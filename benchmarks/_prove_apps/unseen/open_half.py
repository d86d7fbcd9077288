"""The open half of omissions.py: 50, drawn by the seed 20261130."""

from __future__ import annotations

from _prove_apps.omissions import Omission

PLANTED = (
    Omission(
        'wrong_entity', 'library',
        'self.entity(f"loan/{copy}")',
        'self.entity(f"loan/{isbn}")',
    ),
    Omission(
        'config_file', 'clinic',
        'invalidated_by=[pb.fence("letterhead"), *STAFF,',
        'invalidated_by=[*STAFF,',
    ),
    Omission(
        'subquery_column', 'clinic',
        '"SELECT name, born, insurer, contact FROM patients WHERE id = :n"',
        '"SELECT name || coalesce(\' [\' || (SELECT i.name FROM insurers i WHERE i.code = insurer) || \']\', \'\'), born, insurer, contact FROM patients WHERE id = :n"',
    ),
    Omission(
        'early_return', 'clinic',
        '        self.whole_set("practitioner")\n        self.whole_set("absence")\n',
        '        self.whole_set("practitioner")\n        if not self.rows("SELECT 1 FROM absences WHERE :d BETWEEN first AND last", d=day):\n            return [row[0] for row in self.rows("SELECT name FROM practitioners WHERE active = 1 ORDER BY name")]\n        self.whole_set("absence")\n',
    ),
    Omission(
        'environment', 'clinic',
        'return f"{title}: {minutes} min, {cents / 100:.2f}; {steps}"',
        'return f"{title}: {minutes} min, {os.environ.get(\'CLINIC_CURRENCY\', \'CHF\')} {cents / 100:.2f}; {steps}"',
        also=(
            ('import json\n',
             'import json\nimport os\n'),
        ),
    ),
    Omission(
        'recursive_query', 'energy',
        '        cents, parent = (self.rows("SELECT grid_cents, parent FROM regions WHERE code = :c", c=region) or [(None, None)])[0]\n        if cents is None:\n            return self.grid(parent, depth - 1) if parent and depth else 9.9\n        return float(cents)',
        '        found = self.rows("WITH RECURSIVE up AS (SELECT code, parent, grid_cents, 0 AS n FROM regions WHERE code = :c UNION ALL SELECT g.code, "\n                          "g.parent, g.grid_cents, n + 1 FROM regions g JOIN up ON g.code = up.parent WHERE up.code <> g.code AND n < 9) "\n                          "SELECT grid_cents FROM up WHERE grid_cents IS NOT NULL ORDER BY n LIMIT 1", c=region)\n        return float(found[0][0]) if found else 9.9',
    ),
    Omission(
        'denormalised_table', 'clinic',
        '        self.entity(f"history/{number}")\n        return self.rows("SELECT count(*) FROM visits WHERE patient = :n AND status = \'noshow\'", n=number)[0][0]',
        '        self.entity(f"patient/{number}")\n        return sum(row[0] for row in self.rows("SELECT missed FROM tallies WHERE patient = :n", n=number))',
        also=(
            ('CREATE VIEW day_sheet',
             "CREATE TABLE tallies(patient INTEGER PRIMARY KEY, missed INTEGER NOT NULL);\nCREATE TRIGGER tally AFTER UPDATE OF status ON visits WHEN new.status = 'noshow' BEGIN\n  INSERT INTO tallies VALUES (new.patient, 1) ON CONFLICT (patient) DO UPDATE SET missed = missed + 1; END;\nCREATE VIEW day_sheet"),
        ),
    ),
    Omission(
        'not_exists', 'clinic',
        '"SELECT count(*) FROM visits WHERE patient = :n AND status = \'noshow\'"',
        '"SELECT count(*) FROM visits v WHERE patient = :n AND status = \'noshow\' AND NOT EXISTS "\n                         "(SELECT 1 FROM absences a WHERE a.practitioner = v.practitioner AND v.day BETWEEN a.first AND a.last)"',
    ),
    Omission(
        'fallback_to_parent', 'library',
        '            self.entity(f"branch/{parent}")\n',
        '',
    ),
    Omission(
        'json_path', 'energy',
        '"SELECT name, region, segment, profile->>\'lang\', (profile->>\'payer\')::int FROM customers WHERE id = :n"',
        '"SELECT coalesce((SELECT p.name FROM customers p WHERE p.id = (c.profile->>\'payer\')::int), name), region, segment, "\n                          "profile->>\'lang\', (profile->>\'payer\')::int FROM customers c WHERE id = :n"',
        also=(
            ('    return f"{best[1]} saves {float(max(now)) - best[2]:.1f} ct" if now',
             '    return f"{customer[0]}: {best[1]} saves {float(max(now)) - best[2]:.1f} ct" if now'),
        ),
    ),
    Omission(
        'template_wrong_placeholder', 'library',
        '        self.entity(f"oeuvre/{number}")\n',
        '',
        also=(
            ('@tasks.artifact(**COMMON, invalidated_by=CATALOGUE)\ndef author_page',
             '@tasks.artifact(**COMMON, invalidated_by=[pb.fence("book/{number}"), pb.fence("author/{number}"), pb.ignore("oeuvre", "told by its books")])\ndef author_page'),
        ),
    ),
    Omission(
        'found_rows_only', 'energy',
        '        self.entity(f"household/{customer}")\n        return list(self.rows("SELECT serial, tariff, kind FROM meters WHERE customer = :c ORDER BY serial", c=customer))',
        '        self.entity(f"customer/{customer}")\n        found = self.rows("SELECT serial, tariff, kind FROM meters WHERE customer = :c ORDER BY serial", c=customer)\n        for serial, *_ in found:\n            self.entity(f"meter/{serial}")\n        return list(found)',
    ),
    Omission(
        'found_rows_only', 'clinic',
        '        self.whole_set("room")\n        return list(self.rows("SELECT code, floor FROM rooms WHERE kind = :kind ORDER BY floor, code LIMIT 3", kind=kind))',
        '        found = list(self.rows("SELECT code, floor FROM rooms WHERE kind = :kind ORDER BY floor, code LIMIT 3", kind=kind))\n        for code, _ in found:\n            self.entity(f"room/{code}")\n        return found',
    ),
    Omission(
        'branch_on_row', 'clinic',
        '        self.entity(f"absence/{number}")\n        return bool(self.rows("SELECT 1 FROM absences WHERE practitioner = :n AND :d BETWEEN first AND last", n=number, d=day))',
        '        self.entity(f"practitioner/{number}")\n        found = self.rows("SELECT id FROM absences WHERE practitioner = :n AND :d BETWEEN first AND last", n=number, d=day)\n        if found:\n            self.entity(f"absence/{number}")\n        return bool(found)',
    ),
    Omission(
        'forgotten_name', 'library',
        '            self.entity(f"branch/{branch}")\n        return [(copy, name',
        '        return [(copy, name',
    ),
    Omission(
        'in_subquery', 'energy',
        '"FROM holidays WHERE region = :r ORDER BY day LIMIT 2) h"',
        '"FROM holidays WHERE region IN (:r, (SELECT parent FROM regions WHERE code = :r)) ORDER BY day LIMIT 2) h"',
    ),
    Omission(
        'window_over_all', 'library',
        '"SELECT count(*) FROM holds WHERE card = :c", c=card)[0][0]',
        '"WITH ranked AS (SELECT card, rank() OVER (ORDER BY count(*) DESC) AS place FROM holds GROUP BY card) "\n                         "SELECT coalesce(max(place), 0) FROM ranked WHERE card = :c", c=card)[0][0]',
        also=(
            ('wishes(card)} wishes',
             'wishes(card)}. in wishes'),
        ),
    ),
    Omission(
        'template_wrong_placeholder', 'clinic',
        '        self.whole_set("room")\n        return list(self.rows("SELECT code, floor FROM rooms WHERE kind',
        '        return list(self.rows("SELECT code, floor FROM rooms WHERE kind',
        also=(
            ('keys=every_service, invalidated_by=OFFER)\ndef where_done(',
             'keys=every_service, invalidated_by=[pb.fence("service/{code}"), pb.fence("room/{code}"), pb.ignore("copay", "no prices here")])\ndef where_done('),
        ),
    ),
    Omission(
        'capture_wrong_column', 'clinic',
        '"absences:absence/{practitioner}"',
        '"absences:absence/{id}"',
    ),
    Omission(
        'table_not_captured', 'library',
        '        "tiers:tier/{name}",\n',
        '',
    ),
    Omission(
        'contract_ignores', 'library',
        '@tasks.artifact(**COMMON, invalidated_by=ACCOUNTS)\ndef fine(',
        '@tasks.artifact(**COMMON, invalidated_by=[pb.ignore("tier", "tiers never change"), *[one for one in ACCOUNTS if one.template != "tier"]])\ndef fine(',
    ),
    Omission(
        'join_added', 'clinic',
        '"SELECT p.name FROM practitioners p WHERE p.active = 1 AND EXISTS (SELECT 1 FROM json_each(p.languages) l "',
        '"SELECT p.name || \' (floor \' || r.floor || \')\' FROM practitioners p JOIN rooms r ON r.code = p.room WHERE p.active = 1 AND EXISTS (SELECT 1 FROM json_each(p.languages) l "',
    ),
    Omission(
        'python_cache', 'clinic',
        '    _, _, _, opens, closes = offer.room(person[2])\n',
        '    _, _, _, opens, closes = _HOURS.setdefault(person[2], offer.room(person[2]))\n',
        also=(
            ('tasks = pb.Registry()\n',
             '_HOURS: dict[str, tuple] = {}\ntasks = pb.Registry()\n'),
        ),
    ),
    Omission(
        'contract_ignores', 'energy',
        '@tasks.artifact(**COMMON, invalidated_by=[*USE, *PRICES])\ndef bill(',
        '@tasks.artifact(**COMMON, invalidated_by=[*USE, *PRICES[:2], pb.ignore("discount", "discounts come with the yearly bill")])\ndef bill(',
    ),
    Omission(
        'loaded_at_start', 'energy',
        '    return f"{grid.region(region)[0]}: " + (f"read',
        '    return f"{NAMES[region]}: " + (f"read',
        also=(
            ('def build(where: str) -> pb.App:\n',
             'NAMES: dict[str, str] = {}\n\n\ndef build(where: str) -> pb.App:\n    with psycopg.connect(where) as db:\n        NAMES.update(db.execute("SELECT code, name FROM regions").fetchall())\n'),
        ),
    ),
    Omission(
        'spelled_otherwise', 'energy',
        '        self.entity(f"usage/{serial}")\n        found = self.rows("SELECT kwh',
        '        self.entity(f"usage/{serial}:{month}")\n        found = self.rows("SELECT kwh',
    ),
    Omission(
        'join_added', 'library',
        '"SELECT name, tier, branch, prefs, expires FROM members WHERE card = :c"',
        '"SELECT m.name || \' of \' || b.name, m.tier, m.branch, m.prefs, m.expires FROM members m "\n                          "JOIN branches b ON b.code = m.branch WHERE m.card = :c"',
    ),
    Omission(
        'wrong_entity', 'clinic',
        'self.entity(f"insurer/{insurer}")',
        'self.entity(f"insurer/{number}")',
    ),
    Omission(
        'json_path', 'library',
        'FROM members m, json_each(m.prefs, \'$.genres\') j "\n            "WHERE m.card = :c)',
        'FROM members m, json_each(m.prefs, \'$.genres\') j "\n            "WHERE m.card IN (:c, (SELECT json_extract(o.prefs, \'$.friend\') FROM members o WHERE o.card = :c)))',
    ),
    Omission(
        'forgotten_name', 'clinic',
        '            self.entity(f"patient/{row[3]}")\n',
        '',
    ),
    Omission(
        'capture_wrong_column', 'energy',
        '"readings:usage/{meter}"',
        '"readings:usage/{day}"',
    ),
    Omission(
        'capture_too_few_tags', 'energy',
        '"meters:meter/{serial},household/{customer}"',
        '"meters:meter/{serial}"',
    ),
    Omission(
        'set_left_out', 'clinic',
        'for family in ("patient", "history", "service"):',
        'for family in ("patient", "history"):',
    ),
    Omission(
        'python_cache', 'library',
        '    def rules(self, tier: str | None) -> tuple[int, int, int]:\n        name = tier or "basic"\n        self.entity(f"tier/{name}")\n        found = self.rows("SELECT max_loans, days, daily_fine FROM tiers WHERE name = :n", n=name)\n        return found[0] if found else (1, 7, 50)\n',
        '    def rules(self, tier: str | None) -> tuple[int, int, int]:\n        name = tier or "basic"\n        if name not in _RULES:\n            self.entity(f"tier/{name}")\n            found = self.rows("SELECT max_loans, days, daily_fine FROM tiers WHERE name = :n", n=name)\n            _RULES[name] = found[0] if found else (1, 7, 50)\n        return _RULES[name]\n',
        also=(
            ('class Catalogue(',
             '_RULES: dict[str, tuple] = {}\n\n\nclass Catalogue('),
        ),
    ),
    Omission(
        'exists', 'library',
        '"SELECT card FROM holds WHERE isbn = :isbn ORDER BY placed, card"',
        '"SELECT card FROM holds h WHERE isbn = :isbn AND EXISTS (SELECT 1 FROM members m WHERE m.card = h.card "\n                                            "AND m.expires > \'2027-03-01\') ORDER BY placed, card"',
    ),
    Omission(
        'database_view', 'library',
        'AND NOT EXISTS (SELECT 1 FROM loans l WHERE l.copy = c.id AND l.back_on IS NULL);',
        'AND NOT EXISTS (SELECT 1 FROM loans l WHERE l.copy = c.id AND l.back_on IS NULL)\n  AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.isbn = c.isbn);',
    ),
    Omission(
        'database_function', 'energy',
        '"SELECT kwh::float, days::int FROM monthly_use',
        '"SELECT (kwh * factor(meter))::float, days::int FROM monthly_use',
        also=(
            ('CREATE VIEW monthly_use',
             "CREATE FUNCTION factor(m TEXT) RETURNS NUMERIC STABLE LANGUAGE sql AS\n  $$SELECT CASE kind WHEN 'heat' THEN 2 ELSE 1 END FROM meters WHERE serial = m$$;\nCREATE VIEW monthly_use"),
        ),
    ),
    Omission(
        'aggregate', 'library',
        '        for family in ("book", "copy", "loan"):\n',
        '        for family in ("book", "copy"):\n',
    ),
    Omission(
        'template_covers_key_only', 'energy',
        '        self.entity(f"outage/{region}")\n',
        '',
        also=(
            ('@tasks.artifact(**COMMON, invalidated_by=GRID)\ndef outage_note(',
             '@tasks.artifact(**COMMON, invalidated_by=[pb.fence("outage/{region}"), pb.fence("region/{region}"), pb.ignore("holiday", "not shown")])\ndef outage_note('),
            ('invalidated_by=[pb.fence("region/{region}"), *GRID[:2]]',
             'invalidated_by=[pb.fence(f"{name}/{{region}}") for name in Grid.families]'),
        ),
    ),
    Omission(
        'python_cache', 'library',
        '    before = catalogue.book(facts["series"]) if facts["series"] else None\n',
        '    if facts["series"] and facts["series"] not in _TITLES:\n        _TITLES[facts["series"]] = catalogue.book(facts["series"])[0]\n    before = [_TITLES[facts["series"]]] if facts["series"] else None\n',
        also=(
            ('tasks = pb.Registry()\n',
             '_TITLES: dict[str, str] = {}\ntasks = pb.Registry()\n'),
        ),
    ),
    Omission(
        'order_by_other_table', 'energy',
        'r.day >= DATE \'2027-01-20\') ORDER BY 1", r=region)]',
        'r.day >= DATE \'2027-01-20\') ORDER BY (SELECT t.cents FROM tariffs t WHERE t.id = m.tariff), 1", r=region)]',
    ),
    Omission(
        'entity_for_set', 'energy',
        '        self.whole_set("tariff")\n        return list(',
        '        self.entity(f"tariff/{region}")\n        return list(',
    ),
    Omission(
        'early_return', 'library',
        '        self.entity(f"stock/{isbn}")\n        found = self.rows(\n            "SELECT c.id, b.code',
        '        if not self.rows("SELECT 1 FROM copies WHERE isbn = :isbn", isbn=isbn):\n            self.entity(f"book/{isbn}")\n            return []\n        self.entity(f"stock/{isbn}")\n        found = self.rows(\n            "SELECT c.id, b.code',
        also=(
            ('[pb.fence("stock/{isbn}"), *SHELVES]',
             'SHELVES'),
        ),
    ),
    Omission(
        'contract_ignores', 'clinic',
        'keys=every_hour, invalidated_by=[*STAFF, *OFFER])',
        'keys=every_hour, invalidated_by=[*STAFF, pb.ignore("service", "not read"), pb.ignore("copay", "not read"), pb.ignore("room", "rooms stay")])',
    ),
    Omission(
        'branch_on_row', 'energy',
        '        self.entity(f"outage/{region}")\n        return list(self.rows("SELECT began, severity FROM outages WHERE region = :r AND ended IS NULL ORDER BY severity DESC, began", r=region))',
        '        found = list(self.rows("SELECT began, severity FROM outages WHERE region = :r AND ended IS NULL ORDER BY severity DESC, began", r=region))\n        self.entity(f"outage/{region}" if found else f"region/{region}")\n        return found',
    ),
    Omission(
        'database_view', 'energy',
        "to_char(day, 'YYYY-MM') AS month, sum(kwh) AS kwh, count(*) AS days FROM readings GROUP BY 1, 2;",
        "to_char(day, 'YYYY-MM') AS month, sum(CASE kind WHEN 'heat' THEN 2 * kwh ELSE kwh END) AS kwh,\n  count(*) AS days FROM readings JOIN meters ON serial = meter GROUP BY 1, 2;",
    ),
    Omission(
        'raw_connection', 'energy',
        '    names = grid.calm()\n',
        '    names = grid.calm()\n    with psycopg.connect(DATABASE) as db:\n        (closed,) = db.execute("SELECT count(*) FROM holidays WHERE day = \'2027-01-01\'").fetchone()\n    names = names[closed:]\n',
        also=(
            ('def build(where: str) -> pb.App:\n',
             'def build(where: str) -> pb.App:\n    global DATABASE\n    DATABASE = where\n'),
        ),
    ),
    Omission(
        'branch_on_row', 'library',
        '            self.entity(f"branch/{parent}")\n            hours = self.rows("SELECT hours FROM branches WHERE code = :b", b=parent)[0][0]\n',
        '            hours = self.rows("SELECT hours FROM branches WHERE code = :b", b=parent)[0][0]\n            if hours is not None:\n                self.entity(f"branch/{parent}")\n',
    ),
    Omission(
        'raw_connection', 'library',
        '    return f"{sum(owed.values()):.1f} from',
        '    with sqlite3.connect(DATABASE) as db:\n        (name,) = db.execute("SELECT name FROM branches WHERE code = ?", (branch,)).fetchone()\n    return f"{name}: {sum(owed.values()):.1f} from',
        also=(
            ('def build(where: str) -> pb.App:\n',
             'def build(where: str) -> pb.App:\n    global DATABASE\n    DATABASE = where\n'),
        ),
    ),
    Omission(
        'capture_too_few_tags', 'clinic',
        '"visits:visit/{id},diary/{practitioner},history/{patient}"',
        '"visits:visit/{id},diary/{practitioner}"',
    ),
)
