"""Files, functions, packages and classes stay within limits of size."""

import ast
import io
import math
import tokenize

import pytest

FILE_P90, FILE_MAX = 300, 500
FUNCTION_P90, FUNCTION_MAX = 25, 60

PACKAGES = {
    "src/parbake": 24_800,
    "src/parbake/contrib": 1_205,
    "src/parbake/contrib/opentelemetry": 410,
    "src/parbake_capture": 1_075,
    "src/parbake_console": 1_950,
    "src/parbake_lab": 3_200,
    "src/parbake_llm": 7_242,
    "src/parbake_planner": 5_020,
    "src/parbake_proxy": 1_350,
    "src/parbake_semantic": 4_330,
    "assistant/src": 18_000,
    "tools/provider_box": 660,
    "tools/simulator": 4_260,
}
"""The most lines of code of each package, without packages within it that have a line of their own.

ADRs 21 to 52 say why a number was raised.
"""
PARAMETERS, METHODS = 8, 20
DECLARES = {"artifact", "model", "prefix", "recommendations"}
"""Decorators of declarations, and a task whose parameters are its inputs."""
WIDE = {"StoreSuite", "EngineStore", "Operations"}
"""Classes with more methods: a suite of tests, the base of all stores, and what operators may do."""
NOT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip


def p90(sizes):
    """Return the value that nine in ten of ``sizes`` do not exceed (nearest rank)."""
    ranked = sorted(sizes.values())
    return ranked[math.ceil(0.9 * len(ranked)) - 1] if ranked else 0


def above(sizes, limit):
    """Return the entries that exceed ``limit``, largest first."""
    return sorted((f"{size} lines: {name}" for name, size in sizes.items() if size > limit), reverse=True)


def file_lines(files, root):
    """Return the number of lines of each file."""
    return {str(path.relative_to(root)): len(path.read_text().splitlines()) for path in files}


def function_lines(files, root):
    """Return the number of lines of each function, from its ``def`` to its end."""
    return {
        f"{path.relative_to(root)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_files_are_short(source_files, root):
    """No file is over 500 lines, and nine in ten have at most 300."""
    sizes = file_lines(source_files, root)
    assert above(sizes, FILE_MAX) == []
    assert p90(sizes) <= FILE_P90, above(sizes, FILE_P90)


def test_functions_are_short(source_files, root):
    """No function is over 60 lines, and nine in ten have at most 25."""
    sizes = function_lines(source_files, root)
    assert above(sizes, FUNCTION_MAX) == []
    assert p90(sizes) <= FUNCTION_P90, above(sizes, FUNCTION_P90)


def code_lines(path):
    """Return how many lines of a file hold code: neither blank, nor a comment, nor a docstring."""
    text = path.read_text()
    described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, described) and ast.get_docstring(node, clean=False) is not None
        for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    found = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NOT_CODE:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found - docstrings)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_does_not_grow(root, package):
    """The lines of code of each package stay below its cap."""
    within = [root / other for other in PACKAGES if other.startswith(package + "/")]
    files = [path for path in (root / package).rglob("*.py") if not any(map(path.is_relative_to, within))]
    assert sum(map(code_lines, files)) <= PACKAGES[package]


def test_functions_have_few_parameters(source_files):
    """No function has more than eight parameters, apart from decorators of declarations and commands."""
    wide = [
        f"{path.name}: {name}"
        for path in source_files
        for name, node in named_functions(path)
        if parameters(node) > PARAMETERS and not is_exempt(name, node)
    ]
    assert wide == []


def named_functions(path):
    """Yield each function of a file with its name, a method with that of its class."""
    for node in ast.walk(ast.parse(path.read_text())):
        owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield owner + child.name, child


def parameters(node):
    """Return how many parameters a function has, without ``self`` and ``cls``."""
    names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def is_exempt(name, node):
    """Whether a function declares tasks, or is a command, whose parameters are options."""
    is_command = "typer.Option" in ast.unparse(node.args)
    return is_command or name.rpartition(".")[2] in DECLARES


def test_classes_have_few_public_methods(source_files):
    """No class has more than twenty public methods of its own, apart from a few that are named above."""
    wide = [
        f"{path.name}: {node.name}"
        for path in source_files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name not in WIDE and len(public_methods(node)) > METHODS
    ]
    assert wide == []


def public_methods(node):
    """Return the names of a class's own public methods."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {each.name for each in node.body if isinstance(each, kinds) and not each.name.startswith("_")}
