import json
import os
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from molehunt.errors import LedgerError, UsageError
from molehunt.provenance.alarms import FileAlarm, WebhookAlarm, alarm_of, tell_all
from molehunt.provenance.signing import sign_folder
from molehunt.provenance.trust import KeySigner
from molehunt.provenance.watching import Watch
from molehunt.records.identity import root_digest
from molehunt.records.signing import hmac_header
from registries import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def watch(registry: Registry, **more: bool) -> Watch:
    return Watch(registry.ledger, registry.folder.parent / "state.json", **more)


def test_what_is_untouched_is_read_once(registry: Registry) -> None:
    registry.approved("a")
    registry.approved("team/b")
    first = watch(registry)
    assert (first.look(), first.read > 10) == ([], True)
    again = watch(registry)
    assert (again.look(), again.read) == ([], 0)
    assert (again.look(full=True), again.read) == ([], first.read)


def test_changed_bytes_are_an_event_with_what_changed_and_who_approved(registry: Registry) -> None:
    model, digest = registry.approved("a")
    registry.ledger.append("promote", digest, registry.keys["bob"], name="a")
    watch(registry).look()
    path = model / "config.json"
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b":", b" ", 1))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # size and mtime are as before; ctime is not
    (model / "added.txt").write_text("x")
    watching = watch(registry)
    (event,) = watching.look()
    assert (event.kind, event.name, event.approved_digest) == ("changed", "a", digest)
    assert {(change.what, change.file) for change in event.changes} == {
        ("changed", "config.json"),
        ("added", "added.txt"),
    }
    assert event.approved_by == f"bob {registry.keys['bob'].public.key_id[:16]}"
    assert event.found_digest not in ("", digest)
    assert watching.read == 2
    assert watching.look() == []  # told once


def test_a_renamed_file_is_an_event_though_the_root_digest_is_the_same(registry: Registry) -> None:
    model, digest = registry.approved("a")
    watch(registry).look()
    (model / "generation_config.json").rename(model / "generation_config.jsonl")  # in the same place among the names
    assert root_digest(model) == digest
    for watching in (watch(registry), Watch(registry.ledger)):  # with and without a pass before
        (event,) = watching.look()
        assert (event.kind, event.found_digest) == ("changed", digest)
        assert "other names" in event.what
    (event,) = watch(registry).look()
    assert {(change.what, change.file) for change in event.changes} == {
        ("removed", "generation_config.json"),
        ("added", "generation_config.jsonl"),
    }


def test_a_folder_that_is_linked_into_a_model_is_an_event(registry: Registry, tmp_path: Path) -> None:
    model, _ = registry.approved("a")
    watch(registry).look()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "rag.jinja").write_text("x")
    (model / "additional_chat_templates").symlink_to(tmp_path / "elsewhere")
    (event,) = watch(registry).look()
    assert (event.kind, "additional_chat_templates is a link" in event.what) == ("changed", True)


def test_the_signature_says_what_changed_before_anything_was_seen(registry: Registry) -> None:
    model, _ = registry.approved("a")
    sign_folder(model, KeySigner(registry.keys["ann"]))
    (model / "config.json").unlink()
    (event,) = watch(registry).look()
    assert [(change.what, change.file) for change in event.changes] == [("removed", "config.json")]


def test_a_trusted_copy_tells_which_tensors_changed(registry: Registry, tmp_path: Path) -> None:
    model, _ = registry.approved("a")
    shutil.copytree(model, tmp_path / "trusted" / "a")
    (weights,) = model.glob("*.safetensors")
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(data)
    (event,) = Watch(registry.ledger, reference=tmp_path / "trusted").look()
    assert "tensors: " in event.difference
    assert "1 changed" in event.difference


def test_a_revoked_model_that_is_gone_is_no_event(registry: Registry) -> None:
    model, digest = registry.approved("a")
    registry.ledger.append("revoke", digest, registry.keys["ann"], reason="bad")
    (event,) = watch(registry, quarantine=True).look()
    assert (event.kind, model.exists()) == ("revoked", False)
    assert watch(registry).look() == []


def test_quarantine_moves_aside_what_changed_or_was_revoked(registry: Registry) -> None:
    model, _ = registry.approved("a")
    other, digest = registry.approved("b", '{"a": 1}')
    (model / "config.json").write_text("{}")
    registry.ledger.append("revoke", digest, registry.keys["ann"], reason="INC-1")
    events = {event.kind: event for event in watch(registry, quarantine=True).look()}
    assert events.keys() == {"changed", "revoked"}
    assert not model.exists()
    assert not other.exists()
    assert (Path(events["changed"].quarantined) / "config.json").read_text() == "{}"
    assert {event.kind for event in watch(registry).look()} == {"missing"}


def test_other_things_that_are_not_as_they_should_be(registry: Registry) -> None:
    registry.approved("a")
    registry.model("nobody")
    os.chmod(registry.folder / "a" / "config.json", 0o666)
    events = {(event.kind, event.name) for event in watch(registry).look()}
    assert events == {("unapproved", "nobody"), ("permissions", "a/config.json")}
    path = registry.ledger.path
    path.write_text(path.read_text().replace('"name":"a"', '"name":"c"'))
    assert ("ledger", "ledger.jsonl") in {(event.kind, event.name) for event in watch(registry).look()}


def test_events_go_to_files_syslog_and_webhooks(registry: Registry, tmp_path: Path) -> None:
    registry.model("nobody")
    events = watch(registry).look()
    got: list[tuple[bytes, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((body, self.headers["X-Molehunt-Signature"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        alarms = [
            FileAlarm(tmp_path / "no" / "folder"),
            WebhookAlarm(f"http://127.0.0.1:{server.server_port}/", b"secret"),
            alarm_of(f"syslog:127.0.0.1:{syslog.getsockname()[1]}"),
            alarm_of(str(tmp_path / "events.jsonl")),
        ]
        failed = tell_all(alarms, events)
        line = syslog.recv(65536)
    server.shutdown()
    server.server_close()
    assert [("folder" in text) for text in failed] == [True]
    assert json.loads((tmp_path / "events.jsonl").read_text())["kind"] == "unapproved"
    assert got[0][1] == hmac_header(got[0][0], b"secret")["X-Molehunt-Signature"]
    assert json.loads(line[line.index(b"{") : line.rindex(b"}") + 1])["name"] == "nobody"
    with pytest.raises(UsageError):
        alarm_of("syslog:nowhere")
    with pytest.raises(LedgerError):
        FileAlarm(tmp_path / "no" / "folder").tell(events[0])
