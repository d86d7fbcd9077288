"""``parbake proxy``: a provider of models behind a cache that its clients share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parbake.app.application import App
from parbake.cli.support import ending
from parbake.errors import BadInput, MissingDependency
from parbake.http.asgi import HttpApp
from parbake.http.server import DRAIN_S, address_of, check_installed, listen, run
from parbake.tasks.registry import Registry
from parbake.values.redaction import without_credentials

if TYPE_CHECKING:
    from parbake_planner.books import Ledger
    from parbake_planner.ledger.costs import CostBook
    from parbake_semantic.embedder import Embedder

EPILOG = (
    "Example: parbake proxy --upstream https://provider.example/v1 --family policy --store lmdb:///var/lib/answers; "
    "then give clients base_url=http://127.0.0.1:8100/v1"
)
command = typer.Typer(add_completion=False)


@command.command(epilog=EPILOG)
def proxy(
    *,
    upstream: Annotated[str, typer.Option(help="the provider's address, with or without /v1")],
    store: Annotated[
        str, typer.Option(envvar="PARBAKE_STORE", help="where answers are kept, such as lmdb:///path")
    ] = "memory://",
    family: Annotated[list[str] | None, typer.Option(help="a family of tags that changes are told of; repeat")] = None,
    freshness_sla: Annotated[str, typer.Option(help="how old an answer may be")] = "1h",
    embedder: Annotated[str, typer.Option(help="minilm, or none: then only repeated texts are answered")] = "minilm",
    error: Annotated[float, typer.Option(help="share of requests that may get a wrong answer")] = 0.01,
    cosine: Annotated[float | None, typer.Option(help="serve from this cosine on, instead of learning")] = None,
    share_across: Annotated[
        list[str] | None, typer.Option(help="user, metadata, ...: answer all users alike who differ in it; repeat")
    ] = None,
    prices: Annotated[Path | None, typer.Option(help="a price book, for dollars: see docs/howto/proxy.md")] = None,
    ledger: Annotated[
        str | None, typer.Option(help="an SQLite file or postgresql:// that records what was spent and saved")
    ] = None,
    host: Annotated[str, typer.Option(help="address to bind")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port; 0 takes a free one")] = 8100,
    allow_host: Annotated[list[str] | None, typer.Option(help="a name that clients reach it by; repeat")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="serve other machines without an operator token")
    ] = False,
) -> None:
    """Answer repeated questions of a provider's clients, and pass everything else on as it came.

    PARBAKE_PROXY_BYPASS=1 passes everything on. Clients send their own keys, which go to the provider and are not kept.
    """
    check_installed()
    try:  # the command is listed without its packages
        from parbake_proxy.proxy_plugin import Proxy
    except ModuleNotFoundError as missing:
        raise MissingDependency.of("the proxy", "proxy", field=str(missing.name)) from missing
    made = Proxy(
        upstream,
        embedder=_embedder(embedder),
        freshness_sla=freshness_sla,
        error=error,
        cosine=cosine,
        prices=prices,
        shared_across=share_across or [],
    )
    app = App(Registry(), store=store, open=family or [], plugins=[*_ledger(ledger, made.prices), made], worker="none")

    with ending.handling_signals():
        bound = listen(host, port)
        cache, housekeeping = app.plugins[Proxy].cache, app.engine.housekeeping
        application = HttpApp(app, warm=[cache.warm], beside=[housekeeping.run])  # there is no worker that sweeps
        application.admission.allow(allow_host or [])
        address = address_of(bound)

        def announce() -> None:
            typer.echo(f"serving at {address}/v1, in front of {without_credentials(upstream)}", err=True)

        run(application, bound, started=announce, insecure=insecure, drain_s=DRAIN_S)


def _ledger(address: str | None, prices: CostBook | None) -> list[Ledger]:
    from parbake_planner.books import Ledger

    return [] if address is None else [Ledger(address, book=prices)]


def _embedder(name: str) -> Embedder | None:
    if name == "none":
        return None
    if name != "minilm":
        raise BadInput(f"--embedder {name[:40]!r} is neither minilm nor none", field="embedder")
    from parbake_semantic.embedders.minilm import MiniLm  # loads the model's libraries

    return MiniLm()
