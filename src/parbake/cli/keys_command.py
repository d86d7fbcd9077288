"""``parbake keys``: make, list, replace and revoke the API keys of a server."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from parbake.cli.support.output import AsJson, moment, print_json, print_table
from parbake.errors import BadInput
from parbake.http.access.key_file import KEYS_FILE, SCOPES, ApiKey, KeyFile
from parbake.process import actions
from parbake.values.duration import seconds

File = Annotated[Path | None, typer.Option("--file", help=f"the file with the keys; by default {KEYS_FILE} names it")]
Which = Annotated[str, typer.Argument(metavar="NAME_OR_ID", help="the name of keys, or the id of one")]
keys = typer.Typer(no_args_is_help=True, help="Make, list, replace and revoke the API keys of a server.")


@keys.command(epilog="Example: parbake keys add shop-backend --scope events --scope serve --until 90d")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="whose key it is")],
    scope: Annotated[list[str] | None, typer.Option(help=f"what it may do; repeat: {', '.join(SCOPES)}")] = None,
    until: Annotated[
        str | None, typer.Option(help="how long the key is valid, such as 90d; without end by default")
    ] = None,
    file: File = None,
) -> None:
    """Make a key, and print it once: the file has only its hash."""
    known = _file(file)
    ends = time.time() + seconds(until, field="until") if until is not None else None
    typer.echo(known.add(name, scope or [], until=ends))
    actions.note("key added", name, after=" ".join(scope or []))
    typer.echo(f"a key of {name} is in {known.path}; it is not shown again", err=True)


@keys.command("list", epilog="Example: parbake keys list --file keys.json")
def list_(*, as_json: AsJson = False, file: File = None) -> None:
    """Show whose keys there are, what they may do, and which have ended."""
    found = _file(file).read()
    if as_json:
        rows = [{k: v for k, v in msgspec.structs.asdict(key).items() if k != "sha256"} for key in found]
        print_json({"keys": rows})
        return
    table = Table("name", "id", "scopes", "made", "until")
    for key in found:
        table.add_row(escape(key.name), key.id, " ".join(key.scopes), moment(key.made_at), _end(key))
    print_table(table)


@keys.command(epilog="Example: parbake keys revoke shop-backend")
def revoke(which: Which, file: File = None) -> None:
    """End keys now. Servers notice within a second, and end the sessions that began with them."""
    ended = _file(file).end(which, at=time.time())
    actions.note("key revoked", which, before=" ".join(key.id for key in ended))
    typer.echo(f"revoked: {', '.join(f'{key.name} ({key.id})' for key in ended)}", err=True)


@keys.command(epilog="Example: parbake keys rotate shop-backend --overlap 1d")
def rotate(
    which: Which,
    overlap: Annotated[str, typer.Option(help="how long the old key still holds")] = "1d",
    file: File = None,
) -> None:
    """Make a key like an earlier one, print it, and let the earlier one end after a while."""
    known = _file(file)
    ended = known.end(which, at=time.time() + seconds(overlap, field="overlap"))
    newest = max(ended, key=lambda key: key.made_at)
    typer.echo(known.add(newest.name, newest.scopes))
    actions.note("key rotated", newest.name, before=" ".join(key.id for key in ended))
    typer.echo(f"the earlier key of {newest.name} ends in {overlap}", err=True)


def _file(given: Path | None) -> KeyFile:
    named = os.environ.get(KEYS_FILE, "")
    if given is None and not named:
        raise BadInput(f"name the file with the keys: --file, or {KEYS_FILE}", field="file")
    return KeyFile(given or Path(named), time.time)


def _end(key: ApiKey) -> str:
    if key.until is None:
        return "-"
    return moment(key.until) if key.until > time.time() else f"ended {moment(key.until)}"
