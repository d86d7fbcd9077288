"""Commands that other packages add, by entry points of the group ``parbake.commands``."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import typer
from typer.core import TyperGroup

from parbake.errors import DeclarationError

GROUP = "parbake.commands"
"""An entry point is a :class:`typer.Typer`. With a single command it becomes the command, else a group of them."""


class CommandsWithAdded(TyperGroup):
    """A group of commands that finds further ones when they are named or listed. Our own names win."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names, in alphabetical order."""
        return sorted({*super().list_commands(ctx), *importlib.metadata.entry_points(group=GROUP).names})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by name; ``None`` for an unknown one. Only the named one is imported."""
        ours = super().get_command(ctx, cmd_name)
        return _added(cmd_name) if ours is None else ours


def _added(name: str) -> Any:
    found = [entry for entry in importlib.metadata.entry_points(group=GROUP) if entry.name == name]
    if len(found) > 1:
        claims = ", ".join(sorted(entry.value for entry in found))
        raise DeclarationError(f"several installed packages add a command {name!r}: {claims}; uninstall one")
    if not found:
        return None
    app = found[0].load()
    if not isinstance(app, typer.Typer):
        raise DeclarationError(f"{found[0].value}, which adds the command {name!r}, is not a typer.Typer")
    command = typer.main.get_command(app)
    command.name = name
    return command
