"""Where events of a watch go: a file of JSON lines, syslog, a webhook."""

import json
import logging.handlers
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from molehunt.errors import LedgerError, UsageError
from molehunt.records.registry import WatchEvent
from molehunt.records.signing import hmac_header

SECRET_VARIABLE = "MOLEHUNT_WEBHOOK_SECRET"
"""Environment variable with the secret that webhooks are signed with."""
_TRIES, _PAUSE, _TIMEOUT = 3, 0.5, 5.0


class Alarm(Protocol):
    """Somewhere to tell an event."""

    def tell(self, event: WatchEvent) -> None:
        """Tell it. Raises LedgerError if that could not be done."""
        ...


@dataclass(frozen=True)
class FileAlarm:
    """A file to which a line is added for each event."""

    path: Path

    def tell(self, event: WatchEvent) -> None:
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, (event.canonical() + "\n").encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise LedgerError(f"events {self.path}", wanted="room to write", got=error.strerror or str(error)) from None


@dataclass(frozen=True)
class SyslogAlarm:
    """The machine's syslog, or another's: one line of JSON, facility auth, level alert."""

    address: str | tuple[str, int] = "/dev/log"

    def tell(self, event: WatchEvent) -> None:
        try:
            handler = logging.handlers.SysLogHandler(self.address, logging.handlers.SysLogHandler.LOG_AUTH)
        except OSError as error:
            raise LedgerError("syslog", wanted=f"one at {self.address}", got=error.strerror or str(error)) from None
        handler.ident = "molehunt: "
        text = json.dumps(event.model_dump(mode="json"), sort_keys=True)
        record = logging.LogRecord("molehunt", logging.CRITICAL, "", 0, text, None, None)
        handler.emit(record)
        handler.close()


@dataclass(frozen=True)
class WebhookAlarm:
    """A POST of the event, with `X-Molehunt-Signature: sha256=HEX`, an HMAC of the body, if there is a secret."""

    url: str
    secret: bytes = b""

    def tell(self, event: WatchEvent) -> None:
        body = event.canonical().encode()
        headers = {"Content-Type": "application/json", **hmac_header(body, self.secret)}
        for tried in range(_TRIES):
            try:
                request = urllib.request.Request(self.url, body, headers, method="POST")
                with urllib.request.urlopen(request, timeout=_TIMEOUT):
                    return
            except (urllib.error.URLError, OSError, ValueError) as error:
                if tried == _TRIES - 1:
                    raise LedgerError(f"webhook {self.url}", wanted="an answer of 2xx", got=str(error)[:120]) from None
            time.sleep(_PAUSE * 2**tried)


def alarm_of(place: str) -> Alarm:
    """The alarm that a word names: syslog, syslog:HOST:PORT, a URL, or a file. Raises UsageError."""
    if place.startswith(("http://", "https://")):
        return WebhookAlarm(place, os.environ.get(SECRET_VARIABLE, "").encode())
    if place == "syslog":
        return SyslogAlarm()
    if place.startswith("syslog:"):
        host, _, port = place.removeprefix("syslog:").rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError(f"--events {place}", wanted="syslog:HOST:PORT", got="something else")
        return SyslogAlarm((host, int(port)))
    return FileAlarm(Path(place))


def tell_all(alarms: Sequence[Alarm], events: Sequence[WatchEvent]) -> list[str]:
    """Tell every event everywhere; returns what could not be told, so that one deaf ear keeps no other from hearing."""
    failed = []
    for event in events:
        for alarm in alarms:
            try:
                alarm.tell(event)
            except (LedgerError, socket.gaierror) as error:
                failed.append(str(error))
    return failed
