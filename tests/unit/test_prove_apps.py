"""``parbake prove`` finds nothing in the tutorial's app and in a small demo shop, which leave nothing out."""

import asyncio
import gc
import importlib
import re
import sys
import time
import warnings

import pytest

from parbake_capture.opening import install
from parbake_lab.prove.prove_run import ProveLimits, prove

pytest.importorskip("sqlglot")


def proved(app, **limits):
    """Return what is found in an app."""
    return asyncio.run(prove(app, ProveLimits(**limits), progress=lambda done, total: None))


def test_the_tutorial_leaves_nothing_out(root, tmp_path, monkeypatch):
    """The zones are captured, as on the page; the trips are read by a view without families."""
    monkeypatch.chdir(tmp_path)
    page = (root / "docs/tutorial.md").read_text()
    (tmp_path / "delivery.py").write_text("\n".join(re.findall(r"```python delivery.py\n(.*?)```", page, re.DOTALL)))
    monkeypatch.syspath_prepend(tmp_path)
    delivery = importlib.import_module("delivery")
    monkeypatch.delitem(sys.modules, "delivery")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a short page leaves its connection to the collector
        delivery.create()
        gc.collect()
    install("sqlite:///courier.db", "zones:zone/{name}")
    proof = proved(delivery.app)
    assert (proof.findings, proof.unproved) == ([], {})
    assert proof.values == 5  # the model, three zones, and one that does not exist
    assert not (tmp_path / "data").exists()  # the app's own store
    assert not (tmp_path / "costs.db").exists()  # the ledger


@pytest.mark.slow
def test_a_demo_shop_leaves_nothing_out(tmp_path):
    """A sample of the retail assistant's tasks over a generated shop has no omission."""
    from retail_assistant.compose import build
    from retail_assistant.settings import from_environment
    from retail_assistant.world import generate

    generate(tmp_path / "shop.db", now=time.time(), products=60, shoppers=40, days=20, messages=200)
    proof = proved(build(from_environment({"RETAIL_HOME": str(tmp_path)})), sample=100)
    assert (proof.findings, proof.unproved) == ([], {})
    assert proof.values > 50
