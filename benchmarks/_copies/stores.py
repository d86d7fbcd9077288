"""The data of a store, which is copied and put back."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from tests.servers.launch import Valkey
from tests.servers.pg import Postgresql
from tests.store_files import (
    copy_of,
    copy_over,
    overwrite,
    restart_machine,
    set_disk_back,
    snapshot,
)


class Kept(ABC):
    """The data of a store."""

    url: str
    ways: tuple[str, ...]
    needs_stopped_servers = False
    must_have_seen_more = False
    """Whether only a process that has read since the copy was made notices it."""

    @abstractmethod
    def copy(self, way: str) -> None:
        """Keep what is there now, so that it can be put back in a way."""

    @abstractmethod
    def put_back(self, way: str, *, is_running: bool) -> None:
        """Put in place what was kept, under running servers or under stopped ones."""


class LmdbFolder(Kept):
    """The folder of an LMDB store; its side file stays what it is."""

    ways = ("rm -r, cp -r", "cp over the file", "rsync --inplace")

    def __init__(self, folder: Path) -> None:
        """The store lies in a folder."""
        self._place = folder / "store"
        self.url = f"lmdb://{self._place}?map_size=64MiB"

    def copy(self, way: str) -> None:
        """Copy the folder."""
        del way
        self._copy = copy_of(self._place)

    def put_back(self, way: str, *, is_running: bool) -> None:
        """Put the copy in place of the folder, or of the bytes of the file."""
        del is_running
        if way == "cp over the file":
            copy_over(self._place, self._copy)
        elif way == "rsync --inplace":
            overwrite(self._place, self._copy)
        else:
            shutil.rmtree(self._place)
            shutil.copytree(self._copy, self._place)


class LmdbDisk(Kept):
    """The whole disk of an LMDB store, with its side file. Its machine is started again, or goes on."""

    ways = ("snapshot", "snapshot, machine started again")
    needs_stopped_servers = True

    def __init__(self, folder: Path) -> None:
        """The store lies in a folder."""
        self._place = folder / "store"
        self.url = f"lmdb://{self._place}?map_size=64MiB"

    def copy(self, way: str) -> None:
        """Keep all bytes."""
        del way
        self._files = snapshot(self._place)

    def put_back(self, way: str, *, is_running: bool) -> None:
        """Put the bytes back."""
        del is_running
        set_disk_back(self._place, self._files)
        if way != "snapshot":
            restart_machine(self._place)


class AppendOnlyFile(Kept):
    """The append-only file of a Valkey server."""

    ways = ("file put back", "file put back, shut down before")

    def __init__(self, server: Valkey) -> None:
        """The store lies on a server."""
        self._server = server
        self._file = server.folder / "appendonlydir"
        self.url = self._server.url

    def copy(self, way: str) -> None:
        """Copy the file, and shut the server down before if the way says so."""
        copy = self._file.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        if way.endswith("before"):
            self._server.process.terminate()
            self._server.process.wait()
        shutil.copytree(self._file, copy)
        if way.endswith("before"):
            self._server.restart()

    def put_back(self, way: str, *, is_running: bool) -> None:
        """Start the server again with the copy."""
        del way, is_running
        self._server.kill()
        shutil.rmtree(self._file)
        shutil.copytree(self._file.with_name("copy"), self._file)
        self._server.restart()


ITEMS = "parbake.parbake_items"
LOADED = f"INSERT INTO {ITEMS} SELECT * FROM dump"
STATEMENTS = {
    "dump, truncated": [f"TRUNCATE {ITEMS}", LOADED],
    "dump, deleted": [f"DELETE FROM {ITEMS}", LOADED],
    "dump, overwritten": [f"{LOADED} ON CONFLICT (name) DO UPDATE SET value = excluded.value"],
    "dump, renamed": [
        f"DROP TABLE {ITEMS}",
        "ALTER TABLE dump SET SCHEMA parbake",
        "ALTER TABLE parbake.dump RENAME TO parbake_items",
    ],
}


class PostgresqlStore(Kept):
    """The data of a PostgreSQL server that is a store: its folder, or its rows."""

    ways = ("folder", "folder", *STATEMENTS)
    must_have_seen_more = True

    def __init__(self, server: Postgresql) -> None:
        """The store lies on a server."""
        self._server = server
        self.url = server.address

    def copy(self, way: str) -> None:
        """Copy the folder, or the rows."""
        if way == "folder":
            self._copy = self._server.copied()
            return
        self._server.sql(
            "DROP TABLE IF EXISTS dump",
            f"CREATE TABLE dump (LIKE {ITEMS} INCLUDING ALL)",
            f"INSERT INTO dump SELECT * FROM {ITEMS}",
        )

    def put_back(self, way: str, *, is_running: bool) -> None:
        """Put the copy in place, and say so if no process has seen more, as the guide asks for."""
        if way == "folder":
            self._server.put_back(self._copy)
            if not is_running:
                self._server.sql(f"DELETE FROM {ITEMS} WHERE name = '\\x00'")
        else:
            self._server.sql("BEGIN", *STATEMENTS[way], "COMMIT")
