"""Write docs/reference from the code: python scripts/reference.py [--check].

With ``--check`` nothing is written, and a file that differs from what the code says ends it with status 1.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import parbake

MOST_WORDS = 5
"""A type with more words than these is shown as a string."""
ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(Path(__file__).parent)]

import reference_texts as texts  # noqa: E402  # found by the line above
from reference_api import described, methods, node_of, prose  # noqa: E402  # (the same)

PLACE = ROOT / "docs/reference"
HEAD = "<!-- Written by scripts/reference.py; `make reference` writes it again. -->\n\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows)]) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", r"\|").strip()


def _public() -> dict[str, str]:
    """The front door's names with the module that defines each."""
    import parbake as pb

    imported: dict[str, str] = {}
    for node in ast.walk(ast.parse((ROOT / "src/parbake/__init__.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            imported.update({alias.asname or alias.name: node.module for alias in node.names})
    return {name: imported[name] for name in pb.__all__}


def api() -> str:
    """The front door, operators, synchronous code, ports and adapters."""
    parts = ["# Python API\n", texts.API, "## The front door\n", "`import parbake as pb`, and then `pb.<name>`.\n"]
    notes = texts.NOTES
    parts += [
        described(module, name, shown=f"pb.{name}", note=notes.get(name, "")) for name, module in _public().items()
    ]
    parts += ["## Beside the front door\n", "Imported from the modules that are named here.\n"]
    parts += [described(module, name, shown=f"{module}.{name}") for module, name in texts.BESIDE]
    for title, module, note in texts.API_PACKAGES:
        parts += [f"## {title}\n", note + "\n"]
        parts += [described(*_home(module, name), shown=name, with_methods=False) for name in _exported(module)]
    for title, module, name, note in texts.API_OBJECTS:
        parts += [f"## {title}\n", note + "\n", _calls(module, name)]
    parts += ["## Ports\n", texts.PORTS]
    parts += [described(module, name, shown=f"{module}.{name}") for module, name in _protocols()]
    parts += ["## Adapters\n", texts.ADAPTERS]
    parts += [described(module, name, shown=f"{module}.{name}", with_methods=False) for module, name in texts.ADAPTED]
    return "\n".join(parts)


def _calls(module: str, name: str) -> str:
    node = node_of(module, name)
    assert isinstance(node, ast.ClassDef)  # noqa: S101 - as texts says
    return "\n".join(f"```py\n{calls}\n```\n\n{prose(text)}\n" for calls, text in methods(node))


def _exported(module: str) -> list[str]:
    tree = ast.parse(_file(module).read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _home(module: str, name: str) -> tuple[str, str]:
    """The module that defines what a package exports, and its name there."""
    for node in ast.walk(ast.parse(_file(module).read_text())):
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            if (alias.asname or alias.name) == name:
                return node.module or module, alias.name  # type: ignore[union-attr]
    return module, name


def _file(module: str) -> Path:
    place = ROOT / "src" / module.replace(".", "/")
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _protocols() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for path in [*sorted((ROOT / "src/parbake/ports").glob("*.py")), ROOT / "src/parbake/stores/steps/item_steps.py"]:
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        classes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
        found += [(module, node.name) for node in classes if any("Protocol" in ast.unparse(b) for b in node.bases)]
    return found


def cli() -> str:
    """Every command with its arguments and options."""
    import typer

    from parbake.cli.main import cli as application

    root: Any = typer.main.get_command(application)
    parts = ["# Command line\n", texts.CLI, _options(root)]
    context = typer.Context(root)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if not hasattr(command, "commands"):
            parts.append(_command(name, command))
            continue
        parts.append(f"## `parbake {name}`\n\n{command.help}\n")
        parts += [_command(f"{name} {sub}", one, "###") for sub, one in sorted(command.commands.items())]
    return "\n".join(parts)


def _command(name: str, command: Any, level: str = "##") -> str:
    words = [
        _word(p) if p.required or "[" in _word(p) else f"[{_word(p)}]"
        for p in command.params
        if p.param_type_name == "argument"
    ]
    text = f"{level} `parbake {name}`\n\n{command.help}\n\n```\nparbake {' '.join([name, *words, '[OPTIONS]'])}\n```\n"
    examples = (command.epilog or "").partition(": ")[2].split("; ")
    shown = "\n".join(f"- `{example}`" for example in examples if example)
    return f"{text}\n{_options(command)}\n{shown}\n"


def _word(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _options(command: Any) -> str:
    rows = []
    for one in command.params:
        if one.name == "help":
            continue
        named = [_word(one)] if one.param_type_name == "argument" else [*one.opts, *one.secondary_opts]
        rows.append((", ".join(f"`{word}`" for word in named), _default(one), one.help or ""))
    return _table(("", "default", ""), rows) if rows else ""


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.is_flag if option.param_type_name == "option" else False:
        return ""
    value = getattr(option.default, "value", option.default)  # an enumeration's own word
    return "" if value in (None, "", ()) or callable(value) else f"`{value}`"


def http() -> str:
    """The routes, from the OpenAPI document; and the errors."""
    import parbake as pb
    from parbake.http import HttpApp
    from parbake.http.openapi import document
    from parbake_llm import Prompts
    from parbake_planner import Ledger, Planner

    app = pb.App(pb.Registry(), plugins=[Ledger("ledger.db"), Planner(), Prompts()])
    made = document(HttpApp(app, token="x" * 16)._router.endpoints)  # noqa: SLF001 - what it serves as its own document
    rows = []
    for path, operations in made["paths"].items():
        for method, one in operations.items():
            who = "operators" if "security" in one else "everybody"
            statuses = ", ".join(code for code in one["responses"] if code != "default")
            rows.append((f"`{method.upper()} {path}`", who, statuses, prose(one["summary"])))
    parts = [
        "# HTTP\n",
        texts.HTTP,
        _table(("route", "who", "status", ""), rows),
        "\n## Arguments, bodies and answers\n",
    ]
    parts += [
        _taken(path, method, one, made)
        for path, operations in made["paths"].items()
        for method, one in operations.items()
    ]
    parts += [f"## Problems\n\n{texts.PROBLEMS}", _table(("status", "`type`", "title", ""), _problems())]
    return "\n".join(part for part in parts if part)


def _taken(path: str, method: str, operation: dict[str, Any], made: dict[str, Any]) -> str:
    rows = [
        (f"`{p['name']}`", p["in"], _kind(p["schema"], made), _shown(p["schema"].get("default")))
        for p in operation["parameters"]
        if p["in"] == "query"
    ]
    rows += _members(operation.get("requestBody", {}), "body", made)
    status = next(iter(operation["responses"]))
    rows += [
        (name, where, kind, "") for name, where, kind, _ in _members(operation["responses"][status], "answer", made)
    ]
    return f"`{method.upper()} {path}`\n\n{_table(('', 'in', 'type', 'default'), rows)}" if rows else ""


def _members(message: dict[str, Any], where: str, made: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """The members of a request's or a response's body, if it has a schema of its own."""
    schemas = [content.get("schema", {}) for content in message.get("content", {}).values()]
    name = schemas[0].get("$ref", "").rpartition("/")[2] if schemas else ""
    schema = made["components"]["schemas"].get(name, {})
    required = schema.get("required", ())
    return [
        (f"`{member}`", where, _kind(kind, made), "required" if member in required else _shown(kind.get("default")))
        for member, kind in schema.get("properties", {}).items()
    ]


def _shown(default: Any) -> str:
    return "" if default in (None, "", {}) else f"`{default}`"


def _kind(schema: dict[str, Any], made: dict[str, Any]) -> str:
    if "$ref" in schema:
        schema = made["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return " or ".join(_kind(one, made) for one in schema["anyOf"])
    words = schema.get("enum", ())
    if len(words) > MOST_WORDS:
        return "string"
    return " or ".join(f"`{word}`" for word in words) or str(schema.get("type", "any"))


def _problems() -> list[tuple[str, ...]]:
    from parbake import errors
    from parbake.http import refusals

    found = {}
    for module in (errors, refusals):
        for name, kind in vars(module).items():
            if isinstance(kind, type) and issubclass(kind, errors.ParbakeError):
                urn = "-".join(re.findall(r"[A-Z][a-z]*", name)).lower()
                found[name] = (
                    str(kind.status),
                    f"`urn:parbake:{urn}`",
                    kind.title,
                    prose(kind.__doc__).partition("\n\n")[0],
                )
    return sorted(found.values())


def settings() -> str:
    """Environment variables, App and its groups, and the URLs of stores and brokers."""
    found = variables()
    rows = [
        (f"`{name}`", ", ".join(f"`{place}`" for place in sorted(found[name])), texts.VARIABLES[name])
        for name in sorted(found)
    ]
    parts = ["# Settings\n", texts.SETTINGS, "## Environment variables\n", _table(("variable", "read in", ""), rows)]
    demo = ((f"`{name}`", texts.DEMO[name]) for name in _demo_variables())
    parts += ["\nThe demo, `make demo`, reads these besides:\n", _table(("variable", ""), demo)]
    parts.append("\n## `pb.App`\n")
    parts += [described("parbake.app.application", "App", shown="pb.App", with_methods=False).split("\n", 2)[2]]
    parts += ["\n## Plugins\n", texts.PLUGINS]
    parts += [described(module, name, shown=name, with_methods=False) for module, name in texts.PLUGGED]
    for module, name in texts.GROUPS:
        parts.append(described(module, name, shown=_imported(module, name), with_methods=False, level=2))
    parts.append("## URLs\n")
    for module in texts.URLS:
        told = prose(ast.get_docstring(ast.parse(_file(module).read_text())))
        parts.append(f"### `{module}`\n\n{told}\n")
    return "\n".join(parts)


def _imported(module: str, name: str) -> str:
    """A name as users import it: from the front door if it stands there."""
    return f"pb.{name}" if name in parbake.__all__ else f"{module}.{name}"


def variables() -> dict[str, set[str]]:
    """The environment variables that the code names, with the files that do."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        if "testing" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(texts.VARIABLE, node.value)
            ):
                found.setdefault(node.value, set()).add(str(path.relative_to(ROOT / "src")))
    return found


DEMO_MODULES = ("settings", "vouching")
KNOWN_BEFORE = {
    "PARBAKE_TOKEN",
    "PARBAKE_TOKEN_FILE",
    "PARBAKE_SESSION_SECRET",
    "PARBAKE_SESSION_SECRET_FILE",
}
"""Variables of the core that the demo's modules name."""


def _demo_variables() -> list[str]:
    """The environment variables of the demo, in the order of its settings."""
    trees = (ast.parse((ROOT / f"assistant/src/retail_assistant/{name}.py").read_text()) for name in DEMO_MODULES)
    nodes = (node for tree in trees for node in ast.walk(tree))
    texts_of = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return sorted({text for text in texts_of if re.fullmatch(r"[A-Z][A-Z_]{2,}", text)} - KNOWN_BEFORE)


def metrics() -> str:
    """What ``GET /metrics`` shows."""
    from parbake.adapters.prometheus import MEASURED, _Collector
    from parbake.process.counters import Counters
    from parbake_console.monitoring.gauges import gauges
    from parbake_planner.spent import Spending

    counters = Counters()
    counters.workers = 0
    counters.measured = dict.fromkeys(MEASURED, lambda: 0.0)
    own = _Collector(counters, ()).collect()
    labels = [(f"`{name}`", meaning) for name, meaning in texts.LABELS.items()]
    return "\n".join(
        [
            "# Metrics\n",
            texts.METRICS,
            _metric_table(own),
            "\n## Metrics of the plugins\n",
            texts.PLUGIN_METRICS,
            _metric_table([*gauges((), (), {}), *Spending().metrics()]),
            "\n## Labels\n",
            _table(("label", ""), labels),
        ]
    )


def _metric_table(families: Iterable[Any]) -> str:
    rows = []
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in family._labelnames)  # noqa: SLF001 - the client offers no other way
        rows.append((f"`{name}`", family.type, labels, f"{family.documentation} {texts.METRIC_NOTES.get(name, '')}"))
    return _table(("metric", "type", "labels", ""), rows)


def causes() -> str:
    """Why a value is not served, or not as fresh."""
    from parbake.protocol.cause import OVERDUE, UNTRUSTED, Cause, Reason

    rows = []
    for cause in Cause:
        kind = "only old" if cause in OVERDUE else "in doubt" if cause in UNTRUSTED else ""
        rows.append((f"`{cause.value}`", str(Reason(cause, "…")), kind, texts.CAUSES[cause.value]))
    return "\n".join(["# Causes\n", texts.CAUSE, _table(("cause", "sentence", "", "what it means"), rows)])


def alerts() -> str:
    """What owners are told, and what they can do."""
    from parbake.ports.alerts import KINDS, Alert

    rows = [
        (f"`{name}`", kind.when, kind.sender, f"`{kind.ends}`" if kind.ends else "", kind.action)
        for name, kind in KINDS.items()
    ]
    fields = [(f"`{field}`", texts.ALERT_FIELDS[field]) for field in Alert.__struct_fields__]
    return "\n".join(
        [
            "# Alerts\n",
            texts.ALERTS,
            _table(("kind", "when", "sent by", "ends", "what to do"), rows),
            "\n## Payload\n",
            texts.ALERT_PAYLOAD,
            _table(("field", ""), fields),
            "\n## Kinds of the plugins\n",
            _table(("kind", "when", "sent by", "ends", "what to do"), texts.PLUGIN_ALERTS),
        ]
    )


PAGES: dict[str, Callable[[], str]] = {
    "api": api, "cli": cli, "http": http, "settings": settings, "metrics": metrics, "causes": causes,
    "alerts": alerts,
}  # fmt: skip


def main() -> None:
    """Write the pages, or compare them."""
    wrong = []
    for name, make in PAGES.items():
        path, text = PLACE / f"{name}.md", HEAD + re.sub(r"\n{3,}", "\n\n", make()).rstrip() + "\n"
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            wrong.append(str(path.relative_to(ROOT)))
    if wrong:
        sys.exit(f"{', '.join(wrong)}: the code says something else by now; run: make reference")


if __name__ == "__main__":
    main()
