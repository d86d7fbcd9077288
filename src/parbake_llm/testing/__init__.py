"""A provider in a box: a local server that speaks the protocols of OpenAI, Anthropic and Bedrock.

It caches prefixes as the providers do, on a clock that the test advances, and fails on demand. It needs only parbake.

::

    with ProviderBox() as box:
        box.reply("You can return it within 30 days.")
        generator = AnthropicGenerator(api_key=box.key, base_url=box.anthropic_url)
        ...
        box.advance(301)          # cached prefixes lapse
        box.requests[-1].usage    # what was read from the cache, and what was written to it

A model whose name is that of a fault (see :class:`ProviderFault`) has it. ``flaky-2`` fails twice, and then works.
"""

from parbake_llm.testing.box import ProviderBox
from parbake_llm.testing.script import BoxRequest, ProviderFault, ScriptedReply

__all__ = ["BoxRequest", "ProviderBox", "ProviderFault", "ScriptedReply"]
