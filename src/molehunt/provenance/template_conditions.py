"""Every place of a chat template where it decides, what it reads there, and how to make it go either way."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import nodes

from molehunt.provenance.template_reads import NOTHING, TELLING, Reading, Reads
from molehunt.provenance.template_rendering import Forcing

Chain = tuple[tuple[int, object], ...]
"""Conditions by number, and the value each must have for a place to be reached."""


@dataclass(frozen=True)
class Arm:
    """One way out of one condition."""

    line: int
    reads: Reads
    """Of this condition and of those around it."""
    forced: Chain
    """This and the conditions around it."""
    names: tuple[str, ...]
    """Of the variables in this condition."""


@dataclass(frozen=True)
class Branch:
    """One condition that is worth reading."""

    line: int
    reads: Reads


class Conditions:
    """The conditions of a tree, which is changed in place so that each can be forced by its number."""

    def __init__(self, tree: nodes.Template) -> None:
        self.arms: list[Arm] = []
        self.branches: list[Branch] = []
        self.lookups: list[int] = []
        """Lines at which something that is no message is picked by what messages say."""
        self._count = 0
        self._reading = Reading(tree)
        self._visit_all(tree.body, (), NOTHING)

    def _visit_all(self, body: list[nodes.Node], chain: Chain, under: Reads) -> None:
        for node in body:
            self._visit(node, chain, under)

    def _visit(self, node: nodes.Node, chain: Chain, under: Reads) -> None:
        match node:
            case nodes.If():
                self._if(node, chain, under)
            case nodes.For():
                self._for(node, chain, under)
            case _:
                for name, value in list(node.iter_fields()):
                    if isinstance(value, nodes.Expr):
                        setattr(node, name, self._expression(value, chain, under))
                    elif isinstance(value, list):
                        setattr(node, name, [self._either(item, chain, under) for item in value])
                    elif isinstance(value, nodes.Node):
                        self._visit(value, chain, under)

    def _either(self, item: object, chain: Chain, under: Reads) -> object:
        if isinstance(item, nodes.Expr):
            return self._expression(item, chain, under)
        if isinstance(item, nodes.Node):
            self._visit(item, chain, under)
        return item

    def _if(self, node: nodes.If, chain: Chain, under: Reads) -> None:
        for branch in (node, *node.elif_):
            reads, inner = self._test(branch, chain, under)
            self._visit_all(branch.body, (*chain, (inner, True)), under | reads)
            chain, under = (*chain, (inner, False)), under | reads
        self._visit_all(node.else_, chain, under)

    def _for(self, node: nodes.For, chain: Chain, under: Reads) -> None:
        reads = self._reading.condition(node.iter)
        if reads - {"count"} and isinstance(node.iter, nodes.Call):
            node.iter = self._forcible(node.iter, reads, chain, under, ((0,),))
        else:
            node.iter = self._expression(_expr(node.iter), chain, under)
        if node.test is not None:
            self._test(node, chain, under)
        self._visit_all(node.body, chain, under)
        self._visit_all(node.else_, chain, under)

    def _test(self, node: "nodes.If | nodes.For", chain: Chain, under: Reads) -> tuple[Reads, int]:
        """Make the test forcible: what it reads, and its number."""
        assert node.test is not None
        reads = self._reading.condition(node.test)
        node.test = self._forcible(_expr(node.test), reads, chain, under, (True, False))
        return reads, self._count - 1

    def _expression(self, node: nodes.Expr, chain: Chain, under: Reads) -> nodes.Expr:
        """The expression with conditions inside it forcible, innermost first."""
        if isinstance(node, nodes.CondExpr):
            reads = self._reading.condition(node.test)
            node.test = self._forcible(node.test, reads, chain, under, (True, False))
            inner, below = self._count - 1, under | reads
            node.expr1 = self._expression(node.expr1, (*chain, (inner, True)), below)
            if node.expr2 is not None:
                node.expr2 = self._expression(node.expr2, (*chain, (inner, False)), below)
            return node
        if isinstance(node, nodes.Getitem | nodes.Call):
            self._note_lookup(node)
        reads = self._reading.condition(node) if isinstance(node, _DECIDING) or _is_question(node) else NOTHING
        self._visit(node, chain, under)
        return self._forcible(node, reads, chain, under, (True, False)) if reads else node

    def _forcible(
        self, node: nodes.Expr, reads: Reads, chain: Chain, under: Reads, values: tuple[object, ...]
    ) -> nodes.Expr:  # fmt: skip
        """The expression behind a switch, unevaluated if it is forced."""
        point, self._count = self._count, self._count + 1
        if reads & TELLING:
            self.branches.append(Branch(node.lineno, reads))
        names = _names(node)
        self.arms += [Arm(node.lineno, under | reads, (*chain, (point, value)), names) for value in values]
        switch = nodes.CondExpr(_ask("is_forced", point), _ask("value", point), node)
        return _expr(switch.set_lineno(node.lineno, override=True))

    def _note_lookup(self, node: "nodes.Getitem | nodes.Call") -> None:
        if isinstance(node, nodes.Getitem):
            container, key = node.node, node.arg
        elif isinstance(node.node, nodes.Getattr) and node.node.attr in ("get", "pop", "__getitem__") and node.args:
            container, key = node.node.node, node.args[0]
        else:
            return
        if self._reading.of(container) & {"messages", "content"}:
            return
        if self._reading.of(key) & {"content", "computed", "clock", "random"}:
            self.lookups.append(node.lineno)


_DECIDING = (nodes.Compare, nodes.Test)
_QUESTIONS = (
    "startswith",
    "endswith",
    "isupper",
    "islower",
    "isdigit",
    "isalpha",
    "isalnum",
    "istitle",
    "isspace",
    "isascii",
)


def _expr(node: nodes.Node) -> nodes.Expr:
    assert isinstance(node, nodes.Expr)
    return node


def _is_question(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in _QUESTIONS


def _names(node: nodes.Expr) -> tuple[str, ...]:
    within = (node, *node.find_all(nodes.Name))
    return tuple(dict.fromkeys(name.name for name in within if isinstance(name, nodes.Name)))


def _ask(method: str, point: int) -> nodes.Call:
    return nodes.Call(nodes.ExtensionAttribute(Forcing.identifier, method), [nodes.Const(point)], [], None, None)


def strings(tree: nodes.Node) -> list[str]:
    """Every text that an expression of the template can be computed to without input, sorted; among them, what it looks for."""
    found: set[str] = set()
    for node in tree.find_all(nodes.Expr):
        try:
            value = node.as_const()
        except nodes.Impossible:
            continue
        except Exception:  # what folding raises, rendering raises too
            continue
        found |= set(_texts(value))
    return sorted(found)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (key for key in value if isinstance(key, str))
    elif isinstance(value, list | tuple | set):
        yield from (item for item in value if isinstance(item, str))


def shown_texts(tree: nodes.Node) -> list[tuple[int, str]]:
    """Texts that the template may put out, with their lines: its own data, and constants outside of questions, keys and refusals."""
    found: list[tuple[int, str]] = []

    def visit(node: nodes.Node) -> None:
        if isinstance(node, nodes.Compare | nodes.Test) or _is_refusal(node) or _is_question(node):
            return
        if isinstance(node, nodes.TemplateData):
            found.append((node.lineno, node.data))
        elif isinstance(node, nodes.Const) and isinstance(node.value, str):
            found.append((node.lineno, node.value))
        is_picking = isinstance(node, nodes.Getitem) or (isinstance(node, nodes.Filter) and node.name in _PICKING)
        for child in node.iter_child_nodes(only=("node",) if is_picking else None):
            visit(child)

    visit(tree)
    return found


_PICKING = {"selectattr", "rejectattr", "select", "reject", "map"}
"""Filters whose arguments are never shown."""


def _is_refusal(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "raise_exception"


def escapes(tree: nodes.Template) -> list[tuple[int, str]]:
    """Lines and words with which a template reaches for Python's insides or for other files."""
    found = [
        (node.lineno, type(node).__name__.lower())
        for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends))
    ]
    found += [(node.lineno, node.attr) for node in tree.find_all(nodes.Getattr) if _INSIDE.search(node.attr)]
    found += [(node.lineno, node.name) for node in tree.find_all(nodes.Name) if _INSIDE.search(node.name)]
    told = {node.value: node.lineno for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
    found += [(told.get(text, 1), inside[0]) for text in strings(tree) if (inside := _INSIDE.search(text))]
    return sorted(set(found))


_INSIDE = re.compile(r"__\w+__")
