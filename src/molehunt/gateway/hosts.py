"""Hosts that the arguments of a call name. What a program does with them is for a network control to limit."""

import ipaddress
import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from molehunt.gateway.names import visible_part

Form = Literal["url", "address", "user@host", "bare"]

_DOTS = str.maketrans({"。": ".", "．": ".", "｡": ".", "\\": "/"})
_URL = re.compile(
    r"(?<![a-z0-9+.-])(?:(?:https?|wss?|ftps?):/*|(?:[a-z][a-z0-9+.-]*:)?//|/dev/(?:tcp|udp)/)([^\s/?#\"'<>`{}|^]+)",
    re.I,
)
"""Browsers and curl read https:/HOST and https:HOST as https://HOST; a shell opens /dev/tcp/HOST/PORT."""
_AT = re.compile(r"(?<![\w.+-])[\w.+-]+@((?:[\w-]+\.)+[\w-]{2,}|[\w-]+(?=:))")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::(\d{1,5}))?(?![\w.]*\w)")
_IPV6 = re.compile(r"(?<![\w:.])\[?((?:[0-9a-f]{0,4}:){2,7}[0-9a-f.]{0,15})\]?", re.I)
_NAME = re.compile(
    r"(?<![\w@/.-])((?:[^\W_](?:[\w-]{0,61}\w)?\.)+([^\W\d_]{2,24}|xn--[a-z0-9-]+))\.?(?::(\d{1,5}))?(?![\w@-]|\.\w)(?P<after>.?)"
)
_WHOLE = re.compile(r"((?:[\w-]+\.)*[\w-]+\.?)(?::(\d{1,5}))")
_ENDINGS = set(
    """com org net edu gov mil int info biz name pro app dev page web cloud online site store shop tech xyz top club live link click
    space website world news blog wiki zone email digital agency network systems solutions services host press fun icu vip work
    internal local localdomain intranet corp home lan test example onion""".split()  # noqa: SIM905
)
"""Endings by which a bare name in running text is taken for a host. Two letters (countries) count too, see `_is_host`."""
_FILES = set("py rs md sh js ts go rb pl cs cc hs ml kt vb ps so gz xz bz db mk tf".split())  # noqa: SIM905
"""Endings of files that are countries as well: hosts only with a port or a path."""
_DEPTH = 32
_HOST_KEYS = set("host hostname server proxy ip url uri".split())  # noqa: SIM905
_MAY_BE_KEYS = set("domain endpoint webhook href address".split())  # noqa: SIM905
"""Words in the name of a member whose value is a host, whatever it looks like; of these, only with a dot in it."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_PLACE = re.compile(r"((?:[\w-]+\.)*[\w-]+\.?)(?::(\d{1,5}))?(?=[/?#]|\Z)")


class Host(NamedTuple):
    """One host that a call names."""

    name: str
    """In lower case, NFKC, without a last dot; addresses in their usual form."""
    port: int | None
    form: Form
    """How it was named: in a URL, as an address, after an @, or as a bare name."""


def hosts_in(arguments: Any) -> tuple[Host, ...]:
    """Every host that arguments name, in keys too; what is JSON inside a text is read as well. Sorted, each once."""
    found = {host for text in _texts(arguments, _DEPTH) for host in _in_text(text)}
    return tuple(sorted(found | set(_told(arguments, _DEPTH)), key=repr))


def _told(value: Any, depth: int, key: str = "") -> Iterator[Host]:
    """What stands alone under a name such as `host` or `base_url`."""
    if isinstance(value, str):
        read = visible_part(unicodedata.normalize("NFKC", value)).strip().translate(_DOTS)
        words = {form for word in _WORD.findall(key.lower() if key.isupper() else key) for form in _forms(word)}
        if (one := _PLACE.match(read)) and (words & _HOST_KEYS or (words & _MAY_BE_KEYS and "." in one[1])):
            yield Host(_tidy(one[1]), int(one[2]) if one[2] else None, "bare")
        elif depth and value[:1] in '{["':
            for inner in _inner(value):
                yield from _told(inner, depth - 1, key)
    elif isinstance(value, dict) and depth:
        for name, part in value.items():
            yield from _told(part, depth - 1, name)
    elif isinstance(value, list) and depth:
        for part in value:
            yield from _told(part, depth - 1, key)


def _forms(word: str) -> tuple[str, str]:
    """One and several."""
    return word.lower(), word.lower().removesuffix("s")


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        if depth and value[:1] in '{["':
            for inner in _inner(value):
                yield from _texts(inner, depth - 1)
    elif isinstance(value, dict) and depth:
        for key, part in value.items():
            yield key
            yield from _texts(part, depth - 1)
    elif isinstance(value, list) and depth:
        for part in value:
            yield from _texts(part, depth - 1)
    elif isinstance(value, dict | list):
        yield json.dumps(value, ensure_ascii=False)


def _inner(text: str) -> Iterator[Any]:
    """What is JSON in a text, every member for itself: of a name that stands twice, programs take the one or the other."""
    with suppress(ValueError, RecursionError):
        yield json.loads(text, object_pairs_hook=lambda pairs: [{key: part} for key, part in pairs])


def _in_text(text: str) -> Iterator[Host]:
    """Backslashes count as slashes (as browsers read them) and as themselves: programs disagree, so both hosts are named."""
    read = visible_part(unicodedata.normalize("NFKC", text))
    for form in {read.replace("\\", ""), read.translate(_DOTS)}:
        for place in _URL.findall(form):
            yield from _authority(place)
        yield from (Host(_tidy(name), None, "user@host") for name in _AT.findall(form))
        yield from _addresses(form)
        yield from _bare(form)


def _authority(place: str) -> Iterator[Host]:
    """What stands before an @ is a user to some programs and the host to others."""
    place = unquote(place).translate(_DOTS).split("/")[0]
    for part in {place.rpartition("@")[2], place.partition("@")[0]}:
        name, port = _split(part)
        if tidy := _tidy(name):
            yield Host(tidy, int(port[:6]) if port.isdigit() else None, "url")


def _split(part: str) -> tuple[str, str]:
    if part.startswith("["):
        name, _, after = part[1:].partition("]")
        return name, after.removeprefix(":")
    name, _, port = part.partition(":")
    return name, port


def _addresses(text: str) -> Iterator[Host]:
    for found in _IPV4.finditer(text):
        address, _, port = found[0].partition(":")
        if all(int(part) < 256 for part in address.split(".")):
            yield Host(_tidy(address), int(port) if port else None, "address")
    for found in _IPV6.finditer(text):
        if (name := _ip(found[1])) is not None:
            yield Host(name, None, "address")


def _bare(text: str) -> Iterator[Host]:
    whole = text.strip()
    if (one := _WHOLE.fullmatch(whole)) and not one[1].isdigit():
        yield Host(_tidy(one[1]), int(one[2]), "bare")
    for found in _NAME.finditer(text):
        if _is_host(found, found[0].rstrip() == whole):
            yield Host(_tidy(found[1]), int(found[3]) if found[3] else None, "bare")


def _is_host(found: re.Match[str], is_whole: bool) -> bool:
    ending, after = found[2].casefold(), found["after"]
    if ending in _ENDINGS or ending.startswith("xn--") or found[3] or after == "/":
        return True
    return len(ending) == 2 and ending not in _FILES and (is_whole or after not in ("(", "[", "="))


def _tidy(name: str) -> str:
    name = name.casefold().strip(".")
    return _ip(name) or name


def _ip(name: str) -> str | None:
    """An address in its usual form, from what C libraries take for one: 0x7f.1, 2130706433, 0177.0.0.1."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    parts = name.split(".")
    if not 1 <= len(parts) <= 4:
        return None
    try:
        numbers = [int(p, 16 if p.startswith("0x") else 8 if p.startswith("0") and len(p) > 1 else 10) for p in parts]
    except ValueError:
        return None
    *first, last = numbers
    if (
        any(n > 255 or n < 0 for n in first)
        or not 0 <= last < 256 ** (5 - len(parts))
        or (len(parts) == 1 and last < 2**16)
    ):
        return None
    value = last + sum(n << (8 * (3 - i)) for i, n in enumerate(first))
    return str(ipaddress.IPv4Address(value))
