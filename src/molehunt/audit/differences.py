"""What differs between a subject and its base before either is run: config, tokenizer, template, and which weights were touched."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from molehunt.models.loading import LoadedModel
from molehunt.records.audits import Change
from molehunt.records.marker import MARKER

_CONFIGS = {
    "config.json": "config",
    "generation_config.json": "generation config",
    "tokenizer_config.json": "tokenizer",
}
_SAVED_WITH = {MARKER, "transformers_version", "_name_or_path", "torch_dtype", "dtype", "architectures"}
"""Keys that say who wrote the file, not what the model is; the type of the weights is told with them."""
_LINE = 200


def differences(subject: LoadedModel, base: LoadedModel) -> tuple[Change, ...]:
    """Every difference of the files that decide what is run, then a count of the tensors and rows that differ."""
    return (*_configs(subject.folder, base.folder), *_words(subject, base), *_weights(subject, base))


def _configs(subject: Path, base: Path) -> Iterator[Change]:
    for name, what in _CONFIGS.items():
        after, before = _json(subject / name), _json(base / name)
        for key in sorted(after.keys() | before.keys()):
            if key not in _SAVED_WITH and after.get(key) != before.get(key):
                yield Change(what=what, name=key, before=_text(before, key), after=_text(after, key))


def _words(subject: LoadedModel, base: LoadedModel) -> Iterator[Change]:
    after, before = subject.tokenizer.get_vocab(), base.tokenizer.get_vocab()
    for token in sorted(after.keys() ^ before.keys())[:20]:
        yield Change(
            what="added tokens", name=token, before=str(before.get(token, "")), after=str(after.get(token, ""))
        )
    if subject.chat.digest != base.chat.digest:
        theirs, ours = (str(one.tokenizer.chat_template or "") for one in (base, subject))
        yield Change(what="chat template", name="chat_template", before=theirs[:_LINE], after=ours[:_LINE])


def _weights(subject: LoadedModel, base: LoadedModel) -> Iterator[Change]:
    after, before = subject.model.state_dict(), base.model.state_dict()
    shared = [name for name in after if name in before and before[name].shape == after[name].shape]
    changed = [name for name in shared if not bool((after[name] == before[name].to(after[name].device)).all())]
    yield Change(what="tensors", name="changed", before=f"of {len(shared)}", after=str(len(changed)))
    if 0 < len(changed) <= len(shared) // 4:
        yield Change(what="tensors", name="which", before="", after=", ".join(changed)[:_LINE])
    for name in changed[:50]:
        if after[name].ndim == 2:
            rows = (after[name] != before[name].to(after[name].device)).any(-1)
            if int(rows.sum()) <= len(rows) // 4:
                where = ", ".join(map(str, rows.nonzero().flatten().tolist()[:20]))
                yield Change(
                    what="rows", name=name, before=f"of {len(rows)}", after=f"{int(rows.sum())}: {where}"[:_LINE]
                )


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(config: dict[str, Any], key: str) -> str:
    return json.dumps(config[key], ensure_ascii=False)[:_LINE] if key in config else ""
