"""Importing a shop: what is read, what is refused with a reason, and what is written."""

import csv
import datetime as dt
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

import parbake as pb
from retail_assistant.importing import load_rows, read, tau
from retail_assistant.importing.import_rows import epoch
from retail_assistant.main import import_shop
from retail_assistant.settings import Settings
from retail_assistant.shop import schema
from retail_assistant.shop.trade import Trade

PRODUCT = {"asin": "A1", "title": "A book", "price": 9.99}
POLICY = {
    "id": "returns",
    "title": "Returns",
    "body": "## Window\nWithin {window_days} days.",
    "facts": {"window_days": 30},
}
SHOP = {
    "products": [
        PRODUCT | {"genre": "manga", "volume": 2, "quantity": 3, "listed": True},
        {"asin": "A2", "title": "Another, with a comma", "price": 5.0, "listed": False},
    ],
    "policies": [POLICY],
    "shoppers": [{"id": "s1", "segment": "vip"}],
    "purchases": [
        {"shopper": "s1", "asin": "A1", "ts": "2026-01-02T03:04:05Z", "price": 9.5},
        {"shopper": "s2", "asin": "A2", "ts": "2026-01-03T00:00:00+00:00"},
    ],
    "views": [{"shopper": "s1", "asin": "A1", "ts": 1_790_000_000.0}],
    "reviews": [{"asin": "A1", "shopper": "s3", "rating": 4, "body": "Good."}],
    "promotions": [
        {"id": "p", "title": "Sale", "percent": 10, "starts_at": "2026-01-01", "ends_at": "2026-02-01T00:00:00"}
    ],
    "queries": [{"text": "how long?", "question": "window"}],
}


def written(path):
    """Return every row of a shop, without the times of the writes."""
    conn = schema.connect(path)
    tables = ("products", "prices", "inventory", "policies", "shoppers", "purchases", "views", "reviews")
    found = {t: conn.execute(f"SELECT * FROM {t} ORDER BY 1").fetchall() for t in (*tables, "promotions", "queries")}
    found["shoppers"] = conn.execute("SELECT id, segment, points FROM shoppers ORDER BY 1").fetchall()
    conn.close()
    for table in ("products", "prices", "policies"):
        cut = -1 if table != "prices" else 2
        found[table] = [row[:cut] for row in found[table]]
    return found


def write_csv(path, rows):
    """Write a table as CSV, with nested values as JSON."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows([{n: json.dumps(v) if isinstance(v, dict) else v for n, v in row.items()} for row in rows])


def write_json(path, rows):
    """Write a list of objects."""
    path.write_text(json.dumps(rows), encoding="utf-8")


def write_json_lines(path, rows):
    """Write one object per line, with blank lines between."""
    path.write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def write_parquet(path, rows):
    """Write columns with null for missing cells."""
    names = dict.fromkeys(name for row in rows for name in row)
    parquet.write_table(pa.table({n: [row.get(n) for row in rows] for n in names}), path)


WRITERS = {"csv": write_csv, "json": write_json, "jsonl": write_json_lines, "parquet": write_parquet}


def imported(folder, ending, tables=SHOP):
    """Write tables as files of one kind and load them; returns the report and the shop's path."""
    source = folder / ending
    source.mkdir()
    for table, rows in tables.items():
        WRITERS[ending](source / f"{table}.{ending}", rows)
    target = folder / f"{ending}.db"
    return load_rows.load(load_rows.tables_of(source), target), target


def test_every_kind_of_file_gives_the_same_shop(tmp_path):
    """CSV, JSON, JSON lines and Parquet with the same rows give identical tables, and no row is refused."""
    shops = []
    for ending in WRITERS:
        report, path = imported(tmp_path, ending)
        assert report.refused == {}, report.lines()
        shops.append(written(path))
    assert shops[0]["products"][0][:3] == ("A1", "A book", "")
    assert shops[0]["prices"] == [("A1", 999), ("A2", 500)]
    assert len(shops[0]["shoppers"]) == 3
    assert all(shop == shops[0] for shop in shops[1:])


def test_a_parquet_column_of_timestamps_is_a_time(tmp_path):
    """Parquet timestamps with a time zone are read as that instant, and without one as UTC."""
    naive, aware = dt.datetime(2026, 1, 2, 3), dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC)  # noqa: DTZ001  # on purpose
    for name, value in (("naive", naive), ("aware", aware)):
        tables = {"products": [PRODUCT], "views": [{"shopper": "s", "asin": "A1", "ts": value}]}
        folder = tmp_path / name
        folder.mkdir()
        report, path = imported(folder, "parquet", tables)
        assert report.refused == {}, report.lines()
        assert written(path)["views"][0][3] == aware.timestamp()


REFUSED = [
    ("no price", "products", {"asin": "B", "title": "B"}, "missing required field `price`"),
    ("bad price", "products", {"asin": "B", "title": "B", "price": "cheap"}, "Expected `float`, got `str`"),
    ("negative price", "products", {"asin": "B", "title": "B", "price": -1}, "must not be negative"),
    ("price of no number", "products", {"asin": "B", "title": "B", "price": float("nan")}, "must not be negative"),
    ("negative stock", "products", PRODUCT | {"asin": "B", "quantity": -1}, "quantity: send a whole number"),
    ("endless stock", "products", PRODUCT | {"asin": "B", "quantity": 10**30}, "quantity: send a whole number"),
    ("endless volume", "products", PRODUCT | {"asin": "B", "volume": 10**30}, "volume: send a whole number"),
    ("duplicate asin", "products", PRODUCT, "'A1' comes twice"),
    ("blank asin", "products", PRODUCT | {"asin": " "}, "without white space"),
    ("blank title", "products", PRODUCT | {"asin": "B", "title": ""}, "must not be empty"),
    ("asin of every product", "products", PRODUCT | {"asin": "*"}, "asin '*'"),
    ("asin that is not a slot", "products", PRODUCT | {"asin": "B}"}, "braces"),
    ("asin that is not a tag", "products", PRODUCT | {"asin": "B 1"}, "white space"),
    ("unknown column", "products", PRODUCT | {"asin": "B", "colour": "red"}, "unknown field `colour`"),
    ("row that is not an object", "products", ["B", "B", 1], "unknown field"),
    ("facts that are not JSON", "policies", POLICY | {"facts": "{window"}, "facts cannot be read: "),
    ("facts that are a list", "policies", POLICY | {"facts": "[1]"}, "Expected `object`, got `array`"),
    ("fact that is missing", "policies", POLICY | {"facts": {}}, "{window_days} is not a fact"),
    ("policy without id", "policies", POLICY | {"id": ""}, "id: send 1 to 64 letters"),
    ("unknown segment", "shoppers", {"id": "s", "segment": "gold"}, "'gold' is not one of"),
    ("blank shopper", "shoppers", {"id": " "}, "without white space"),
    ("unknown asin", "purchases", {"shopper": "s", "asin": "ZZ"}, "'ZZ' does not belong to an accepted product"),
    ("nobody's purchase", "purchases", {"shopper": "", "asin": "A1"}, "shopper '' must have"),
    ("bad timestamp", "purchases", {"shopper": "s", "asin": "A1", "ts": "yesterday"}, "Invalid isoformat string"),
    (
        "endless purchase price",
        "purchases",
        {"shopper": "s", "asin": "A1", "price": float("inf")},
        "price inf must not",
    ),
    ("unknown asin viewed", "views", {"shopper": "s", "asin": "ZZ"}, "'ZZ' does not belong to an accepted product"),
    ("rating of 7", "reviews", {"shopper": "s", "asin": "A1", "rating": 7, "body": "b"}, "rating 7 is not 1 to 5"),
    (
        "promotion of 95 %",
        "promotions",
        {"id": "p", "title": "t", "percent": 95, "starts_at": 1, "ends_at": 2},
        "percent",
    ),
    (
        "promotion that ends first",
        "promotions",
        {"id": "p", "title": "t", "percent": 9, "starts_at": 2, "ends_at": 1},
        "starts_at < ends_at",
    ),
    (
        "promotion for nobody",
        "promotions",
        {"id": "p", "title": "t", "percent": 9, "starts_at": 1, "ends_at": 2, "segment": "gold"},
        "segment: send one of",
    ),
    ("promotion without times", "promotions", {"id": "p", "title": "t", "percent": 9}, "missing required field"),
    ("blank query", "queries", {"text": " "}, "text must not be empty"),
    ("price of 400 digits", "products", PRODUCT | {"asin": "B", "price": 10**400}, "out of range - at `$.price`"),
    ("time of 400 digits", "queries", {"text": "t", "ts": 10**400}, "out of range - at `$.ts`"),
    ("rating of 400 digits", "reviews", {"shopper": "s", "asin": "A1", "rating": 10**400, "body": "b"}, "not 1 to 5"),
    ("facts that are nested too deeply", "policies", POLICY | {"facts": '{"a":' * 50_000}, "nested too deeply"),
]


@pytest.mark.parametrize(("table", "row", "reason"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_a_bad_row_is_refused_with_its_reason_and_the_rest_is_loaded(table, row, reason, tmp_path):
    """A bad row is left out, counted and quoted with its number and reason; other rows are loaded."""
    tables = {"products": [PRODUCT], **({} if table == "products" else {table: []})}
    tables[table] = [*tables[table], row]
    report, path = imported(tmp_path, "jsonl", tables)
    assert report.refused == {table: 1}
    (example,) = report.examples
    assert (example.table, example.row) == (table, len(tables[table]))
    assert reason in example.reason
    rows = written(path)
    assert [len(rows[t]) for t in ("products", "prices", "inventory")] == [1, 1, 1]
    assert rows[table] == [] or table == "products"
    assert f"{table} row {len(tables[table])}: " in "\n".join(report.lines())


def test_a_second_row_of_one_id_is_refused(tmp_path):
    """A second policy, shopper or promotion with the same id is refused."""
    promotion = {"id": "p", "title": "t", "percent": 9, "starts_at": 1, "ends_at": 2}
    tables = {"products": [PRODUCT], "policies": [POLICY] * 2, "shoppers": [{"id": "s"}] * 2}
    report, _ = imported(tmp_path, "json", tables | {"promotions": [promotion] * 2})
    assert report.refused == {"policies": 1, "shoppers": 1, "promotions": 1}


def test_only_the_first_refusals_are_quoted_but_all_are_counted(tmp_path):
    """Of a thousand bad rows all are counted and a few are quoted."""
    report, _ = imported(tmp_path, "json", {"products": [PRODUCT, *[{"asin": "x"}] * 1000]})
    assert report.refused["products"] == 1000
    assert len(report.examples) == load_rows.MAX_EXAMPLES


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("products.csv", b"asin,title\n\xff\xfe", "cannot be read"),
        ("products.json", b"[{", "cannot be read"),
        ("products.json", b"{}", "must hold a list"),
        ("products.jsonl", b'{"asin": \n', "cannot be read"),
        ("products.parquet", b"no parquet at all", "is not Parquet"),
        ("products.json", b"[" * 200_000, "nested too deeply"),
        (
            "products.jsonl",
            b'{"asin": "A1", "title": "t", "price": 1}\n{"x": ' + b"[" * 200_000,
            "line 2.*nested too deeply",
        ),
        ("products.jsonl", b'{"price": ' + b"9" * 5000 + b"}", "line 1.*too many digits"),
        ("products.json", b'[{"price": ' + b"9" * 5000 + b"}]", "too many digits"),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else value,
)
def test_an_unreadable_file_is_named_and_nothing_is_written(name, content, says, tmp_path):
    """A file that cannot be read ends the import with an error that names it, and no shop file is left."""
    (tmp_path / name).write_bytes(content)
    target = tmp_path / "home" / "shop.db"
    with pytest.raises(pb.BadInput, match=says) as caught:
        load_rows.load(load_rows.tables_of(tmp_path), target)
    assert caught.value.field == name
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
    assert list(target.parent.iterdir()) == []


def test_when_no_product_is_accepted_nothing_is_written(tmp_path):
    """A shop without any accepted product is refused with the reasons, and no file is left."""
    with pytest.raises(pb.BadInput, match="no product was accepted") as caught:
        imported(tmp_path, "json", {"products": [{"asin": "A"}], "policies": [POLICY]})
    assert "missing required field" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["json"]


def test_two_files_for_a_table_are_refused(tmp_path):
    """Two files for one table are refused, and the error names both."""
    write_json(tmp_path / "products.json", [PRODUCT])
    write_csv(tmp_path / "products.csv", [PRODUCT])
    with pytest.raises(pb.BadInput, match=r"products\.csv and products\.json") as caught:
        load_rows.tables_of(tmp_path)
    assert caught.value.field == "products"


def test_a_folder_without_products_or_no_folder_is_refused(tmp_path):
    """A folder without a products file, and a missing folder, are refused by name."""
    with pytest.raises(pb.BadInput, match="holds no products file"):
        load_rows.tables_of(tmp_path)
    with pytest.raises(pb.BadInput, match="is not a folder"):
        load_rows.tables_of(tmp_path / "nothing")


def test_a_shop_that_is_there_is_never_overwritten(tmp_path):
    """An import into an existing shop file is refused and does not change it."""
    _, path = imported(tmp_path, "json")
    before = path.read_bytes()
    with pytest.raises(pb.BadInput, match="exists"):
        load_rows.load({"products": [PRODUCT]}, path)
    assert path.read_bytes() == before


def test_csv_extras_are_ignored(tmp_path):
    """A byte order mark, empty cells and cells beyond the header are ignored."""
    path = tmp_path / "products.csv"
    path.write_bytes(b"\xef\xbb\xbfasin,title,genre\nA1,T,,extra\n")
    assert list(read.rows(path)) == [{"asin": "A1", "title": "T"}]


@pytest.mark.parametrize(
    ("accepted", "timed", "off"),
    [
        (
            {},
            {},
            {
                "factors",
                "preferences",
                "candidates",
                "reranker",
                "trending",
                "review_summaries",
                "intent_head",
            },
        ),
        ({"purchases": 1, "reviews": 1, "queries": 1}, {}, {"reranker", "trending"}),
        ({"purchases": 1, "reviews": 1, "queries": 1}, {"purchases": 1}, set()),
    ],
)
def test_tasks_without_their_inputs_are_off(accepted, timed, off):
    """Exactly the tasks without their inputs are switched off, each with a reason."""
    found = load_rows.switched_off(accepted, timed)
    assert set(found) == off
    assert all(found.values())


def test_a_report_says_what_is_off(tmp_path):
    """The report and the shop file name each task that is off, with the reason."""
    report, path = imported(tmp_path, "json", {"products": [PRODUCT]})
    assert "off: intent_head, because there is no query log" in report.lines()
    conn = schema.connect(path)
    stored = dict(conn.execute("SELECT key, value FROM meta"))
    conn.close()
    assert json.loads(stored["off"]) == report.off
    assert stored["currency"] == "€"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        (12, 12.0),
        ("12.5", 12.5),
        ("1970-01-02", 86400.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-01T00:00:01Z", 1.0),
    ],
)
def test_times_are_iso_or_epoch_and_utc_without_a_zone(value, seconds):
    """Every documented form of a time is read, and an empty one gives ``None``."""
    assert epoch(value) == seconds


@pytest.mark.parametrize("value", ["nan", "inf", float("inf"), "tomorrow"])
def test_what_is_not_a_moment_is_refused(value):
    """A time that is not finite or cannot be parsed is refused."""
    with pytest.raises(ValueError, match=r"time|isoformat"):
        epoch(value)


def tau_folder(folder):
    """Write a small data set in the layout of tau-bench."""
    item = {"item_id": "1", "options": {"color": "red"}, "available": True, "price": 10.0}
    products = {"p": {"name": "Lamp", "variants": {"1": item, "2": item | {"item_id": "2", "available": False}}}}
    orders = {
        "o1": {"status": "delivered", "user_id": "u1", "items": [{"item_id": "1", "price": 9.0}]},
        "o2": {"status": "cancelled", "user_id": "u1", "items": [{"item_id": "2", "price": 9.0}]},
    }
    for name, value in (("products", products), ("orders", orders), ("users", {"u1": {"orders": ["o1", "o2"]}})):
        write_json(folder / f"{name}.json", value)
    (folder / "wiki.md").write_text("# Retail policy\n\n- Hello {you}.\n\n### Refunds\n\n- Refunds take 5 days.\n")


def test_the_tau_data_set_becomes_a_shop(tmp_path):
    """Variants become products of one series, cancelled orders are skipped, and subsections become sections."""
    source = tmp_path / "tau"
    source.mkdir()
    assert not tau.is_tau(source)
    tau_folder(source)
    assert tau.is_tau(source)
    report = load_rows.load(tau.tables_of(source), tmp_path / "shop.db", words=Trade(currency="$"))
    assert report.refused == {}, report.lines()
    rows = written(tmp_path / "shop.db")
    assert [p[1:3] for p in rows["products"]] == [("Lamp (color red)", "Lamp")] * 2
    assert rows["inventory"] == [("1", 10), ("2", 0)]
    assert [(p[1], p[2], p[4]) for p in rows["purchases"]] == [("u1", "1", 900)]
    assert rows["policies"][0][1:3] == ("Retail policy", "\nHello (you).\n\n## Refunds\n\nRefunds take 5 days.")
    assert report.off["trending"] == "purchases have no timestamps"


@pytest.mark.parametrize("content", ["{", "[" * 200_000, '{"a": ' + "9" * 5000 + "}"], ids=["cut", "deep", "long"])
def test_a_broken_tau_file_is_refused(content, tmp_path):
    """A file that is not valid JSON, or too large to parse, is refused by name."""
    tau_folder(tmp_path)
    (tmp_path / "orders.json").write_text(content)
    with pytest.raises(pb.BadInput, match=r"orders\.json cannot be read"):
        tau.tables_of(tmp_path)


@pytest.mark.parametrize(
    "content", ["[]", '{"o1": {"status": "delivered"}}', '{"o1": 5}'], ids=["list", "lacking", "number"]
)
def test_a_tau_file_of_another_shape_is_refused(content, tmp_path):
    """A folder with the names of the data set's files, and other contents, is refused in one sentence."""
    tau_folder(tmp_path)
    (tmp_path / "orders.json").write_text(content)
    with pytest.raises(pb.BadInput, match="has the files of tau-bench, but not their shape"):
        import_shop(Settings(data=tmp_path / "shop"), tmp_path, Trade())
    assert not (tmp_path / "shop" / "shop.db").exists()
