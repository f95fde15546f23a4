"""Requests that get an error in place of an answer, in the shape of OpenAI's errors."""

from typing import Any

from starlette.responses import JSONResponse

_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 408: {"Connection": "close"}, 413: {"Connection": "close"}}


class Refusal(Exception):
    """What a client is told, and the status it is told with."""

    def __init__(self, status: int, message: str, code: str, wait: float = 0.0) -> None:
        self.status, self.message, self.code, self.wait = status, message, code, wait
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        """In OpenAI's shape."""
        kind = _KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}

    def response(self, request_id: str = "") -> JSONResponse:
        """The whole answer."""
        headers = dict(_HEADERS.get(self.status, {}))
        headers |= {"Retry-After": str(max(1, round(self.wait)))} if self.wait else {}
        headers |= {"x-request-id": request_id} if request_id else {}
        return JSONResponse(self.body(), self.status, headers=headers)
