"""The provider box, which also answers requests that do not stream."""

import json
import threading

from parbake_llm.testing import ProviderBox
from parbake_llm.testing.server import BoxHandler


class _BothHandler(BoxHandler):
    """Answers a plain request of OpenAI's protocol with one document."""

    def received(self):
        """Let the box see a request that streams, and remember whether it does."""
        raw, headers = super().received()
        body = json.loads(raw)
        self._is_plain = not body.get("stream")
        return json.dumps(body | {"stream": True}).encode(), headers

    def _stream(self, dialect, request, reply):
        if not self._is_plain:
            super()._stream(dialect, request, reply)
            return
        choice = {"index": 0, "message": {"role": "assistant", "content": reply.text}, "finish_reason": "stop"}
        if reply.calls:
            calls = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
                for c in reply.calls
            ]
            choice |= {"message": choice["message"] | {"tool_calls": calls}, "finish_reason": "tool_calls"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        head = {"id": "chatcmpl-box", "object": "chat.completion", "created": 0, "model": "box", "usage": usage}
        self.send(200, json.dumps(head | {"choices": [choice]}).encode(), {})


class BothBox(ProviderBox):
    """The box."""

    handler = _BothHandler

    def answers(self, during=None):
        """Number the answers from now on. ``during`` is called while each is made."""

        def numbered(request):
            del request
            if during is not None:
                during()
            return f"answer {len(self.requests)}"

        self.reply(numbered)

    def hold_first(self):
        """Hold the next answer back; returns an event that its making has begun, and one that lets it go on."""
        began, may_end, slow = threading.Event(), threading.Event(), [True]

        def during():
            if slow:
                slow.pop()
                began.set()
                assert may_end.wait(60)

        self.answers(during)
        return began, may_end
