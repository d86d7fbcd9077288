"""``parbake costs``: what each task and lane cost, its owner, and what was wasted."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from parbake.cli.support.load_app import AppName, load, once
from parbake.cli.support.output import AsJson, must_be_writable, print_json, print_table, write
from parbake.errors import BadInput, MissingDependency
from parbake.values.duration import seconds
from parbake_planner.books import Ledger, priced
from parbake_planner.ledger.costs import BY, EXAMPLE, Cost, summed
from parbake_planner.ledger.focus_export import as_csv

COLUMNS = "task,lane,owner,plan,calls,rows,CPU s,tokens in/out,cached,serves,USD,wasted,no price for"
EPILOG = "Example: parbake costs shop:app --since 1d --by owner --book costs.json --csv costs.csv"
command = typer.Typer(add_completion=False)


@command.command(epilog=EPILOG)
def costs(
    app: AppName,
    *,
    since: Annotated[str, typer.Option(help="how far back, such as 1h, 1d or 30d")] = "1d",
    by: Annotated[str, typer.Option(help=f"add up by one of {', '.join(BY)}; each task and lane by default")] = "",
    book: Annotated[Path | None, typer.Option(help="a dated cost book, as JSON")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="write the rows to this file")] = None,
    parquet: Annotated[Path | None, typer.Option(help="write the rows to this file")] = None,
    focus: Annotated[
        Path | None, typer.Option(help="write what each hour cost to this file, in the columns of FOCUS 1.2, as CSV")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was spent: measured CPU seconds and tokens, priced by a book."""
    must_be_writable(csv=csv, parquet=parquet, focus=focus)
    application = load(app).app
    ledger = application.plugins.settings(Ledger)
    if ledger is None:
        raise BadInput(
            f"{app} has no ledger, so its costs are not known: App(plugins=[parbake_planner.Ledger(path)])", field="APP"
        )
    priced_by = ledger.book if book is None else priced(book)
    since_s = seconds(since, field="since")

    async def look() -> tuple[list[Cost], list[dict[str, Any]]]:
        books = application.plugins[Ledger]
        hours = await books.charges(priced_by, since_s=since_s) if focus is not None else []
        return await books.costs(priced_by, since_s=since_s), hours

    rows, hours = once(application, look())
    rows = summed(rows, by) if by else rows
    as_parquet = None if parquet is None else _as_parquet(rows)  # check the options before the first file is written
    if csv is not None:
        write("csv", csv, as_csv(map(msgspec.structs.asdict, rows), Cost.__struct_fields__))
    if focus is not None:
        write("focus", focus, as_csv(hours))
    if parquet is not None and as_parquet is not None:
        write("parquet", parquet, as_parquet)
    if as_json:
        print_json(rows)
        return
    if priced_by is EXAMPLE:
        typer.echo(f"prices: {EXAMPLE.source} (${EXAMPLE.cpu_hour} an hour); yours: --book FILE")
    _show(rows)


def _show(rows: list[Cost]) -> None:
    table = Table(*COLUMNS.split(","))
    for row in rows:
        tokens = f"{_sent(row):,}/{row.output:,}" if row.output or _sent(row) else "-"
        counts = (f"{row.calls:,}", f"{row.rows:,}", f"{row.cpu_s:,.2f}", tokens, _cached(row))
        cells = (*counts, f"{row.serves:,}", f"{row.usd:.6f}")
        waste = f"{row.wasted:,} rows" if row.wasted else "-"
        table.add_row(row.task, row.lane, row.owner, row.plan or "-", *cells, waste, row.unpriced or "-")
    total = sum(row.usd for row in rows)
    print_table(table)
    wasted = sum(row.wasted_usd for row in rows)
    typer.echo(f"in all: ${total:.6f}, of which ${wasted:.6f} for values that nobody requested")
    if saved := sum(row.saved for row in rows):
        usd = sum(row.saved_usd for row in rows)
        typer.echo(f"saved: ${usd:.6f} by {saved:,} answers of generators that were given again")


def _sent(row: Cost) -> int:
    return row.input + row.cached + row.written + row.written_hour


def _cached(row: Cost) -> str:
    """The share of the input tokens that came from a provider's cache."""
    return f"{row.cached / _sent(row):.0%}" if row.cached else "-"


def _as_parquet(rows: list[Cost]) -> bytes:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as missing:
        raise MissingDependency.of("writing Parquet", "plan", field="pyarrow") from missing
    target: Any = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([msgspec.structs.asdict(row) for row in rows]), target)
    found: bytes = target.getvalue()
    if not rows:
        raise BadInput(
            "there are no rows in this time, so there is nothing to write; choose a longer --since", field="since"
        )
    return found
