"""Every public method has a docstring of its own or of what it overrides; parameters are described."""

import ast
import re

import pytest

FEWEST = 3
"""From this number of parameters on, a docstring describes each of them."""
IMPLEMENTS = re.compile(r"[Ss]ee\s+:class:`~?[\w.]*?(\w+)`")
"""A class names the protocol that it implements without being derived from it."""


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


def methods(files):
    """Return the bases and the public methods of each class, by its name, with whether they have a docstring."""
    found = {}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                own = {each.name: ast.get_docstring(each) for each in node.body if hasattr(each, "args")}
                bases = [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases]
                bases += IMPLEMENTS.findall(ast.get_docstring(node) or "")
                known_bases, known = found.setdefault(node.name, ([], {}))  # packages may use a name twice
                known_bases += bases
                known.update(
                    {name: text for name, text in own.items() if text or (name not in known and name[0] != "_")}
                )
    return found


def inherited(classes, name):
    """Return the names of the documented methods of what a class is derived from or implements."""
    found, ahead, seen = set(), list(classes[name][0]), {name}
    while ahead:
        base = ahead.pop()
        if base in classes and base not in seen:
            seen.add(base)
            ahead += classes[base][0]
            found |= {method for method, text in classes[base][1].items() if text}
    return found


def undescribed(path, exempt):
    """Return the public functions in a file that have three or more parameters and do not describe each of them.

    An override has the description of what it overrides.
    """
    found = []
    for function, in_class in functions(ast.parse(path.read_text())):
        names = parameters(function, in_class=in_class)
        docstring = ast.get_docstring(function) or ""
        is_exempt = function.name.startswith("_") or function.name in exempt or (in_class and not docstring)
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


def test_only_an_override_is_without_a_docstring(source_files, root):
    """A public method of a public class has a docstring, unless what it overrides or implements has one."""
    classes = methods(path for path in source_files if {"src", "tools"} & set(path.relative_to(root).parts))
    bare = [
        f"{name}.{method}"
        for name, (_, own) in classes.items()
        if not name.startswith("_")
        for method, text in own.items()
        if not text and method not in inherited(classes, name)
    ]
    assert bare == []


def test_a_section_names_what_it_describes():
    """Indented continuation lines in ``Args:`` are not read as parameters."""
    text = "Do it.\n\nArgs:\n    one: First,\n        which: is long.\n    **rest: More.\n\nReturns:\n    two: Not one."
    assert described(text) == ["one", "rest"]
