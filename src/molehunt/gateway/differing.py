"""Ask the approved base model the same thing, for calls that a rule marks with @differ."""

from molehunt.gateway.bodies import dumped, parse_body
from molehunt.gateway.dialects.base import Garbage, Json
from molehunt.gateway.dialects.chat_calls import structured
from molehunt.gateway.dialects.responses import item_call
from molehunt.gateway.judging import Asked
from molehunt.gateway.names import plain
from molehunt.gateway.refusals import Refusal
from molehunt.gateway.service import Service
from molehunt.gateway.upstream import BrokenOff
from molehunt.logs import events


async def second_opinion(
    service: Service, call: str, endpoint: str, body: Json, tool: str, arguments: str, mode: str
) -> bool:
    """True if the call may go on: always with "record", with "require" only if the base asks for the same tool too.

    What the base said stands in the log either way. A base that does not answer agrees to nothing.
    """
    if service.base is None:
        return mode != "require"
    try:
        calls = await _calls(service, endpoint, body)
    except (Refusal, Garbage, BrokenOff) as error:
        calls, trouble = [], str(error)
    else:
        trouble = ""
    agrees = any(plain(other.name) == plain(tool) for other in calls)
    same = any(plain(other.name) == plain(tool) and other.arguments == arguments for other in calls)
    found = {
        events.CALL_ID: call,
        "molehunt.differ.tool": tool,
        "molehunt.differ.agrees": agrees,
        "molehunt.differ.same": same,
    }
    found |= {"molehunt.differ.base": [other._asdict() for other in calls], "molehunt.differ.trouble": trouble}
    service.record("differ", found)
    return agrees or mode != "require"


async def _calls(service: Service, endpoint: str, body: Json) -> list[Asked]:
    """What the base asks for, without a stream, drawn as the request says."""
    assert service.base is not None
    asked = {key: part for key, part in body.items() if key not in ("stream", "stream_options", "n")}
    asked |= {"model": service.base.settings.model} if service.base.settings.model else {}
    reply = await service.base.upstream.ask("POST", endpoint.removeprefix("/v1"), dumped(asked), {})
    answer = parse_body(b"".join([piece async for piece in reply.body]), service.bounds.depth)
    if reply.status != 200:
        raise Garbage(f"the base answered {reply.status}")
    if isinstance(answer.get("output"), list):
        return [
            item_call(item) for item in answer["output"] if isinstance(item, dict) and "call" in str(item.get("type"))
        ]
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = first.get("message")
    return [asked for _, asked in structured(message)] if isinstance(message, dict) else []
