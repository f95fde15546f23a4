"""Chat templates from every place where one can hide, what they do, and whether they agree."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from molehunt.provenance.apart import Failed, answers
from molehunt.provenance.gguf import GgufError, chat_templates
from molehunt.provenance.limits import Limits
from molehunt.records.scans import Finding

_KEY = "chat_template"
_DEFAULT = "default"


@dataclass(frozen=True)
class Template:
    """One chat template."""

    place: str
    """The file, and after a `:` the key in it."""
    name: str
    """`default`, or what it is to be asked for by."""
    text: str

    @property
    def file(self) -> str:
        """Its file alone."""
        return self.place.partition(":")[0]


def from_json(file: str, document: Any) -> Iterator[Template]:
    """Of tokenizer_config.json, chat_template.json, processor_config.json, or any other table."""
    if not isinstance(document, dict):
        return
    given = document.get(_KEY)
    if isinstance(given, str):
        yield Template(f"{file}:{_KEY}", _DEFAULT, given)
    pairs = given.items() if isinstance(given, dict) else _named(given) if isinstance(given, list) else []
    for name, text in pairs:
        if isinstance(text, str):
            yield Template(f"{file}:{_KEY}.{name}", str(name), text)


def _named(given: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    yield from ((str(item.get("name")), item.get("template")) for item in given if isinstance(item, dict))


def from_file(file: str, text: str) -> Template:
    """Of chat_template.jinja and its siblings."""
    path = PurePosixPath(file)
    is_default = path.stem == _KEY and path.parent.name != "additional_chat_templates"
    return Template(file, _DEFAULT if is_default else path.stem, text)


def from_gguf(file: str, path: Path, limits: Limits) -> "tuple[list[Template], Finding | None]":
    """Of GGUF metadata; a finding if it cannot be read."""
    try:
        found = chat_templates(path, limits.text_bytes)
    except GgufError as error:
        return [], Finding.of("disguised", file, str(error))
    named = {key: key.removeprefix("tokenizer.chat_template").strip(".") or _DEFAULT for key in found}
    return [Template(f"{file}:{key}", named[key], text) for key, text in found.items()], None


def template_findings(
    templates: Sequence[Template], base: Mapping[str, str], limits: Limits
) -> list[Finding]:  # fmt: skip
    """What each template does, and which of one name disagree.

    Args:
        base: the base's templates by name.
    """
    found = [
        Finding.of("not-analysed", t.place, f"a chat template of more than {limits.template_chars} characters")
        for t in templates
        if len(t.text) > limits.template_chars
    ]
    short = [t for t in templates if len(t.text) <= limits.template_chars]
    texts = list(dict.fromkeys((t.text, base.get(t.name)) for t in short))
    jobs = [{"do": "template", "template": text, "base": theirs} for text, theirs in texts]
    told = dict(zip(texts, answers(jobs, limits), strict=True))
    for template in short:
        found += _told(template, told[template.text, base.get(template.name)])
    return found + _conflicts(short, limits)


def _told(template: Template, answer: "dict[str, Any] | Failed") -> Iterator[Finding]:
    if isinstance(answer, Failed):
        yield Finding.of("not-analysed", template.place, f"the chat template {answer.why}")
        return
    for item in answer["findings"]:
        line = item["line"] if ":" not in template.place else None
        yield Finding.of(item["rule"], template.place, item["message"], line, item["text"])


def _conflicts(templates: Sequence[Template], limits: Limits) -> list[Finding]:
    """Templates of one name that differ by more than whitespace at their ends."""
    found = []
    for name in dict.fromkeys(t.name for t in templates):
        texts: dict[str, Template] = {}
        for template in templates:
            if template.name == name:
                texts.setdefault(template.text.strip(), template)
        if len(texts) > 1:
            found.append(_compared(list(texts.values()), limits))
    return found


def _compared(several: Sequence[Template], limits: Limits) -> Finding:
    (answer,) = answers([{"do": "compare", "templates": [t.text for t in several]}], limits)
    places = ", ".join(t.place for t in several)
    if isinstance(answer, Failed):
        return Finding.of("not-analysed", several[0].place, f"comparing {places}: {answer.why}")
    if answer["differ"]:
        return Finding.of("template-conflict", several[0].place, f"conversations look different by {places}")
    return Finding.of("template-differs", several[0].place, f"written differently, rendered alike: {places}")
