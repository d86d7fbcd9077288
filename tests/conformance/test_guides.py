"""The store that docs/howto/write-a-store.md writes passes the public suites: its own subclasses are collected here."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs/howto/write-a-store.md"

for block in re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)[:2]:
    exec(compile(block, str(GUIDE), "exec"), globals())


def test_the_guide_has_both_suites():
    """What is collected here is what the guide shows."""
    assert {"TestSqliteItems", "TestSqliteFile"} <= globals().keys()
