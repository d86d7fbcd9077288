"""The tree of packages: rooms are few and small, import each other in one direction, and have unique names."""

import ast
import collections
import re

import pytest
from tests.unit.import_graph import PACKAGES, circles, graph, modules, room_graph

import parbake as pb

LOOSE, FRONT_DOOR, METHODS = 3, 35, 20
ROOMS, ARROWS = 17, 85
"""At most, where a room and the rooms within it count as one."""
FILES_IN_A_ROOM = 18
ADAPTERS = {"adapters", "generators"}
"""Rooms whose modules are named after what they connect to: a store, a broker, a provider."""


@pytest.fixture(scope="module")
def found(root):
    """Return the modules of the product with their files, by dotted name."""
    return modules(root / "src", "parbake")


@pytest.fixture(scope="module")
def classes(found):
    """Return the modules that define each public class, by its name."""
    places = collections.defaultdict(list)
    for module, path in found.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    return places


def test_few_modules_stand_loose(found):
    """At most three modules are directly in the package."""
    loose = [path for path in found.values() if path.parent.name == "parbake"]
    assert len(loose) <= LOOSE


def test_no_room_is_crowded(found):
    """A room has at most 18 files, the command line at most 20, and the adapters at most 24."""
    sizes = collections.Counter(path.parent for path in found.values())
    crowded = [
        f"{room}: {size}"
        for room, size in sizes.items()
        if size > {"cli": 20, "adapters": 24}.get(room.name, FILES_IN_A_ROOM)
    ]
    assert crowded == []


def test_rooms_say_what_they_are_for(found):
    """Every room has a docstring."""
    said = {
        path.parent.name: ast.get_docstring(ast.parse(path.read_text()))
        for path in found.values()
        if path.stem == "__init__"
    }
    assert [room for room, words in said.items() if not words] == []


def test_nothing_imports_itself_by_way_of_others(found):
    """There is no import cycle of modules or rooms, including imports for type checkers."""
    edges = graph(found, for_types=True)
    within = {module: targets - {"parbake"} for module, targets in edges.items() if module != "parbake"}
    assert circles(within) == []
    assert circles(room_graph(found)) == circles(room_graph(found, folded=True)) == []


def test_the_graph_of_rooms_does_not_grow(found):
    """The number of rooms, and of imports between them, stays within a limit."""
    rooms = room_graph(found, folded=True)
    assert len(rooms) <= ROOMS
    assert sum(map(len, rooms.values())) <= ARROWS


def test_no_public_class_has_anothers_name(classes):
    """No two public classes have the same name, apart from Django's commands, which it finds by that name."""
    assert {name: places for name, places in classes.items() if len(places) > 1 and name != "Command"} == {}


@pytest.mark.parametrize("package", [*PACKAGES, "retail_assistant"])
def test_no_module_has_anothers_name(root, package):
    """No two modules of a package have the same name, apart from adapters and ``__main__``."""
    places = collections.defaultdict(list)
    source = next(base for base in (root / "src", root / "assistant/src") if (base / package).is_dir())
    for module in modules(source, package):
        *rooms, name = module.split(".")
        if rooms and name != "__main__" and not set(rooms) & ADAPTERS:
            places[name].append(module)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_the_front_door_is_narrow():
    """The package exports at most thirty-five names; each exists and is listed once."""
    assert len(pb.__all__) == len(set(pb.__all__)) <= FRONT_DOOR
    assert all(getattr(pb, name) is not None or name == "GIVEN" for name in pb.__all__)


def test_an_app_has_few_methods():
    """``App`` has at most twenty public names."""
    public = [name for name in vars(pb.App) if not name.startswith("_")]
    assert len(public) <= METHODS, public


def test_what_only_its_own_module_uses_is_underscored(root, source_files):
    """A constant or a plain function of a package that no other file names begins with an underscore."""
    pages = [
        *(root / "docs").rglob("*.md"),
        *(root / "scripts").glob("*.py"),
        *root.glob("*.md"),
        root / "pyproject.toml",
    ]
    named = collections.defaultdict(set)
    for path in [*source_files, *pages]:
        for word in set(re.findall(r"\b[A-Za-z]\w+\b", path.read_text())):
            named[word].add(path)
    alone = [
        f"{path.relative_to(root)}: {name}"
        for path in source_files
        if path.is_relative_to(root / "src") and not path.name.startswith("__")
        for name in plain_names(ast.parse(path.read_text()))
        if named[name] == {path}
    ]
    assert alone == []


def plain_names(tree):
    """Yield the public constants of a module, and its public functions without decorators."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list:
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
            names = [name for name in found if name.isupper() and len(name) > 1]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))
