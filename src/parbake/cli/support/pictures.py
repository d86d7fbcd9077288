"""Pictures as SVG or PNG; matplotlib is imported only to draw one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from parbake.errors import BadInput, MissingDependency

BLUE, ORANGE, BLACK = "#0072B2", "#D55E00", "#000000"
_SUFFIXES = (".svg", ".png")
_STYLE: Any = {"svg.hashsalt": "parbake", "svg.fonttype": "none", "font.size": 9, "axes.grid": True}


def must_be_picture(path: Path) -> None:
    """Raise :class:`BadInput` for another suffix or a missing folder, :class:`MissingDependency` without matplotlib."""
    if path.suffix.lower() not in _SUFFIXES:
        raise BadInput(f"--picture {path} must end with .svg or .png", field="picture")
    if not path.parent.is_dir():
        raise BadInput(f"--picture {path}: the folder {path.parent} does not exist", field="picture")
    try:
        import matplotlib  # noqa: ICN001, F401 - only whether it is there
    except ImportError as missing:
        raise MissingDependency.of("drawing", "plots", field="matplotlib") from missing


def save(path: Path, draw: Callable[[Any], None]) -> None:
    """Write a picture: ``draw`` receives the axis of a figure of 7.2 by 4.4 inches. Equal data give an equal SVG."""
    must_be_picture(path)
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    with mpl.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
        draw(axis)
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        plt.close(figure)
