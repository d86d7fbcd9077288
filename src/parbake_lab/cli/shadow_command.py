"""``parbake shadow``: how much of an existing cache is stale, before anything is migrated."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from parbake.cli.support.output import console, must_be_writable, on_bars, progress, write
from parbake.errors import BadInput
from parbake.values.redaction import without_credentials
from parbake_lab.cli.options import function, must_be_positive, with_bar
from parbake_lab.shadow import shadow_report as report
from parbake_lab.shadow.caches import DECODERS, Cache
from parbake_lab.shadow.findings import Price, ShadowSummary, summarize
from parbake_lab.shadow.http_cache import HttpCache
from parbake_lab.shadow.logged_requests import DrawnRequests, draw
from parbake_lab.shadow.redis_cache import RedisCache
from parbake_lab.shadow.shadow_run import ShadowLimits, ShadowRun, Style, lines_of
from parbake_lab.shadow.shadow_run import shadow as run_shadow

EPILOG = "Example: parbake shadow redis://127.0.0.1:6379/0 --recompute shop:recompute --pattern 'faq:*' --ttl 3600"
command = typer.Typer(add_completion=False)
STALE, UNKNOWN = 3, 2
"""Exit statuses: ``--fail-over`` was exceeded; with it, nothing could be compared."""
_NOTHING = "nothing could be compared, so nothing is known: are these the keys of the cache (--pattern, --keys, --key)?"
_LOGGED = "{key}"
"""Stands for the key in the log."""
CacheUrl = Annotated[str, typer.Argument(metavar="CACHE", help="redis://host:port/db, or http://host/path/{key}")]


@command.command(epilog=EPILOG)
def shadow(
    cache: CacheUrl,
    *,
    recompute: Annotated[str, typer.Option(help="module:function, called with a key; def or async def")],
    pattern: Annotated[str, typer.Option(help="Redis: which keys, as SCAN's MATCH takes it")] = "*",
    keys: Annotated[Path | None, typer.Option(help="HTTP: a file with one key a line")] = None,
    log: Annotated[Path | None, typer.Option(help="draw requests from a log that parbake plan can read")] = None,
    kind: Annotated[str, typer.Option("--format", help="the kind of the log, as plan takes it")] = "",
    key_pattern: Annotated[str | None, typer.Option(help="access log: what its key is, as plan takes it")] = None,
    key: Annotated[str, typer.Option(help="Redis: the cache's key, made of the log's {key}")] = _LOGGED,
    sample: Annotated[int, typer.Option(help="keys to look at, at most; with --log, requests to draw")] = 500,
    decode: Annotated[str, typer.Option(help="how values are stored: json, text or msgpack")] = "json",
    rate: Annotated[float, typer.Option(help="recomputes per second, at most")] = 50.0,
    parallel: Annotated[int, typer.Option(help="recomputes at once, at most")] = 1,
    timeout: Annotated[float, typer.Option(help="seconds for the whole run, at most")] = 300.0,
    ttl: Annotated[
        float | None, typer.Option(help="Redis: seconds that entries are stored for; gives their age")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="numbers this close are equal, absolute or relative")] = 0.0,
    cost_per_recompute: Annotated[float | None, typer.Option(help="in a currency of yours")] = None,
    stale_cost: Annotated[float | None, typer.Option(help="what one stale answer costs, likewise")] = None,
    fail_over: Annotated[float | None, typer.Option(help="exit 3 if the stale share is surely above, 0 to 1")] = None,
    report_file: Annotated[Path | None, typer.Option("--report", help="write the result as JSON, too")] = None,
    seed: Annotated[int | None, typer.Option(help="draw the same sample again")] = None,
    show_values: Annotated[bool, typer.Option("--show-values", help="print values of keys that differ")] = False,
) -> None:
    """Compare a sample of an existing cache, strictly read-only, with values recomputed now.

    With --log, the sample is of requests, so that a key counts as often as it is asked for.
    """
    must_be_positive(sample=sample, rate=rate, parallel=parallel, timeout=timeout)
    _check_optional(
        tolerance=tolerance, ttl=ttl, cost_per_recompute=cost_per_recompute, stale_cost=stale_cost, fail_over=fail_over
    )
    limits = ShadowLimits(sample=sample, rate=rate, parallel=parallel, timeout_s=timeout)
    style = Style(tolerance=tolerance, keep_bytes=decode == "msgpack", show_values=show_values)
    must_be_writable(report=report_file)
    _check_log(log, report_file, key, format=kind, key_pattern=key_pattern)
    value_of = function(recompute, field="recompute")
    drawing = (
        None if log is None else partial(draw, log, sample, kind=kind, key_pattern=key_pattern, key=key, seed=seed)
    )
    opened = open_cache(cache, pattern=pattern, keys=keys, decode=decode, ttl=ttl, seed=seed, key=key, drawing=drawing)
    try:
        run = with_bar("comparing", lambda show: run_shadow(opened, value_of, limits, style, progress=show))
    finally:
        opened.close()
    summary = summarize(run.findings, Price(cost_per_recompute, stale_cost))
    _show(summary, run, cache, report_file, requests=None if log is None else run.drawn)
    if fail_over is not None and not summary.compared:
        raise typer.Exit(UNKNOWN)
    if fail_over is not None and summary.stale_low > fail_over:
        raise typer.Exit(STALE)


def open_cache(
    url: str, *, pattern: str = "*", keys: Path | None = None, decode: str = "json", ttl: float | None = None,
    seed: int | None = None, key: str = _LOGGED, drawing: Callable[..., DrawnRequests] | None = None,
) -> Cache:  # fmt: skip
    """Create the reader for a cache's address.

    Args:
        url: The address.
        pattern: Redis: the pattern of the keys.
        keys: HTTP: a file with one key per line.
        decode: How values are stored: ``json``, ``text`` or ``msgpack``.
        ttl: Redis: the TTL that entries are stored with, in seconds.
        seed: Seed of the random sample.
        key: Redis: the cache's key for a ``{key}`` of the log.
        drawing: Draws requests from a log, see :func:`draw`; called only if the options fit together.

    Raises:
        BadInput: An option does not fit the address; the error names it.
    """
    if decode not in DECODERS:
        raise BadInput(f"--decode {decode!r} must be one of {', '.join(DECODERS)}", field="decode")
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        raise BadInput(f"CACHE={without_credentials(url)!r} is not an address", field="CACHE") from None
    if scheme in ("redis", "rediss", "unix"):
        if keys is not None:
            raise BadInput("--keys is only for an HTTP cache; for Redis, use --pattern or --log", field="keys")
        if drawing and pattern != "*":
            raise BadInput("--pattern and --log both say what is read; give one of them", field="pattern")
        drawn = _drawn(drawing).keys if drawing else ()
        return RedisCache(url, DECODERS[decode], pattern=pattern, ttl_s=ttl, seed=seed, drawn=drawn)
    if scheme in ("http", "https"):
        if pattern != "*":
            raise BadInput("--pattern is only for Redis; for an HTTP cache, use --keys or --log", field="pattern")
        if key != _LOGGED:
            raise BadInput("--key is only for Redis; the address of an HTTP cache has {key}", field="key")
        if drawing and keys is not None:
            raise BadInput("--keys and --log both say what is read; give one of them", field="keys")
        found = _drawn(drawing) if drawing else DrawnRequests(_read_keys(keys))
        return HttpCache(url, found.keys, DECODERS[decode], seed=seed, are_encoded=found.are_encoded)
    raise BadInput(
        f"CACHE={without_credentials(url)!r} must begin with redis://, rediss://, unix://, http:// or https://",
        field="CACHE",
    )


def _drawn(drawing: Callable[..., DrawnRequests]) -> DrawnRequests:
    with progress() as bars:
        drawn = drawing(progress=partial(on_bars(bars), "reading (bytes)"))
    for note in drawn.notes:
        typer.echo(f"note: {note}", err=True)
    return drawn


def _read_keys(path: Path | None) -> list[str]:
    if path is None:
        raise BadInput("--keys is missing: an HTTP cache cannot list its keys; give --keys or --log", field="keys")
    try:
        found = list(dict.fromkeys(lines_of(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--keys {path}: {error}", field="keys") from error
    if not found:
        raise BadInput(f"--keys {path} contains no key", field="keys")
    return found


def _check_log(log: Path | None, report_file: Path | None, key: str, **options: str | None) -> None:
    for name, value in {**options, "key": key != _LOGGED}.items():
        if log is None and value:
            raise BadInput(f"--{name.replace('_', '-')} is about a log; give the log with --log", field=name)
    if _LOGGED not in key:
        raise BadInput(f"--key {key!r} must contain {{key}}, which stands for the key in the log", field="key")
    if log is not None and report_file is not None and report_file.resolve() == log.resolve():
        raise BadInput(f"--report {report_file} is the log itself; choose another file", field="report")


def _check_optional(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not (value >= 0 and math.isfinite(value)):
            raise BadInput(f"--{name.replace('_', '-')} {value}: must not be negative", field=name)
    share = options.get("fail_over")
    if share is not None and share > 1:
        raise BadInput(f"--fail-over {share} must be a share, 0 to 1", field="fail_over")


def _show(summary: ShadowSummary, run: ShadowRun, url: str, report_file: Path | None, *, requests: int | None) -> None:
    screen = console()
    for table in report.tables(summary, keys=run.keys, requests=requests):
        screen.print(table, markup=False)
    if len(run.findings) < run.keys:
        typer.echo(f"the time was up after {len(run.findings)} of {run.keys} keys (--timeout)", err=True)
    if not summary.compared:
        typer.echo(_NOTHING, err=True)
    if report_file is not None:
        found = report.as_json(summary, cache=without_credentials(url), keys=run.keys, requests=requests)
        write("report", report_file, found)
