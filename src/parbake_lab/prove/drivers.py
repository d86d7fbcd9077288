"""Connections that drivers open: they are noted or led elsewhere. Drivers written in C raise no event about them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

_DRIVERS = {"sqlite3": (), "psycopg": ("Connection", "AsyncConnection"), "psycopg2": (), "pyodbc": (), "MySQLdb": ()}
"""The drivers, with their classes that have a ``connect`` of their own."""


class Call(NamedTuple):
    """A call of a driver's ``connect``."""

    driver: str
    arguments: tuple[Any, ...]
    named: dict[str, Any]


Heard = Callable[[Call], Call]
"""Called with each call; returns the call that is made instead."""


@contextlib.contextmanager
def connecting(heard: Heard) -> Iterator[None]:
    """Let something hear of each connection that the drivers which are loaded open within."""
    with contextlib.ExitStack() as stack:
        for driver, names in _DRIVERS.items():
            module = sys.modules.get(driver)
            for owner in (module, *(getattr(module, name) for name in names)) if module else ():
                stack.enter_context(_heard(owner, driver, heard))
        yield


@contextlib.contextmanager
def _heard(owner: Any, driver: str, heard: Heard) -> Iterator[None]:
    taken = vars(owner)["connect"]
    is_method = isinstance(taken, classmethod)

    def connect(*given: Any, **named: Any) -> Any:
        own, arguments = (given[:1], given[1:]) if is_method else ((), given)
        call = heard(Call(driver, arguments, named))
        return (taken.__func__ if is_method else taken)(*own, *call.arguments, **call.named)

    owner.connect = classmethod(connect) if is_method else connect
    try:
        yield
    finally:
        owner.connect = taken
