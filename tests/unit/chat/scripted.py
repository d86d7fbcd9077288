"""A model that follows a script, for tests of what is made of its words."""

import json
import re

from parbake.ports.usage import Usage
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import ToolCall

QUESTION = "Tell me something about that, would you?"
"""A question that neither the bank nor a rule answers."""
USAGE = Usage(uncached=10, output=5)


class Model:
    """A model that follows a script: each step is a text, tool calls, an error, or a function of the prompt."""

    name, provider, model, calls_tools = "scripted", "box", "m", True

    def __init__(self, *script):
        self.script, self.prompts = list(script), []

    async def stream(self, prompt, *, max_tokens, timeout_s):
        """Take the next step."""
        self.prompts.append(prompt)
        step = self.script.pop(0) if self.script else ""
        step = step(prompt) if callable(step) else step
        if isinstance(step, Exception):
            yield Delta("I was about to say that")
            raise step
        if isinstance(step, str):
            for piece in re.findall(r"\S+\s*", step):
                yield Delta(piece)
        else:
            for at, (name, arguments) in enumerate(step):
                yield Delta(
                    call=ToolCall(f"c{at}", name, arguments if isinstance(arguments, str) else json.dumps(arguments))
                )
        yield Delta(usage=USAGE)


def price_of(asin):
    """Return the call that looks a price up."""
    return [("product_facts", {"product": {"asin": asin}, "fact": "price"})]
