"""Reads names of the code as Markdown: signatures as they are written, docstrings with their sections as lists."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from pathlib import Path
from typing import Any, cast

SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields):$")
ROLE = re.compile(r":(?:class|meth|attr|mod|data|func|exc):`([^`]+)`")
SKIPPED_BASES = {"object", "Protocol", "ABC"}


@functools.cache
def tree_of(path: str) -> ast.Module:
    """The syntax tree of a module's file."""
    return ast.parse(Path(path).read_text())


def node_of(module: str, name: str) -> ast.AST | None:
    """Where a module defines a name, or ``None``."""
    path = importlib.import_module(module).__file__
    found = None
    for node in tree_of(path or "").body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            found = node  # the last one, after its overloads
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = node if any(isinstance(t, ast.Name) and t.id == name for t in targets) else found
    return found


def prose(docstring: str | None) -> str:
    """A docstring as Markdown."""
    lines, section = [], ""
    for line in inspect.cleandoc(docstring or "").splitlines():
        if heading := SECTION.match(line):
            section = heading[1]
            lines += [f"{'Arguments' if section == 'Args' else section}:", ""]
        elif section and re.match(r"^    \S", line):
            name, colon, rest = line.strip().partition(":")
            is_named = colon and re.fullmatch(r"[\w.*]+", name)
            lines.append(f"- `{name}`:{rest}" if is_named else f"- {line.strip()}")
        elif line.startswith("        ") and section:
            lines.append(f"  {line.strip()}")
        else:
            section = section if not line else ""
            lines.append(line)
    text = ROLE.sub(lambda found: f"`{found[1].lstrip('~.')}`", "\n".join(lines))
    text = re.sub(r"::\n", ":\n", text)
    return _sample(re.sub(r"``([^`]+)``", r"`\1`", text))


def _sample(text: str) -> str:
    """Fence what is indented: code in a docstring."""

    def fenced(found: re.Match[str]) -> str:
        code = inspect.cleandoc(found[0]).strip("\n")
        return f"```text\n{code}\n```\n" if code else found[0]

    return re.sub(r"(?:^    .*\n?|^\n(?=    ))+", fenced, text, flags=re.MULTILINE)


def _arguments(arguments: ast.arguments, *, is_bound: bool) -> str:
    copied = ast.parse(f"def f({ast.unparse(arguments)}): ...").body[0].args  # type: ignore[attr-defined]
    if is_bound and (copied.posonlyargs or copied.args):
        (copied.posonlyargs or copied.args).pop(0)
    written = ast.unparse(copied)
    return written.removeprefix("/, ").removeprefix("/")


def signature(node: ast.AST, name: str, *, is_bound: bool = False) -> str:
    """How a function is called, as it is written."""
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)  # noqa: S101 - whoever calls this looked
    marks = {_decorator(d) for d in node.decorator_list}
    prefix = ""
    if isinstance(node, ast.AsyncFunctionDef):
        prefix = "async with " if "asynccontextmanager" in marks else "async for ... in " if _yields(node) else "await "
    elif "contextmanager" in marks:
        prefix = "with "
    if marks & {"property", "cached_property"}:
        return f"{name}: {ast.unparse(node.returns)}" if node.returns else name
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    return f"{prefix}{name}({_arguments(node.args, is_bound=is_bound and 'staticmethod' not in marks)}){returns}"


def _decorator(node: ast.AST) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _yields(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Yield) for one in ast.walk(node))


def fields(node: ast.ClassDef) -> list[str]:
    """The fields of a class that is made from them, as they are written."""
    found = []
    for one in node.body:
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and not one.target.id.startswith("_"):
            if one.value is not None and "init=False" in ast.unparse(one.value):
                continue
            found.append(ast.unparse(one))
    return found


def _overloads(node: ast.ClassDef, name: str) -> list[ast.AST]:
    own = [m for m in node.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef) and m.name == name]
    marked = [m for m in own if any(_decorator(d) == "overload" for d in m.decorator_list)]
    return list(marked or own[-1:])


def call_of(node: ast.ClassDef, name: str) -> str:
    """How an object of a class is made; empty where users make none."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return signature(method, name, is_bound=True)
    bases = {ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases}
    if bases & {"Protocol", "StrEnum", "Enum", "ABC", "Task", "Stored"} or any("Error" in base for base in bases):
        return ""  # a protocol, an enumeration, an error, or what a decorator makes
    return f"{name}({', '.join(fields(node))})"


def methods(node: ast.ClassDef) -> list[tuple[str, str]]:
    """The public methods and properties of a class: how each is called, and what it says."""
    found: list[tuple[str, str]] = []
    for one in node.body:
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) or one.name.startswith("_"):
            continue
        if any(_decorator(d) == "overload" for d in one.decorator_list):
            continue
        calls = "\n".join(signature(m, one.name, is_bound=True) for m in _overloads(node, one.name))
        found.append((calls, ast.get_docstring(one) or ""))
    return found


def constructor_note(node: ast.ClassDef) -> str:
    """What a constructor says of its arguments; empty where it says nothing of them."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            text = ast.get_docstring(method) or ""
            return text if "``" in text or "Args:" in text else ""
    return ""


def members(node: ast.ClassDef) -> list[str]:
    """The values of an enumeration."""
    if not any(ast.unparse(base) in ("StrEnum", "Enum") for base in node.bases):
        return []
    return [ast.unparse(one) for one in node.body if isinstance(one, ast.Assign)]


def described(
    module: str, name: str, *, shown: str = "", with_methods: bool = True, level: int = 3, note: str = ""
) -> str:
    """One name as Markdown: heading, signature, docstring, and the methods of a class."""
    shown, node = shown or name, node_of(module, name)
    if node is None:
        value: Any = getattr(importlib.import_module(module), name)
        return f"{'#' * level} `{shown}`\n\n{prose(inspect.getdoc(value))}\n"
    if isinstance(node, ast.ClassDef):
        made = getattr(importlib.import_module(module), name)
        return _class(_constructed(node, made), shown, with_methods=with_methods, level=level)
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return f"{'#' * level} `{shown}`\n\n```py\n{ast.unparse(node)}\n```\n\n{note}\n"
    written = signature(node, shown)
    return f"{'#' * level} `{shown}`\n\n```py\n{written}\n```\n\n{prose(ast.get_docstring(node))}\n"  # type: ignore[arg-type]


def _constructed(node: ast.ClassDef, made: type) -> ast.ClassDef:
    """The class with the constructor that it has from a base whose module users do not name."""
    owner = next(one for one in made.__mro__ if "__init__" in vars(one))
    if owner is not made and "._" in owner.__module__:
        base = cast("ast.ClassDef", node_of(owner.__module__, owner.__name__))
        found = [one for one in base.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
        node = ast.ClassDef(node.name, node.bases, node.keywords, [*node.body, *found], node.decorator_list)
    return node


def _class(node: ast.ClassDef, shown: str, *, with_methods: bool, level: int) -> str:
    parts = [f"{'#' * level} `{shown}`", ""]
    if call := call_of(node, shown.rpartition(".")[2]):
        parts += ["```py", call, "```", ""]
    if values := members(node):
        parts += ["```py", *values, "```", ""]
    parts += [prose(ast.get_docstring(node)), ""]
    if note := constructor_note(node):
        parts += [prose(note), ""]
    if with_methods:
        for calls, text in methods(node):
            told = prose(text).strip()
            parts += ["```py", calls, "```", "", told or "(no text)", ""]
    return "\n".join(parts)
