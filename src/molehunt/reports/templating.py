"""Templates in which no word of a record acts."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from molehunt.reports.text import visible


def templates() -> Environment:
    """The folder `templates`; whatever they write is escaped, with control characters made visible."""
    return Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown,
        loader=PackageLoader("molehunt.reports"),
    )  # fmt: skip


def _shown(value: Any) -> Any:
    if isinstance(value, Markup):
        return value
    return escape(visible(value)) if isinstance(value, str) else value
