"""The shop's page: the files of this package, no scripts from elsewhere."""

from __future__ import annotations

from html import escape
from importlib import resources
from string import Template

from msgspec.structs import asdict

import parbake as pb
from parbake.http import HttpRequest, Response, Route
from retail_assistant.shop.trade import Trade

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The page runs its own scripts and no others, speaks to its own server, and is shown in no frame."""
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_HERE = resources.files("retail_assistant.http")
_STATIC = {each.name: each for each in _HERE.joinpath("static").iterdir() if each.name.endswith((".css", ".js"))}
"""What is served, by name. A name that is not among these is never looked up in the file system."""


def _response(name: str, text: bytes) -> Response:
    headers = (("content-security-policy", POLICY), ("cache-control", "no-cache"))
    return Response(text, content_type=f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8", headers=headers)


def _filled(trade: Trade) -> bytes:
    """The page with the shop's own words in it; its scripts read them there."""
    reached = f"Questions? Our team answers at {trade.contact}." if trade.contact else ""
    words = asdict(trade) | {"name": trade.called, "an_item": trade.an_item, "reached": reached}
    page = Template(_HERE.joinpath("page.html").read_text("utf-8"))
    return page.substitute({name: escape(word) for name, word in words.items()}).encode()


async def static(request: HttpRequest) -> Response:
    """A module of the page's script, or one of its style sheets."""
    name = request.parameters["name"]
    if name not in _STATIC:
        raise pb.errors.UnknownResource(f"the page has no file {name[:40]!r}", field="name")
    return _response(name, _STATIC[name].read_bytes())


def page_routes(trade: Trade) -> list[Route]:
    """Return the routes of the page, with the words of the shop."""
    filled = _filled(trade)

    async def page(_: HttpRequest) -> Response:
        """A small shop with the assistant beside it, what each answer was made of, and a panel to change the shop."""
        return _response("page.html", filled)

    return [
        Route("GET", "/", page, produces=("text/html",)),
        Route("GET", "/static/{name}", static, produces=("text/css", "text/javascript")),
    ]
