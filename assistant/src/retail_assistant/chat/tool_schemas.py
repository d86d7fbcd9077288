"""The tools as a model reads them: their names, what each is for, and JSON schemas without what a model has no use for.

Every request carries them. What they leave out, such as lengths and defaults, is checked when a call arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from parbake_llm.ports.prompts import Tool
from retail_assistant.chat.tools import TOOLS, Arguments

_UNUSED = frozenset({"default", "maxLength", "minLength", "maxItems", "minItems", "minimum", "maximum", "title"})


@cache
def model_tools() -> tuple[Tool, ...]:
    """Return the tools as a prompt has them."""
    return tuple(Tool(name, described(arguments), schema(arguments)) for name, arguments in TOOLS.items())


def tool_schemas() -> list[dict[str, Any]]:
    """Return the tools in the form in which chat completion APIs take them: name, description, JSON schema."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in model_tools()
    ]


def described(arguments: type[Arguments]) -> str:
    """A tool's description."""
    return " ".join((arguments.__doc__ or "").replace("`", "").split())


def schema(arguments: type[Arguments]) -> dict[str, Any]:
    """The lean JSON schema of a tool's arguments; the types that it refers to stand in their places."""
    (root,), components = msgspec.json.schema_components([arguments], ref_template="{name}")
    own = {**components[root["$ref"]]}
    del own["description"]  # the tool has it
    return dict(_lean(own, components))


def _lean(part: Any, components: Mapping[str, Any]) -> Any:
    """A part of a schema without what is unused; of "this or null" only this, since what is left out is null."""
    if isinstance(part, list):
        return [_lean(one, components) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _lean(components[part["$ref"]], components)
    if "anyOf" in part:
        (stated,) = (one for one in part["anyOf"] if one != {"type": "null"})
        return _lean({**stated, **{name: value for name, value in part.items() if name != "anyOf"}}, components)
    return {
        name: {one: _lean(value, components) for one, value in said.items()}
        if name == "properties"
        else _lean(said, components)
        for name, said in part.items()
        if name not in _UNUSED and said != []
    }
