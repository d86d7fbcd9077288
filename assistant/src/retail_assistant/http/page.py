"""The chat page: three files of this package, no scripts from elsewhere."""

from __future__ import annotations

from importlib import resources

from parbake.http import HttpRequest, Response, Route

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The page runs its own script and no other, speaks to its own server, and is shown in no frame."""
_TYPES = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}


def _file(name: str) -> Response:
    text = resources.files("retail_assistant.http").joinpath(name).read_bytes()
    headers = (("content-security-policy", POLICY), ("cache-control", "no-cache"))
    return Response(text, content_type=f"{_TYPES[name]}; charset=utf-8", headers=headers)


async def page(_: HttpRequest) -> Response:
    """Chat, product cards, what the answer was made of, and a panel to change the shop."""
    return _file("page.html")


async def style(_: HttpRequest) -> Response:
    """How the page looks."""
    return _file("page.css")


async def script(_: HttpRequest) -> Response:
    """What the page does."""
    return _file("page.js")


ROUTES = [
    Route("GET", "/", page, produces=("text/html",)),
    Route("GET", "/page.css", style, produces=("text/css",)),
    Route("GET", "/page.js", script, produces=("text/javascript",)),
]
