"""The README's first examples print what the README shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waiting import HANGS_S

README = Path(__file__).parents[2] / "README.md"


SHOWN = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize(("code", "shown"), SHOWN[:2], ids=["function", "cache"])
def test_a_first_example_prints_what_is_shown(code: str, shown: str) -> None:
    """Each Python block, run as a file of its own, prints exactly the block that follows it."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown
