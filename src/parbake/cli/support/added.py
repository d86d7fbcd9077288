"""Commands that other packages add, by entry points of the group ``parbake.commands``."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from parbake.errors import DeclarationError
from parbake.values.schemes import entry_point, entry_points

GROUP = "parbake.commands"
"""An entry point is a :class:`typer.Typer`. With a single command it becomes the command, else a group of them."""


class CommandsWithAdded(TyperGroup):
    """A group of commands that finds further ones when they are named or listed. Our own names win."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names, in alphabetical order."""
        return sorted({*super().list_commands(ctx), *entry_points(GROUP).names})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by name; ``None`` for an unknown one. Only the named one is imported."""
        ours = super().get_command(ctx, cmd_name)
        return _added(cmd_name) if ours is None else ours


def _added(name: str) -> Any:
    found = entry_point(GROUP, name)
    if found is None:
        return None
    app = found.load()
    if not isinstance(app, typer.Typer):
        raise DeclarationError(f"{found.value}, which adds the command {name!r}, is not a typer.Typer")
    command = typer.main.get_command(app)
    command.name = name
    return command
