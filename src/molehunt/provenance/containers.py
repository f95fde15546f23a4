"""Look into files that may unpickle: what pickles import, what archives hold. Nothing is unpickled or unpacked to disk.

picklescan and fickling are alarms: what they find adds to the finding that such a file is there at all, what they do not find takes
nothing away, and an exception in them is a finding. Runs in the process apart; answers are plain JSON.
"""

import bz2
import gzip
import io
import lzma
import pickletools
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

Answer = dict[str, Any]
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dat", ".data", ".npy"}
_PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_CLOSED = {b"7z\xbc\xaf\x27\x1c": "7z", b"\x28\xb5\x2f\xfd": "zstd", b"Rar!": "rar", b"\x04\x22\x4d\x18": "lz4"}
_PROGRAMS = {
    b"\x7fELF": "an ELF program or library", b"MZ": "a Windows program", b"\xca\xfe\xba\xbe": "a Mach-O or Java program",
    b"\xcf\xfa\xed\xfe": "a Mach-O program", b"\xce\xfa\xed\xfe": "a Mach-O program", b"\x00asm": "WebAssembly",
}  # fmt: skip
_RUNS = {"GLOBAL", "STACK_GLOBAL", "INST"}
_FICKLING_BYTES = 64 << 20
"""More of a pickle than this is raw numbers."""


def examine(path: str, most: int, members: int, depth: int) -> list[Answer]:
    """Findings on one file: [{rule, part, message}]; `part` is a member of an archive, or empty.

    Args:
        most: bytes that archives may unpack to, all together.
        members: that archives may have, all together.
        depth: of archives in archives.
    """
    look = _Look(most, members, depth)
    with open(path, "rb") as stream:
        look.at(stream, "", Path(path).suffix.lower(), 0)
    return look.found


def is_pickle_text(text: bytes) -> bool:
    """True for a pickle in the oldest protocol, which is printable: it imports something and ends as pickles do."""
    imports = False
    try:
        for opcode, _, _ in pickletools.genops(text):
            imports = imports or opcode.name in _RUNS
    except Exception:  # no pickle; the parser raises what it likes
        return False
    return imports


class _Look:
    def __init__(self, most: int, members: int, depth: int) -> None:
        self.left, self.members, self.depth = most, members, depth
        self.found: list[Answer] = []

    def at(self, stream: IO[bytes], part: str, suffix: str, depth: int) -> None:
        """Add what is to be said about a seekable stream."""
        head = stream.read(512)
        is_zip = head.startswith(b"PK") or zipfile.is_zipfile(stream)
        stream.seek(0)
        if program := next((name for magic, name in _PROGRAMS.items() if head.startswith(magic)), ""):
            self._add("program", part, program)
        elif is_zip:
            self._archive(stream, part, suffix, depth, self._zip, "a zip archive")
        elif head[257:262] == b"ustar":
            self._archive(stream, part, suffix, depth, self._tar, "a tar archive")
        elif packed := next((magic for magic in _PACKED if head.startswith(magic)), b""):
            self._add("archive", part, "a compressed file")
            self._inner(lambda: _PACKED[packed](stream), part, "unpacked", depth)
        elif closed := next((name for magic, name in _CLOSED.items() if head.startswith(magic)), ""):
            self._add("archive", part, f"a {closed} archive")
            self._add("not-analysed", part, f"{closed} archives cannot be looked into")
        else:
            self._perhaps_pickle(stream, head, part, suffix)

    def _archive(
        self, stream: IO[bytes], part: str, suffix: str, depth: int, walk: Callable[..., None], what: str
    ) -> None:
        self._add("archive", part, what)
        if walk == self._zip:
            self._picklescan(stream, part, suffix)
        stream.seek(0)
        try:
            walk(stream, part, depth)
        except MemoryError:
            raise
        except Exception as error:  # broken on purpose or not: what cannot be opened is not examined
            self._add("scanner-failed", part, f"{what} that is broken: {_told(error)}")

    def _zip(self, stream: IO[bytes], part: str, depth: int) -> None:
        with zipfile.ZipFile(stream) as archive:
            names = [info.filename for info in archive.infolist()]
            for name in sorted({name for name in names if names.count(name) > 1})[:5] if len(names) < 2000 else []:
                self._add("disguised", _joined(part, name), "two members of one name")
            for info in archive.infolist():
                if not info.is_dir() and self._may_look(info.filename, part):
                    self._inner(lambda info=info: archive.open(info), part, info.filename, depth)  # type: ignore[misc]

    def _tar(self, stream: IO[bytes], part: str, depth: int) -> None:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for info in archive:
                if info.issym() or info.islnk():
                    self._add("path", _joined(part, info.name), f"a link to {info.linkname}")
                elif info.isfile() and self._may_look(info.name, part):
                    self._inner(lambda info=info: archive.extractfile(info), part, info.name, depth)  # type: ignore[misc]

    def _may_look(self, name: str, part: str) -> bool:
        self.members -= 1
        if self.members < 0:
            raise ValueError("more members than the limit")
        if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts or ":" in name[:3]:
            self._add("path", _joined(part, name), "a member that leads out of the archive's folder")
        return True

    def _inner(self, opened: Callable[[], "IO[bytes] | None"], part: str, name: str, depth: int) -> None:
        """Look at one member, unpacked in memory as far as the limit allows."""
        part = _joined(part, name)
        if depth >= self.depth:
            self._add("not-analysed", part, f"archives nested more than {self.depth} deep")
            return
        try:
            with opened() or io.BytesIO() as stream:
                head = stream.read(512)
                if not _is_worth(head, name):
                    return
                body = head + stream.read(self.left + 1 - len(head))
        except MemoryError:
            raise
        except Exception as error:  # an encrypted or damaged member
            self._add("scanner-failed", part, f"a member that cannot be read: {_told(error)}")
            return
        self.left -= len(body)
        if self.left < 0:
            raise ValueError("more inside than the limit")
        self.at(io.BytesIO(body), part, PurePosixPath(name).suffix.lower(), depth + 1)

    def _perhaps_pickle(self, stream: IO[bytes], head: bytes, part: str, suffix: str) -> None:
        is_old = not _is_pickle_head(head) and is_pickle_text(stream.read(1 << 20))
        stream.seek(0)
        if not (_is_pickle_head(head) or is_old or suffix in _PICKLES or head.startswith(b"\x93NUMPY")):
            return
        self._add("pickle", part, "a pickle, or a file that is opened as one")
        self._picklescan(stream, part, suffix)
        if not head.startswith(b"\x93NUMPY"):
            stream.seek(0)
            self._fickling(stream.read(_FICKLING_BYTES), part)

    def _picklescan(self, stream: IO[bytes], part: str, suffix: str) -> None:
        try:
            from picklescan.scanner import SafetyLevel, scan_bytes

            stream.seek(0)
            result = scan_bytes(stream, part, suffix or None)
        except MemoryError:
            raise
        except Exception as error:  # an exception in a scanner is a finding
            self._add("scanner-failed", part, f"picklescan: {_told(error)}")
            return
        if result.scan_err:
            self._add("scanner-failed", part, "picklescan: the pickle breaks off or is malformed")
        for name, safety in sorted({(f"{g.module}.{g.name}", g.safety) for g in result.globals}, key=str):
            if safety is not SafetyLevel.Innocuous:
                known = "which is known to be dangerous" if safety is SafetyLevel.Dangerous else "which is on no list"
                self._add("pickle-import", part, f"it imports {name}, {known}")

    def _fickling(self, body: bytes, part: str) -> None:
        try:
            from fickling.analysis import Severity, check_safety
            from fickling.fickle import StackedPickle

            worst = max(check_safety(pickled).severity for pickled in StackedPickle.load(body))
        except MemoryError:
            raise
        except Exception as error:  # an exception in a scanner is a finding
            self._add("scanner-failed", part, f"fickling: {_told(error)}")
            return
        if worst > Severity.LIKELY_UNSAFE:  # which it says of every ordinary state dict
            self._add("pickle-import", part, f"fickling: {worst.name.lower().replace('_', ' ')}")

    def _add(self, rule: str, part: str, message: str) -> None:
        answer = {"rule": rule, "part": part, "message": message}
        if answer not in self.found and len(self.found) < 500:
            self.found.append(answer)


def _is_worth(head: bytes, name: str) -> bool:
    """Raw numbers of a checkpoint are not looked at: they are most of it, and nothing reads them as anything else."""
    if "data" in PurePosixPath(name).parts and PurePosixPath(name).name.isdigit() and not _is_pickle_head(head):
        return any(head.startswith(magic) for magic in _magics())
    return True


def _magics() -> Iterator[bytes]:
    yield from (b"PK", b"\x93NUMPY", *_PACKED, *_CLOSED, *(magic for magic in _PROGRAMS if len(magic) > 2))


def _is_pickle_head(head: bytes) -> bool:
    return len(head) > 2 and head[0] == 0x80 and head[1] <= 5


def _joined(part: str, name: str) -> str:
    return f"{part}:{name[:200]}" if part else name[:200]


def _told(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()[:200]
