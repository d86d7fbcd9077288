"""The assistant's settings and its commands."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parbake as pb
from parbake_llm.generators.extractive import Extractive
from parbake_llm.generators.llama import LlamaGenerator
from parbake_llm.generators.openai import OpenAIGenerator
from retail_assistant import compose, main
from retail_assistant.compose import MADE_WHILE_SERVED, build
from retail_assistant.settings import Settings, from_environment
from retail_assistant.shop.complaints import Rules


def test_an_empty_environment_gives_the_defaults():
    """Every setting has a default, and an empty value counts as not set."""
    assert from_environment({}) == Settings(Path("data"))
    assert from_environment({"LLM": "", "RETAIL_SEED": "", "RETAIL_HOME": ""}) == Settings(Path("data"))


def test_every_setting_is_read():
    """Each variable reaches its setting."""
    environment = {
        "RETAIL_HOME": "/x",
        "LLM": "llama",
        "RETAIL_SEED": "0",
        "RETAIL_SHOPPERS": "10",
        "RETAIL_PRODUCTS": "20",
        "ALERT_WEBHOOK": "http://hook",
        "STORE": "redis://host/0",
        "RETAIL_COMPLAINTS_STRANGERS": "4",
        "RETAIL_COMPLAINTS_ANSWERS": "0",
        "ENCODER": "float32",
    }
    expected = Settings(Path("/x"), "llama", 0, 10, 20, "http://hook", "redis://host/0", Rules(4, 0), "float32")
    assert from_environment(environment) == expected


def test_the_store_is_a_folder_of_the_home_unless_it_is_named(tmp_path):
    """Without ``STORE`` the store is in the data folder; ``repr`` hides a URL's password."""
    assert from_environment({"RETAIL_HOME": str(tmp_path)}).store_url == f"lmdb://{tmp_path.resolve()}/store"
    named = from_environment({"STORE": "redis://:secret@host/0?prefix=shop"})
    assert named.store_url == "redis://:secret@host/0?prefix=shop"
    assert "secret" not in repr(named)


@pytest.mark.parametrize("url", ["somewhere", "nosuch://x", "redis://host/0?nosuch=1"])
def test_a_store_that_cannot_be_meant_is_one_plain_line(url, tmp_path, monkeypatch, capsys):
    """A command with an invalid store URL ends with a plain error instead of a traceback."""
    monkeypatch.setenv("STORE", url)
    monkeypatch.setenv("RETAIL_HOME", str(tmp_path))
    monkeypatch.setattr(main, "_generate", lambda *_: None)
    with pytest.raises(SystemExit):
        main.main(["prepare"])
    assert capsys.readouterr().err.strip().startswith("retail-assistant: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LLM", "gpt"),
        ("RETAIL_SEED", "-1"),
        ("RETAIL_SHOPPERS", "9"),
        ("RETAIL_COMPLAINTS_STRANGERS", "0"),
        ("RETAIL_COMPLAINTS_ANSWERS", "some"),
        ("RETAIL_PRODUCTS", "many"),
        ("RETAIL_PRODUCTS", "\u00b2"),
        ("RETAIL_PRODUCTS", "1e3"),
    ],
)
def test_a_bad_setting_is_named(name, value):
    """The error names the variable and quotes its value."""
    with pytest.raises(pb.BadInput, match=name) as caught:
        from_environment({name: value})
    assert caught.value.field == name


@given(st.text(max_size=5))
def test_a_size_is_a_whole_number_or_a_named_error(text):
    """Any text is either a number of at least the minimum, or refused by name."""
    if not text or (text.isdecimal() and int(text) >= 10):
        assert from_environment({"RETAIL_SHOPPERS": text}).shoppers == int(text or 10_000)
    else:
        with pytest.raises(pb.BadInput, match="RETAIL_SHOPPERS"):
            from_environment({"RETAIL_SHOPPERS": text})


@pytest.mark.parametrize(
    ("llm", "kind"), [("extractive", Extractive), ("llama", LlamaGenerator), ("openai", OpenAIGenerator)]
)
def test_the_setting_chooses_the_generator(llm, kind, monkeypatch):
    """Each value of ``LLM`` creates its generator."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert isinstance(compose.generator(Settings(Path(), llm)), kind)


async def test_an_alert_webhook_is_added_when_it_is_set(tmp_path):
    """Alerts go to the log, and also to the webhook if one is set."""
    for webhook, count in (("", 1), ("http://127.0.0.1:9/hook", 2)):
        app = compose.build(Settings(tmp_path, webhook=webhook))
        assert len(app.settings.alerts) == count
        await app.close()


def test_a_file_that_is_no_shop_is_refused(tmp_path):
    """A file that is not a database is refused; a missing file gives no metadata."""
    assert compose.shop_meta(tmp_path / "shop.db") == {}
    (tmp_path / "shop.db").write_text("no database, but long enough to be read as one" * 10)
    with pytest.raises(pb.ParbakeError, match="not an SQLite file"):
        compose.shop_meta(tmp_path / "shop.db")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return the data folder that the environment names."""
    monkeypatch.setenv("RETAIL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PARBAKE_DATA", raising=False)
    return tmp_path / "home"


def test_import_writes_the_shop_and_prints_its_report(home, tmp_path, monkeypatch, capsys):
    """The folder is an option or in the environment; counts, refusals and switched-off tasks are printed."""
    source = tmp_path / "files"
    source.mkdir()
    (source / "products.json").write_text(json.dumps([{"asin": "A", "title": "T", "price": 1}, {"asin": "B"}]))
    main.main(["import", "--from", str(source), "--currency", "$"])
    out = capsys.readouterr().out
    assert "products: 1 rows, 1 refused" in out
    assert "off: intent_head" in out
    assert compose.shop_meta(home / "shop.db")["currency"] == "$"
    (home / "shop.db").unlink()
    monkeypatch.setenv("PARBAKE_DATA", str(source))
    main.main(["import"])
    assert (home / "shop.db").is_file()


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["import"], {}, "which folder?"),
        (["import", "--from", "/nowhere"], {}, "is not a folder"),
        (["prepare"], {"LLM": "gpt"}, "LLM='gpt'"),
    ],
)
def test_an_error_is_one_plain_line_and_status_1(arguments, environment, says, home, monkeypatch, capsys):  # noqa: PLR0917  # a table and fixtures
    """An error is one line without a traceback, and no folder is created."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not home.exists()


def test_a_demo_without_its_key_is_never_called_ready(home, monkeypatch, capsys):
    """If the generator lacks its key, the demo fails before it starts anything."""
    monkeypatch.setenv("LLM", "openai")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY_FILE", raising=False)
    monkeypatch.setattr(main, "_prepare_apart", lambda _: None)
    monkeypatch.setattr(main, "Supervisor", None)
    with pytest.raises(SystemExit):
        main.main(["demo", "--port", "0"])
    said = capsys.readouterr()
    assert "OPENAI_API_KEY is not set" in said.err
    assert "ready" not in said.out


def test_prepare_makes_a_shop_and_computes_what_is_missing_once(home, monkeypatch, embedder, capsys):
    """The first ``prepare`` generates a shop in a folder that is its owner's alone, and the second does not."""
    monkeypatch.setenv("RETAIL_PRODUCTS", "20")
    monkeypatch.setenv("RETAIL_SHOPPERS", "12")
    monkeypatch.setattr("retail_assistant.settings.MiniLm", lambda **_: embedder)
    monkeypatch.setattr("retail_assistant.world.generate", small(main_generate()))
    main.main(["prepare", "--only-needed"])
    assert "generating a shop of 12 shoppers" in capsys.readouterr().out
    assert home.stat().st_mode & 0o777 == 0o700
    assert not_built() == {task.name for task in MADE_WHILE_SERVED}
    main.main(["prepare"])
    assert "generating" not in capsys.readouterr().out
    assert not_built() == set()


def not_built():
    """Return the names of the tasks without a generation."""

    async def look():
        app = build(from_environment())
        found = await app.ready()
        await app.close()
        return {condition.about for condition in found.conditions if condition.kind == "not_built"}

    return asyncio.run(look())


def main_generate():
    """Return the real generator of shops."""
    from retail_assistant.world import generate

    return generate


def small(generate):
    """Return a generator of the same shop with a short query log."""
    return lambda *args, **options: generate(*args, messages=200, **options)
