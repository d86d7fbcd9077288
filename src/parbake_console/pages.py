"""Makes the pages: templates, style sheet and script are files of this package, and nothing comes from elsewhere."""

from __future__ import annotations

from importlib import resources
from typing import Any

from parbake.errors import MissingDependency, UnknownResource
from parbake.http import HttpRequest, Response
from parbake_console.wording import clock_time, count, share, span, usd

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""A page runs the script of this package and no other, speaks to its own server, and is shown in no frame."""
HTML = "text/html"
ROOT = "/console"
_TITLES = {
    "freshness": "Freshness", "economics": "Economics", "answers": "Answers", "bank": "Bank and cache",
    "events": "Events", "tasks": "Tasks", "triggers": "Triggers",
}  # fmt: skip
"""The pages by the last part of their path, in the order of the menu."""
_HERE = resources.files("parbake_console")
_TYPES = {"css": "text/css", "js": "text/javascript"}
_STATIC = {each.name: each for each in _HERE.joinpath("static").iterdir() if each.name.rpartition(".")[2] in _TYPES}
"""What is served, by name. A name that is not among these is never looked up in the file system."""


class Pages:
    """Fills templates."""

    def __init__(self) -> None:
        """Load the templates.

        Raises:
            MissingDependency: Jinja is not installed.
        """
        try:
            import jinja2
        except ImportError as missing:
            raise MissingDependency.of("the console", "console", field="plugins") from missing
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("parbake_console"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"amount": count, "moment": clock_time, "share": share, "span": span, "usd": usd}

    def page(self, request: HttpRequest, name: str, *, status: int = 200, **what: Any) -> Response:
        """Fill the template of a page.

        Args:
            request: The request, which may come through another application that has mounted the server.
            name: The page, such as ``freshness``.
            status: The status of the answer.
            what: What the template shows.
        """
        template = self._templates.get_template(f"{name}.html")
        text = template.render(root=request.root + ROOT, api=request.root, name=name, titles=_TITLES, **what)
        headers = (("content-security-policy", _POLICY),)
        return Response(text.encode(), status, f"{HTML}; charset=utf-8", headers=headers)


def moved(request: HttpRequest, to: str) -> Response:
    """Send a browser to another page of the console.

    Args:
        request: The request.
        to: The path below ``/console``.
    """
    return Response(b"", 303, "text/plain", headers=(("location", request.root + ROOT + to),))


async def static(request: HttpRequest) -> Response:
    """The style sheet or the script of the console."""
    name = request.parameters["name"]
    if name not in _STATIC:
        raise UnknownResource(f"the console has no file {name[:40]!r}", field="name")
    kind = _TYPES[name.rpartition(".")[2]]
    return Response(
        _STATIC[name].read_bytes(), content_type=f"{kind}; charset=utf-8", headers=(("cache-control", "no-cache"),)
    )
