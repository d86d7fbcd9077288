"""What is left out of an app, one piece at a time: a text of the app that is replaced by another one."""

from __future__ import annotations

from typing import NamedTuple


class Omission(NamedTuple):
    """An omission: its kind, the app, and what it replaces by what; ``also`` are further replacements."""

    kind: str
    app: str
    old: str
    new: str
    also: tuple[tuple[str, str], ...] = ()


def _dropped(app: str, line: str, kind: str = "dropped name", indent: int = 8) -> Omission:
    return Omission(kind, app, f"{' ' * indent}{line}\n", "")


SHOP, CATALOGUE, DELIVERIES = "policy_shop", "catalogue", "deliveries"
_FILE = 'Path(__file__).with_name("notes.txt").read_text()'
PLANTED = (
    # --- names that are dropped ---
    _dropped(SHOP, 'self.entity(f"policy/{usual}")', "default row"),
    _dropped(SHOP, 'self.entity(f"policy/{own}")'),
    _dropped(SHOP, 'self.entity(f"region/{rows[0][1]}")', "default row"),
    _dropped(SHOP, 'self.whole_set("exception")', "unnamed join"),
    _dropped(CATALOGUE, 'self.entity(f"promotion/{product}")', "unnamed join"),
    _dropped(CATALOGUE, 'self.entity(f"brand/{rows[0][4]}")', "unnamed join"),
    _dropped(CATALOGUE, 'self.whole_set("promotion")', "unnamed join"),
    _dropped(CATALOGUE, 'self.whole_set("review")', "unnamed join"),
    _dropped(DELIVERIES, 'self.entity(f"carrier/{rows[0][4]}")', "unnamed join"),
    _dropped(DELIVERIES, 'self.entity(f"depot/{rows[0][5]}")', "unnamed join"),
    _dropped(DELIVERIES, 'self.whole_set("depot")', "unnamed join"),
    _dropped(DELIVERIES, 'self.whole_set("holiday")', "unnamed join"),
    _dropped(DELIVERIES, 'self.entity("rate/usual")', "default row", indent=12),
    # --- a set that is named as one entity ---
    Omission(
        "set as entity", SHOP,
        'self.whole_set("policy")\n        return [\n', 'self.entity(f"policy/{topic}")\n        return [\n',
    ),
    Omission(
        "set as entity", SHOP,
        'self.whole_set("policy")\n        self.whole_set("exception")',
        'self.entity(f"policy/{topic}-all")\n        self.whole_set("exception")',
    ),
    Omission(
        "set as entity", SHOP,
        'self.whole_set("policy")\n        return self.rows("SELECT count',
        'self.entity(f"policy/{region}")\n        return self.rows("SELECT count',
    ),
    Omission(
        "set as entity", SHOP,
        'self.whole_set("region")\n        rows = self.rows(\n', 'self.entity(f"region/{region}")\n        rows = self.rows(\n',
    ),
    Omission(
        "set as entity", CATALOGUE,
        'self.whole_set("product")\n        own, every', 'self.entity(f"product/{brand}")\n        own, every',
    ),
    Omission(
        "set as entity", CATALOGUE,
        'self.whole_set("product")\n        self.whole_set("promotion")',
        'self.entity(f"product/{brand}")\n        self.whole_set("promotion")',
    ),
    Omission(
        "set as entity", CATALOGUE,
        'self.whole_set("review")\n        self.whole_set("product")\n',
        'self.entity(f"review/{category}")\n        self.whole_set("product")\n',
    ),
    Omission(
        "set as entity", CATALOGUE,
        'self.whole_set("product")\n        statement = (\n            "WITH',
        'self.entity(f"product/{brand}")\n        statement = (\n            "WITH',
    ),
    Omission(
        "set as entity", DELIVERIES,
        'self.whole_set("parcel")\n        statement', 'self.entity(f"parcel/{depot}")\n        statement',
    ),
    Omission(
        "set as entity", DELIVERIES,
        'self.whole_set("parcel")\n        rows', 'self.entity(f"parcel/{depot}")\n        rows',
    ),
    Omission(
        "set as entity", DELIVERIES,
        'self.whole_set("rate")\n        rows', 'self.entity(f"rate/{zone}")\n        rows',
    ),
    Omission(
        "set as entity", DELIVERIES,
        'self.whole_set("carrier")\n        return self.rows', 'self.entity("carrier/post")\n        return self.rows',
    ),
    # --- names that only the found rows get ---
    Omission(
        "names what it found", SHOP,
        '        self.whole_set("policy")\n        self.whole_set("exception")\n        rows = self.rows(\n'
        '            "SELECT p.title FROM',
        '        self.whole_set("exception")\n        rows = self.rows(\n            "SELECT p.title, p.id FROM',
        also=(
            ("        return rows[0][0] if rows else None\n\n\nclass Regions",
             '        self.entity(f"policy/{rows[0][1]}" if rows else "policy/none")\n'
             "        return rows[0][0] if rows else None\n\n\nclass Regions"),
        ),
    ),
    Omission(
        "names what it found", CATALOGUE,
        '        self.entity(f"category/{category}")\n        return self.rows(\n            "SELECT title, cents FROM sold '
        'WHERE category = :c ORDER BY cents, id LIMIT :n", c=category, n=count\n        )',
        '        rows = self.rows(\n            "SELECT title, cents, id FROM sold WHERE category = :c ORDER BY cents, id '
        'LIMIT :n", c=category, n=count\n        )\n        for row in rows:\n            self.entity(f"product/{row[2]}")\n'
        "        return [row[:2] for row in rows]",
        also=(('pb.fence("category/{category}"), *_not("product", "brand"', 'pb.fence("product"), *_not("category", "brand"'),),
    ),
    Omission(
        "names what it found", DELIVERIES,
        '        self.whole_set("rate")\n        rows = self.rows("SELECT carrier FROM rates WHERE zone = :z ORDER BY price, '
        'carrier LIMIT 1", z=zone)\n',
        '        rows = self.rows("SELECT carrier FROM rates WHERE zone = :z ORDER BY price, carrier LIMIT 1", z=zone)\n'
        '        self.entity(f"rate/{rows[0][0]}" if rows else "rate/none")\n',
    ),
    # --- entities that are spelled in another way ---
    Omission("misspelled", SHOP, 'self.entity(f"setting/{name}")', 'self.entity(f"setting/{name.upper()}")'),
    Omission("misspelled", SHOP, 'self.entity(f"exception/{policy}")', 'self.entity(f"exception/{policy}/all")'),
    Omission("misspelled", CATALOGUE, 'self.entity(f"product/{product}")', 'self.entity(f"product/{product:05}")'),
    Omission("misspelled", DELIVERIES, 'self.entity(f"depot/{depot}")', 'self.entity(f"depot/depot-{depot}")'),
    # --- tables and columns that come in later ---
    Omission(
        "joined later", SHOP,
        '"SELECT title, facts FROM policies WHERE id = :id", id=policy)',
        '"SELECT title || \' \' || r.name, facts FROM policies p JOIN regions r ON r.code = p.region WHERE p.id = :id", '
        "id=policy)",
    ),
    Omission(
        "joined later", CATALOGUE,
        '"SELECT count(*), coalesce(avg(stars), 0) FROM reviews WHERE product = :p"',
        '"SELECT count(*), coalesce(avg(stars), 0) + (SELECT length(title) FROM products WHERE id = :p) FROM reviews '
        'WHERE product = :p"',
        also=(('pb.ignore("product", "read by the card")', 'pb.fence("product")'),),
    ),
    Omission(
        "joined later", DELIVERIES,
        '"SELECT city, is_open FROM depots WHERE id = :d"',
        '"SELECT city || coalesce((SELECT name FROM holidays h WHERE h.country = d.country LIMIT 1), \'\'), is_open '
        'FROM depots d WHERE id = :d"',
        also=(('pb.ignore("holiday", "not shown"),', 'pb.fence("holiday"),'),),
    ),
    Omission(
        "untold table", SHOP, '    Captured("settings", ("setting/{name}",)),\n', "",
    ),
    Omission(
        "untold table", CATALOGUE, '    Captured("promotions", ("promotion/{product}",)),\n', "",
    ),
    Omission("untold table", DELIVERIES, '    Captured("depots", ("depot/{id}",)),\n', ""),
    # --- what is read without a view ---
    Omission("file", SHOP, 'return f"{title}: {facts', f'return {_FILE} + f"{{title}}: {{facts'),
    Omission("file", CATALOGUE, "part = round(", f"part = len({_FILE}) + round("),
    Omission(
        "file", DELIVERIES, "return list(found) if found", f"return [*found, {_FILE}] if found",
        also=(("import json\n", "import json\nfrom pathlib import Path\n"),),
    ),
    Omission(
        "environment", SHOP, 'return f"{found.value} ', 'return os.environ.get("SHOP_GREETING", "") + f"{found.value} ',
        also=(("import json\n", "import json\nimport os\n"),),
    ),
    Omission(
        "environment", CATALOGUE, "    shown = cards.read(product).value\n",
        '    shown = os.getenv("SHOP_LANG") or cards.read(product).value\n',
        also=(("import sqlite3\n", "import os\nimport sqlite3\n"),),
    ),
    Omission(
        "environment", DELIVERIES, "    return [parcels.depot(depot), ",
        '    return ["SHOP_LANG" in os.environ and "x" or "", parcels.depot(depot), ',
        also=(("import json\n", "import json\nimport os\n"),),
    ),
)  # fmt: skip
