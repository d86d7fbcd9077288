"""The README's first example prints what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.waiting import HANGS_S

README = Path(__file__).parents[2] / "README.md"


def test_the_first_example_prints_what_is_shown() -> None:
    """The first Python block, run as a file of its own, prints exactly the block that follows it."""
    code, shown = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", README.read_text(), re.DOTALL)[0]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown
