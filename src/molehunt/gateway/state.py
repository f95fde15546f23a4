"""What the workers of a gateway share: session tags, holds, rates, digests. In SQLite, so that a killed worker loses none of it."""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from molehunt.errors import GatewayError

_TABLES = """
CREATE TABLE IF NOT EXISTS tags (client TEXT, session TEXT, tag TEXT, at REAL, PRIMARY KEY (client, session, tag)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answered (id TEXT PRIMARY KEY, client TEXT, session TEXT, at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS buckets (client TEXT PRIMARY KEY, tokens REAL, at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS good (folder TEXT PRIMARY KEY, texts TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS digests (url TEXT PRIMARY KEY, digest TEXT, at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holds (
    id TEXT PRIMARY KEY, created REAL, expires REAL, client TEXT, tool TEXT, arguments TEXT, reason TEXT, rules TEXT,
    decision TEXT DEFAULT '', by TEXT DEFAULT ''
) WITHOUT ROWID;
"""
FILE = "gateway.sqlite"


class Hold(NamedTuple):
    """A call that waits for an operator."""

    id: str
    created: float
    expires: float
    """Seconds since 1970."""
    client: str
    tool: str
    arguments: str
    reason: str
    rules: tuple[str, ...]
    decision: Literal["", "allow", "deny"]
    by: str


class _Base(sqlite3.Connection):
    """Says what it cannot do as GatewayError, such as writing where the disk is full."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except sqlite3.Error as error:
            raise _unusable(str(error)) from error

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        try:
            return super().executemany(sql, parameters)
        except sqlite3.Error as error:
            raise _unusable(str(error)) from error


def _unusable(got: str) -> GatewayError:
    return GatewayError("the state that workers share", wanted="a file that can be read and written", got=got)


class State:
    """One connection to the shared file; every process opens its own."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._base = sqlite3.connect(
                folder / FILE, isolation_level=None, timeout=5, check_same_thread=False, factory=_Base
            )
            self._base.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + _TABLES)
        except (OSError, sqlite3.Error) as error:
            raise GatewayError(f"state {folder}", wanted="a folder that can be written", got=str(error)) from None

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def tags(self, client: str, session: str) -> set[str]:
        """What the session has been marked with."""
        found = self._base.execute("SELECT tag FROM tags WHERE client = ? AND session = ?", (client, session))
        return {tag for (tag,) in found}

    def mark(self, client: str, session: str, tags: Iterable[str]) -> None:
        """Mark a session, for good."""
        now = time.time()
        rows = [(client, session, tag, now) for tag in tags]
        self._base.executemany("INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)", rows)

    def response(self, response_id: str) -> tuple[str, str]:
        """The client that had a response, and its session; empty if it is unknown."""
        sql = "SELECT client, session FROM answered WHERE id = ?"
        found: tuple[str, str] | None = self._base.execute(sql, (response_id,)).fetchone()
        return found or ("", "")

    def remember(self, response_id: str, client: str, session: str) -> None:
        """That a client has had a response, in a session. Of an id that is given again, whoever had it first keeps it."""
        sql = """INSERT INTO answered VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET session = excluded.session, at = excluded.at
                 WHERE client = excluded.client"""
        self._base.execute(sql, (response_id, client, session, time.time()))

    def forget(self, seconds: float) -> None:
        """What is older: ids of responses, holds, and tags, without which a session begins anew."""
        before = time.time() - seconds
        for sql in (
            "DELETE FROM answered WHERE at < ?",
            "DELETE FROM tags WHERE at < ?",
            "DELETE FROM holds WHERE expires < ?",
        ):
            self._base.execute(sql, (before,))

    def spend(self, client: str, per_minute: float) -> float:
        """Take one request from a client's bucket, which holds a tenth of a minute's, one at least.

        Returns:
            Seconds until there is one again; 0 if it was taken.
        """
        now, room = time.time(), max(1.0, per_minute / 10)
        self._base.execute("BEGIN IMMEDIATE")
        try:
            found = self._base.execute("SELECT tokens, at FROM buckets WHERE client = ?", (client,)).fetchone()
            tokens = min(room, found[0] + max(0.0, now - found[1]) * per_minute / 60) if found else room
            left = tokens - 1 if tokens >= 1 else tokens
            self._base.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)", (client, left, now))
        finally:
            self._base.execute("COMMIT")
        return 0.0 if tokens >= 1 else (1 - tokens) * 60 / per_minute

    def digest(self, url: str) -> tuple[str, float] | None:
        """The digest that was computed last for an upstream, and when."""
        found = self._base.execute("SELECT digest, at FROM digests WHERE url = ?", (url,)).fetchone()
        return (found[0], found[1]) if found else None

    def put_digest(self, url: str, digest: str) -> None:
        """What was computed now."""
        self._base.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (url, digest, time.time()))

    def keep_good(self, folder: str, texts: dict[str, str]) -> None:
        """Policies or keys that were read without an error: a worker that is started anew goes on with them.

        Who read them goes on with them even if they cannot be kept, as on a full disk.
        """
        with suppress(GatewayError):
            self._base.execute("INSERT OR REPLACE INTO good VALUES (?, ?)", (folder, json.dumps(texts)))

    def good(self, folder: str) -> dict[str, str] | None:
        """The last of them; None if there are none yet."""
        found = self._base.execute("SELECT texts FROM good WHERE folder = ?", (folder,)).fetchone()
        return dict(json.loads(found[0])) if found else None

    def hold(self, client: str, tool: str, arguments: str, reason: str, rules: Iterable[str], seconds: float) -> Hold:
        """Put a call before the operator."""
        now = time.time()
        held = Hold(secrets.token_hex(6), now, now + seconds, client, tool, arguments, reason, tuple(rules), "", "")
        row = held._replace(rules=json.dumps(held.rules))  # type: ignore[arg-type]
        self._base.execute("INSERT INTO holds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return held

    def decided(self, held: Hold) -> Hold:
        """The hold with what was decided, and by whom; both are empty while nobody has."""
        found = self._base.execute("SELECT decision, by FROM holds WHERE id = ?", (held.id,)).fetchone()
        return held._replace(decision=found[0], by=found[1]) if found else held._replace(decision="deny")

    def end_hold(self, hold: str, by: str) -> None:
        """Deny a hold that nobody decided on: from here on nobody can."""
        self._base.execute("UPDATE holds SET decision = 'deny', by = ? WHERE id = ? AND decision = ''", (by, hold))

    def resolve(self, hold: str, decision: Literal["allow", "deny"], by: str) -> bool:
        """Decide on a hold. False if there is none that waits by that name."""
        sql = "UPDATE holds SET decision = ?, by = ? WHERE id = ? AND decision = '' AND expires > ?"
        return self._base.execute(sql, (decision, by, hold, time.time())).rowcount == 1

    def waiting(self) -> list[Hold]:
        """Holds that nobody decided on, the oldest first."""
        sql = "SELECT * FROM holds WHERE decision = '' AND expires > ? ORDER BY created"
        rows = self._base.execute(sql, (time.time(),))
        return [Hold._make((*row[:7], tuple(json.loads(row[7])), *row[8:])) for row in rows]
