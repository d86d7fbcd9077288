"""The guides for Django and for SQLAlchemy work as written, from an empty folder, on a PostgreSQL of the test's own."""

import os
from pathlib import Path

import pytest
from tests.servers import pg
from tests.servers.launch import free_port
from tests.tutorial import Reader, steps

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server():
    """Run a PostgreSQL with a role for the shops."""
    with pg.folder() as folder, pg.postgresql(folder, "fsync=off") as found:
        found.sql("CREATE ROLE shop LOGIN")
        yield found


@pytest.mark.parametrize("guide", ["django", "sqlalchemy"])
def test_a_reader_gets_what_the_guide_shows(guide, server, tmp_path):
    """Each block is written to its file, and each command prints the output shown."""
    server.sql(f"CREATE DATABASE {guide} OWNER shop")
    http = str(free_port())
    swaps = {"5432": str(server.port), "--noreload 8000": f"--noreload {http}", "--port 8000": f"--port {http}"}
    reader = Reader(tmp_path, {**swaps, ":8000": f":{http}", '"NAME": "shop"': f'"NAME": "{guide}"'})
    reader.environment |= {
        "PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "shop", "PGDATABASE": guide,
        "DATABASE": f"postgresql://shop@127.0.0.1:{server.port}/{guide}",
        "PATH": f"{reader.environment['PATH']}{os.pathsep}{pg.programs()}",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    try:
        for step in steps((ROOT / f"docs/howto/{guide}.md").read_text()):
            reader.take(step)
    finally:
        reader.stop()
