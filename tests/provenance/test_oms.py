"""Vectors for OpenSSF Model Signing v1.0: what the specification allows verifies, what it forbids never does, signed rightly or not."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blake3
import pytest

from molehunt.provenance.bundle import PAYLOAD_TYPE
from molehunt.provenance.signing import sign_folder, verify_folder
from signers import SIGNER, TRUST, resign, small_folder, statement_in

Statement = dict[str, Any]
HASHES = {"sha256": hashlib.sha256, "blake2b": hashlib.blake2b, "blake3": blake3.blake3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small_folder(tmp_path / "model")
    (tmp_path / "model" / "empty").unlink()
    sign_folder(tmp_path / "model", SIGNER)
    return tmp_path / "model"


def root(statement: Statement) -> Statement:
    """Give the statement the root digest that its resources have."""
    raw = b"".join(bytes.fromhex(one["digest"]) for one in statement["predicate"]["resources"])
    statement["subject"][0]["digest"] = {"sha256": hashlib.sha256(raw).hexdigest()}
    return statement


def by(hash_type: str, shard: int | None = None, long: bool = True, by_text: bool = False) -> Callable[..., Statement]:
    """The statement over the same folder, made with another serialization."""

    def made(statement: Statement, folder: Path) -> Statement:
        names = [one["name"] for one in statement["predicate"]["resources"]]
        resources = []
        for name in sorted(names) if by_text else names:
            data = (folder / name).read_bytes()
            for start in range(0, len(data), shard or max(1, len(data))):
                end = min(start + (shard or len(data)), len(data))
                resources.append({
                    "name": f"{name}:{start}:{end}" if shard else name,
                    "digest": HASHES[hash_type](data[start:end]).hexdigest(),
                    "algorithm": f"{hash_type}-sharded-{shard}" if shard and long else hash_type,
                })  # fmt: skip
        told = {"method": "shards" if shard else "files", "hash_type": hash_type, "allow_symlinks": False}
        statement["predicate"] = {
            "serialization": told | ({"shard_size": shard} if shard else {}),
            "resources": resources,
        }
        return root(statement)

    return made


def more(statement: Statement, folder: Path) -> Statement:
    """Fields that nobody knows, and another name."""
    statement["subject"][0]["name"] = "another"
    statement["predicate"]["annotations"] = {"a": 1}
    return statement


def ignoring(statement: Statement, folder: Path) -> Statement:
    statement["predicate"]["serialization"]["ignore_paths"] = ["notes/README.md", ".git"]
    (folder / "notes").mkdir()
    (folder / "notes" / "README.md").touch()
    return statement


VALID: dict[str, Callable[[Statement, Path], Statement]] = {
    "as signed": lambda s, f: s,
    "other fields": more,
    "sha256 by text": by("sha256", by_text=True),
    "blake2b": by("blake2b"),
    "blake3": by("blake3"),
    "shards": by("sha256", 100),
    "shards larger than files": by("sha256", 1_000_000_000),
    "shards of blake2b, short algorithm": by("blake2b", 7, long=False),
    "a shard size as protocol buffers write it": lambda s, f: _with_size(by("sha256", 100)(s, f), 100.0),
    "documentation left out": ignoring,
}


def _with_size(statement: Statement, size: object) -> Statement:
    statement["predicate"]["serialization"]["shard_size"] = size
    return statement


@pytest.mark.parametrize("case", VALID)
def test_a_valid_statement_verifies_and_the_same_with_another_byte_does_not(folder: Path, case: str) -> None:
    place = folder / "model.sig"
    resign(place, json.dumps(VALID[case](statement_in(place), folder)).encode())
    report = verify_folder(folder, TRUST)
    assert report.is_verified, report.reason
    with (folder / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\0")
    report = verify_folder(folder, TRUST)
    assert [change.name for change in report.changes] == ["model.safetensors"]


def _set(*path: str | int) -> Callable[[Any], Callable[[Statement, Path], Statement]]:
    """Put a value at a place of the statement; the root digest is made to fit if resources changed."""

    def put(value: Any) -> Callable[[Statement, Path], Statement]:
        def made(statement: Statement, folder: Path) -> Statement:
            at: Any = statement
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = value
            return root(statement) if path[:2] == ("predicate", "resources") and path[2:] else statement

        return made

    return put


def _drop(*path: str | int) -> Callable[[Statement, Path], Statement]:
    def made(statement: Statement, folder: Path) -> Statement:
        at: Any = statement
        for key in path[:-1]:
            at = at[key]
        del at[path[-1]]
        return statement

    return made


def _renamed(name: str) -> Callable[[Statement, Path], Statement]:
    """The last resource under another name, kept in order."""

    def made(statement: Statement, folder: Path) -> Statement:
        resources = statement["predicate"]["resources"]
        resources[-1]["name"] = name
        resources.sort(key=lambda one: one["name"])
        return root(statement)

    return made


def _resources(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Statement, Path], Statement]:
    def made(statement: Statement, folder: Path) -> Statement:
        change(statement["predicate"]["resources"])
        return root(statement)

    return made


def _shards(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Statement, Path], Statement]:
    return lambda statement, folder: _resources(change)(by("sha256", 100)(statement, folder), folder)


RESOURCE = ("predicate", "resources", 0)
SERIAL = ("predicate", "serialization")
INVALID: dict[str, Callable[[Statement, Path], Statement]] = {
    "another type of statement": _set("_type")("https://in-toto.io/Statement/v0.1"),
    "no type of statement": _drop("_type"),
    "another predicate": _set("predicateType")("https://slsa.dev/provenance/v1"),
    "the predicate of before 1.0": _set("predicateType")("https://model_signing/Digests/v0.1"),
    "a predicate that only begins so": _set("predicateType")("https://model_signing/signature/v1.01"),
    "no predicate": _drop("predicate"),
    "no subject": _set("subject")([]),
    "two subjects": lambda s, f: {**s, "subject": s["subject"] * 2},
    "a subject without digest": _drop("subject", 0, "digest"),
    "a subject with another digest alone": _set("subject", 0, "digest")({"sha512": "00" * 64}),
    "another root digest": _set("subject", 0, "digest")({"sha256": "00" * 32}),
    "a root digest in capitals": lambda s, f: _set("subject", 0, "digest", "sha256")(
        s["subject"][0]["digest"]["sha256"].upper()
    )(s, f),
    "no serialization": _drop(*SERIAL),
    "an unknown method": _set(*SERIAL, "method")("tensors"),
    "no method": _drop(*SERIAL, "method"),
    "an unknown hash": _set(*SERIAL, "hash_type")("md5"),
    "a hash that the digests are not of": _set(*SERIAL, "hash_type")("blake3"),
    "links as a text": _set(*SERIAL, "allow_symlinks")("false"),
    "ignored paths as a text": _set(*SERIAL, "ignore_paths")("model.sig"),
    "an ignored pattern": _set(*SERIAL, "ignore_paths")(["*.md"]),
    "an ignored path outside": _set(*SERIAL, "ignore_paths")(["../x"]),
    "all ignored": _set(*SERIAL, "ignore_paths")(["."]),
    "no resources": _drop("predicate", "resources"),
    "empty resources": _set("predicate", "resources")([]),
    "resources that are no list": _set("predicate", "resources")({}),
    "a resource that is none": _set(*RESOURCE[:2])(["a.txt"]),
    "a resource without name": _drop(*RESOURCE, "name"),
    "a resource with a number for a name": _set(*RESOURCE, "name")(1),
    "a resource without digest": _drop(*RESOURCE, "digest"),
    "a resource without algorithm": _drop(*RESOURCE, "algorithm"),
    "a resource of another algorithm": _set(*RESOURCE, "algorithm")("sha512"),
    "a digest that is too short": lambda s, f: _set(*RESOURCE, "digest")("00" * 31)(s, f),
    "a digest with a sign too many": lambda s, f: root(s) and _without_root(s, "g" * 64),
    "an altered digest, root as before": lambda s, f: _without_root(s, "00" * 32),
    "a name twice, same digest": _resources(lambda r: r.insert(1, dict(r[0]))),
    "a name twice, other digests": _resources(lambda r: r.insert(1, {**r[0], "digest": "00" * 32})),
    "out of order": _resources(lambda r: r.reverse()),
    "an absolute path": _renamed("/etc/passwd"),
    "a path that climbs out": _renamed("../model.safetensors"),
    "a path that climbs inside": _renamed("a/../x"),
    "a path of this folder": _renamed("./x"),
    "a path with an empty part": _renamed("a//x"),
    "an empty path": _renamed(""),
    "a path that ends in a slash": _renamed("x/"),
    "a path with a zero byte": _renamed("a\0b"),
    "a path with half a character": _renamed("\ud800"),
    "the folder itself among files": _renamed("."),
    "a file that is a folder too": _renamed("a.txt/x"),
    "a shard size of none": lambda s, f: _with_size(by("sha256", 100)(s, f), None),
    "a shard size of zero": lambda s, f: _with_size(by("sha256", 100)(s, f), 0),
    "a shard size that is true": lambda s, f: _with_size(by("sha256", 1)(s, f), True),
    "a shard size of a half": lambda s, f: _with_size(by("sha256", 100)(s, f), 100.5),
    "shards of another size": lambda s, f: _with_size(by("sha256", 100)(s, f), 200),
    "a shard without place": _shards(lambda r: r[0].update(name="a.txt")),
    "a shard that begins late": _shards(lambda r: r[0].update(name="a.txt:1:3")),
    "a shard of nothing": _shards(lambda r: r[0].update(name="a.txt:0:0")),
    "a shard with zeros before": _shards(lambda r: r[0].update(name="a.txt:00:3")),
    "a shard in the middle left out": _shards(lambda r: r.pop(-3)),
    "shards that overlap": _shards(lambda r: r.insert(1, {**r[0], "name": r[0]["name"].rsplit(":", 1)[0] + ":2"})),
    "a shard outside": _shards(lambda r: r[0].update(name="../a.txt:0:3")),
}


def _without_root(statement: Statement, digest: str) -> Statement:
    statement["predicate"]["resources"][0]["digest"] = digest
    return statement


@pytest.mark.parametrize("case", INVALID)
def test_what_the_specification_forbids_is_a_wrong_signature_though_the_key_signed_it(folder: Path, case: str) -> None:
    place = folder / "model.sig"
    resign(place, json.dumps(INVALID[case](statement_in(place), folder)).encode())
    report = verify_folder(folder, TRUST)
    assert report.outcome == "wrong signature"
    assert report.reason


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff", b"{", b'"x"', b"[" * 60_000])
def test_a_payload_that_is_no_statement_is_a_wrong_signature(folder: Path, text: bytes) -> None:
    resign(folder / "model.sig", text)
    assert verify_folder(folder, TRUST).outcome == "wrong signature"


def test_a_field_twice_is_not_left_to_the_reader(folder: Path) -> None:
    place = folder / "model.sig"
    text = json.dumps(statement_in(place))
    resign(place, text.replace('"predicateType"', '"predicateType": "x", "predicateType"', 1).encode())
    assert "twice" in verify_folder(folder, TRUST).reason


def _two_signatures(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"] *= 2


def _other_chain(bundle: dict[str, Any]) -> None:
    bundle["verificationMaterial"] = {"x509CertificateChain": {"certificates": []}}


BUNDLES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another payload type": lambda b: b["dsseEnvelope"].update(payloadType="application/json"),
    "another media type": lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2"),
    "no media type": lambda b: b.pop("mediaType"),
    "no envelope": lambda b: b.pop("dsseEnvelope"),
    "no material": lambda b: b.pop("verificationMaterial"),
    "material without key": lambda b: b["verificationMaterial"].pop("publicKey"),
    "no signature": lambda b: b["dsseEnvelope"].update(signatures=[]),
    "two signatures": _two_signatures,
    "an empty signature": lambda b: b["dsseEnvelope"]["signatures"][0].update(sig=""),
    "a signature that is no base64": lambda b: b["dsseEnvelope"]["signatures"][0].update(sig="%%%%"),
    "another hint": lambda b: b["verificationMaterial"]["publicKey"].update(hint="00" * 32),
    "a chain without certificates": _other_chain,
    "another payload": lambda b: b["dsseEnvelope"].update(payload=base64.b64encode(b"{}").decode()),
}


@pytest.mark.parametrize("case", BUNDLES)
def test_a_bundle_of_another_form_is_a_wrong_signature(folder: Path, case: str) -> None:
    place = folder / "model.sig"
    bundle = json.loads(place.read_text())
    BUNDLES[case](bundle)
    place.write_text(json.dumps(bundle))
    assert verify_folder(folder, TRUST).outcome == "wrong signature"


def test_a_signature_over_the_encoding_of_before_1_0_is_refused(folder: Path) -> None:
    place = folder / "model.sig"
    bundle = json.loads(place.read_text())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    old = f"DSSEV1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} {payload!r}".encode()
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(SIGNER.key.sign(old)).decode()
    place.write_text(json.dumps(bundle))
    assert "was not signed with this key" in verify_folder(folder, TRUST).reason
