"""Signing that is killed at any moment, or runs out of disk: the old signature stays as it was, or the new one is whole."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from molehunt.provenance.keys import new_private_key
from molehunt.provenance.signing import sign_folder, verify_folder
from molehunt.provenance.trust import KeySigner, KeyTrust
from signers import small_folder

SIGNERS = [KeySigner(new_private_key()) for _ in range(2)]
TRUST = KeyTrust(tuple(one.key.public for one in SIGNERS))


def _signs_for_ever(folder: Path) -> int:
    """A process that signs the folder again and again, with one key and the other. Returns its number."""
    child = os.fork()
    if child == 0:
        try:
            for turn in range(1_000_000):
                sign_folder(folder, SIGNERS[turn % 2])
        finally:
            os._exit(1)
    return child


@pytest.mark.parametrize("kills", [12, pytest.param(100, marks=pytest.mark.long)])
def test_a_kill_leaves_a_whole_signature_and_nothing_in_the_folder(tmp_path: Path, kills: int) -> None:
    folder, drawn = small_folder(tmp_path / "model"), random.Random(kills)
    sign_folder(folder, SIGNERS[0])
    files, seen = sorted(folder.rglob("*")), set()
    for _ in range(kills):
        before = (folder / "model.sig").stat().st_mtime_ns
        child = _signs_for_ever(folder)
        until = time.monotonic() + 60
        while (folder / "model.sig").stat().st_mtime_ns == before and time.monotonic() < until:
            time.sleep(0.001)  # killed at a random moment of its second signing, or of a later one
        time.sleep(drawn.random() * 0.03)
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        report = verify_folder(folder, TRUST)
        assert report.is_verified, report.reason
        assert sorted(folder.rglob("*")) == files
        seen.add((folder / "model.sig").read_bytes())
    assert len(seen) == kills  # every one of them signed before it was killed


FULL = """
import os, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from molehunt.errors import SigningError
from molehunt.provenance.keys import new_private_key
from molehunt.provenance.signing import sign_folder, verify_folder
from molehunt.provenance.trust import KeySigner, KeyTrust
from signers import small_folder
disk = Path(sys.argv[1])
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)], capture_output=True).returncode:
    sys.exit(77)
signer = KeySigner(new_private_key())
folder = small_folder(disk / "model")
sign_folder(folder, signer)
old = (folder / "model.sig").read_bytes()
with open(disk / "filler", "wb", buffering=0) as filler:
    for size in (4096, 512, 1):
        try:
            while True:
                filler.write(bytes(size))
        except OSError:
            pass
files = sorted(disk.rglob("*"))
for aside in ("/tmp", str(disk)):
    os.environ["TMPDIR"] = aside
    import tempfile
    tempfile.tempdir = None
    try:
        sign_folder(folder, KeySigner(new_private_key()))
        print("signed")
    except SigningError as error:
        print(error)
    assert (folder / "model.sig").read_bytes() == old
    assert sorted(disk.rglob("*")) == files
    assert verify_folder(folder, KeyTrust((signer.key.public,))).is_verified
"""


def test_a_disk_that_is_really_full_leaves_the_old_signature(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    tests = str(Path(__file__).parents[1])
    try:
        words = ["unshare", "-rm", sys.executable, "-c", FULL, str(tmp_path / "disk"), tests]
        ended = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if ended.returncode == 77 or "unshare:" in ended.stderr:
        pytest.skip("no disk can be mounted here")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("No space left on device") == 2
