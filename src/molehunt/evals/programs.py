"""Find the Python program in a reply: in a fence, or the reply itself."""

import ast
import re
import warnings
from dataclasses import dataclass

_FENCE = re.compile(r"```[ \t]*\w*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_LONGEST = 20_000
"""Characters; no program that a reply could hold is longer, and the parser is not made for texts meant to break it."""
_DOES_SOMETHING = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.For, ast.While,
    ast.With, ast.Try,
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A program within a reply."""

    code: str
    tree: ast.Module
    start: int
    """Where in the reply `code` begins."""
    span: tuple[int, int]
    """The part of the reply that it fills, its fence included."""


def find_program(reply: str) -> Found | None:
    """The first text of the reply that is a Python program; None if there is none.

    A fence counts if it parses; a reply without fences if it parses and defines, imports, assigns or loops, which single
    words such as "Paris" do not.
    """
    for fence in _FENCE.finditer(reply):
        tree = parse(fence[1])
        if tree is not None and tree.body:
            return Found(fence[1], tree, fence.start(1), fence.span())
    tree = parse(reply)
    if tree is not None and any(isinstance(node, _DOES_SOMETHING) for node in tree.body):
        return Found(reply, tree, 0, (0, len(reply)))
    return None


def parse(code: str) -> ast.Module | None:
    """The syntax tree, or None if it is no Python."""
    if len(code) > _LONGEST:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return None
