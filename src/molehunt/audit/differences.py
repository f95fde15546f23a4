"""What differs between a subject and its base before either is run: config, tokenizer, template, and which weights were touched."""

from collections.abc import Iterator

from molehunt.models.loading import LoadedModel
from molehunt.provenance.file_differences import LINE, config_changes
from molehunt.records.diffs import Change


def differences(subject: LoadedModel, base: LoadedModel) -> tuple[Change, ...]:
    """Every difference of the files that decide what is run, then a count of the tensors and rows that differ."""
    return (*config_changes(subject.folder, base.folder), *_words(subject, base), *_weights(subject, base))


def _words(subject: LoadedModel, base: LoadedModel) -> Iterator[Change]:
    after, before = subject.tokenizer.get_vocab(), base.tokenizer.get_vocab()
    for token in sorted(after.keys() ^ before.keys())[:20]:
        yield Change(
            what="added tokens", name=token, before=str(before.get(token, "")), after=str(after.get(token, ""))
        )
    if subject.chat.digest != base.chat.digest:
        theirs, ours = (str(one.tokenizer.chat_template or "") for one in (base, subject))
        yield Change(what="chat template", name="chat_template", before=theirs[:LINE], after=ours[:LINE])


def _weights(subject: LoadedModel, base: LoadedModel) -> Iterator[Change]:
    after, before = subject.model.state_dict(), base.model.state_dict()
    shared = [name for name in after if name in before and before[name].shape == after[name].shape]
    changed = [name for name in shared if not bool((after[name] == before[name].to(after[name].device)).all())]
    yield Change(what="tensors", name="changed", before=f"of {len(shared)}", after=str(len(changed)))
    if 0 < len(changed) <= len(shared) // 4:
        yield Change(what="tensors", name="which", before="", after=", ".join(changed)[:LINE])
    for name in changed[:50]:
        if after[name].ndim == 2:
            rows = (after[name] != before[name].to(after[name].device)).any(-1)
            if int(rows.sum()) <= len(rows) // 4:
                where = ", ".join(map(str, rows.nonzero().flatten().tolist()[:20]))
                yield Change(
                    what="rows", name=name, before=f"of {len(rows)}", after=f"{int(rows.sum())}: {where}"[:LINE]
                )
