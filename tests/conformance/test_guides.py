"""The store in docs/howto/write-a-store.md passes the public suites, whose subclasses are collected here."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs/howto/write-a-store.md"

for block in re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)[:2]:
    exec(compile(block, str(GUIDE), "exec"), globals())


def test_the_guide_has_both_suites():
    """Both suites of the guide are collected here."""
    assert {"TestSqliteItems", "TestSqliteFile"} <= globals().keys()
