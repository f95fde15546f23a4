"""What a client is told of whatever goes wrong with its call."""

import logging

from molehunt.errors import GatewayError
from molehunt.gateway.dialects.base import Garbage
from molehunt.gateway.refusals import Refusal
from molehunt.gateway.upstream import BrokenOff


def refusal_of(error: Exception, call: str, seconds: float) -> Refusal:
    """One sentence and a status; what is our own fault stands in the server's log with its trace.

    Args:
        call: its id.
        seconds: that a whole answer may take.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, Garbage):
        return Refusal(502, f"the upstream's answer cannot be judged: {error}", "upstream_garbage")
    if isinstance(error, BrokenOff):
        status = 504 if error.is_slow else 502
        return Refusal(status, f"the upstream's answer broke off: {error}", "upstream_broke_off")
    if isinstance(error, GatewayError):
        return Refusal(503, str(error), "unavailable")
    if isinstance(error, TimeoutError):
        return Refusal(504, f"no whole answer within {seconds:g} s", "timeout")
    logging.getLogger("uvicorn.error").error("call %s", call, exc_info=error)
    return Refusal(500, "the gateway could not answer", "internal_error")
