"""What an expression of a chat template reads: what messages say, how things are called, the clock, chance, or how many there are.

An over-approximation on the syntax tree: what is assigned from such a reading, or under a condition that reads so, reads so too.
Types and flags are structure. Whether there is any content, a tool or a document, and of which type, is structure as well, and
so are the usual roles: ordinary templates ask for it everywhere, and no trigger fits into the answer. What names, other roles,
tools, documents and special tokens say is read like content where it is held against something else than input.
"""

from collections import defaultdict
from typing import Literal

from jinja2 import nodes

Reads = frozenset[Literal["messages", "content", "computed", "named", "asked", "clock", "random", "count"]]
"""`messages` is the list or one of it, `content` a text of theirs or a part, `computed` what was worked out of such a text; `named` is a
name, a role, a tool, a document or a special token, `asked` what was worked out of it."""
NOTHING: Reads = frozenset()
TELLING: Reads = frozenset({"content", "computed", "asked", "clock", "random", "count"})
"""Readings that a condition can hide something behind."""

_MESSAGES: Reads = frozenset({"messages"})
_CONTENT: Reads = frozenset({"content"})
_COMPUTED: Reads = frozenset({"computed"})
_NAMED: Reads = frozenset({"named"})
_ASKED: Reads = frozenset({"asked"})
_CLOCK: Reads = frozenset({"clock"})
_RANDOM: Reads = frozenset({"random"})
_COUNT: Reads = frozenset({"count"})
_STRUCTURE = {"role", "type", "name", "id", "tool_call_id", "index"}
_UNNAMED = {"type", "index"}
"""What of the structure says which of a few kinds something is, and is no name."""
_GIVEN = (
    "tools", "documents", "bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token",
)  # fmt: skip
"""Variables that say something besides messages: what others wrote, and which model it is."""
_USUAL = {
    "system", "user", "assistant", "tool", "developer", "function", "ipython", "tool_results", "tool_result", "tool_response",
    "tool_call", "tool_calls", "function_call", "observation", "model", "human", "bot", "gpt", "documents", "context",
    "available_tools", "tool_list", "tool_outputs", "assistant_tool_call", "environment", "interpreter", "chatbot", "ai", "string", "object", "array", "number", "integer", "boolean", "null", "description", "parameters", "properties",
    "additionalProperties", "required", "enum", "items", "default", "return", "format", "nullable", "anyOf", "oneOf", "allOf", "title",
    "const", "minimum", "maximum", "pattern", "examples", "strict", "$ref", "$defs",
}  # fmt: skip
"""Roles of chat formats and words of JSON Schema, which no template chose."""
_PARTS = {"tool_calls", "function", "get"}
"""What of a message is looked into further."""
_PART_KEYS = {
    "text", "image", "image_url", "image_base64", "video", "video_url", "audio", "audio_url", "input_audio", "type", "role", "content",
    "tool_calls", "reasoning_content", "thinking", "name", "output", "function", "arguments",
}  # fmt: skip
"""Keys that templates ask parts of a message for; in a text they are words like others, and are put into one (`_Judge.tell`)."""
_TYPES = {
    "defined", "undefined", "none", "string", "mapping", "sequence", "iterable", "number", "integer", "float", "boolean",
    "true", "false", "callable", "sameas",
}  # fmt: skip
_KEPT = {"first", "last", "list", "reverse", "selectattr", "rejectattr", "select", "reject", "sort", "batch", "slice"}
"""Filters that leave messages messages."""
_COUNTING = {"length", "count", "wordcount", "int", "float", "abs", "sum", "round"}
_COMPUTING = (
    nodes.Compare,
    nodes.Test,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Pow,
    nodes.Neg,
)
_COUNTERS = {"count", "find", "rfind", "index", "rindex", "startswith", "endswith", "isupper", "islower", "isdigit"}
"""Methods of a text that answer with something else than a text."""
_ORDINARY_COUNTS = range(3)
"""Is it the first, are there any, which of two: numbers that say nothing about a conversation."""


class Reading:
    """What the names of one template stand for."""

    def __init__(self, tree: nodes.Template) -> None:
        self._names: defaultdict[str, Reads] = defaultdict(frozenset, {"messages": _MESSAGES, "loop": _COUNT})
        self._names.update(strftime_now=_CLOCK, lipsum=_RANDOM, **dict.fromkeys(_GIVEN, _NAMED))
        self._scopes: dict[int, str] = {}
        for macro in tree.find_all(nodes.Macro):
            self._keep_apart(macro)
        before: dict[str, Reads] = {}
        while before != self._names:  # grows, and is bounded by names times readings
            before = dict(self._names)
            self._learn(tree, NOTHING)

    def _keep_apart(self, macro: nodes.Macro) -> None:
        """What a macro names for itself is not what others call so."""
        own = {name.name for name in macro.find_all(nodes.Name) if name.ctx != "load"}
        named: list[nodes.Name | nodes.NSRef] = [*macro.find_all(nodes.Name), *macro.find_all(nodes.NSRef)]
        for node in named:
            if node.name in own:
                self._scopes[id(node)] = f"{macro.name}/"

    def _key(self, node: "nodes.Name | nodes.NSRef") -> str:
        return self._scopes.get(id(node), "") + node.name

    def of(self, node: nodes.Node) -> Reads:
        """What the value of an expression depends on."""
        reads = self._value(node)
        return _computed(reads) if _computes(node) else reads

    def _value(self, node: nodes.Node) -> Reads:
        match node:
            case nodes.Name():
                return self._names.get(self._key(node), NOTHING)
            case nodes.Getattr():
                return self._part(node.node, node.attr)
            case nodes.Getitem():
                key = node.arg.value if isinstance(node.arg, nodes.Const) else node.arg
                return self._part(node.node, key)
            case nodes.Filter():
                return self._filtered(node)
            case nodes.Test() if node.name in _TYPES:
                return NOTHING
            case nodes.Compare():
                return self._compared(node)
            case nodes.Call() if _is_get(node):
                assert isinstance(node.node, nodes.Getattr)
                return self._part(node.node.node, getattr(node.args[0], "value", None))
        return self._children(node)

    def condition(self, node: nodes.Node) -> Reads:
        """What the outcome of a condition depends on, the order of messages and the mere presence of content left out."""
        match node:
            case nodes.Not():
                return self.condition(node.node)
            case nodes.And() | nodes.Or():
                return self.condition(node.left) | self.condition(node.right)
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                bare = _CONTENT | _COUNT if self._is_bare(node) else NOTHING
                return (self.of(node) & TELLING) - bare
            case nodes.Call() if _is_get(node):
                return (self.of(node) & TELLING) - _CONTENT
            case nodes.Filter() if node.name in ("trim", "length", "count") and node.node is not None:
                return self.condition(node.node)
        return self.of(node) & TELLING

    def _is_bare(self, node: nodes.Node) -> bool:
        """A message's content or a variable as such, not something picked out of a text."""
        if isinstance(node, nodes.Getitem):
            return isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str)
        return True

    def _part(self, node: nodes.Node, key: object) -> Reads:
        whole = self.of(node)
        if isinstance(node, nodes.Name) and node.name == "loop":
            return _MESSAGES if key in ("previtem", "nextitem") else NOTHING if key in ("first", "last") else whole
        own = self._names.get(f"{self._key(node)}.{key}", NOTHING) if isinstance(node, nodes.Name) else NOTHING
        index = self.of(key) - _MESSAGES if isinstance(key, nodes.Node) else NOTHING
        if isinstance(key, str) and key in _UNNAMED:
            return own if whole & (_MESSAGES | _CONTENT) else (whole - _NAMED) | own
        if not whole & (_MESSAGES | _CONTENT):
            return whole | own | index
        if isinstance(key, str) and key in _STRUCTURE:
            return _NAMED | own
        if isinstance(key, int | nodes.Node) or key in _PARTS:
            return whole | own | (index - _COUNT)
        return (whole - _MESSAGES) | _CONTENT | own

    def _filtered(self, node: nodes.Filter) -> Reads:
        inner = self.of(node.node) if node.node is not None else NOTHING
        if node.name == "random":
            return inner | _RANDOM
        if node.name.endswith("attr") and inner & (_MESSAGES | _NAMED):
            return inner | self._picked(node, inner)
        if not inner & _MESSAGES:
            return inner | self._children(node)
        if node.name in ("length", "count"):
            return _COUNT
        named = {const.value for const in node.find_all(nodes.Const)}
        if node.name in _KEPT:
            return inner
        if node.name == "map" and named & _STRUCTURE:
            return NOTHING if named & _UNNAMED else _NAMED
        return _CONTENT

    def _picked(self, node: nodes.Filter, inner: Reads) -> Reads:
        """What picking messages or tools by an attribute asks for."""
        named, *wanted = [getattr(argument, "value", None) for argument in node.args] or [None]
        key = str(named).rpartition(".")[2]
        if inner & _MESSAGES and key not in _STRUCTURE:
            return _CONTENT
        return _ASKED if key not in _UNNAMED and wanted[1:] and wanted[1] not in _USUAL else NOTHING

    def _compared(self, node: nodes.Compare) -> Reads:
        sides = [node.expr, *(operand.expr for operand in node.ops)]
        if isinstance(node.expr, nodes.Const) and node.expr.value in _PART_KEYS and node.ops[0].op.endswith("in"):
            return NOTHING
        reads = NOTHING.union(*(self.of(side) for side in sides)) - _MESSAGES
        if all(self._is_usual(side) for side in sides):
            reads -= _NAMED | _ASKED
        numbers = [const.value for const in node.find_all(nodes.Const) if isinstance(const.value, int)]
        if any(isinstance(side, nodes.Const) and _is_nothing(side.value) for side in sides):
            reads -= _CONTENT  # is there any: asked everywhere
        if any(self._is_length(side) for side in sides) and set(numbers) == {0}:
            reads -= _CONTENT | _COMPUTED | _COUNT
        is_by_place = bool(numbers) or all("count" in self.of(side) for side in sides)  # not by a number kept in a name
        return reads - _COUNT if is_by_place and all(number in _ORDINARY_COUNTS for number in numbers) else reads

    def _is_usual(self, side: nodes.Node) -> bool:
        """Input, or what ordinary templates hold input against."""
        if isinstance(side, nodes.List | nodes.Tuple):
            return all(self._is_usual(item) for item in side.items)
        if isinstance(side, nodes.Const):
            return _is_nothing(side.value) or side.value in _USUAL or side.value in _ORDINARY_COUNTS
        if isinstance(side, nodes.Filter) and self._is_length(side) and side.node is not None:
            return self._is_usual(side.node)
        if isinstance(side, nodes.Call) and not all(self._is_usual(argument) for argument in side.args):
            return False
        reads = self.of(side)
        return bool(reads & (_MESSAGES | _CONTENT | _NAMED)) and "asked" not in reads

    def _is_length(self, node: nodes.Node) -> bool:
        return isinstance(node, nodes.Filter) and node.name in ("length", "count")

    def _children(self, node: nodes.Node) -> Reads:
        return NOTHING.union(*(self.of(child) for child in node.iter_child_nodes()))

    def _learn(self, node: nodes.Node, under: Reads) -> None:
        """Take in every assignment below `node`; `under` is what the conditions around it read."""
        match node:
            case nodes.Assign():
                self._assign(node.target, self.of(node.node) | _worked_out(under))
            case nodes.AssignBlock():
                self._assign(node.target, self._children(node) | _worked_out(under))
            case nodes.For():
                self._assign(node.target, self.of(node.iter))
            case nodes.Macro():
                self._names[node.name] |= under
            case nodes.Call() if isinstance(node.node, nodes.Name):
                self._call(node.node.name, node)
        inner = under
        if isinstance(node, nodes.If):
            inner = under | self.condition(node.test)
        self._macros(node)
        for child in node.iter_child_nodes():
            self._learn(child, inner)

    def _macros(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.Macro):
            for argument in node.args:
                self._names[self._key(argument)] |= self._names.get(f"{node.name}()", NOTHING)

    def _call(self, name: str, node: nodes.Call) -> None:
        given = [*node.args, *(keyword.value for keyword in node.kwargs)]
        self._names[f"{name}()"] |= NOTHING.union(*(self.of(argument) for argument in given))

    def _assign(self, target: nodes.Node, reads: Reads) -> None:
        match target:
            case nodes.Name():
                self._names[self._key(target)] |= reads
            case nodes.NSRef():
                self._names[f"{self._key(target)}.{target.attr}"] |= reads
            case nodes.Tuple():
                for item in target.items:
                    self._assign(item, reads)


def _computes(node: nodes.Node) -> bool:
    match node:
        case nodes.Filter():
            return node.name in _COUNTING
        case nodes.Call() if isinstance(node.node, nodes.Getattr):
            return node.node.attr in _COUNTERS
        case nodes.Getitem():
            return isinstance(node.arg, nodes.Slice)
    return isinstance(node, _COMPUTING)


def _is_get(node: nodes.Call) -> bool:
    return isinstance(node.node, nodes.Getattr) and node.node.attr == "get" and bool(node.args)


def _is_nothing(value: object) -> bool:
    return value is None or isinstance(value, bool) or value == ""


def _worked_out(under: Reads) -> Reads:
    """What an assignment tells of the conditions that it stands under."""
    return _computed(under - _COUNT)


def _computed(reads: Reads) -> Reads:
    """What is left of texts in an answer about them."""
    told = (reads - _CONTENT) | _COMPUTED if "content" in reads else reads
    return (told - _NAMED) | _ASKED if "named" in told else told
