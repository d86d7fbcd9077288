"""A provider of models that answers at once, as a process of its own: python _model_server.py.

It prints its port. An answer names the version that was set when its request arrived, the credential, and the question;
``POST /set`` changes the version, and how long answers are held back.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

_state: dict[str, Any] = {"version": "0", "hold_s": 0.0, "asked": 0}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
            writer.write(_sent(await _answered(first.split()[1], body, headers)))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _answered(path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    if path == "/set":
        _state.update(body)
        return dict(_state)
    _state["asked"] += 1
    question = body["messages"][-1]["content"]
    text = f"{_state['version']}|{headers.get('authorization', '')}|{question}"
    await asyncio.sleep(_state["hold_s"]) if _state["hold_s"] else None
    usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"]}
    return head | {"choices": [choice], "usage": usage}


def _sent(document: dict[str, Any]) -> bytes:
    raw = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(raw), raw)


async def main() -> None:
    """Serve until ended."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
