"""Files and functions stay within limits of length."""

import ast
import math

FILE_P90, FILE_MAX = 300, 500
FUNCTION_P90, FUNCTION_MAX = 25, 60


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
