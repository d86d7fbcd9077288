"""The commands: those that other packages add, by entry points, and an APP that may be left out of each.

The entry points are of the group ``parbake.commands``.
"""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperGroup

from parbake.cli.support.settings_file import APP, project_settings
from parbake.errors import DeclarationError
from parbake.values.schemes import entry_point, entry_points

GROUP = "parbake.commands"
"""An entry point is a :class:`typer.Typer`. With a single command it becomes the command, else a group of them."""
_APP_NAME = re.compile(r"[\w.]+:[\w.]+")


class CommandsWithAdded(TyperGroup):
    """A group of commands that finds further ones when they are named or listed. Our own names win."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names, in alphabetical order."""
        return sorted({*super().list_commands(ctx), *entry_points(GROUP).names})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by name; ``None`` for an unknown one. Only the named one is imported."""
        ours = super().get_command(ctx, cmd_name)
        return _added(cmd_name) if ours is None else ours

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, and put the project's app in front of the other arguments if no app is among them."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, rest if ctx.resilient_parsing else _with_app(ctx, command, rest)


def _with_app(ctx: Any, command: Any, words: list[str]) -> list[str]:
    """The words behind a command, with the project's app where APP was left out.

    Without any argument the default of APP itself applies. With fewer arguments than the command takes, APP was left
    out if the first one is no ``module:attribute``, or if a required one would lack a value.
    """
    if words and words[0] in (within := getattr(command, "commands", {})):
        return [words[0], *_with_app(ctx, within[words[0]], words[1:])]
    wanted = [one for one in getattr(command, "params", ()) if one.param_type_name == "argument"]
    if len(wanted) < 2 or wanted[0].metavar != APP:  # noqa: PLR2004  # nothing can stand in its place
        return words
    with command.context_class(command, parent=ctx, resilient_parsing=True) as trial:
        found, _, _ = command.make_parser(trial).parse_args(args=list(words))
    given = [one for one in wanted if isinstance(found.get(one.name), str)]
    if not given or len(given) == len(wanted):
        return words
    is_short = any(one.required for one in wanted if one not in given)
    app = project_settings().app if is_short or not _APP_NAME.fullmatch(found[wanted[0].name]) else ""
    return [app, *words] if app else words


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
