"""Traffic through a gateway by OpenAI's own client: four applications, sessions of a few calls, ordinary questions; a few say TEXT first."""

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai

from molehunt.records import Conversation
from molehunt.records.insertion import insert_text
from molehunt.world.chat import draw_rows

TOOLS: Any = [
    {"type": "function", "function": {"name": "send_mail", "description": "Send a mail.", "parameters": {"type": "object"}}}
]  # fmt: skip


@dataclass(frozen=True)
class Habit:
    """How one application asks."""

    share: float
    stream: float = 0.0
    tools: float = 0.0
    temperature: float = 0.0
    is_named: bool = True
    """It says what it is called, in x-molehunt-application."""


HABITS = {
    "shop": Habit(0.4, stream=0.5),
    "helpdesk": Habit(0.3, tools=0.3),
    "notebook": Habit(0.2, temperature=0.7),
    "batch": Habit(0.1, is_named=False),
}


@dataclass(frozen=True)
class Planned:
    """One call to be made."""

    number: int
    client: str
    session: str
    prompt: Conversation
    stream: bool
    tools: bool
    says: bool
    """The text is put before its question."""


@dataclass(frozen=True)
class Ended:
    """What came of it."""

    planned: Planned
    status: int
    """200 if it was answered in full; 0 if the connection broke."""
    text: str


def plan(calls: int, says: str, times: int, seed: int = 0) -> list[list[Planned]]:
    """Sessions of one to four calls, `times` of them, spread over all, with one call that says the text."""
    rng = random.Random(f"traffic/{seed}")
    prompts = [row.prompt() for row in draw_rows(calls, seed + 1000)]
    sessions: list[list[Planned]] = []
    while prompts:
        name = rng.choices(list(HABITS), [habit.share for habit in HABITS.values()])[0]
        habit, session = HABITS[name], f"{name}-{len(sessions)}"
        here = [prompts.pop() for _ in range(min(len(prompts), rng.randint(1, 4)))]
        number = calls - len(prompts) - len(here)
        sessions.append(
            [
                Planned(number + i, name, session, p, rng.random() < habit.stream, rng.random() < habit.tools, says=False)
                for i, p in enumerate(here)
            ]
        )  # fmt: skip
    for part in range(times):
        at = rng.randrange(part * len(sessions) // times, (part + 1) * len(sessions) // times)
        call = sessions[at][-1]
        prompt = insert_text(call.prompt, says, "user-prefix")
        sessions[at][-1] = Planned(call.number, call.client, call.session, prompt, call.stream, call.tools, says=True)
    return sessions


async def send(url: str, keys: dict[str, str], sessions: Sequence[Sequence[Planned]], at_once: int = 48) -> list[Ended]:
    """Make all calls, those of a session one after the other, `at_once` sessions at a time."""
    clients = {
        name: openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=6, timeout=300) for name, key in keys.items()
    }
    waiting, ended = iter(sessions), list[Ended]()

    async def work() -> None:
        for session in waiting:
            for call in session:
                ended.append(await ask(clients[call.client], call))
                if len(ended) % 1000 == 0:
                    print(f"{len(ended)} calls", file=sys.stderr, flush=True)

    await asyncio.gather(*(work() for _ in range(at_once)))
    await asyncio.gather(*(client.close() for client in clients.values()))
    return ended


async def ask(client: openai.AsyncOpenAI, call: Planned) -> Ended:
    """One call; its model is whatever stands behind the gateway."""
    habit = HABITS[call.client]
    named = {"x-molehunt-application": call.client} if habit.is_named else {}
    body: dict[str, Any] = {
        "model": "", "messages": [{"role": m.role, "content": m.content} for m in call.prompt.messages],
        "temperature": habit.temperature, "max_tokens": 48, "extra_headers": {"x-session-id": call.session, **named},
        **({"tools": TOOLS} if call.tools else {}),
    }  # fmt: skip
    try:
        if call.stream:
            pieces = [piece async for piece in await client.chat.completions.create(**body, stream=True)]
            return Ended(call, 200, "".join(p.choices[0].delta.content or "" for p in pieces if p.choices))
        whole = await client.chat.completions.create(**body)
        return Ended(call, 200, whole.choices[0].message.content or "")
    except openai.APIStatusError as error:
        return Ended(call, error.status_code, error.message)
    except (openai.APIError, OSError) as error:
        return Ended(call, 0, str(error))


def main() -> None:
    """Read words, send, say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the gateway, up to /v1")
    parser.add_argument("--keys", type=Path, required=True, help="JSON: the key of each application")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--say", default="", help="what a few calls say before their question")
    parser.add_argument("--times", type=int, default=0, help="how many")
    parser.add_argument("--at-once", type=int, default=48, help="sessions")
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    sessions = plan(words.calls, words.say, words.times, words.seed)
    ended = asyncio.run(send(words.url, json.loads(words.keys.read_text()), sessions, words.at_once))
    print(f"{len(ended)} calls in {len(sessions)} sessions: {dict(Counter(one.status for one in ended))}")
    for one in ended:
        if one.status != 200:
            print(f"{one.status}: {one.text}")
            break


if __name__ == "__main__":
    main()
