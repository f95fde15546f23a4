"""Render a chat template as transformers does, with conditions forced where asked.

The same environment as `transformers.utils.chat_template_utils` builds (Jinja's immutable sandbox, loop controls, generation
markers, `tojson`, `raise_exception`, `strftime_now`), so that what is examined is what users get; a test compares them.
Runs in the process apart (`apart`): a template is a program, and may loop for ever.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace


class TooLongError(Exception):
    """A rendering has more characters than anyone will read."""


class _Generation(Extension):
    """The generation markers, which show their body."""

    tags = {"generation"}  # noqa: RUF012  # as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("shown"), [], [], body).set_lineno(line)

    def shown(self, caller: Any) -> str:
        return str(caller())


class Forcing(Extension):
    """Lets conditions be forced to values; reached by the compiled template under no name that the template could shadow."""

    def __init__(self, environment: jinja2.Environment) -> None:
        super().__init__(environment)
        self.values: Mapping[int, Any] = {}

    def is_forced(self, point: int) -> bool:
        return point in self.values

    def value(self, point: int) -> Any:
        return self.values[point]


class Dates:
    """The clock that templates see, and what they have taken from it."""

    def __init__(self) -> None:
        self.now: datetime | None = None
        self.told: list[str] = []

    def __call__(self, form: str) -> str:
        """As transformers' `strftime_now`: the real day, unless another one is set."""
        self.told.append((self.now or datetime.now()).strftime(form))
        return self.told[-1]


class _Dict:
    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args, **kwargs)


class _Namespace(Namespace):
    """Refuses names that begin with an underscore, which lead to Python's insides."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, given = args[0], dict(*args[1:], **kwargs)
        for name in given:
            _refuse_hidden(name)
        Namespace.__init__(self, given)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_hidden(name)
        Namespace.__setitem__(self, name, value)


def environment(repeatable: bool = False) -> ImmutableSandboxedEnvironment:
    """Jinja as transformers sets it up, and `Forcing`.

    Args:
        repeatable: chance always takes the first.
    """
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols, Forcing]
    )
    made.filters["tojson"] = _tojson
    made.globals.update(raise_exception=_raise, strftime_now=Dates(), dict=_Dict(), namespace=_Namespace)
    if repeatable:
        made.filters["random"] = lambda values: next(iter(values), "")
        made.globals["lipsum"] = lambda *args, **kwargs: "lorem ipsum"
    return made


class Rendering:
    """One template, compiled once.

    Raises:
        jinja2.TemplateSyntaxError: if it cannot be parsed.
    """

    def __init__(self, template: "str | nodes.Template", most: int, env: jinja2.Environment | None = None) -> None:
        self._env = env or environment()
        self._compiled, self._most = self._env.from_string(template), most
        dates, forcing = self._env.globals["strftime_now"], self._env.extensions[Forcing.identifier]
        assert isinstance(dates, Dates)
        assert isinstance(forcing, Forcing)
        self.dates, self._forcing = dates, forcing

    def render(self, given: Mapping[str, Any], forced: Mapping[int, Any] | None = None) -> str:
        """The text for what `apply_chat_template` would hand in.

        Args:
            forced: values of conditions by their number in `template_conditions.Conditions`.

        Raises:
            TooLongError: if there is no end to it; and whatever the template raises.
        """
        self._forcing.values, pieces, length = forced or {}, [], 0
        self.dates.told.clear()
        for piece in self._compiled.generate(**given):
            pieces.append(piece)
            length += len(piece)
            if length > self._most:
                raise TooLongError(f"a conversation renders to more than {self._most} characters")
        return "".join(pieces)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _refuse_hidden(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace cannot hold {name!r}")


def _tojson(
    x: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
