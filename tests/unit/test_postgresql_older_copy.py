"""When an older copy of a PostgreSQL database is refused, and when it is read on with all families raised."""

import msgspec
import pytest

from parbake.adapters._postgresql.outbox import Cursor, Page, Primary, resumed
from parbake.errors import ForeignSource

SERVER, AGAIN = Primary("1.5", "00000001", "run 1"), Primary("1.5", "00000001", "run 2")
CURSOR = Cursor(
    2, SERVER, "100:100:", 5000, "90:90:", 4000, {}, "store", serial=7, number=9,
)  # fmt: skip
"""A store that has applied everything before transaction 100. Its last report that outlasts a crash had number 7."""


def page(upper, flushed, reported):
    """Return what a copy says: its next transaction, the end of its log, and the number of the store's last report."""
    return Page((f"{upper}:{upper}:", flushed, flushed, False, reported, None, None), 10)


def read(upper, flushed, reported):
    """Read a copy that was started since; return why events may be missing."""
    cursor, lost = resumed(CURSOR, AGAIN, (reported, "80:80:") if reported else None, name="shop")
    page(upper, flushed, reported).judged(cursor, name="shop")
    return cursor.seen, lost


@pytest.mark.parametrize("grown", [0, 10**6])
@pytest.mark.parametrize("reported", [0, 6])
def test_a_copy_that_lacks_a_lasting_report_is_refused_however_it_grows(grown, reported):
    """A copy from before a report that outlasts a crash is refused, also when it has as many transactions again."""
    with pytest.raises(ForeignSource):
        read(85 + grown, 3000 + grown, reported)


@pytest.mark.parametrize(("upper", "flushed"), [(85, 6000), (95, 3000)])
def test_a_copy_that_is_behind_what_was_on_disk_is_refused(upper, flushed):
    """A copy with every lasting report is refused while its transactions or its log end before what was on disk."""
    with pytest.raises(ForeignSource, match="lost transactions"):
        read(upper, flushed, 8)


def test_a_copy_that_lacks_less_is_read_on_with_every_family_raised():
    """A copy that has gone on past that is read from the last report that it has, and everything is outdated."""
    seen, lost = read(95, 4500, 8)
    assert seen == "80:80:"
    assert "lacks the last report" in lost


def test_a_copy_with_the_last_report_has_lost_nothing_that_was_applied():
    """With the report of what the store has applied, a copy is read on, and nothing is outdated for it."""
    assert read(100, 5000, 9) == ("80:80:", "")


def test_another_timeline_is_read_from_its_beginning():
    """A promoted server, or one that was recovered to a point in time, is read from its beginning, with all raised."""
    promoted = msgspec.structs.replace(AGAIN, timeline="00000002")
    cursor, lost = resumed(CURSOR, promoted, (9, "80:80:"), name="shop")
    assert (cursor.seen, cursor.serial) == ("1:1:", 0)
    assert "may lack the last transactions" in lost


def test_another_system_is_refused():
    """Another cluster, or another database of the same one, is refused until it is accepted by a command."""
    with pytest.raises(ForeignSource, match="not the one"):
        resumed(CURSOR, msgspec.structs.replace(AGAIN, system="1.6"), (9, "80:80:"), name="shop")
