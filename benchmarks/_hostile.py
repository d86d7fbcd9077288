"""Texts that make patterns slow: a short piece again and again, and pieces of what the patterns themselves look for."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from random import Random
from re import _constants as op  # type: ignore[attr-defined]  # the standard library has no public parser of patterns
from re import _parser as parser  # type: ignore[attr-defined]  # as above
from types import FunctionType, MethodType, ModuleType
from typing import Any

from parbake.errors import MissingDependency

LENGTH = 1_000
"""As much of a text as is read."""
PIECES = (
    "1,", "1.1.", "1.", "1 ", "1-", "1/", "+1", "10 ", "#12345 ", "#", "# ", "/", "a-", "aa1 ", "a ", "'a ", "@", "a@",
    "a.", "a1@a.", ".", ", ", "? ", "! ", ";", "( ", ") ", "\u20ac1", "1\u20ac ", " ", "\n\t", "<a", "<script>",
    "what ", "how ", "how much ", "when ", "the ", "not ", "n't ", "i ", "my ", "my order ", "has my order ", "card ",
    "vol ", "volume 1 and ", "vol 1, ", "between 1 and ", "under 1,", "gift ", "return ", "does not have to be ",
    "no romance, ", "like ", "about dragons or ", "ok thanks ", "goodbye!,thx", "back ", "late ", "xqzt ", "x ",
)  # fmt: skip
"""What is repeated."""
_WORDS = re.compile(r"[a-z]{2,}")
_SEPARATORS = (" ", " ", " ", ", ", "-", ".", "? ", " #", "/", "\n")
_SIGNS = ("1", "12", "1,000", "1.5", "\u20ac5", "5 euros", "10 %", "#A1234", "W00012", "?", "x", "don't", "<b>")
_CATEGORIES = {
    op.CATEGORY_DIGIT: "1",
    op.CATEGORY_SPACE: " ",
    op.CATEGORY_WORD: "a",
    op.CATEGORY_NOT_WORD: "-",
    op.CATEGORY_NOT_DIGIT: "b",
    op.CATEGORY_NOT_SPACE: "c",
}  # fmt: skip


def repeated(piece: str, length: int = LENGTH) -> str:
    """A piece again and again, up to a length."""
    return (piece * (length // len(piece) + 1))[:length]


def words_of(patterns: Iterator[re.Pattern[str]] | Mapping[re.Pattern[str], str]) -> list[str]:
    """The words that patterns look for."""
    return sorted({word for pattern in patterns for word in _WORDS.findall(re.sub(r"\\[a-z]", " ", pattern.pattern))})


def mixed(random: Random, words: list[str], length: int = LENGTH) -> str:
    """A text of the words, with digits, signs and separators, of which some come again and again."""
    few = [random.choice(words if random.random() < 0.7 else _SIGNS) for _ in range(random.randint(2, 12))]
    made = ""
    while len(made) < length:
        made += random.choice(few) + random.choice(_SEPARATORS)
    return made[:length]


def fitting(pattern: re.Pattern[str], random: Random) -> Iterator[str]:
    """Pieces of texts that a pattern looks for: without their end, again and again, it keeps looking."""
    found = _text(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE), random)
    if not found:
        return
    yield found
    for _ in range(3):
        yield found[: random.randint(1, len(found))]
    words = found.split()
    if len(words) > 1:
        words.pop(random.randrange(len(words)))
        yield " ".join(words) + " "


def stretched(piece: str, random: Random, length: int = LENGTH) -> str:
    """A piece of which a part, and not its beginning, comes again and again."""
    start = random.randrange(len(piece))
    end = random.randint(start + 1, len(piece))
    return (piece[:end] + repeated(piece[start:end], length))[:length]


def _text(tree: Any, random: Random) -> str:
    """A text that a parsed pattern finds, apart from what it demands of the text around."""
    return "".join(_part(code, value, random) for code, value in tree)


def _part(code: Any, value: Any, random: Random) -> str:
    """The text of one part of a parsed pattern."""
    if code is op.LITERAL:
        return chr(value)
    if code is op.ANY:
        return random.choice("a 1")
    if code is op.NOT_LITERAL:
        return "y" if chr(value) == "x" else "x"
    if code is op.IN:
        return _one_of(value, random)
    if code is op.BRANCH:
        return _text(random.choice(value[1]), random)
    if code is op.SUBPATTERN:
        return _text(value[3], random)
    if code is op.ATOMIC_GROUP:
        return _text(value, random)
    if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        least, most, tree = value
        return "".join(_text(tree, random) for _ in range(random.randint(least, min(most, least + 3))))
    return random.choice(("", "", " ")) if code is op.AT else ""


def _one_of(items: Any, random: Random) -> str:
    """A character of a parsed set."""
    if items[0][0] is op.NEGATE:
        allowed = [c for c in "a 1-'b,.5/x" if not any(_has(item, c) for item in items[1:])]
        return random.choice(allowed or ["\u2603"])
    code, value = random.choice(items)
    if code is op.RANGE:
        return chr(random.randint(*value))
    return chr(value) if code is op.LITERAL else _CATEGORIES[value]


def _has(item: Any, character: str) -> bool:
    """Whether one item of a parsed set has a character."""
    code, value = item
    if code is op.LITERAL:
        return chr(value) == character
    if code is op.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    kind = {op.CATEGORY_DIGIT: r"\d", op.CATEGORY_SPACE: r"\s", op.CATEGORY_WORD: r"\w"}.get(value, r"\W")
    return re.match(kind, character) is not None


def patterns(*packages: str, made: tuple[object, ...] = ()) -> dict[re.Pattern[str], str]:
    """Every pattern of some packages with its place, also those in containers, objects and literals of calls.

    Args:
        packages: The packages, by name.
        made: Objects that have further patterns, made when the assistant runs.
    """
    found = {pattern: type(one).__name__ for one in made for pattern in _within(one, {})}
    for module in _modules(packages):
        for name, value in vars(module).items():
            if not (name.startswith("__") or isinstance(value, ModuleType)):
                for pattern in _within(value, {}):
                    found.setdefault(pattern, f"{module.__name__}.{name}")
        for pattern in _literals(module):
            found.setdefault(pattern, module.__name__)
    return found


def _modules(packages: tuple[str, ...]) -> Iterator[ModuleType]:
    """The modules of some packages."""
    for name in packages:
        package = importlib.import_module(name)
        yield package
        for each in pkgutil.walk_packages(package.__path__, f"{name}."):
            with contextlib.suppress(MissingDependency):  # an adapter to a library that is not installed
                yield importlib.import_module(each.name)


def _within(value: Any, seen: dict[int, Any]) -> Iterator[re.Pattern[str]]:
    """The patterns within a value, without those of other packages' objects."""
    if id(value) in seen:
        return
    seen[id(value)] = value
    if isinstance(value, re.Pattern):
        yield value
        return
    inner: list[Any] = []
    if isinstance(value, Mapping):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner = list(value)
    elif isinstance(value, MethodType):
        inner = [value.__self__]
    elif isinstance(value, FunctionType):
        inner = list(inspect.getclosurevars(value).nonlocals.values())
    elif type(value).__module__.startswith(("retail_assistant", "parbake_semantic")):
        inner = [*vars(value).values()] if hasattr(value, "__dict__") else []
        inner += [getattr(value, name) for name in getattr(value, "__struct_fields__", ())]
    for each in inner:
        yield from _within(each, seen)


def _literals(module: ModuleType) -> Iterator[re.Pattern[str]]:
    """The patterns that a module writes into calls such as ``re.search(r"...", text)``, or names there."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re"), attr="search" | "match" | "findall" | "split" | "sub"),
                args=[(ast.Constant() | ast.Name()) as given, *_],
            ):
                text = given.value if isinstance(given, ast.Constant) else vars(module).get(given.id)
                if isinstance(text, str):
                    yield re.compile(text)
