"""The guide for Django works as written, from an empty folder, on a PostgreSQL of the test's own."""

import os
from pathlib import Path

from tests.servers import pg
from tests.servers.launch import free_port
from tests.tutorial import Reader, steps

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "django.md"


def test_a_reader_gets_what_the_guide_shows(tmp_path):
    """Each block is written to its file, and each command prints the output shown."""
    with pg.folder() as folder, pg.postgresql(folder, "fsync=off") as server:
        server.sql("CREATE ROLE shop LOGIN", "CREATE DATABASE shop OWNER shop")
        before, export, after = PAGE.read_text().partition("export PGHOST=127.0.0.1 PGPORT=5432")
        assert export in PAGE.read_text()
        http = str(free_port())
        reader = Reader(
            tmp_path, {"5432": str(server.port), "--noreload 8000": f"--noreload {http}", ":8000": f":{http}"}
        )
        reader.environment |= {
            "PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "shop", "PGDATABASE": "shop",
            "PATH": f"{reader.environment['PATH']}{os.pathsep}{pg.programs()}",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
        }  # fmt: skip
        try:
            for step in steps(before + after):
                reader.take(step)
        finally:
            reader.stop()
