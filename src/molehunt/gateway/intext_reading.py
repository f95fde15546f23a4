"""What calls say that a model wrote into its text, by syntax."""

import ast
import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

from molehunt.gateway.names import visible_part

_NAMES = ("name", "tool_name", "function_name", "tool", "action", "recipient_name")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "action_input", "tool_input", "kwargs")
_DEPTH = 100
_LOOSE_NAME = re.compile(
    r"""["'](?:name|tool_name|function_name|tool|action|recipient_name)["']\s*:\s*["']([^"']{0,200})["']""", re.I
)
_LOOSE_ARGUMENTS = re.compile(rf"""["'](?:{"|".join(_ARGUMENTS)})["']\s*:""", re.I)
_TAG = re.compile(r"<\s*(?:function|invoke)(?:\s*=\s*|\s+name\s*=\s*)[\"']?([^>\"'\s]+)", re.I)
_PARAMETER = re.compile(r"<parameter(?:\s*=\s*|\s+name\s*=\s*)[\"']?([^>\"']+)[\"']?\s*>", re.I)
_PARAMETER_END = re.compile(r"</parameter\s*>", re.I)
_ANGLE = re.compile(r"<[^<>]*>")
_REACT = re.compile(r"action\s*(?:\d+\s*)?:", re.I)
_REACT_INPUT = re.compile(r"action\s*(?:\d+\s*)?input\s*(?:\d+\s*)?:", re.I)
_MISTRAL = re.compile(r"\[TOOL_CALLS\]", re.I)
_MISTRAL_NAMED = re.compile(r"\s*([^\s\[{]+)\s*(?:\[CALL_ID\]\s*[^\[]*)?(?:\[ARGS\]\s*)?(?=\{)", re.I)
_LLAMA = re.compile(r"<\|(?:python_tag|python_start|python_end|eo[mt](?:_id)?)\|>", re.I)
INTERPRETER = "code_interpreter"
"""What Llama's code after <|python_tag|> is called as a tool."""


class Written(NamedTuple):
    """A call that stands in a text."""

    name: str
    arguments: str
    """JSON where it could be read, else the text as it stands."""


def read_json(raw: str) -> tuple[Written, ...] | None:
    """Calls in JSON, or in a Python literal; None if there is none, () if it looks like one and can be read by neither."""
    seen = visible_part(raw.replace("\n", " "))
    for read in (json.loads, ast.literal_eval):
        try:
            return tuple(calls_in(read(seen))) or None
        except (ValueError, SyntaxError, TypeError):
            continue
    return () if _LOOSE_NAME.search(seen) and _LOOSE_ARGUMENTS.search(seen) else None


def calls_in(value: Any, depth: int = _DEPTH) -> list[Written]:
    """Every object in a JSON value that names a tool and has arguments for it. Raises RecursionError for what is too deep."""
    if depth == 0:
        raise RecursionError("nested too deep")
    if isinstance(value, list):
        return [call for part in value for call in calls_in(part, depth - 1)]
    if not isinstance(value, dict):
        return []
    keys = {visible_part(str(key)).strip().casefold(): part for key, part in value.items()}
    name = next((keys[key] for key in _NAMES if isinstance(keys.get(key), str)), None)
    given = next((key for key in _ARGUMENTS if key in keys), None)
    if name is None and isinstance(keys.get("function"), str) and given:
        name = keys["function"]
    own = [Written(str(name), _text(keys[given]))] if name is not None and given else []
    return own + [call for key, part in keys.items() if key != given for call in calls_in(part, depth - 1)]


def read_tag(raw: str) -> tuple[Written, ...] | None:
    """<tool_call>…</tool_call> with JSON or <function=NAME> inside, <function=NAME>…</function>, <invoke name="NAME">…</invoke>."""
    seen = visible_part(unicodedata.normalize("NFKC", raw.replace("\n", " ")))
    named = [*_TAG.finditer(seen)]
    inside = read_json(_ANGLE.sub("", seen, count=1).rpartition("</")[0] or _ANGLE.sub("", seen, count=1))
    if not named or inside == ():
        return inside
    bodies = [
        seen[found.end() : after]
        for found, after in zip(named, [*(n.start() for n in named[1:]), len(seen)], strict=True)
    ]
    own = tuple(Written(found[1], _tag_arguments(body)) for found, body in zip(named, bodies, strict=True))
    return own + (inside or ())


def _tag_arguments(body: str) -> str:
    body = body.lstrip("\"' ").removeprefix(">")
    if parameters := dict(_parameters(body)):
        return json.dumps(parameters)
    return _ANGLE.sub("", body).strip()


def _parameters(body: str) -> Iterator[tuple[str, str]]:
    at = 0
    while (opening := _PARAMETER.search(body, at)) and (ending := _PARAMETER_END.search(body, opening.end())):
        yield opening[1].strip(), body[opening.end() : ending.start()].strip()
        at = ending.end()


def read_mistral(raw: str) -> tuple[Written, ...] | None:
    """[TOOL_CALLS] and a list of calls, or NAME{…} with [CALL_ID] and [ARGS] between, any number of times."""
    calls: list[Written] = []
    for part in _MISTRAL.split(visible_part(raw))[1:]:
        if listed := read_json(part.strip()):
            calls += listed
        elif part.strip():
            named = _mistral_named(part)
            if not named:
                return None
            calls += named
    return tuple(calls) or None


def _mistral_named(part: str) -> list[Written]:
    calls = []
    while part.strip():
        found = _MISTRAL_NAMED.match(part)
        if not found:
            return []
        try:
            value, end = json.JSONDecoder().raw_decode(part, found.end())
        except (ValueError, RecursionError):
            value, end = part[found.end() :], len(part)
        calls.append(Written(found[1], _text(value)))
        part = part[end:].lstrip(" ,;\n")
    return calls


def read_react(raw: str) -> tuple[Written, ...] | None:
    """Action: NAME, Action Input: ARGUMENTS; None without an input, as in ordinary text."""
    seen = visible_part(raw.replace("\n", "\u2028")).replace("\u2028", "\n")
    first = _REACT.search(seen)
    given = _REACT_INPUT.search(seen, first.end()) if first else None
    if first is None or given is None:
        return None
    return (Written(seen[first.end() : given.start()].strip().strip("`*\"'[]"), seen[given.end() :].strip()),)


def read_python(raw: str, is_tagged: bool = False) -> tuple[Written, ...] | None:
    """Llama's [f(a=1), g()] and, after <|python_tag|> or <|python_start|>, JSON, f.call(a=1) or code; None without a call, () if it cannot be read."""
    code = _LLAMA.sub("", visible_part(raw.replace("\n", "\u2028")).replace("\u2028", "\n")).strip()
    if is_tagged and (listed := read_json(code)):
        return listed
    try:
        tree = ast.parse(code, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return (Written(INTERPRETER, code),) if is_tagged else ()
    parts = tree.elts if isinstance(tree, ast.List) else [tree]
    calls = tuple(_python_call(part) for part in parts if isinstance(part, ast.Call))
    if is_tagged and (not calls or len(calls) < len(parts)):
        return (*calls, Written(INTERPRETER, code))
    return calls or None


def _python_call(call: ast.Call) -> Written:
    name = ast.unparse(call.func).removesuffix(".call")
    given = {k.arg or "**": _value(k.value) for k in call.keywords}
    given |= {str(i): _value(part) for i, part in enumerate(call.args)}
    return Written(name, json.dumps(given))


def _value(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
        json.dumps(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ast.unparse(node)
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
