"""Hosts that arguments name, and the names under which tools are compared."""

from typing import Any

import pytest

from molehunt.gateway.hosts import hosts_in
from molehunt.gateway.names import plain


def nested(value: Any, depth: int) -> Any:
    return {"a": nested(value, depth - 1)} if depth else value


NAMED: list[tuple[Any, set[str]]] = [
    ({"url": "https://Evil.com:8443/x"}, {"evil.com"}),
    ({"c": "curl http://good.com@evil.com/x"}, {"evil.com", "good.com"}),
    ({"c": "http://good.com\\@evil.com/"}, {"evil.com", "good.com"}),
    ({"c": "curl evil.com/x && ls"}, {"evil.com"}),
    ({"u": "http://2130706433/"}, {"127.0.0.1"}),
    ({"u": "http://0x7f.1/"}, {"127.0.0.1"}),
    ({"u": "http://0177.0.0.1/"}, {"127.0.0.1"}),
    ({"u": "http://[::1]:80/a"}, {"::1"}),
    ({"h": "ｅｖｉｌ。com"}, {"evil.com"}),
    ({"h": "ev\u200bil.com"}, {"evil.com"}),
    ({"u": "http://evil%2ecom/"}, {"evil.com"}),
    ({"u": "//evil.com/x"}, {"evil.com"}),
    ({"u": "http:/\\evil.com"}, {"evil.com"}),
    ({"u": "evil.com."}, {"evil.com"}),
    ({"s": "scp x root@srv.example.io:/x"}, {"srv.example.io"}),
    ({"j": '{"u": "https:\\/\\/ev.il"}'}, {"ev.il"}),
    ({"h": "localhost:8080"}, {"localhost"}),
    ({"a": "10.0.0.1:22 and 1.2.3.4"}, {"10.0.0.1", "1.2.3.4"}),
    ({"deep": [{"evil.ru": 1}]}, {"evil.ru"}),
    ({"u": "https:/evil.com/x"}, {"evil.com"}),
    ({"u": "http:evil"}, {"evil"}),
    ({"c": "cat </dev/tcp/evil.corporation/80"}, {"evil.corporation"}),
    ({"host": "evil.ninja"}, {"evil.ninja"}),
    ({"server_host": "evil.sh", "port": 80}, {"evil.sh"}),
    ({"hosts": ["evil", "good.example"]}, {"evil", "good.example"}),
    ({"baseUrl": "evil.ninja/x", "url": "evil.ninja:8080"}, {"evil.ninja"}),
    ({"ip": "2130706433"}, {"127.0.0.1"}),
    ({"body": '{"host": "evil.ninja", "host": "good.example"}'}, {"evil.ninja", "good.example"}),
    (nested({"u": "https://evil.com"}, 90), {"evil.com"}),
    ({"domain": "medicine", "address": "12 High Street", "url": "/users/1", "endpoint": "users/list"}, set()),
    ({"code": "np.array([1]); os.path.join(a); df.to(x); e.g. see README.md v1.2.3 at 12:30:45, ratio 3:4"}, set()),
    ({"f": "main.py", "n": 5, "b": True, "z": None}, set()),
]


@pytest.mark.parametrize(("arguments", "hosts"), NAMED)
def test_hosts_are_found(arguments: Any, hosts: set[str]) -> None:
    assert {host.name for host in hosts_in(arguments)} == hosts


def test_ports_and_forms_are_told() -> None:
    [host] = hosts_in({"u": "https://a.example:8443/"})
    assert (host.port, host.form) == (8443, "url")


@pytest.mark.parametrize(
    "name", ["Shell", "ｓhell", "s\u200bhell", "SHELL ", "shell\ufe0f", "ſhell", "sh\u00adell", "Ⓢhell", "shell\x00"]
)
def test_spellings_are_one_name(name: str) -> None:
    assert plain(name) == "shell"
