"""The shop's file tells of changes by any program, and a file of the version before is migrated."""

import contextlib
import pathlib
import sqlite3

import pytest

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake_capture.sqlite_triggers import SqliteCapture
from retail_assistant import compose, main
from retail_assistant.shop import captured, schema


async def test_a_change_by_hand_is_told(shop):
    """A statement in the shell of SQLite raises the policy's tag with the next poll."""
    path = shop.execute("PRAGMA database_list").fetchone()[2]
    app = pb.App(pb.Registry(), sources=[SqliteSource(path, families=["policy"], views=[])])
    await app.drain()
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE policies SET facts = json_set(facts, '$.window_days', 10) WHERE id = 'returns'")
    assert set((await app.drain()).raised) == {"policy/returns", "policy/*"}
    await app.close()


def test_a_shop_of_the_version_before_is_migrated(tmp_path, monkeypatch, capsys):
    """It is refused with the command to run, which prints the statements, and executes them when told to."""
    monkeypatch.setenv("RETAIL_HOME", str(tmp_path))
    with contextlib.closing(schema.connect(tmp_path / "shop.db")) as conn:
        schema.create(conn)
        conn.execute("UPDATE meta SET value = '10' WHERE key = 'schema_version'")
        with pytest.raises(pb.ParbakeError, match="retail-assistant migrate --apply"):
            schema.check(conn)
        main.main(["migrate"])
        assert "CREATE TRIGGER" in capsys.readouterr().out
        assert captured.migration(conn)
        main.main(["migrate", "--apply"])
        assert capsys.readouterr().out == "migrated\n"
        schema.check(conn)
        main.main(["migrate"])
        assert capsys.readouterr().out == "nothing is to be migrated\n"
        conn.execute("UPDATE meta SET value = '9' WHERE key = 'schema_version'")
        with pytest.raises(SystemExit):
            main.main(["migrate"])


async def test_a_shop_whose_triggers_have_no_guard_gets_one_at_the_start(shop):
    """A shop file of an earlier version gets guards, and lost triggers, when a process opens it, and only then."""
    path = pathlib.Path(shop.execute("PRAGMA database_list").fetchone()[2])
    guards = [row[0] for row in shop.execute("SELECT name FROM sqlite_master WHERE name GLOB 'parbake_guard_*'")]
    assert len(guards) == len(captured.TABLES)
    for name in guards:
        shop.execute(f"DROP VIEW {name}")
    shop.execute("DROP TRIGGER parbake_capture_orders_delete")
    compose.shop_meta(path)
    assert {state.problem for state in SqliteCapture(shop).states()} == {""}
    (version,) = shop.execute("PRAGMA schema_version").fetchone()
    compose.shop_meta(path)
    assert shop.execute("PRAGMA schema_version").fetchone() == (version,)
