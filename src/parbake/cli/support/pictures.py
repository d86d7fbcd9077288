"""Pictures as SVG or PNG; matplotlib is imported only to draw one."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parbake.errors import BadInput, MissingDependency

BLUE, ORANGE, BLACK = "#0072B2", "#D55E00", "#000000"
_SUFFIXES = (".svg", ".png")
_SIZE = (7.2, 4.4)
_STYLE: Any = {"svg.fonttype": "none", "font.size": 9, "axes.grid": True}

_OF_PAGE = {BLACK: "currentColor", "#ffffff": "var(--paper)", "#b0b0b0": "var(--line)"}
"""Colours of letters, of the ground and of the grid, and what they become within a page."""


def must_be_picture(path: Path) -> None:
    """Raise :class:`BadInput` for another suffix or a missing folder, :class:`MissingDependency` without matplotlib."""
    if path.suffix.lower() not in _SUFFIXES:
        raise BadInput(f"--picture {path} must end with .svg or .png", field="picture")
    if not path.parent.is_dir():
        raise BadInput(f"--picture {path}: the folder {path.parent} does not exist", field="picture")
    must_draw()


def must_draw() -> None:
    """Raise :class:`MissingDependency` without matplotlib."""
    try:
        import matplotlib  # noqa: ICN001, F401 - only whether it is there
    except ImportError as missing:
        raise MissingDependency.of("drawing", "plots", field="matplotlib") from missing


def save(path: Path, draw: Callable[[Any], None]) -> None:
    """Write a picture: ``draw`` receives the axis of a figure of 7.2 by 4.4 inches. Equal data give an equal SVG."""
    must_be_picture(path)
    _write(path, draw, path.suffix.lower()[1:], _SIZE)


def inline_svg(draw: Callable[[Any], None], *, size: tuple[float, float] = _SIZE) -> str:
    """Draw a picture as an ``svg`` element for a page, in the page's colours, see ``_OF_PAGE``.

    Args:
        draw: As for :func:`save`.
        size: Width and height in inches. Pictures of different sizes may stand in one page.
    """
    content = io.StringIO()
    _write(content, draw, "svg", size)
    element = content.getvalue().partition("<svg")[2]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r' id="[\w.]+_\d+"', "", element)
    for colour, of_page in _OF_PAGE.items():
        element = element.replace(colour, of_page)
    return "<svg" + element


def _write(target: Any, draw: Callable[[Any], None], form: str, size: tuple[float, float]) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    # The salt is part of the names within an SVG.
    with mpl.rc_context(_STYLE | {"svg.hashsalt": "parbake" if size == _SIZE else f"parbake {size}"}):
        figure, axis = plt.subplots(figsize=size, layout="constrained")
        draw(axis)
        figure.savefig(target, format=form, dpi=150, metadata={"Date": None} if form == "svg" else None)
        plt.close(figure)
