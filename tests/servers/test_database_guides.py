"""The guides for Django and for SQLAlchemy work as written, from an empty folder, on a PostgreSQL of the test's own."""

import os
from pathlib import Path

import pytest
from tests.servers import pg
from tests.servers.launch import free_port
from tests.tutorial import Reader, steps

ROOT = Path(__file__).parents[2]
FEWEST_COMMANDS = 5
"""A guide has at least so many; with fewer, its blocks are not read as they were."""


@pytest.mark.parametrize("guide", ["django", "sqlalchemy"])
def test_a_reader_gets_what_the_guide_shows(guide, pg_server, tmp_path):
    """Each block is written to its file, and each command prints the output shown."""
    pg_server.sql(f"CREATE ROLE {guide} LOGIN CREATEDB", f"CREATE DATABASE {guide} OWNER {guide}")
    http = str(free_port())
    swaps = {"5432": str(pg_server.port), "--noreload 8000": f"--noreload {http}", "--port 8000": f"--port {http}"}
    names = {f'"{name}": "shop"': f'"{name}": "{guide}"' for name in ("USER", "NAME")}
    reader = Reader(tmp_path, {**swaps, ":8000": f":{http}", **names})
    reader.environment |= {
        "PGHOST": "127.0.0.1", "PGPORT": str(pg_server.port), "PGUSER": guide, "PGDATABASE": guide,
        "DATABASE": f"postgresql://{guide}@127.0.0.1:{pg_server.port}/{guide}",
        "PATH": f"{reader.environment['PATH']}{os.pathsep}{pg.programs()}",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    try:
        found = steps((ROOT / f"docs/howto/{guide}.md").read_text())
        assert sum(not step.file for step in found) >= FEWEST_COMMANDS
        for step in found:
            reader.take(step)  # asserts that what is printed is what is shown
    finally:
        reader.stop()
