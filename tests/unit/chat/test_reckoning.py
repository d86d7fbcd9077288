"""What the shop computes for a model, of numbers and days that were stated, and of nothing else."""

import datetime as dt

import pytest

from retail_assistant.chat.spoken.reckoning import LONGEST, computed

NOW = dt.datetime(2026, 11, 30, 15, tzinfo=dt.UTC).timestamp()
STATED = (
    "You earn 2 points for every euro. 500 points become a voucher of €5.",
    "It costs €16.73 with 30 % off €23.90. Express costs €7.50, and the deal is 1,250 pages long.",
    "It came on 12 November, and her birthday is 12 February. Gifts can be returned until 31 January.",
    "You can return a book within 30 days, and complain within 72 hours. A gift card is valid for 3 years.",
    "It takes 7 working days from 30 November.",
    "i spent 32 euros, and a 170 basket in three payments; the card is from 15 March 2024",
)


def day(year, month, of_month):
    """Return a day as a slot, with its year if that is not this one."""
    moment = dt.datetime(year, month, of_month, tzinfo=dt.UTC).timestamp()
    return f"{{{{day:{moment:.0f}}}}}" + ("" if year == 2026 else f" {year}")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("2 * 32 points", "That makes {{span:64_points}}."),
        ("500 - 2 * 32 points", "That makes {{span:436_points}}."),
        ("€16.73 + €7.50", "That makes {{cents:2423}}."),
        ("16.73 + 7.50 euros", "That makes {{cents:2423}}."),
        ("(16.73 + 7.50) * 2 euros", "That makes {{cents:4846}}."),
        ("32 euros + 5 percent", "That makes {{cents:3360}}."),
        ("€16.73 - 30 %", "That makes {{cents:1171}}."),
        ("500 + 30 cents", "That makes {{cents:530}}."),
        ("170 / 3 euros", "That makes {{cents:5667}}."),
        ("23.90 * 30 / 100 euros", "That makes {{cents:717}}."),
        ("1,250 - 500 pages", "That makes {{span:750_pages}}."),
        ("12 November + 30 days", f"Counted from {day(2026, 11, 12)}, that is {day(2026, 12, 12)}."),
        ("15 March 2024 + 3 years", f"Counted from {day(2024, 3, 15)}, that is {day(2027, 3, 15)}."),
        ("no: 500 > 170 euros", "No: {{cents:50000}} is more than {{cents:17000}}."),
        ("yes: 16.73 + 7.50 euros < 32 euros", "Yes: {{cents:2423}} is less than {{cents:3200}}."),
        ("yes: 72 hours is more than 30", "Yes: {{span:72_hours}} is more than {{span:30_hours}}."),
        ("30 <= 30 days", "{{span:30_days}} is as much as {{span:30_days}}."),
        ("yes: today before 12 November + 30 days", f"Yes: {day(2026, 11, 30)} is before {day(2026, 12, 12)}."),
        ("no: today is after 12 November + 7 days.", f"No: {day(2026, 11, 30)} is after {day(2026, 11, 19)}."),
        ("30 November - 12 days + 30 days", f"Counted from {day(2026, 11, 30)}, that is {day(2026, 12, 18)}."),
        (
            "12 November + 7 working days",
            f"Counted from {day(2026, 11, 12)}, that is {day(2026, 11, 23)}, if no holiday lies between.",
        ),
        ("today + 72 hours", f"Counted from {day(2026, 11, 30)}, that is {day(2026, 12, 3)}."),
        ("today + 30 days", f"Counted from {day(2026, 11, 30)}, that is {day(2026, 12, 30)}."),
        ("31 January + 3 months", f"Counted from {day(2027, 1, 31)}, that is {day(2027, 4, 30)}."),
        ("31 January before 12 February", f"{day(2027, 1, 31)} is before {day(2027, 2, 12)}."),
        ("12 February or 31 January", f"{day(2027, 2, 12)} is after {day(2027, 1, 31)}."),
    ],
)
def test_what_follows_from_stated_numbers_is_computed(asked, said):
    """A calculation comes to its value, money as money, and a day is counted from a day or held against one."""
    assert computed(asked, STATED, NOW) == said


@pytest.mark.parametrize(
    "asked",
    [
        "9 + 9 points",  # nobody has stated a 9
        "2 * 32",  # of nothing
        "2 * 32 zeppelins",  # of what nobody has spoken of
        "32 / 0 euros", "32 / (2 - 2) euros", "2 ** 32 points", "2 // 32 points", "-500 points", "500 points 32",
        "13 November + 30 days", "12 November + 45 days", "12 November 2031 + 30 days", "31 February + 30 days",
        "2 * €32 points", "32 euros < 500 points", "yes: 30 cents > 5 euros", "no: 2 points < 30 days",  # two units
        "$500 - 30 euros", "30 % * 170 euros", "170 * 30 percent", "2 * 23,90 euros", "23.90 + 30 cents",
        "15 March + 30 days",  # of this year or of the next
        "5 March + 30 days",  # both words stand in the texts, and not as a day
        "no: 500 or 170 euros", "yes: today before today + 7 working days", "today + 30 hours",
        "2 * 16.73 points", "5 / 32 days", "30 - 500 points", "100 * 5 euros",
        "today before 12 November", "yes: 500 < 170 euros",
        "no: today before 12 November", "yes: 9 < 170 euros", "yes", "no: 500 euros",
        "yes: 2 * 32 points", "500 euros < 12 November", "500 > 170", "or", "< 5 euros", "today < 500 points",
        "12 November", "€16.73", "sum r1.1", "", "euros", "(", "2 *", "__import__('os')", "2 * x points",
        "2 " + "* 32 " * LONGEST,
    ],
)  # fmt: skip
def test_what_nobody_has_stated_is_not_computed(asked):
    """A calculation with a number, a day or a unit that no text states is refused, and so is any other text."""
    assert computed(asked, STATED, NOW) == ""
