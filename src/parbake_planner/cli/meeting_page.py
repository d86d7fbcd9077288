"""A plan as one page for a meeting: one HTML file that needs no network and runs no script."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from parbake_planner.cli.front_picture import inline_front
from parbake_planner.cli.wording import span, unit_prices, unready
from parbake_planner.intervals import Interval
from parbake_planner.logs.read_requests import LogRead
from parbake_planner.logs.recognition import ACCESS, FORMS, LANGFUSE, LITELLM, TABLE
from parbake_planner.plan import Decision
from parbake_planner.strategies import ALL, LAZY, PER_KEY, PER_KEY_EVENTS, REAL_TIME

_MONTH = 30
_WIDE, _NARROW = (7.2, 4.2), (4.4, 4.8)
"""Inches; on a narrow screen a picture of its own keeps its letters readable."""
_ADVICE = {
    REAL_TIME: "Go on computing each answer when it is asked for.",
    LAZY: "Keep each answer for {width} once a request has computed it. Compute nothing ahead.",
    ALL: "Compute the answers of all {keys:,} keys ahead, anew every {width}.",
    PER_KEY: "Compute a key ahead if a request within {width} is likelier than {theta:.2%}. Keep every other answer "
             "for {width} once a request has computed it.",
    PER_KEY_EVENTS: "As per key, and also compute a key when an event announces a request.",
}  # fmt: skip
_KEYS = {
    TABLE: "the column key",
    ACCESS: "the path without its query, or what --key-pattern says; only successful GET requests count (status 2xx or "
            "304)",
    LITELLM: "the cache_key, or a digest of model and messages where there is none",
    LANGFUSE: "a digest of the whole input with the model, or with the trace's name",
}  # fmt: skip


def meeting_page(plan: Decision, found: LogRead, source: str, *, missing: Sequence[str], is_measured: bool) -> str:
    """Write the page.

    Args:
        plan: The plan.
        found: The log that it was made from.
        source: The log's name.
        missing: What was not given; if anything, nothing is recommended. Without prices no dollars are shown but those
            that the log has measured.
        is_measured: Whether the price of a computation is the one that the log has measured.
    """
    has_prices = "prices" not in missing
    first, last = (dt.datetime.fromtimestamp(float(at), dt.UTC) for at in (found.log.time[0], found.log.time[-1]))
    period = f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, {found.log.days:,.1f} days"
    template = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(f"What to compute ahead: {source}"),
        source=escape(f"{FORMS[found.kind]}; {period}; planned on {dt.datetime.now(dt.UTC):%Y-%m-%d}"),
        today=_today(plan, found, has_prices=has_prices),
        chosen="" if missing else "chosen",
        advice=_paragraphs([_sentence(unready(plan, missing))]) if missing else _advice(plan),
        table=_table(plan, has_prices=has_prices, chosen="" if missing else plan.recommended),
        picture=_picture(plan, chosen="" if missing else plan.recommended) if has_prices else "",
        read=_read(plan, found, period),
        assumes=_list(_assumptions(plan, found, has_prices=has_prices, is_measured=is_measured)),
    )


def _today(plan: Decision, found: LogRead, *, has_prices: bool) -> str:
    """What is done without a plan, with the dollars that were measured or follow from given prices."""
    lines = [f"{plan.requests_a_day:,.0f} requests a day for {len(found.log.names):,} keys."]
    if has_prices:
        cost = _monthly(plan.intervals[REAL_TIME])
        lines.append(f"If each answer is computed when it is asked for, as is assumed here, that costs {cost}.")
    if found.usd is not None:
        spent = "" if found.spent_a_month is None else f", which is {_usd(found.spent_a_month)} a month"
        lines.append(
            f"The log has the cost of {found.measured:,} computations: {_usd(found.spent)} in all{spent}, and "
            f"{_usd(found.usd)} for one in the median."
        )
    if not has_prices and found.usd is None:
        lines.append("What that costs is not known: no prices were given, and the log has no costs.")
    return (_sum(plan, REAL_TIME) if has_prices else "") + _paragraphs(lines)


def _advice(plan: Decision) -> str:
    name = plan.recommended
    saved = plan.outcomes[REAL_TIME].per_day - plan.outcomes[name].per_day
    words = _ADVICE[name].format(width=span(plan.width), keys=plan.keys, theta=plan.theta)
    less = f"{_usd(abs(saved) * _MONTH)} a month {'less' if saved >= 0 else 'more'} than computing each answer."
    share = plan.outcomes[name].share(plan.outcomes[name].fresh_hits)
    lines = [words, *([] if name == REAL_TIME else [less]), f"{share:.1%} of requests find a fresh answer."]
    return _sum(plan, name) + _paragraphs([*lines, f"Why: {plan.reason}."])


def _sum(plan: Decision, name: str) -> str:
    return f'<p class="sum">{_usd(plan.outcomes[name].per_day * _MONTH)} a month</p>'


def _monthly(interval: Interval) -> str:
    return f"{_usd(interval.low * _MONTH)} to {_usd(interval.high * _MONTH)} a month (95 % interval)"


def _table(plan: Decision, *, has_prices: bool, chosen: str) -> str:
    """All strategies; without prices only those whose hits do not depend on them, and neither dollars nor times."""
    heads = ["strategy", "a month", "fresh hits", "p95"] if has_prices else ["strategy", "fresh hits"]
    rows = []
    for name, outcome in plan.outcomes.items():
        if not has_prices and name in (PER_KEY, PER_KEY_EVENTS):
            continue
        remark = "recommended" if name == chosen else "assumed" if name in plan.assumed else ""
        label = escape(name) + (f"<small>{remark}</small>" if remark else "")
        cells = [label, f"{outcome.share(outcome.fresh_hits):.1%}"]
        if has_prices:
            low, high = (_usd(end * _MONTH) for end in (plan.intervals[name].low, plan.intervals[name].high))
            cells.insert(1, f"{_usd(outcome.per_day * _MONTH)}<small>{low} to {high}</small>")
            cells.append(f"{outcome.p95_s(plan.prices) * 1000:,.0f} ms")
        rows.append((' class="chosen"' if name == chosen else "", cells))
    if has_prices:
        rows.append(("", ["nobody can do better than", _usd(plan.bound * _MONTH), "", ""]))
    body = "".join(f"<tr{mark}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" for mark, cells in rows)
    head = "".join(f"<th>{one}</th>" for one in heads)
    return f'<table class="sums"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _picture(plan: Decision, *, chosen: str) -> str:
    drawn = ((kind, inline_front(plan.front, recommended=chosen, size=size)) for kind, size in
             (("wide", _WIDE), ("narrow", _NARROW)))  # fmt: skip
    return "<figure>" + "".join(f'<div class="{kind}">{svg}</div>' for kind, svg in drawn) + "</figure>"


def _read(plan: Decision, found: LogRead, period: str) -> str:
    log, total = found.log, sum(found.skipped.values())
    rows = [
        ("kind of log", FORMS[found.kind]), ("rows", f"{found.rows:,}"), ("period", period),
        ("requests that count", f"{log.requests:,}"), ("keys in the log", f"{len(log.names):,}"),
        ("rows left out", f"{total:,}"), *((f"- {why}", f"{n:,}") for why, n in sorted(found.skipped.items())),
    ]  # fmt: skip
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="read">{body}</table>' + _list(map(_sentence, plan.notes))


def _assumptions(plan: Decision, found: LogRead, *, has_prices: bool, is_measured: bool) -> list[str]:
    lines = [
        f"An answer may be served for {span(plan.width)}.",
        f"The key of an answer is {_KEYS[found.kind]}.",
        f"There are {plan.keys:,} keys, "
        + ("with those that were never asked for." if plan.population else "as many as the log names."),
        "Every strategy is replayed on the log. It learns from the older half, and is judged by the newer one.",
        "The future is like the log.",
        "A month has 30 days. Intervals come from drawing the keys again.",
    ]
    if has_prices:
        lines.append(f"Prices: {unit_prices(plan.prices)}.")
    if is_measured:
        lines.append(f"The price on request is the median of {found.measured:,} costs that the log has measured.")
    lines += [f"{name} rests on the event lane that was described, and is never recommended." for name in plan.assumed]
    return lines


def _usd(value: float) -> str:
    """Dollars for a meeting: without cents where they do not matter."""
    return f"${value:,.0f}" if value >= 100 else f"${value:,.2f}" if value >= 1 else f"${value:.2g}"  # noqa: PLR2004  # (as said)


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _paragraphs(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""
