"""A city library over SQLite: branches, books, copies, members, loans and holds."""

import json
import sqlite3

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake_capture.opening import install

SCHEMA = """
CREATE TABLE branches(code TEXT PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, hours TEXT CHECK (json_valid(hours)),
  parent TEXT REFERENCES branches);
CREATE TABLE authors(id INTEGER PRIMARY KEY, name TEXT NOT NULL, born INTEGER, bio TEXT);
CREATE TABLE books(isbn TEXT PRIMARY KEY, title TEXT NOT NULL, author INTEGER NOT NULL REFERENCES authors, year INTEGER NOT NULL,
  genre TEXT NOT NULL, meta TEXT NOT NULL CHECK (json_valid(meta)));
CREATE TABLE copies(id INTEGER PRIMARY KEY, isbn TEXT NOT NULL REFERENCES books, branch TEXT NOT NULL REFERENCES branches,
  state TEXT NOT NULL CHECK (state IN ('good', 'worn', 'lost')), acquired TEXT NOT NULL);
CREATE TABLE tiers(name TEXT PRIMARY KEY, max_loans INTEGER NOT NULL, days INTEGER NOT NULL, daily_fine INTEGER NOT NULL);
CREATE TABLE members(card TEXT PRIMARY KEY, name TEXT NOT NULL, tier TEXT REFERENCES tiers, branch TEXT NOT NULL REFERENCES branches,
  prefs TEXT NOT NULL CHECK (json_valid(prefs)), expires TEXT NOT NULL);
CREATE TABLE loans(id INTEGER PRIMARY KEY, copy INTEGER NOT NULL REFERENCES copies, card TEXT NOT NULL REFERENCES members ON DELETE CASCADE,
  out_on TEXT NOT NULL, due_on TEXT NOT NULL, back_on TEXT, CHECK (due_on > out_on));
CREATE UNIQUE INDEX one_loan ON loans(copy) WHERE back_on IS NULL;
CREATE TABLE holds(id INTEGER PRIMARY KEY, isbn TEXT NOT NULL REFERENCES books ON DELETE CASCADE,
  card TEXT NOT NULL REFERENCES members ON DELETE CASCADE, placed TEXT NOT NULL, UNIQUE (isbn, card));
CREATE VIEW shelf AS SELECT c.id, c.isbn, c.branch FROM copies c WHERE c.state <> 'lost'
  AND NOT EXISTS (SELECT 1 FROM loans l WHERE l.copy = c.id AND l.back_on IS NULL);
"""
FAMILIES = ["branch", "author", "book", "oeuvre", "copy", "stock", "tier", "member", "loan", "account", "queue", "wish"]
GENRES = ("crime", "poetry", "science", "travel", "comic")


def create(where: str) -> None:
    db = sqlite3.connect(where)
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(SCHEMA)
    db.executemany("INSERT INTO branches VALUES (?, ?, ?, ?, ?)", [
        (f"B{n:02}", f"Branch {n}", ("Aarau", "Basel", "Chur")[n % 3], None if n % 4 == 3 else json.dumps(
            {"mon": f"{8 + n % 3}-{17 + n % 3}", "sat": None if n % 2 else "10-14"}), f"B{n // 4:02}" if n else None) for n in range(20)])
    db.executemany("INSERT INTO authors VALUES (?, ?, ?, ?)", [
        (n, f"Author {n:02}", None if n % 5 == 0 else 1930 + 2 * n, f"Writes about topic {n % 7}" if n % 2 else None) for n in range(1, 26)])
    db.executemany("INSERT INTO books VALUES (?, ?, ?, ?, ?, ?)", [
        (f"978{n:03}", f"{('The', 'A', 'Old', 'New')[n % 4]} {('River', 'House', 'Night', 'Map', 'Garden')[n % 5]} {n}", 1 + n % 20,
         1990 + n % 34, GENRES[n * 7 % 5], json.dumps({"pages": 90 + 13 * n, "series": f"978{n - 6:03}" if n % 8 == 7 else None,
                                                       "tags": ["long", "classic", "award"][: n % 4]})) for n in range(50)])
    db.executemany("INSERT INTO copies VALUES (?, ?, ?, ?, ?)", [
        (n, f"978{n * 3 % 44:03}", f"B{n % 12:02}", "lost" if n % 17 == 0 else "worn" if n % 5 == 0 else "good",
         f"20{10 + n % 15}-0{1 + n % 9}-12") for n in range(1, 81)])
    db.executemany("INSERT INTO tiers VALUES (?, ?, ?, ?)", [("basic", 3, 21, 20), ("plus", 6, 28, 10), ("school", 10, 42, 0)] + [
        (f"club{n}", n, 14 + n, n) for n in range(1, 18)])
    db.executemany("INSERT INTO members VALUES (?, ?, ?, ?, ?, ?)", [
        (f"M{n:03}", f"Member {n}", (None, "basic", "plus", "school")[n % 4], f"B{n % 9:02}", json.dumps(
            {"genres": [GENRES[n % 5], GENRES[(n + 2) % 5]], "friend": f"M{n + 1:03}" if n % 6 == 1 else None}), f"2028-{1 + n % 12:02}-01")
        for n in range(40)])
    db.executemany("INSERT INTO loans VALUES (?, ?, ?, ?, ?, ?)", [
        (100 + n, n, f"M{n * 11 % 30:03}", f"2027-01-{1 + n % 20:02}", f"2027-02-{1 + n % 25:02}", None if n % 2 else f"2027-02-{3 + n % 22:02}")
        for n in range(1, 71)])
    db.executemany("INSERT INTO holds VALUES (?, ?, ?, ?)", [
        (n, f"978{n * 5 % 21:03}", f"M{n * 7 % 40:03}", f"2027-02-{1 + n % 14:02}") for n in range(1, 41)])
    db.commit()
    db.close()
    install(
        f"sqlite:///{where}",
        "branches:branch/{code}",
        "authors:author/{id}",
        "books:book/{isbn},oeuvre/{author}",
        "copies:copy/{id},stock/{isbn}",
        "tiers:tier/{name}",
        "members:member/{card}",
        "loans:loan/{copy},account/{card}",
        "holds:queue/{isbn},wish/{card}",
    )


class Catalogue(pb.View):
    families = ("book", "oeuvre", "author")

    def book(self, isbn: str) -> tuple | None:
        self.entity(f"book/{isbn}")
        found = self.rows("SELECT title, author, year, genre, meta FROM books WHERE isbn = :isbn", isbn=isbn)
        return found[0] if found else None

    def author(self, number: int) -> tuple | None:
        self.entity(f"author/{number}")
        found = self.rows("SELECT name, born, bio FROM authors WHERE id = :n", n=number)
        return found[0] if found else None

    def titles_by(self, number: int) -> list[tuple]:
        self.entity(f"oeuvre/{number}")
        return list(self.rows("SELECT title, year FROM books WHERE author = :n ORDER BY year DESC, title", n=number))

    def search(self, word: str) -> list[str]:
        self.whole_set("book")
        self.whole_set("author")
        return [f"{title} ({name})" for title, name in self.rows(
            "SELECT b.title, a.name FROM books b JOIN authors a ON a.id = b.author WHERE b.title LIKE '%' || :w || '%' "
            "OR a.name LIKE :w || '%' ORDER BY a.name, b.title LIMIT 8", w=word)]

    def index(self) -> list[str]:
        self.whole_set("author")
        self.whole_set("book")
        return [row[0] for row in self.rows("SELECT name FROM authors UNION SELECT title FROM books ORDER BY 1")]


class Shelves(pb.View):
    families = ("copy", "stock", "loan", "branch", "book", "queue")

    def copies(self, isbn: str) -> list[tuple]:
        """Each copy that is not lost, its branch, and whether it is out."""
        self.entity(f"stock/{isbn}")
        found = self.rows(
            "SELECT c.id, b.code, b.name, EXISTS (SELECT 1 FROM loans l WHERE l.copy = c.id AND l.back_on IS NULL) FROM copies c "
            "JOIN branches b ON b.code = c.branch WHERE c.isbn = :isbn AND c.state <> 'lost' ORDER BY c.id", isbn=isbn)
        for copy, branch, *_ in found:
            self.entity(f"loan/{copy}")
            self.entity(f"branch/{branch}")
        return [(copy, name, bool(out)) for copy, _, name, out in found]

    def waiting(self, isbn: str) -> list[str]:
        self.entity(f"queue/{isbn}")
        return [row[0] for row in self.rows("SELECT card FROM holds WHERE isbn = :isbn ORDER BY placed, card", isbn=isbn)]

    def on_shelf(self, branch: str) -> int:
        self.whole_set("copy")
        self.whole_set("loan")
        return self.rows("SELECT count(*) FROM shelf WHERE branch = :b", b=branch)[0][0]

    def newest(self, branch: str) -> list[tuple]:
        for family in ("copy", "book"):
            self.whole_set(family)
        return list(self.rows("SELECT b.title, c.acquired FROM copies c JOIN books b ON b.isbn = c.isbn WHERE c.branch = :b "
                              "ORDER BY c.acquired DESC, b.title LIMIT 3", b=branch))

    def hours(self, branch: str) -> tuple[str, dict]:
        """The hours of a branch, or those of the one above it, or those of the main branch."""
        self.entity(f"branch/{branch}")
        name, hours, parent = (self.rows("SELECT name, hours, parent FROM branches WHERE code = :b", b=branch) or [("?", None, None)])[0]
        if hours is None and parent is not None:
            self.entity(f"branch/{parent}")
            hours = self.rows("SELECT hours FROM branches WHERE code = :b", b=parent)[0][0]
        if hours is None:
            self.entity("branch/B00")
            hours = self.rows("SELECT hours FROM branches WHERE code = 'B00'")[0][0]
        return name, json.loads(hours or "{}")

    def lent_by_genre(self) -> list[tuple]:
        for family in ("book", "copy", "loan"):
            self.whole_set(family)
        return list(self.rows(
            "WITH lent AS (SELECT c.isbn, count(*) AS n FROM loans l JOIN copies c ON c.id = l.copy GROUP BY c.isbn), ranked AS ("
            "SELECT b.genre, b.title, n, row_number() OVER (PARTITION BY b.genre ORDER BY n DESC, b.title) AS place FROM lent "
            "JOIN books b ON b.isbn = lent.isbn) SELECT genre, title, n FROM ranked WHERE place <= 2 ORDER BY genre, place"))


class Accounts(pb.View):
    families = ("member", "tier", "account", "wish", "copy", "book", "branch")

    def member(self, card: str) -> tuple | None:
        self.entity(f"member/{card}")
        found = self.rows("SELECT name, tier, branch, prefs, expires FROM members WHERE card = :c", c=card)
        return found[0] if found else None

    def rules(self, tier: str | None) -> tuple[int, int, int]:
        name = tier or "basic"
        self.entity(f"tier/{name}")
        found = self.rows("SELECT max_loans, days, daily_fine FROM tiers WHERE name = :n", n=name)
        return found[0] if found else (1, 7, 50)

    def open_loans(self, card: str) -> list[tuple]:
        self.entity(f"account/{card}")
        found = self.rows("SELECT b.title, l.due_on, l.copy, b.isbn FROM loans l JOIN copies c ON c.id = l.copy JOIN books b "
                          "ON b.isbn = c.isbn WHERE l.card = :c AND l.back_on IS NULL ORDER BY l.due_on, b.title", c=card)
        for _, _, copy, isbn in found:
            self.entity(f"copy/{copy}")
            self.entity(f"book/{isbn}")
        return [(title, due) for title, due, *_ in found]

    def wishes(self, card: str) -> int:
        self.entity(f"wish/{card}")
        return self.rows("SELECT count(*) FROM holds WHERE card = :c", c=card)[0][0]

    def late_days(self, card: str) -> int:
        self.entity(f"account/{card}")
        return int(self.rows("SELECT coalesce(sum(max(0, julianday(back_on) - julianday(due_on))), 0) FROM loans "
                             "WHERE card = :c AND back_on IS NOT NULL", c=card)[0][0])

    def unread(self, card: str) -> list[str]:
        """Books of the member's genres which the member never had."""
        for tag in (f"member/{card}", f"account/{card}"):
            self.entity(tag)
        self.whole_set("book")
        self.whole_set("copy")
        return [row[0] for row in self.rows(
            "SELECT b.title FROM books b WHERE b.genre IN (SELECT j.value FROM members m, json_each(m.prefs, '$.genres') j "
            "WHERE m.card = :c) AND NOT EXISTS (SELECT 1 FROM loans l JOIN copies c ON c.id = l.copy WHERE l.card = :c "
            "AND c.isbn = b.isbn) ORDER BY b.year DESC, b.title LIMIT 4", c=card)]

    def of_branch(self, branch: str) -> list[str]:
        self.whole_set("member")
        return [row[0] for row in self.rows("SELECT card FROM members WHERE branch = :b ORDER BY card", b=branch)]


tasks = pb.Registry()
COMMON = {"freshness_sla": "12h", "fallback_if_stale": pb.Recompute(), "owner": "library"}
CATALOGUE = [pb.fence("book"), pb.fence("oeuvre"), pb.fence("author")]
SHELVES = [pb.fence(name) for name in ("copy", "stock", "loan", "branch", "book", "queue")]
ACCOUNTS = [pb.fence(name) for name in ("member", "tier", "account", "wish", "copy", "book", "branch")]


def every_book(catalogue: pb.Source[Catalogue]) -> list[str]:
    catalogue.whole_set("book")
    return [row[0] for row in catalogue.rows("SELECT isbn FROM books ORDER BY isbn")]


def every_branch() -> list[str]:
    return [f"B{n:02}" for n in range(20)]


@tasks.artifact(**COMMON, keys=every_book, invalidated_by=CATALOGUE)
def book_card(isbn: str, *, catalogue: pb.Source[Catalogue]) -> str | pb.Absent:
    found = catalogue.book(isbn)
    if found is None:
        return pb.Absent("no such book")
    title, author, year, genre, meta = found
    facts = json.loads(meta)
    before = catalogue.book(facts["series"]) if facts["series"] else None
    name, born, _ = catalogue.author(author)
    return (f"{title}, {name}{f' (*{born})' if born else ''}, {year}, {genre}, {facts['pages']} pages"
            + (f", after {before[0]}" if before else "") + "".join(f" #{tag}" for tag in facts["tags"]))


@tasks.artifact(**COMMON, invalidated_by=CATALOGUE)
def author_page(number: int, *, catalogue: pb.Source[Catalogue]) -> str | pb.Absent:
    found = catalogue.author(number)
    titles = catalogue.titles_by(number)
    if found is None:
        return pb.Absent("no such author")
    return f"{found[0]}: {found[2] or 'no biography'}. {len(titles)} titles: " + ", ".join(f"{t} ({y})" for t, y in titles[:3])


@tasks.artifact(**COMMON, invalidated_by=CATALOGUE)
def search(word: str, *, catalogue: pb.Source[Catalogue]) -> list[str]:
    return catalogue.search(word) or [f"nothing among {len(catalogue.index())} entries"]


@tasks.artifact(**COMMON, keys=every_book, invalidated_by=[pb.fence("stock/{isbn}"), *SHELVES])
def availability(isbn: str, *, shelves: pb.Source[Shelves]) -> dict[str, str]:
    copies, waiting = shelves.copies(isbn), shelves.waiting(isbn)
    free = [name for _, name, out in copies if not out]
    state = "none" if not copies else f"{len(free)} of {len(copies)} in" if free else f"all out, {len(waiting)} waiting"
    return {"state": state, "where": ", ".join(sorted(set(free)))}


@tasks.artifact(**COMMON, invalidated_by=[*SHELVES, *ACCOUNTS])
def place_in_queue(key: str, *, shelves: pb.Source[Shelves], accounts: pb.Source[Accounts]) -> str:
    isbn, _, card = key.partition(":")
    queue = shelves.waiting(isbn)
    if card not in queue:
        return "not waiting"
    ahead = queue[: queue.index(card)]
    names = [member[0] for member in map(accounts.member, ahead[:2]) if member]
    return f"{len(ahead)} ahead: {' and '.join(names)}" if ahead else "next"


@tasks.artifact(**COMMON, keys=every_branch, invalidated_by=[pb.fence("branch/{branch}"), *SHELVES])
def branch_page(branch: str, *, shelves: pb.Source[Shelves]) -> str:
    name, hours = shelves.hours(branch)
    opened = "; ".join(f"{day} {when or 'closed'}" for day, when in sorted(hours.items()))
    return f"{name}, {opened}. {shelves.on_shelf(branch)} books in. New: " + ", ".join(title for title, _ in shelves.newest(branch))


@tasks.artifact(**COMMON, keys=every_branch, invalidated_by=SHELVES)
def monday(branch: pb.Keys[str], *, shelves: pb.Source[Shelves]) -> dict[str, str]:
    return {one: shelves.hours(one)[1].get("mon", "closed") for one in branch}


@tasks.artifact(**COMMON, invalidated_by=SHELVES)
def charts(_: str, *, shelves: pb.Source[Shelves]) -> dict[str, list[str]]:
    best: dict[str, list[str]] = {}
    for genre, title, count in shelves.lent_by_genre():
        best.setdefault(genre, []).append(f"{title} x{count}")
    return best


@tasks.artifact(**COMMON, invalidated_by=ACCOUNTS)
def account(card: str, *, accounts: pb.Source[Accounts]) -> str | pb.Absent:
    member = accounts.member(card)
    if member is None:
        return pb.Absent("no such card")
    limit, days, _ = accounts.rules(member[1])
    loans = accounts.open_loans(card)
    left = max(0, limit - len(loans))
    first = f", first due {loans[0][1]}: {loans[0][0]}" if loans else ""
    return f"{member[0]} until {member[4]}: {left} more for {days} days, {accounts.wishes(card)} wishes{first}"


@tasks.artifact(**COMMON, invalidated_by=ACCOUNTS)
def fine(card: str, *, accounts: pb.Source[Accounts]) -> float:
    member = accounts.member(card)
    return round(accounts.late_days(card) * accounts.rules(member[1] if member else None)[2] / 100, 1)


@tasks.artifact(**COMMON, invalidated_by=ACCOUNTS)
def tips(card: str, *, accounts: pb.Source[Accounts]) -> list[str]:
    member = accounts.member(card)
    friend = json.loads(member[3])["friend"] if member else None
    return accounts.unread(card) + ([f"{title} (friend)" for title, _ in accounts.open_loans(friend)[:1]] if friend else [])


@tasks.artifact(**COMMON, invalidated_by=ACCOUNTS)
def dues(branch: str, *, accounts: pb.Source[Accounts], fines: pb.Reader[str, float] = pb.Input(fine)) -> str:
    owed = {card: fines.read(card).unwrap() for card in accounts.of_branch(branch)}
    late = [card for card, amount in owed.items() if amount > 0.5]
    return f"{sum(owed.values()):.1f} from {len(late)}: {' '.join(late)}"


@tasks.artifact(**COMMON, invalidated_by=[])
def digest(branch: str, *, pages: pb.Reader[str, str] = pb.Input(branch_page), best: pb.Reader[str, dict] = pb.Input(charts),
           money: pb.Reader[str, str] = pb.Input(dues)) -> str:
    top = best.read("all").unwrap().get("crime", [])
    return f"{pages.read(branch).unwrap()} | {', '.join(top)} | {money.read(branch).unwrap()}"


@tasks.live(why="the member says which book")
async def may_borrow(card: pb.Live[str], isbn: pb.Live[str], *, stock: pb.Reader[str, dict] = pb.Input(availability),
                     accounts: pb.Reader[str, str] = pb.Input(account)) -> str:
    return f"{(await stock.get(isbn)).unwrap()['state']}; {(await accounts.get(card)).value or 'no account'}"


def build(where: str) -> pb.App:
    source = SqliteSource(where, families=FAMILIES, views=[Catalogue, Shelves, Accounts], name="library")
    return pb.App(tasks, sources=[source])
