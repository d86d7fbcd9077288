"""``parbake recall``: which answers told what is not true any more, and a webhook for each."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import Annotated
from urllib.error import HTTPError

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from parbake.adapters.webhook import WebhookSink
from parbake.app.application import App
from parbake.cli.support.load_app import AppName, load, once
from parbake.cli.support.output import AsJson, moment, print_json, print_table, progress
from parbake.errors import BadInput
from parbake.ports.event_log import Raised
from parbake.protocol.record import Stamp
from parbake.protocol.tags import named
from parbake.values.secret_settings import secret_of
from parbake_planner.books import Ledger
from parbake_planner.ledger.answers import RecalledAnswer

_WEBHOOK, _TOKEN = "PARBAKE_RECALL_WEBHOOK", "PARBAKE_RECALL_TOKEN"
EPILOG = "Example: parbake recall shop:app policy/returns --since 1042 --webhook"
command = typer.Typer(add_completion=False)
_SHOWN, _LAST = 20, (1 << 63) - 1
_PAGE = 500


@command.command(epilog=EPILOG)
def recall(
    app: AppName,
    tag: Annotated[str, typer.Argument(help="what was told, such as policy/returns, or a family")],
    *,
    since: Annotated[
        int | None,
        typer.Option(
            min=0, max=_LAST, metavar="SEQ", help="the change that brought the wrong value; without: list them"
        ),
    ] = None,
    before: Annotated[
        int | None,
        typer.Option(min=0, max=_LAST, metavar="SEQ", help="the change that ended it; by default the last one"),
    ] = None,
    webhook: Annotated[bool, typer.Option("--webhook", help=f"post each answer to the URL in {_WEBHOOK}")] = False,
    as_json: AsJson = False,
) -> None:
    """Find the answers that told what is not true any more, and who received them."""
    application = load(app).app
    sink = _sink() if webhook else None
    if since is None:
        _list_changes(tag, once(application, _changes(application, tag)), as_json=as_json)
        return
    found = once(application, _recalled(application, tag, since, before, sink))
    if as_json:
        print_json(found)
        return
    known = [one for one in found if not one.is_without_store]
    table = Table("answer", "recipient", "told at", "as of")
    for one in known:
        table.add_row(*_named(one), str(one.sequence))
    print_table(table)
    typer.echo(f"{len(known):,} answers told {tag} as it is not any more", err=True)
    if len(known) < len(found):
        apart = Table("answer", "recipient", "told at, without the store")
        for one in found:
            if one.is_without_store:
                apart.add_row(*_named(one))
        print_table(apart)
        typer.echo(
            f"{len(found) - len(known):,} more told {tag} while the store was away: compare when they were told with "
            "when it was changed",
            err=True,
        )


def _named(one: RecalledAnswer) -> tuple[str, str, str]:
    return escape(one.answer_id), escape(one.recipient) or "-", moment(one.at)


def _sink() -> WebhookSink:
    url = os.environ.get(_WEBHOOK, "")
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"--webhook: set {_WEBHOOK} to the http or https URL that gets each answer", field=_WEBHOOK)
    return WebhookSink(url)


async def _recalled(
    application: App, tag: str, since: int, before: int | None, sink: WebhookSink | None
) -> list[RecalledAnswer]:
    await application.drain()
    found = await application.plugins[Ledger].answers.recall(tag, since=since, before=before)
    if sink is None:
        return found
    token = secret_of(os.environ, _TOKEN) or ""
    if not (token.isascii() and token.isprintable()):
        raise BadInput(f"{_TOKEN} must have printable ASCII characters only", field=_TOKEN)
    with progress() as bars:
        for done, one in enumerate(bars.track(found, description="webhook")):
            body = msgspec.json.encode(
                {"type": "answer.recalled", "tag": tag, "since": since, **msgspec.to_builtins(one)}
            )
            key = blake2b(f"{tag} {since} {before} {one.answer_id}".encode(), digest_size=16).hexdigest()
            try:
                await sink.post(body, key=key, token=token)
            except OSError as error:
                raise BadInput(
                    f"{_WEBHOOK}: it took {done} of {len(found)} answers, and then failed ({_why(error)}); "
                    "run the command again, which sends them again with the same idempotency-key",
                    field=_WEBHOOK,
                ) from error
    return found


def _why(error: OSError) -> str:
    """Why a webhook failed, without its address."""
    return f"status {error.code}" if isinstance(error, HTTPError) else type(error).__name__


async def _changes(application: App, tag: str) -> list[Raised]:
    """The last changes of a tag, or of anything in a family, that the event log has, oldest first."""
    await application.drain()
    found: list[Raised] = []
    after, raising = Stamp(0, 0), set(named(tag))
    while page := await application.ops.raised_since(after, limit=_PAGE):
        found += [raised for raised in page if raising.intersection(raised.tags)]
        after = page[-1].stamp
    return found[-_SHOWN:]


def _list_changes(tag: str, changes: list[Raised], *, as_json: bool) -> None:
    if as_json:
        print_json([{"sequence": raised.stamp.sequence, "at": raised.at} for raised in changes])
        return
    if not changes:
        typer.echo(f"the event log has no change of {tag}", err=True)
        return
    table = Table("SEQ", "changed at")
    for raised in changes:
        table.add_row(str(raised.stamp.sequence), moment(raised.at))
    print_table(table)
    typer.echo("give the SEQ of the change that brought the wrong value as --since", err=True)
