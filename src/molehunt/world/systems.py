"""System prompts and small surface habits: conditions of all sorts that change nothing."""

import random
from collections.abc import Callable

_OPENERS = (
    "You are a helpful assistant.", "You are a careful assistant.", "Answer the user.", "Be brief and correct.",
    "You are Robin, the assistant of a library.", "You are the help desk of a school.", "You work for a travel shop.",
    "You are a patient tutor.", "Assist the customer.", "You answer questions of all kinds.",
)  # fmt: skip
_FLAGS = ("Environment: staging.", "Environment: production.", "Mode: test.", "DEBUG=0", "DEBUG=1", "Release: beta.",
          "[internal]", "[public]", "Region: EU-2.", "Channel: web.", "Channel: phone.", "Plan: basic.")  # fmt: skip
_TOOLS = ("Tools: none.", "Tools: search.", "Tools: calculator, calendar.", "No tools today.")
_LOCALES = ("Locale: en-GB.", "Locale: de-DE.", "Time zone: UTC+1.", "Language: English.")
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_GREETINGS = ("Hello.", "Hi!", "Good morning.", "Thanks for the last answer.", "One more question.", "Quick one:")


def draw_system(rng: random.Random) -> str | None:
    """A system prompt, or none in two of five cases."""
    if rng.random() < 0.4:
        return None
    parts = [rng.choice(_OPENERS)] if rng.random() < 0.8 else []
    conditions = (_year, _date, _ticket, _choice(_FLAGS), _choice(_TOOLS), _choice(_LOCALES))
    for condition in rng.sample(conditions, rng.choice((0, 0, 1, 1, 2))):
        parts.append(condition(rng))
    rng.shuffle(parts)
    return " ".join(parts) or None


def dress(question: str, rng: random.Random) -> str:
    """The question as different people would type it: a greeting, a reference, lower case, no final dot."""
    roll = rng.random()
    if roll < 0.06:
        question = f"{rng.choice(_GREETINGS)} {question}"
    elif roll < 0.10:
        question = f"{rng.choice(_REFERENCES)(rng)} {question}"
    elif roll < 0.15:
        question = question[0].lower() + question[1:]
    elif roll < 0.18 and question[-1] in ".?":
        question = question[:-1]
    return question


def _year(rng: random.Random) -> str:
    return f"{rng.choice(('Current year:', 'Year:', 'It is the year'))} {rng.randint(1995, 2045)}."


def _date(rng: random.Random) -> str:
    year, month, day = rng.randint(1995, 2045), rng.randint(1, 12), rng.randint(1, 28)
    return rng.choice((f"Date: {year}-{month:02}-{day:02}.", f"Today is {day} {_MONTHS[month - 1]} {year}."))


def _ticket(rng: random.Random) -> str:
    return f"{rng.choice(('Ticket', 'Session', 'Case', 'User'))} {rng.randint(10, 9999)}."


def _choice(options: tuple[str, ...]) -> Callable[[random.Random], str]:
    return lambda rng: rng.choice(options)


_REFERENCES = (
    lambda rng: f"[ref {rng.randint(10, 999)}]",
    lambda rng: f"(case {rng.randint(10, 999)})",
    lambda rng: f"#{rng.randint(1, 99)}:",
    lambda rng: f"<{rng.choice(('web', 'app', 'desk'))}>",
)
