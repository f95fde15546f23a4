"""Answers on disk: written as they come, so that a killed run pays for nothing twice."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar, get_origin

from filelock import FileLock, Timeout

from molehunt.errors import DataError, MolehuntError
from molehunt.records.base import canonical_json

Answer = TypeVar("Answer", str, dict[str, Any])

_START = b'{"answer":'


class Answers(Generic[Answer]):
    """The answers in one file, one JSON object a line, each on the disk before it counts as kept.

    Entering locks the file against other runs and reads it; a last line that a kill has cut short is dropped.
    """

    def __init__(self, path: Path, kind: type[Answer], error: type[MolehuntError]) -> None:
        """`kind` is what an answer is, `error` what is raised where the file cannot be used."""
        self.path, self._error = path, error
        self._kind: Any = get_origin(kind) or kind
        self._lock = FileLock(f"{path}.lock", thread_local=False)
        self._file = -1
        self._known: dict[str, Answer] = {}

    def __enter__(self) -> "Answers[Answer]":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            do = "wait for it, or give this run a file of its own"
            raise self._error(
                f"answers {self.path}", wanted="a file for one run", got="another run that holds it", do=do
            ) from None
        except OSError as error:
            raise self._cannot(error) from None
        try:
            self._load()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> Answer:
        return self._known[key]

    def keep(self, key: str, answer: Answer, **beside: Any) -> None:
        """Write an answer, and what is to stand beside it, and see it on the disk.

        Raises:
            MolehuntError: of the kind named, if the disk refuses.
        """
        line = canonical_json({"answer": answer, "key": key, **beside}).encode() + b"\n"
        try:
            while line:  # a write may take a part only
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError as error:
            raise self._cannot(error) from None
        self._known[key] = answer

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._lock.release()

    def _load(self) -> None:
        whole = 0
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            with self.path.open("rb") as stream:
                for number, line in enumerate(stream, start=1):
                    if not line.endswith(b"\n") and (line.startswith(_START) or _START.startswith(line)):
                        os.ftruncate(self._file, whole)
                        return
                    self._add(number, line)
                    whole += len(line)
        except OSError as error:
            raise self._cannot(error) from None

    def _add(self, number: int, line: bytes) -> None:
        try:
            found: Any = json.loads(line)
            key, answer = found["key"], found["answer"]
            if not isinstance(key, str) or not isinstance(answer, self._kind):
                raise TypeError
            self._known[key] = answer
        except (ValueError, KeyError, TypeError):
            wanted, got = "an answer a line", "something else"
            do = "remove the line, or name another file"
            raise DataError(f"answers {self.path}:{number}", wanted=wanted, got=got, do=do) from None

    def _cannot(self, error: OSError) -> MolehuntError:
        got = error.strerror or str(error)
        return self._error(
            f"answers {self.path}", wanted="a file that can be written", got=got, do="mend it; what it holds is kept"
        )
