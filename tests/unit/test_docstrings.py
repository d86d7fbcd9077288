"""Every public function of three or more parameters describes each of them."""

import ast
import re

import pytest

FEWEST = 3
"""From this number of parameters on, a docstring describes each of them."""
OVERRIDE = re.compile(r"See :(class|meth):")
"""An override refers to the protocol, which describes the parameters."""


def functions(node, *, in_class=False):
    """Yield the functions of a module or class, each with whether it is a method; not those inside other functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child, in_class
        elif isinstance(child, ast.ClassDef):
            yield from functions(child, in_class=True)
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from functions(child, in_class=in_class)


def decorators(function):
    """Return the decorators as text."""
    return [ast.unparse(each) for each in function.decorator_list]


def parameters(function, *, in_class):
    """Return the names of a function's parameters, without ``self`` and ``cls``."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args)]
    if in_class and "staticmethod" not in decorators(function):
        names = names[1:]
    names += [each.arg for each in given.kwonlyargs]
    return names + [each.arg for each in (given.vararg, given.kwarg) if each is not None]


def commands(files):
    """Return the names of typer commands in ``cli``: decorated, or registered with ``cli.command(...)(function)``."""
    found = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any(".command(" in text for text in decorators(node)):
                found.add(node.name)
            if isinstance(node, ast.Call) and ".command(" in ast.unparse(node.func) and node.args:
                found.add(ast.unparse(node.args[0]).rpartition(".")[2])
    return found


def described(docstring):
    """Return the names in the ``Args:`` section of a docstring."""
    section = re.search(r"^Args:\n((?:(?: {4}.*)?\n?)*)", docstring, re.MULTILINE)
    return re.findall(r"^ {4}\*{0,2}(\w+):", section[1], re.MULTILINE) if section else []


def undescribed(path, exempt):
    """Return the public functions in a file that have three or more parameters and do not describe each of them."""
    found = []
    for function, in_class in functions(ast.parse(path.read_text())):
        names = parameters(function, in_class=in_class)
        docstring = ast.get_docstring(function) or ""
        is_exempt = function.name.startswith("_") or function.name in exempt or OVERRIDE.search(docstring)
        if is_exempt or len(names) < FEWEST or any(text.endswith("overload") for text in decorators(function)):
            continue
        missing = [name for name in names if name not in described(docstring)]
        if missing:
            found.append(f"{path.name}:{function.lineno} {function.name}: {', '.join(missing)}")
    return found


@pytest.fixture(scope="session")
def by_room(root):
    """Return the undescribed functions of each room, which is a folder or a module of ``src/parbake``."""
    source = root / "src" / "parbake"
    files = sorted(source.rglob("*.py"))
    exempt = commands(path for path in files if path.is_relative_to(source / "cli"))
    found = {}
    for path in files:
        room = path.relative_to(source).parts[0]
        found.setdefault(room, []).extend(undescribed(path, exempt if room == "cli" else set()))
    return found


def test_every_parameter_is_described(by_room):
    """A function of three or more parameters has an ``Args:`` section that names each of them."""
    assert {room: found for room, found in by_room.items() if found} == {}


def test_a_section_names_what_it_describes():
    """Indented continuation lines in ``Args:`` are not read as parameters."""
    text = "Do it.\n\nArgs:\n    one: First,\n        which: is long.\n    **rest: More.\n\nReturns:\n    two: Not one."
    assert described(text) == ["one", "rest"]
