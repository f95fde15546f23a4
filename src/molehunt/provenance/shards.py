"""Do the index of sharded weights and the shards agree?"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from molehunt.records.scans import Finding

_INDEX = ".safetensors.index.json"


def shard_findings(
    documents: Mapping[str, Any], headers: Mapping[str, Mapping[str, Any]], files: Mapping[str, Path]
) -> list[Finding]:  # fmt: skip
    """Findings on every index: files that are not there or elsewhere, tensors in other files than it says.

    Args:
        documents: parsed JSON by the file's name.
        headers: of every file of tensors.
    """
    found: list[Finding] = []
    for name, document in documents.items():
        if name.endswith(_INDEX):
            found += _of_one(name, document, headers, files)
    return found


def _of_one(
    name: str, document: Any, headers: Mapping[str, Mapping[str, Any]], files: Mapping[str, Path]
) -> Iterator[Finding]:  # fmt: skip
    weights = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(shard, str) for shard in weights.values()):
        yield Finding.of("shards", name, "it has no table of tensors and files")
        return
    folder = PurePosixPath(name).parent
    for shard in sorted(set(weights.values())):
        told = {tensor for tensor, where in weights.items() if where == shard}
        place = (folder / shard).as_posix()
        if shard != PurePosixPath(shard).name:
            yield Finding.of("path", name, f"it names a file outside of its folder: {shard!r}")
        elif place not in files:
            yield Finding.of("shards", name, f"it names {shard!r}, which is not there")
        elif place in headers and (other := told ^ set(headers[place])):
            yield Finding.of(
                "shards", name, f"{len(other)} tensors of {shard!r} are not as it says: {sorted(other)[:3]}"
            )
