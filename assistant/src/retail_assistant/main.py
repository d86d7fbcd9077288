"""``retail-assistant``: the demo, the server, the worker, and a team's own shop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import parbake as pb
from parbake.http import ServerProcesses, address_of, listen, run_http, server_command
from retail_assistant.settings import Settings, from_environment
from retail_assistant.shop import trade
from retail_assistant.shop.trade import Trade
from retail_assistant.supervisor import Supervisor
from retail_assistant.vouching import OF_SERVER, operators_key

READY_LOOK_S = 0.1
SERVED, WORKED = "retail_assistant.compose:served", "retail_assistant.compose:worked"
DRAIN_S = 10.0
"""Seconds that running requests of several server processes have after the signal to end."""
TEST_SHOPPERS = ("u00001", "u00003", "u00007")
"""Shoppers of a generated shop with an account for trying it out."""
TOURIST = "u00007"
"""The shopper of the tour in the README."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors come in one plain line with exit status 1."""
    options = _parser().parse_args(arguments)
    try:
        settings = from_environment()
        if options.command == "demo":
            run_demo(settings, options.host, options.port, options.allow_host, processes=options.processes)
        elif options.command == "import":
            import_shop(settings, options.folder, trade.checked(vars(options)))
        elif options.command == "account":
            put_account(settings, options.shopper)
        elif options.command == "migrate":
            migrate(settings, apply=options.apply)
        else:
            prepare(settings, only_needed=options.only_needed)
    except pb.ParbakeError as error:
        print(f"retail-assistant: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("retail-assistant: interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    """The commands with their options."""
    parser = argparse.ArgumentParser(
        prog="retail-assistant",
        description="A retail shopping assistant on parbake.",
        epilog="Example: retail-assistant demo --port 8000. Settings come from the environment: RETAIL_HOME, STORE, "
        "LLM, BOOK, ENCODER, RETAIL_SHOPPERS, RETAIL_PRODUCTS, RETAIL_SEED, ALERT_WEBHOOK.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        epilog="Example: retail-assistant demo --port 8080",
        help="make a shop if there is none, and serve the assistant with a worker",
    )
    demo.add_argument("--port", type=int, default=8000, help="port to serve at; 0 takes a free one (8000)")
    demo.add_argument("--host", default="127.0.0.1", help="address to bind (127.0.0.1)")
    demo.add_argument(
        "--allow-host",
        action="append",
        default=[],
        help="a name that browsers reach the demo by, besides the address bound and loopback's; repeat for more",
    )
    demo.add_argument("--processes", type=int, default=1, help="server processes that accept from one socket (1)")
    load = commands.add_parser(
        "import",
        epilog="Example: retail-assistant import --from exports --currency $ --item tool --shop 'garden shop'",
        help="load a team's own shop from CSV, JSON or Parquet files",
    )
    load.add_argument("--from", dest="folder", type=Path, help="the folder; PARBAKE_DATA by default")
    load.add_argument("--currency", default="€", help="the sign before amounts")
    load.add_argument("--item", default="", help="one thing that the shop sells, such as plant (product)")
    load.add_argument("--items", default="", help="several of them, such as plants (the same with an s)")
    load.add_argument("--shop", default="", help="what kind of shop it is, such as 'garden shop' (shop)")
    load.add_argument("--name", default="", help="what the shop is called on its pages (what kind of shop it is)")
    load.add_argument("--contact", default="", help="where people of the shop answer, such as an e-mail address")
    account = commands.add_parser(
        "account",
        epilog="Example: retail-assistant account u00042 < passphrase.txt",
        help="give a shopper a passphrase to sign in with, read from the standard input",
    )
    account.add_argument("shopper", help="the shopper's name")
    migrating = commands.add_parser(
        "migrate",
        epilog="Example: RETAIL_HOME=data retail-assistant migrate --apply",
        help="bring a shop file of the version before to the present one; prints the statements without --apply",
    )
    migrating.add_argument("--apply", action="store_true", help="execute the statements")
    preparing = commands.add_parser(
        "prepare",
        epilog="Example: RETAIL_SHOPPERS=1000000 retail-assistant prepare",
        help="make a shop if there is none, and run every batch task that has never run",
    )
    preparing.add_argument(
        "--only-needed",
        action="store_true",
        help="leave out what a worker can make while the shop is served, as the demo does",
    )
    return parser


def run_demo(settings: Settings, host: str, port: int, hosts: Sequence[str] = (), *, processes: int = 1) -> None:
    """Serve, with a worker process; the port is bound before anything slow starts.

    Args:
        settings: The settings.
        host: The address to bind.
        port: The port; 0 takes a free one.
        hosts: Further names that browsers reach the demo by.
        processes: How many server processes accept from the port.
    """
    from retail_assistant.compose import check, http_app

    if processes < 1:
        raise pb.BadInput(f"--processes {processes}: expected at least 1", field="processes")
    started = time.perf_counter()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if a script starts it behind ``&``
    with listen(host, port) as bound:
        check(settings)
        _prepare_apart(settings)
        tests = add_test_accounts(settings)
        address = address_of(bound)

        def announce() -> None:
            print(f"ready in {time.perf_counter() - started:.1f} s: open {address}", flush=True)
            print("\n".join(_ways_in(settings, address, tests)), flush=True)

        async def announce_later(app: pb.App) -> None:
            while True:
                found = await app.ready()
                if found.is_ready and all(condition.kind != "worker_silent" for condition in found.conditions):
                    break
                await asyncio.sleep(READY_LOOK_S)
            announce()

        command = [sys.executable, "-m", "parbake", "worker", WORKED, "--parent", str(os.getpid())]
        with Supervisor(command, _child_environment(settings)):
            if processes == 1:
                run_http(http_app(settings, beside=[announce_later], hosts=hosts), bound)
            else:
                _serve_many(settings, bound, hosts, processes, announce)


def _serve_many(
    settings: Settings, bound: socket.socket, hosts: Sequence[str], count: int, announce: Callable[[], None]
) -> None:
    """Serve in several processes, and announce it once they answer."""

    def wait() -> None:
        while not _is_ready(bound):
            time.sleep(READY_LOOK_S)
        announce()

    names = [word for name in hosts for word in ("--allow-host", name)]
    os.environ.update(_child_environment(settings))
    server = ServerProcesses(server_command(["serve", SERVED, *names]), bound, (), count=count, drain_s=DRAIN_S)
    server.run(threading.Thread(target=wait, name="readiness", daemon=True).start)
    signal.raise_signal(signal.SIGTERM)  # which says whether the worker was the reason


def _is_ready(bound: socket.socket) -> bool:
    """Whether a server is ready and hears of a worker."""
    try:
        with urllib.request.urlopen(address_of(bound) + "/readyz", timeout=5) as reply:  # noqa: S310  # our own
            return b"worker_silent" not in reply.read()
    except OSError:
        return False


def add_test_accounts(settings: Settings) -> list[str]:
    """Give the first shoppers of a generated shop accounts for trying it out; return their names.

    A shop that was imported, or where somebody else vouches for shoppers, has none.
    """
    from retail_assistant.shop import accounts, queries
    from retail_assistant.shop.schema import connect

    vouching = settings.vouching.kept_in(settings.data)
    with contextlib.closing(connect(settings.data / "shop.db")) as conn:
        if vouching.by != "accounts" or "seed" not in queries.get_meta(conn):
            return []
        for shopper in TEST_SHOPPERS:
            accounts.put_account(conn, shopper, vouching.test_passphrase, now=time.time(), is_test=True)
    return list(TEST_SHOPPERS)


def put_account(settings: Settings, shopper: str) -> None:
    """Give a shopper the passphrase that stands on the standard input."""
    from retail_assistant.shop import accounts, schema

    asks = sys.stdin.isatty()
    passphrase = getpass.getpass(f"Passphrase of {shopper}: ") if asks else sys.stdin.readline().rstrip("\r\n")
    with contextlib.closing(schema.connect(settings.data / "shop.db", make=False)) as conn:
        schema.check(conn)
        accounts.put_account(conn, shopper, passphrase, now=time.time())


def migrate(settings: Settings, *, apply: bool) -> None:
    """Print or execute the statements that bring the shop file to the present version."""
    from retail_assistant.shop import captured, schema

    with contextlib.closing(schema.connect(settings.data / "shop.db", make=False)) as conn:
        statements = captured.migration(conn)
        if apply and statements:
            captured.execute(conn, statements)
    if not statements:
        print("nothing is to be migrated")
    else:
        print("migrated" if apply else ";\n".join(statements) + ";")


def _ways_in(settings: Settings, address: str, tests: Sequence[str]) -> list[str]:
    """How to sign in, and with which key to act for shoppers and change the shop."""
    from retail_assistant.http.identity import Sessions

    vouching, said = settings.vouching.kept_in(settings.data), []
    if tests:
        session = Sessions(vouching).of(TOURIST)
        said = [
            f"sign in as {TOURIST}: {address}/#/sign-in/{session}",
            f"or as {', '.join(tests)} with the passphrase {vouching.test_passphrase}",
        ]
    if (key := operators_key(settings.data)) is not None:
        said.append(f"the key that changes the shop and may act for any shopper: {key}")
    return said


def import_shop(settings: Settings, folder: Path | None, words: Trade) -> None:
    """Import a folder, and print which rows were rejected and which tasks are off."""
    from retail_assistant.importing import load_rows, tau

    source = folder or Path(os.environ.get("PARBAKE_DATA") or "")
    if str(source) in ("", "."):
        raise pb.BadInput("which folder? pass --from, or set PARBAKE_DATA", field="from")
    target = settings.data / "shop.db"
    if tau.is_tau(source):
        try:
            report = load_rows.load(tau.tables_of(source), target, words=words)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            what = f"{source} has the files of tau-bench, but not their shape"
            raise pb.BadInput(f"{what} ({type(error).__name__}: {error})", field="from") from error
    else:
        report = load_rows.load(load_rows.tables_of(source), target, words=words)
    print("\n".join(report.lines()))


def _prepare_apart(settings: Settings) -> None:
    """Prepare in a process of its own: what training needs once, a server would keep for as long as it runs."""
    command = [sys.executable, "-m", "retail_assistant", "prepare", "--only-needed"]
    done = subprocess.run(command, env=_child_environment(settings), check=False)  # noqa: S603  # our own command
    if done.returncode:  # it has said why
        sys.exit(done.returncode)


def prepare(settings: Settings, *, only_needed: bool = False) -> None:
    """Generate the shop at the first start, and compute missing generations; the worker refreshes old ones.

    Args:
        settings: The settings.
        only_needed: Leave :data:`~retail_assistant.compose.MADE_WHILE_SERVED` to the worker.
    """
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)  # it has orders and addresses
    except OSError as error:
        raise pb.BadInput(f"RETAIL_HOME={settings.data}: cannot be a folder ({error})", field="RETAIL_HOME") from error
    shop = settings.data / "shop.db"
    with _bars() as bars:
        if not shop.is_file():
            _generate(settings, shop, bars)
        asyncio.run(_materialize(settings, bars, only_needed=only_needed))


def _generate(settings: Settings, shop: Path, bars: Any) -> None:
    from retail_assistant.world import estimate_size, generate

    sizes: dict[str, Any] = {"products": settings.products, "shoppers": settings.shoppers}
    size = estimate_size(days=90, **sizes)
    print(f"generating a shop of {settings.shoppers:,} shoppers, about {size.bytes / 1e6:.0f} MB in {shop}", flush=True)
    aside = shop.with_suffix(".new")
    generate(aside, seed=settings.seed, now=time.time(), progress=_follow(bars), **sizes)
    aside.rename(shop)


async def _materialize(settings: Settings, bars: Any, *, only_needed: bool) -> None:
    """Compute the missing first generations. With old ones the start is immediate, and the worker refreshes them."""
    from retail_assistant.compose import MADE_WHILE_SERVED, build

    app = build(settings, embedder_threads=2)
    try:
        await app.drain()
        await app.ops.run_due(progress=_follow(bars), only_missing=True, leave=MADE_WHILE_SERVED if only_needed else ())
    finally:
        await app.close()


def _bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


def _follow(bars: Any) -> Any:
    """A progress callback that shows one bar per stage."""
    ids: dict[str, Any] = {}

    def show(name: str, done: int, total: int) -> None:
        if name not in ids:
            ids[name] = bars.add_task(name.replace("_", " "), total=total)
        bars.update(ids[name], completed=done, total=total)

    return show


def _child_environment(settings: Settings) -> dict[str, str]:
    """The environment of the worker: no request reaches it, so it does not get the keys of operators and shoppers."""
    inherited = {name: value for name, value in os.environ.items() if name not in OF_SERVER}
    own = {"RETAIL_HOME": str(settings.data.resolve()), "STORE": settings.store, "LLM": settings.llm}
    return {**inherited, **own}
