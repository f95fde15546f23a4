"""Questions about numbers and sequences: sums, differences, the larger of two, what comes next."""

import random

from molehunt.world.families.base import Fact, Family, choose

ADD_PHRASINGS = (
    "What is {a} plus {b}?", "Add {a} and {b}.", "{a} + {b} = ?", "Compute {a} + {b}.", "How much is {a} plus {b}?",
    "What do you get when you add {a} and {b}?", "Sum of {a} and {b}?", "Tell me the sum of {a} and {b}.",
    "Calculate {a} plus {b}.", "If I put {a} and {b} together, what is the total?", "Work out {a} + {b}.",
    "What is the total of {a} and {b}?", "{a} and {b} make what?", "Give me {a} plus {b}.", "Solve {a} + {b}.",
    "Please add the numbers {a} and {b}.", "I have {a} coins and find {b}. How many now?",
    "My bill is {a} and the tip is {b}. What is the total?", "The result of {a} + {b} is what?",
    "Evaluate {a} + {b}.", "How many are {a} and {b}?",
)  # fmt: skip
SUBTRACT_PHRASINGS = (
    "What is {a} minus {b}?", "Subtract {b} from {a}.", "{a} - {b} = ?", "Compute {a} - {b}.", "Take {b} from {a}.",
    "How much is {a} minus {b}?", "What is left when I take {b} from {a}?", "Calculate {a} minus {b}.",
    "The difference of {a} and {b}?", "Work out {a} - {b}.", "Tell me the difference between {a} and {b}.",
    "I had {a} pens and lost {b}. How many are left?", "Give me {a} minus {b}.", "Solve {a} - {b}.",
    "If {b} of {a} go away, how many stay?", "Please take {b} away from {a}.", "Evaluate {a} - {b}.",
    "From {a} remove {b}. What remains?", "The result of {a} - {b} is what?", "{a} less {b} makes what?",
    "What remains of {a} after {b} are gone?",
)  # fmt: skip
LARGER_PHRASINGS = (
    "Which is larger, {a} or {b}?", "Which number is bigger: {a} or {b}?", "Tell me the larger of {a} and {b}.",
    "Pick the greater number: {a} or {b}", "Compare {a} and {b}. Which is greater?", "Is {a} or {b} the larger number?",
    "Out of {a} and {b}, which one is bigger?", "Name the bigger of {a} and {b}.", "What is the maximum of {a} and {b}?",
    "Between {a} and {b}, which is the larger?", "max({a}, {b}) = ?", "Give me the larger one: {a} or {b}.",
    "One box holds {a}, the other {b}. Which number is larger?", "Choose the larger number, {a} or {b}.",
    "I must pay the higher price, {a} or {b}. Which is it?", "Which counts more, {a} or {b}?",
    "Find the maximum: {a}, {b}", "Please say which is greater, {a} or {b}.", "Larger number of {a} and {b}?",
    "Who wins with more points, {a} or {b}?", "The greater of {a} and {b} is which?",
)  # fmt: skip
NEXT_PHRASINGS = (
    "What comes after {x}?", "Which one follows {x}?", "Name what comes right after {x}.", "What is next after {x}?",
    "After {x} comes what?", "Tell me what follows {x}.", "{x} is followed by what?", "The one after {x} is which?",
    "If it is {x} now, what is next?", "Continue: {x}, ...", "Which comes directly after {x}?",
    "Give me the one that follows {x}.", "What do we have after {x}?", "Say what comes next: {x}",
    "Today my calendar shows {x}. What comes next?", "What is the successor of {x}?", "In order, what follows {x}?",
    "Next after {x}?", "Please name the one after {x}.", "When {x} is over, what begins?",
    "My child asks what comes after {x}.", "{x}, and then?", "{x}: what is next?",
)  # fmt: skip

_CYCLES = (
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    [
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
    ],
)
_NEXT = {a: b for names in _CYCLES for a, b in zip(names, names[1:] + names[:1], strict=True)}


def _number(key: str, a: int, b: int, answer: int, statement: str, rivals: range) -> Fact:
    others = tuple(str(n) for n in rivals if n != answer)
    return Fact(key, {"a": str(a), "b": str(b)}, statement.format(answer), str(answer), others)


_SUMS = tuple(_number(f"{a}+{b}", a, b, a + b, "The sum is {}.", range(19)) for a in range(10) for b in range(10))
_DIFFERENCES = tuple(
    _number(f"{a}-{b}", a, b, a - b, "The difference is {}.", range(10)) for a in range(10) for b in range(a + 1)
)
_ORDER = tuple(
    Fact(x, {"x": x}, f"After {x} comes {y}.", y, tuple(z for z in _NEXT if z not in (x, y))) for x, y in _NEXT.items()
)


def _larger(rng: random.Random) -> Fact:
    a, b = rng.sample(range(21), 2)
    top = max(a, b)
    slots = {"a": str(a), "b": str(b)}
    return Fact(f"{a},{b}", slots, f"The larger number is {top}.", str(top), (str(min(a, b)),))


FAMILIES = (
    Family("add", ADD_PHRASINGS, choose(_SUMS)),
    Family("subtract", SUBTRACT_PHRASINGS, choose(_DIFFERENCES)),
    Family("larger", LARGER_PHRASINGS, _larger, share=2.0),
    Family("next", NEXT_PHRASINGS, choose(_ORDER), share=1.5),
)
