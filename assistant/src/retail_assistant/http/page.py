"""The chat page: one HTML file of this package, no scripts from elsewhere."""

from __future__ import annotations

from importlib import resources

import parbake as pb

HTML = "text/html; charset=utf-8"
POLICY = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


async def page(_: pb.HttpRequest) -> pb.Response:
    """Chat, product cards, what the answer was made of, and a panel to change the shop."""
    text = resources.files("retail_assistant.http").joinpath("page.html").read_bytes()
    return pb.Response(text, content_type=HTML, headers=(("content-security-policy", POLICY),))
