"""Complaints about bank answers: who counts, how often, and how much they may withdraw."""

import pytest

from retail_assistant.shop import complaints
from retail_assistant.shop.complaints import Complaint, OpenComplaints, Rules
from retail_assistant.shop.errors import BadValue, NotFound, TooManyComplaints
from retail_assistant.shop.voices import DAY_S, is_named, voice

from .conftest import NOW

KNOWN, OTHER = "u00001", "u00002"
KNOWN_ONES = [f"u{n:05}" for n in range(1, 5)]


@pytest.fixture
def conn(shop):
    """Return a connection to a small shop."""
    return shop


def complain(conn, answer="a#b", shopper=KNOWN, now=NOW, *, answer_id="", **rules):
    """Complain and return the result."""
    return complaints.complain(
        conn,
        shopper=shopper,
        answer=answer,
        answer_id=answer_id,
        now=now,
        rules=Rules(**rules),
    )


def events(conn):
    """Return the number of events about answers."""
    return conn.execute("SELECT count(*) FROM parbake_outbox WHERE subject LIKE 'faq/%'").fetchone()[0]


def withdrawn(conn):
    """Return the answers that complaints withdrew from everybody."""
    return [found.answer for found in complaints.list_open(conn) if found.is_withdrawn]


def test_the_first_complaint_of_a_known_shopper_withdraws_an_answer(conn):
    """The first complaint withdraws the answer from everybody until the owner restores it; each writes an event."""
    made = complain(conn)
    assert (made.applies_to, made.news) == ("everybody", "withdrawn")
    assert made.position
    assert withdrawn(conn) == ["a#b"]
    assert complaints.restore(conn, "a#b", now=NOW)
    assert withdrawn(conn) == []
    assert events(conn) == 2


def test_a_new_shopper_is_a_stranger(conn):
    """One complaint of a shopper whom the shop does not know withdraws the answer from nobody else."""
    made = complain(conn, shopper="newcomer")
    assert (made.applies_to, made.position) == ("shopper", None)
    assert withdrawn(conn) == []
    assert complaints.list_open(conn) == [OpenComplaints("a#b", 0, 1, NOW, is_withdrawn=False)]


def test_one_reply_is_complained_of_once(conn):
    """One reply counts for one complaint, under any number of names and after a restore."""
    for name in ("x1", "x2", "x3", "x4"):
        made = complain(conn, shopper=name, answer_id="ab12")
        assert made.applies_to == "shopper"
    assert conn.execute("SELECT count(*) FROM complaints").fetchone() == (1,)
    complaints.restore(conn, "a#b", now=NOW)
    complain(conn, shopper="x1", answer_id="ab12")
    assert complaints.list_open(conn) == []


def test_the_same_complaint_again_changes_nothing(conn):
    """A repeated complaint returns the first result without a new row, event or use of the quota."""
    first = complain(conn)
    for again in (KNOWN, KNOWN.upper(), f" {KNOWN}"):
        made = complain(conn, shopper=again, now=NOW + 1)
        assert made == Complaint(first.position, "everybody")
    assert events(conn) == 1
    assert complaints.list_open(conn) == [OpenComplaints("a#b", 1, 0, NOW, is_withdrawn=True)]


def test_five_complaints_a_day_also_after_answers_were_restored(conn):
    """A shopper's sixth complaint in a day is refused, even if answers were restored."""
    for n in range(5):
        complain(conn, f"a#{n}")
        complaints.restore(conn, f"a#{n}", now=NOW)
    for answer in ("a#0", "a#5"):
        with pytest.raises(TooManyComplaints, match="5 complaints a day"):
            complain(conn, answer)
    assert complain(conn, "a#5", shopper=OTHER).applies_to == "everybody"
    assert complain(conn, "a#0", now=NOW + DAY_S + 1).applies_to == "everybody"


def test_strangers_withdraw_an_answer_together(conn):
    """Three distinct strangers withdraw an answer from everybody; before that, each hides it only from themselves."""
    made = [complain(conn, shopper=name) for name in ("x", "X", " x", "y", "z")]
    assert [m.applies_to for m in made] == ["shopper"] * 4 + ["everybody"]
    assert [m.news for m in made] == ["complained", "", "", "", "withdrawn"]
    assert complaints.has_complained(conn, "X", "a#b")
    assert not complaints.has_complained(conn, "w", "a#b")
    assert events(conn) == 1


def test_restoring_what_was_withdrawn_from_nobody_else_raises_no_event(conn):
    """Restoring an answer that was not withdrawn raises no event, and a second restore fails."""
    complain(conn, shopper="x")
    assert complaints.restore(conn, "a#b", now=NOW) is None
    assert not complaints.has_complained(conn, "x", "a#b")
    with pytest.raises(NotFound):
        complaints.restore(conn, "a#b", now=NOW)
    assert events(conn) == 0


def test_a_breaker_holds_what_complaints_may_withdraw_in_a_day(conn):
    """Beyond the daily number of answers a complaint is held back; repeated a day later it counts."""
    for n, name in enumerate(KNOWN_ONES[:2]):
        complain(conn, f"a#{n}", shopper=name, answers_a_day=2)
    third = KNOWN_ONES[2]
    held = complain(conn, "a#2", shopper=third, answers_a_day=2)
    assert held == Complaint(None, "shopper", "held_back")
    assert complaints.has_complained(conn, third, "a#2")
    assert withdrawn(conn) == ["a#0", "a#1"]
    later = complain(conn, "a#2", shopper=third, now=NOW + DAY_S, answers_a_day=2)
    assert (later.applies_to, later.news) == ("everybody", "withdrawn")


def test_the_breaker_counts_only_what_is_still_withdrawn(conn):
    """A restored answer does not count for the daily limit."""
    for n, name in enumerate(KNOWN_ONES[:2]):
        complain(conn, f"a#{n}", shopper=name, answers_a_day=2)
    complaints.restore(conn, "a#0", now=NOW)
    assert complain(conn, "a#2", shopper=KNOWN_ONES[2], answers_a_day=2).applies_to == "everybody"
    assert complain(conn, "a#3", shopper=KNOWN_ONES[3], answers_a_day=2).news == "held_back"


def test_one_shopper_withdraws_one_answer_a_day_from_everybody(conn):
    """Further complaints of a known shopper within a day hold for that shopper alone, also after a restore."""
    made = [complain(conn, f"a#{n}") for n in range(4)]
    assert [m.applies_to for m in made] == ["everybody", "shopper", "shopper", "shopper"]
    assert [m.news for m in made] == ["withdrawn", "complained", "complained", "complained"]
    assert withdrawn(conn) == ["a#0"]
    assert [found.answer for found in complaints.list_open(conn)] == [f"a#{n}" for n in range(4)]
    assert all(complaints.has_complained(conn, KNOWN, f"a#{n}") for n in range(4))
    complaints.restore(conn, "a#0", now=NOW)
    assert complain(conn, "a#4").applies_to == "shopper"
    assert complain(conn, "a#1", shopper=OTHER).applies_to == "everybody"
    assert complain(conn, "a#2", now=NOW + DAY_S).applies_to == "everybody"


def test_the_same_strangers_withdraw_one_answer_a_day(conn):
    """Strangers who have withdrawn an answer together do not count for another one within a day."""
    for answer in range(3):
        made = [complain(conn, f"a#{answer}", shopper=name, answers_a_day=50) for name in ("x", "y", "z")]
        assert made[-1].applies_to == ("shopper" if answer else "everybody")
    assert withdrawn(conn) == ["a#0"]
    fresh = [complain(conn, "a#1", shopper=name, answers_a_day=50).applies_to for name in ("u", "v", "w")]
    assert fresh == ["shopper", "shopper", "everybody"]
    assert complain(conn, "a#2", shopper="x", now=NOW + DAY_S, answers_a_day=50).applies_to == "everybody"


def test_a_known_shopper_who_has_used_the_day_counts_as_one_of_several(conn):
    """A second complaint of a known shopper within a day counts like that of a stranger."""
    complain(conn)
    assert [complain(conn, "a#1", shopper=name).applies_to for name in (KNOWN, "x", "y")] == [
        "shopper", "shopper", "everybody",
    ]  # fmt: skip


def test_the_second_withdrawal_of_a_day_is_news_of_its_own(conn):
    """From the second answer within a day on, the owner is told that several were withdrawn, restored or not."""
    assert complain(conn, "a#0").news == "withdrawn"
    complaints.restore(conn, "a#0", now=NOW)
    assert complain(conn, "a#1", shopper=KNOWN_ONES[1]).news == "withdrawn_again"
    assert complain(conn, "a#2", shopper=KNOWN_ONES[2]).news == "withdrawn_again"
    assert complain(conn, "a#3", shopper=KNOWN_ONES[3], now=NOW + DAY_S).news == "withdrawn"


def test_a_stranger_whose_complaint_was_closed_does_not_count_for_a_month(conn):
    """After a restore a stranger's complaint does not count for others for a month; a known shopper's does."""
    for name in ("x", "y", "z"):
        complain(conn, shopper=name)
    complaints.restore(conn, "a#b", now=NOW)
    for name in ("x", "y", "z"):
        assert complain(conn, shopper=name, now=NOW + 2 * DAY_S).applies_to == "shopper"
    assert complaints.has_complained(conn, "x", "a#b")
    assert [complain(conn, shopper=f"new{n}", now=NOW + 2 * DAY_S).applies_to for n in range(3)] == [
        "shopper", "shopper", "everybody",
    ]  # fmt: skip
    complaints.restore(conn, "a#b", now=NOW + 3 * DAY_S)
    assert complain(conn, now=NOW + 3 * DAY_S).applies_to == "everybody"
    complaints.restore(conn, "a#b", now=NOW + 3 * DAY_S)
    later = NOW + 3 * DAY_S + complaints.LOOKED_AT_S
    assert [complain(conn, shopper=name, now=later).applies_to for name in ("x", "y", "z")][-1] == "everybody"


def test_anonymous_is_recorded_and_withdraws_nothing(conn):
    """A complaint by "anonymous" is recorded and reported, but does not count towards a withdrawal."""
    assert complain(conn, shopper="Anonymous").news == "complained"
    assert [complain(conn, shopper=name).applies_to for name in ("x", "y")] == ["shopper", "shopper"]
    assert complaints.list_open(conn) == [OpenComplaints("a#b", 0, 3, NOW, is_withdrawn=False)]
    assert complain(conn, shopper="z").applies_to == "everybody"


def test_strangers_leave_half_of_the_breaker_to_known_shoppers(conn):
    """Strangers can use only half of the daily limit, so a known shopper's complaint counts."""
    for answer in range(4):
        for name in range(3):
            complain(conn, f"a#{answer}", shopper=f"x{answer}-{name}", answers_a_day=4)
    assert withdrawn(conn) == ["a#0", "a#1"]
    assert complain(conn, "a#3", answers_a_day=4).applies_to == "everybody"


def test_complaints_of_strangers_are_bounded(conn, monkeypatch):
    """Only the newest complaints of strangers are kept, and all of known shoppers."""
    monkeypatch.setattr(complaints, "STRANGERS_KEPT", 3)
    complain(conn, "a#known")
    for n in range(9):
        complain(conn, "a#b", shopper=f"x{n}", strangers=99)
    assert conn.execute("SELECT count(*) FROM complaints WHERE NOT is_known").fetchone() == (3,)
    assert withdrawn(conn) == ["a#known"]


@pytest.mark.parametrize(
    ("shopper", "named"),
    [("u00001", True), ("anonymous2", True), ("anonymous", False), (" Anonymous", False), ("", False)],
)
def test_a_shopper_who_gave_no_name_is_recognised_in_any_spelling(shopper, named):
    """Only "anonymous", in any case and with spaces around it, and an empty name stand for nobody."""
    assert is_named(shopper) is named


def test_a_shopper_is_known_by_an_account_of_a_day_or_a_purchase(conn):
    """A shopper is known by an account older than a day or a purchase; "anonymous" never is."""
    statement = "INSERT INTO shoppers (id, segment, created_at) VALUES ('Fresh', 'new', ?), ('anonymous', 'new', 0)"
    conn.execute(statement, (NOW - 60,))
    assert [voice(conn, name, now=NOW).is_known for name in (KNOWN, "U00001", "fresh", "anonymous", "x")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert voice(conn, "fresh", now=NOW + DAY_S).is_known
    asin = conn.execute("SELECT asin FROM products LIMIT 1").fetchone()[0]
    conn.execute("INSERT INTO purchases (shopper, asin, ts, cents) VALUES ('Fresh', ?, ?, 1)", (asin, NOW))
    assert voice(conn, " FRESH", now=NOW) == voice(conn, "fresh", now=NOW)
    assert voice(conn, "fresh", now=NOW).is_known
    with pytest.raises(BadValue) as caught:
        voice(conn, "two words", now=NOW)
    assert caught.value.field == "shopper"
