"""The map in docs/explanation/layout.md names existing files and names."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASES = (ROOT / "src", ROOT / "assistant/src", ROOT)
TEXT = (ROOT / "docs/explanation/layout.md").read_text()
TABLE = TEXT.partition("## I want to change")[2].partition("\n## ")[0]
ROWS = [row for row in re.findall(r"^\| (.+?) \| (.+) \|$", TABLE, re.MULTILINE) if "`" in row[1]]
PLACE = re.compile(r"`((?:[\w/]+/)?\w*\.py|[\w/]+/)`((?:(?:, | )`[A-Za-z_]\w*`)*)( \(new\))?")


def test_each_place_exists():
    """Each path exists, and each name beside a file occurs in it."""
    wrong = []
    for change, places in ROWS:
        for path, names, is_new in PLACE.findall(places):
            found = next((base / path for base in BASES if (base / path).exists()), BASES[0] / path)
            if found.exists() == (bool(is_new) and path.endswith(".py")):
                wrong.append((change, path))
            elif found.is_file():
                text = found.read_text()
                wrong += [(change, path, n) for n in re.findall(r"\w+", names) if not re.search(rf"\b{n}\b", text)]
    assert wrong == []


def test_the_map_is_large_enough_to_be_of_use():
    """The map has at least 60 rows, and each names a place."""
    assert len(ROWS) >= 60
    assert all(PLACE.search(places) for _, places in ROWS)


def test_every_folder_has_its_question():
    """The first tables list every package, and every folder of the core."""
    packages = {path.name for path in (ROOT / "src").iterdir() if (path / "__init__.py").is_file()}
    rooms = {path.name for path in (ROOT / "src/parbake").iterdir() if (path / "__init__.py").is_file()}
    named = set(re.findall(r"`(\w+)/?(?:\w+/)?`", TEXT.partition("## I want")[0]))
    assert packages | rooms - named == packages
