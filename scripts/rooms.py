"""Count the rooms of a source tree and the arrows between them: python scripts/rooms.py [--arrows].

A room is a folder, or a module that stands loose in ``src/parbake``. An arrow says that some module of one room imports
some module of another, for type checkers too.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.unit.import_graph import circles, modules, room_graph  # noqa: E402  # found by the line above


def main() -> None:
    """Print the figures, and with ``--arrows`` which room imports which."""
    found = modules(ROOT / "src", "parbake")
    if "--arrows" in sys.argv:
        for room, targets in sorted(room_graph(found).items()):
            print(f"{room}: {', '.join(sorted(targets)) or '-'}")
    for name, folded in (("rooms", True), ("rooms with those within them", False)):
        rooms = room_graph(found, folded=folded)
        arrows = sum(map(len, rooms.values()))
        print(f"{len(rooms)} {name}, {arrows} arrows, {len(circles(rooms))} circles")


if __name__ == "__main__":
    main()
