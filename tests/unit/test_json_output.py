"""Every command that shows something prints it as JSON, too."""

import json
from pathlib import Path

import pytest
import typer
from tests.unit.commands import invoke

from parbake.cli.main import cli

SHOP = """
import parbake as pb
from parbake_planner import Ledger, Planner

tasks = pb.Registry()

def both() -> list[str]:
    return ["a", "b"]

@tasks.artifact(freshness_sla="1d", invalidated_by=[pb.fence("fact")], fallback_if_stale=pb.Recompute(), owner="team",
                keys=both, refresh=pb.every("1h"))
def fact(key: str) -> str:
    return key

app = pb.App(tasks, store="lmdb://store", plugins=[Ledger("ledger.db"), Planner()])
"""
SHOWN = {
    "check": ["json_shop:app"],
    "costs": ["json_shop:app"],
    "doctor": ["json_shop:app"],
    "events parked": ["json_shop:app"],
    "freshness": ["json_shop:app"],
    "keys list": ["--file", "keys.json"],
    "materialize": ["json_shop:app", "fact"],
    "models list": [],
    "planned": ["json_shop:app", "fact"],
    "quarantine": ["json_shop:app"],
    "recall": ["json_shop:app", "fact/a"],
    "runs": ["json_shop:app", "fact"],
    "tasks": ["json_shop:app"],
    "triggers": ["json_shop:app"],
}
TESTED_ELSEWHERE = {
    "capture readers",
    "capture show",
    "erase",
    "faq calibrate",
    "faq explain",
    "faq inspect",
    "prompt explain",
    "prompt planned",
}
"""Those that need a database, a person, a bank or a prompt."""
NOTHING_TO_SHOW = {
    "capture check", "capture install", "capture remove", "capture retire", "dev", "events publish",
    "events restart", "events retry",
    "init", "keys add", "keys revoke", "keys rotate", "migrate", "models fetch", "models verify",
    "monitoring dashboard", "monitoring rules", "rollback", "proxy", "serve", "worker",
}  # fmt: skip
"""What acts, or prints a file in a format of its own."""
TO_A_FILE = {"audit", "export", "plan", "prompt plan", "prove", "shadow"}
"""Reports that are written as JSON to a file, or are JSON anyway."""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Work in the folder of a small shop with a key."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json_shop.py").write_text(SHOP)
    made = invoke("json_shop", "keys", "add", "somebody", "--scope", "serve", "--file", "keys.json")
    assert made.exit_code == 0, made.output
    return tmp_path


@pytest.mark.parametrize("command", SHOWN)
def test_what_is_shown_is_printed_as_json(shop, command):
    """With ``--json`` the standard output is one JSON document."""
    done = invoke("json_shop", *command.split(), *SHOWN[command], "--json")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    json.loads(done.stdout)


def test_every_command_is_known_to_this_test():
    """A new command shows JSON, or is among those that have nothing to show."""
    known = {*SHOWN, *TESTED_ELSEWHERE, *NOTHING_TO_SHOW, *TO_A_FILE}
    root = typer.main.get_command(cli)
    names = set(_names(root, "", typer.Context(root)))
    assert names == known


def _names(command, before, context):
    """Yield the names of all commands below a group."""
    if not hasattr(command, "list_commands") or not command.list_commands(context):
        yield before.strip()
        return
    for name in command.list_commands(context):
        yield from _names(command.get_command(context, name), f"{before} {name}", context)


def test_a_report_on_a_terminal_is_a_table(shop):
    """Without ``--json`` people get a table."""
    assert Path("json_shop.py").exists()
    assert "fact" in invoke("json_shop", "tasks", "json_shop:app").stdout


def test_runs_and_events_by_hand_are_among_the_actions(shop, monkeypatch):
    """Who has run a task or published an event at the command line is noted, with what has become of it."""
    monkeypatch.setenv("PARBAKE_ACTIONS_FILE", str(shop / "actions.jsonl"))
    for words in (["materialize", "json_shop:app", "fact"], ["events", "publish", "json_shop:app", "fact/a"]):
        assert invoke("json_shop", *words).exit_code == 0
    done = [json.loads(line) for line in (shop / "actions.jsonl").read_text().splitlines()]
    assert [(one["what"], one["about"]) for one in done] == [("materialize", "fact"), ("publish", "fact/a")]
    assert [one["after"].split(" ")[0] for one in done] == ["generation", "fact/a"]
    assert all("at the command line" in one["who"] for one in done)
