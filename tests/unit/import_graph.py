"""Reads which modules a package imports, from the source alone."""

import ast
from functools import cache


def modules(source_root, package):
    """Return each module of ``package`` with its file, by dotted name."""
    found = {}
    for path in sorted((source_root / package).rglob("*.py")):
        parts = path.relative_to(source_root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache  # many rules are about the same files, each of which is parsed once
def imported_names(path, *, on_import=False):
    """Return the dotted name of everything that a file imports when it runs, wherever the import stands.

    With ``on_import`` only what importing the file imports: nothing that stands in a function.
    """
    names, pending = [], [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif on_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        elif not isinstance(node, ast.expr):  # no expression holds an import
            pending.extend(ast.iter_child_nodes(node))
    return names


def graph(found, *, on_import=False):
    """Return for each module the modules of the same package that it imports; see :func:`imported_names`."""
    edges = {}
    for module, path in found.items():
        names = set(imported_names(path, on_import=on_import))
        targets = {name if name in found else name.rpartition(".")[0] for name in names}
        edges[module] = (targets & found.keys()) - {module}
    return edges
