"""Reads which modules a package imports, from the source alone."""

import ast
from functools import cache

PACKAGES = (
    "parbake",
    "parbake_capture",
    "parbake_console",
    "parbake_lab",
    "parbake_llm",
    "parbake_planner",
    "parbake_proxy",
    "parbake_semantic",
)
"""The packages below ``src``."""


def modules(source_root, package):
    """Return each module of ``package`` with its file, by dotted name."""
    found = {}
    for path in sorted((source_root / package).rglob("*.py")):
        parts = path.relative_to(source_root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache  # many rules read the same files, so each file is parsed once
def imported_names(path, *, on_import=False, for_types=False):
    """Return the dotted name of everything that a file imports when it runs, wherever the import stands.

    With ``on_import`` only what importing the file imports: nothing that stands in a function. With ``for_types`` also
    what only type checkers import.
    """
    names, pending = [], [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if not for_types and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif on_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        elif not isinstance(node, ast.expr):  # an expression cannot contain an import
            pending.extend(ast.iter_child_nodes(node))
    return names


def graph(found, *, on_import=False, for_types=False):
    """Return for each module the modules of the same package that it imports; see :func:`imported_names`."""
    edges = {}
    for module, path in found.items():
        names = set(imported_names(path, on_import=on_import, for_types=for_types))
        targets = {name if name in found else name.rpartition(".")[0] for name in names}
        edges[module] = (targets & found.keys()) - {module}
    return edges


def room_of(module, found):
    """Return the package of a module; a module directly in the top package counts as a room of its own."""
    if found[module].name == "__init__.py" or module.count(".") == 1:
        return module
    return module.rpartition(".")[0]


def room_graph(found, *, folded=False):
    """Return for each room the rooms that it imports, for type checkers too; the front door imports them all.

    With ``folded`` a room and the rooms within it count as one.
    """

    def place(module):
        room = room_of(module, found)
        return ".".join(room.split(".")[:2]) if folded else room

    rooms = {place(module): set() for module in found}
    for module, targets in graph(found, for_types=True).items():
        if "." in module:
            here = place(module)
            rooms[here] |= {place(target) for target in targets if "." in target} - {here}
    return rooms


def circles(edges):
    """Return each group of nodes that import each other, directly or through others, largest first."""
    reached = {node: _reached(node, edges) for node in edges}
    groups = {frozenset(other for other in reached[node] if node in reached[other]) for node in edges}
    return sorted((sorted(group) for group in groups if group), key=len, reverse=True)


def _reached(start, edges):
    seen, pending = set(), [start]
    while pending:
        for target in edges.get(pending.pop(), ()):
            if target not in seen:
                seen.add(target)
                pending.append(target)
    return seen
