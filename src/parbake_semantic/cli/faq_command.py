"""``parbake faq``: inspect a question bank, explain its answers, and see what its bound allows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from parbake.app.application import App
from parbake.cli.support.load_app import found_at, once
from parbake.cli.support.output import AsJson, console, print_json
from parbake.cli.support.settings_file import APP, app_of_project
from parbake.errors import BadInput
from parbake.http.asgi import HttpApp
from parbake.serving.bind import Lazy
from parbake.tasks.task_types import ModelTask
from parbake_semantic.embedder import Embedder

if TYPE_CHECKING:
    from parbake_semantic import BankReader, BankSnapshot, Explanation

faq = typer.Typer(no_args_is_help=True, help="Look into a question bank.")
Where = Annotated[
    str,
    typer.Argument(
        metavar=APP,
        default_factory=app_of_project,
        show_default=False,
        help="module:attribute of an App with a task that returns a BankSnapshot, or of a BankReader",
    ),
]
TaskName = Annotated[str, typer.Option("--task", help="the task that returns the bank, if there are several")]
Picture = Annotated[Path | None, typer.Option(help="draw errors against answers, as .svg or .png")]
ERRORS = (0.01, 0.02, 0.05, 0.1)


@faq.command(epilog="Example: parbake faq inspect retail_assistant.compose:served")
def inspect(app: Where, task: TaskName = "", *, as_json: AsJson = False) -> None:
    """Show the answers of a bank with their wordings, and the certainty that it requires."""
    snapshot = _found(app, task)[0]
    bank, rows = snapshot.bank, []
    for at, answer in enumerate(bank.answers):
        wordings = [wording for owner, wording in bank.wordings if owner == at]
        state = "unanswered" if answer in snapshot.unanswered else "served"
        rows.append({"answer": answer, "wordings": len(wordings), "such as": wordings[0], "state": state})
    if as_json:
        print_json(rows)
        return
    table = Table("answer", "wordings", "such as", "state")
    for row in rows:
        table.add_row(*map(str, row.values()))
    console().print(table)
    answers = len(bank.answers) - len(snapshot.unanswered)
    typer.echo(f"{answers} answers, {len(bank.wordings)} wordings, embedded by {bank.model_hash}")
    typer.echo(_threshold(snapshot))


@faq.command(epilog='Example: parbake faq explain retail_assistant.compose:served "can I send a book back?"')
def explain(
    app: Where,
    question: Annotated[str, typer.Argument(help="as a user would type it")],
    task: TaskName = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Say why a question is answered from the bank, or why it is not."""
    reader = _reader(app, task)
    found = reader.explain(question, scope=reader.snapshot.scope)
    if as_json:
        print_json(found)
        return
    verdict, match = found.verdict, found.verdict.match
    typer.echo(f"answered with {verdict.answer}" if verdict.answer else f"not answered: {verdict.reason}")
    if match is None:
        return
    console().print(_features(found))
    if match.is_exact:
        typer.echo("this wording is known: no embedding is needed")
        return
    typer.echo(_threshold(reader.snapshot))
    table = Table("nearest wordings", "answer", "cosine")
    for near in found.nearest:
        table.add_row(near.alias, near.answer, f"{near.cosine:.3f}")
    console().print(table)


@faq.command(epilog="Example: parbake faq calibrate retail_assistant.compose:served --prior 0.2 --picture bound.svg")
def calibrate(
    app: Where,
    task: TaskName = "",
    prior: Annotated[
        float | None, typer.Option(help="share of questions that the bank has no answer to; the bank's own by default")
    ] = None,
    picture: Picture = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what share of questions a bank answers under several bounds; nothing is changed."""
    from parbake.cli.support.pictures import must_be_picture
    from parbake_semantic.bank.bounds_report import outlook
    from parbake_semantic.cli.bounds_picture import draw_bounds

    if picture is not None:
        must_be_picture(picture)
    snapshot = _found(app, task)[0]
    found = outlook(snapshot, ERRORS, snapshot.calibration.bound.prior if prior is None else prior)
    if picture is not None:
        draw_bounds(picture, found)
    if as_json:
        print_json(found.calibrations)
        return
    table = Table("wrong answers allowed", "threshold", "questions answered")
    for made in found.calibrations:
        least = "bank too small" if made.least is None else f"{made.chance:.1%} sure"
        table.add_row(f"{made.bound.error:.0%} of served", least, f"{made.expected:.1%}")
    console().print(table)
    left_out = "alone and with its answer" if found.prior else "alone"
    learnt = f"learned from {len(snapshot.bank.aliases)} wordings, each left out {left_out}"
    typer.echo(f"{learnt}; {found.prior:.0%} of questions are expected to have no answer")


def _features(found: Explanation) -> Table:
    from parbake_semantic.policies.features import FEATURES

    match = found.verdict.match
    assert match is not None  # noqa: S101 - the caller looked
    table = Table("measure", "value")
    table.add_row("nearest answer", match.answer)
    table.add_row("by its wording", match.alias)
    for name, value in zip(FEATURES, match.features, strict=True):
        table.add_row(name.replace("_", " "), f"{value:.3f}")
    chance = found.verdict.chance
    table.add_row("chance of being right", "-" if chance is None else f"{chance:.1%}")
    return table


def _threshold(snapshot: BankSnapshot) -> str:
    made = snapshot.calibration
    allowed = f"at most {made.bound.error:.1%} wrong per {made.bound.per}, {made.bound.prior:.0%} out of scope"
    if made.least is None:
        return f"{allowed}: the bank is too small to promise that; only known wordings are answered"
    return f"{allowed}: answers that are {made.chance:.1%} sure; expected to answer {made.expected:.1%}"


def _reader(where: str, task: str) -> BankReader:
    """The reader at ``module:attribute``, or one of the last result of an app's model task, which withholds nothing."""
    from parbake_semantic import BankReader

    snapshot, found = _found(where, task)
    return found if isinstance(found, BankReader) else BankReader(snapshot, _embedder(found), audits=0.0)


def _found(where: str, task: str) -> tuple[BankSnapshot, App | BankReader]:
    """The bank at ``module:attribute``, and the app or the reader that has it."""
    from parbake_semantic import BankReader

    found = found_at(where)
    if isinstance(found, BankReader):
        return found.snapshot, found
    application = found.app if isinstance(found, HttpApp) else found
    if not isinstance(application, App):
        raise BadInput(f"APP={where!r} must be an App or a BankReader", field="APP")
    return once(application, _current(application, task)), application


async def _current(application: App, name: str) -> BankSnapshot:
    from parbake_semantic import BankSnapshot

    banks = [t for t in application.tasks if isinstance(t, ModelTask) and t.value_type is BankSnapshot]
    chosen = [t for t in banks if t.name == name] if name else banks
    if not banks:
        raise BadInput("this app has no bank: no model task of it returns a BankSnapshot", field="APP")
    if len(chosen) != 1:
        names = ", ".join(t.name for t in banks)
        raise BadInput(f"--task {name!r} must be the task that returns the bank; this app has: {names}", field="task")
    model: BankSnapshot = await application.model(chosen[0])
    return model


def _embedder(application: App) -> Any:
    found = application.settings.resources.get(Embedder)
    if found is None:
        needs = "to explain a question, the app needs the embedder that made the bank"
        raise BadInput(f"{needs}: write App(resources={{parbake_semantic.embedder.Embedder: ...}})", field="APP")
    return found.build() if isinstance(found, Lazy) else found
