"""Mistakes that a newcomer makes, and the message that each one gets."""

import subprocess
import sys

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.adapters._redis_link import Broken
from parbake.lanes.event.recovery import FileJournal
from parbake.ports.messages import problem
from parbake.stores import open_store


@pytest.mark.parametrize("wrong", ["eta", print, None])
def test_a_fallback_that_uses_what_is_not_a_task_is_refused(wrong):
    """``pb.Use("eta")`` used to pass, and the app ended with an AttributeError when it was opened."""
    with pytest.raises(pb.errors.ContractError, match="needs a task that can be served") as caught:
        pb.Registry().artifact(**contract(fallback_if_stale=pb.Use(wrong)))(fact)
    assert caught.value.field == "fallback_if_stale"


@pytest.mark.parametrize("edge", [pb.Input, pb.Model])
def test_an_input_that_is_not_a_task_is_named(edge):
    """The error names the parameter and what was given in place of a task."""

    def task(key: str, *, other: int = edge("minutes")) -> str:
        return key

    with pytest.raises(pb.errors.RoleError, match=r"task\(other\): 'minutes' is not a task") as caught:
        pb.Registry().artifact(**contract())(task)
    assert caught.value.field == "other"


def test_an_error_of_a_driver_is_the_error_that_clients_know():
    """A class of a private module has no page that a client could look up."""
    document = problem(Broken("valkey://127.0.0.1: connection refused", field="store")).body
    assert b'"type":"urn:parbake:store-unreachable"' in document
    assert b'"title":"Store unreachable"' in document


def test_an_unknown_scheme_is_answered_with_the_known_ones():
    """A mistyped URL shows which stores there are."""
    with pytest.raises(pb.errors.StoreError, match="there are dynamodb, lmdb, memory, postgres, postgresql, redis"):
        open_store("reds://localhost")


def test_an_invalid_declaration_is_shown_with_its_line(tmp_path):
    """The command line names the file and the line of the user's, not one inside parbake."""
    (tmp_path / "shop.py").write_text(
        "import parbake as pb\n\ntasks = pb.Registry()\n\n\n"
        "@tasks.artifact(freshness_sla='12x', invalidated_by=[], fallback_if_stale=pb.Refuse(), owner='a')\n"
        "def fact(key: str) -> str:\n    return key\n"
    )
    command = [sys.executable, "-m", "parbake", "tasks", "shop:tasks"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "freshness_sla='12x'" in done.stderr
    assert "(shop.py, line 6)" in done.stderr


# 64 PiB is more than a process can address; a host that overcommits maps 100 TiB.
@pytest.mark.parametrize(("size", "said"), [("4KiB", "too small even to open"), ("65536TiB", "cannot map")])
async def test_a_map_size_that_does_not_fit_is_named(tmp_path, size, said):
    """A healthy store is not called damaged, and nobody is told to move it away."""
    app = pb.App(pb.Registry(), store=f"lmdb://{tmp_path}/store?map_size={size}")
    with pytest.raises(pb.errors.StoreError, match=said) as caught:
        await app.stamp()
    assert caught.value.field == "store.map_size"


@pytest.mark.parametrize("off", [{"fnn": "no model file"}, ["fact"], {"fact": ""}, {"fact": None}])
def test_a_task_is_switched_off_by_its_name_and_with_a_reason(off):
    """A misspelt name used to leave the task running."""
    tasks = pb.Registry()
    tasks.artifact(**contract(invalidated_by=[]))(fact)
    with pytest.raises(pb.BadInput) as caught:
        pb.App(tasks, off=off)
    assert caught.value.field == "off"


def test_a_lambda_that_lists_keys_is_answered_with_a_def():
    """A lambda cannot have a return type, so the message does not ask for one."""
    with pytest.raises(pb.errors.RoleError, match="write a def with a return type"):
        pb.Registry().artifact(**contract(), keys=lambda: ["a"])(fact)


def test_a_file_that_is_not_a_journal_is_not_written_to(tmp_path):
    """A journal that names a program's own source used to append to it."""
    source = tmp_path / "shop.py"
    source.write_text("import parbake as pb\n")
    with pytest.raises(pb.BadInput, match="is not a journal") as caught:
        FileJournal(source).append([1])
    assert caught.value.field == "journal"
    assert source.read_text() == "import parbake as pb\n"


def fact(key: str) -> str:
    """Return the key."""
    return key
