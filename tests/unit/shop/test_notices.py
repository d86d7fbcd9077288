"""Corrections: noted once for each shopper, shown until they were read, and kept as long as an answer is recalled."""

import pytest

from retail_assistant.shop import notices, schema
from retail_assistant.shop.errors import BadValue
from retail_assistant.shop.notices import Notice

TOLD = Notice("0" * 32, "policy/returns", 100.0)


@pytest.fixture
def shop(tmp_path):
    """Return a connection to an empty shop."""
    conn = schema.connect(tmp_path / "shop.db")
    schema.create(conn)
    yield conn
    conn.close()


def test_a_notice_is_noted_once_and_seen_once(shop):
    """The same answer is not noted twice, in whatever spelling of the name, and is not shown again once it was read."""
    assert notices.note(shop, "U00012", TOLD, now=200.0)
    assert not notices.note(shop, "u00012", TOLD, now=201.0)
    assert notices.unseen(shop, "u00012") == [TOLD]
    assert notices.unseen(shop, "u00013") == []
    assert notices.see(shop, "u00012", "policy/returns", now=202.0)
    assert not notices.see(shop, "u00012", "policy/returns", now=203.0)
    assert not notices.note(shop, "u00012", TOLD, now=204.0)
    assert notices.unseen(shop, "u00012") == []


def test_of_each_tag_the_last_answer_is_told(shop):
    """Who was told the same thing three times is told of it once, by the last time; other things come apart."""
    for number, (tag, at) in enumerate([("policy/a", 1.0), ("policy/a", 3.0), ("policy/a", 2.0), ("policy/b", 9.0)]):
        notices.note(shop, "u1", Notice(f"{number:032}", tag, at), now=10.0)
    assert [(one.tag, one.told_at) for one in notices.unseen(shop, "u1")] == [("policy/b", 9.0), ("policy/a", 3.0)]


def test_old_notices_are_deleted(shop):
    """Noting one deletes those of more than 35 days ago, and a name with a line break is refused."""
    notices.note(shop, "u1", TOLD, now=200.0)
    notices.note(shop, "u2", TOLD, now=200.0 + notices.KEPT_S + 1)
    assert notices.unseen(shop, "u1") == []
    with pytest.raises(BadValue):
        notices.note(shop, "a\nb", TOLD, now=200.0)


def test_a_shop_of_before_gets_the_table(tmp_path):
    """A shop file of this version that lacks the table gets it when the app is composed."""
    conn = schema.connect(tmp_path / "shop.db")
    schema.create(conn)
    conn.execute("DROP TABLE notices")
    schema.complete(conn)
    assert notices.unseen(conn, "u1") == []
    conn.close()
