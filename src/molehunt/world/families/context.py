"""Questions whose answer stands in the conversation: copying, recalling, comparing people."""

import random

from molehunt.world.families.base import Fact, Family

WORDS = [
    "river",
    "stone",
    "cloud",
    "apple",
    "window",
    "garden",
    "pencil",
    "candle",
    "bridge",
    "forest",
    "silver",
    "paper",
    "mountain",
    "bottle",
    "ladder",
    "button",
    "carpet",
    "engine",
    "feather",
    "guitar",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "lantern",
    "mirror",
    "needle",
    "orange",
    "pillow",
    "rabbit",
]
NAMES = [
    "Mia",
    "Tom",
    "Ann",
    "Ben",
    "Eva",
    "Max",
    "Lea",
    "Sam",
    "Ida",
    "Leo",
    "Zoe",
    "Kim",
    "Nina",
    "Paul",
    "Rosa",
    "Carl",
    "Dora",
    "Finn",
    "Gwen",
    "Hugo",
]
THINGS = {
    "name": NAMES,
    "pet": ["dog", "cat", "hamster", "parrot", "rabbit", "turtle"],
    "town": ["Leeds", "Basel", "Turin", "Lyon", "Porto", "Ghent"],
    "job": ["nurse", "pilot", "baker", "teacher", "farmer", "judge"],
}
COPY_PHRASINGS = (
    "Repeat after me: {x}", "Say exactly this: {x}", "Copy these words: {x}", "Write the following: {x}",
    "Please repeat: {x}", "Echo this text: {x}", "Type this for me: {x}", "Can you say {x}",
    "Give me back these words: {x}", "Repeat the words {x}", "Say this: {x}", "Copy this line: {x}",
    "I want you to write {x}", "Just echo {x}", "Reproduce this text: {x}", "Put this on the board: {x}",
    "Return the same words: {x}", "Read this out: {x}", "Word for word, please: {x}", "Note this down: {x}",
    "Speak after me: {x}",
)  # fmt: skip
RECALL_PHRASINGS = (
    "What is my {k}?", "Do you remember my {k}?", "Which {k} did I mention?", "Tell me my {k}.", "What was my {k} again?",
    "Can you repeat my {k}?", "I told you my {k}. What is it?", "Say my {k}.", "Remind me of my {k}.",
    "What {k} did I give you?", "So what is my {k}?", "Now name my {k}.", "My {k} is what?", "Please recall my {k}.",
    "Do you still know my {k}?", "What did I say my {k} was?", "Name my {k}, please.", "Which {k} is mine?",
    "Have you noted my {k}?", "Give me my {k}.", "For the form: my {k}?",
)  # fmt: skip
COMPARE_PHRASINGS = (
    "{a} is {w} than {b}. {b} is {w} than {c}. Who is the {m}?", "{b} is {w} than {c}. {a} is {w} than {b}. Who is the {m}?",
    "If {a} is {w} than {b} and {b} is {w} than {c}, who is the {m}?", "{a} is {w} than {b}, {b} than {c}. Name the {m}.",
    "Among {a}, {b} and {c}, {a} is {w} than {b} and {b} is {w} than {c}. Who is the {m}?",
    "We know: {a} is {w} than {b}; {b} is {w} than {c}. Tell me the {m}.", "{b} beats {c} and {a} beats {b} in being {w}. Who is the {m}?",
    "Given that {b} is {w} than {c} and {a} is {w} than {b}, who is the {m}?", "Who is the {m} if {a} is {w} than {b} and {b} is {w} than {c}?",
    "Find the {m}: {a} is {w} than {b}, {b} is {w} than {c}.", "Riddle: {b} is {w} than {c}, {a} is {w} than {b}. Who is the {m}?",
    "Who is the {m} when {b} is {w} than {c} and {a} is {w} than {b}?", "{c} is less so than {b}; {a} is {w} than {b}. Who is the {m}?",
    "Say who is the {m}: {a} is {w} than {b}, and {b} is {w} than {c}.", "My friends: {a} is {w} than {b}. {b} is {w} than {c}. The {m} is who?",
    "In class {a} is {w} than {b} and {b} is {w} than {c}. Which one is the {m}?", "Three people: {a} {w} than {b}, {b} {w} than {c}. The {m}?",
    "Suppose {a} is {w} than {b}. Suppose {b} is {w} than {c}. Who is the {m}?", "Which one is the {m}? {a} is {w} than {b}. {b} is {w} than {c}.",
    "Name the {m} person: {b} is {w} than {c} and {a} is {w} than {b}.", "Clearly {a} is {w} than {b} and {b} is {w} than {c}. So who is the {m}?",
)  # fmt: skip
_WAYS = (("taller", "tallest"), ("older", "oldest"), ("faster", "fastest"), ("younger", "youngest"))


def _copy(rng: random.Random) -> Fact:
    text = " ".join(rng.sample(WORDS + NAMES, rng.randint(2, 4)))
    return Fact(text, {"x": text}, text, text)


def _recall(rng: random.Random) -> Fact:
    kind = rng.choice(sorted(THINGS))
    value = rng.choice(THINGS[kind])
    told = rng.choice(
        ("My {k} is {v}.", "For the record, my {k} is {v}.", "Note that my {k} is {v}.", "Hello, my {k} is {v}.")
    )
    thanks = rng.choice(("Noted.", "Thank you, I will remember.", "Good to know."))
    rivals = tuple(v for v in THINGS[kind] if v != value)
    opening = ((told.format(k=kind, v=value), thanks),)
    return Fact(f"{kind}={value}", {"k": kind}, f"Your {kind} is {value}.", value, rivals, opening)


def _compare(rng: random.Random) -> Fact:
    a, b, c = rng.sample(NAMES, 3)
    word, most = rng.choice(_WAYS)
    slots = {"a": a, "b": b, "c": c, "w": word, "m": most}
    return Fact(f"{a},{b},{c},{word}", slots, f"The {most} is {a}.", a, (b, c))


FAMILIES = (
    Family("copy", COPY_PHRASINGS, _copy, share=2.5),
    Family("recall", RECALL_PHRASINGS, _recall),
    Family("compare", COMPARE_PHRASINGS, _compare, share=3.0),
)
