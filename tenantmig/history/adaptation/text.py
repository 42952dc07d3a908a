"""The text of an env.py: edited in place, statement by statement. Pure; knows Python's syntax only.

Edits are kept by their place in the text as it was and made all at once, so that whatever is not
edited stays as it is, comments included.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef


class EnvText:
    """One env.py, and the edits to be made in it."""

    def __init__(self, source: str) -> None:
        """Parse it.

        Raises:
            SyntaxError: it is not Python.
        """
        self.source = source
        self.tree = ast.parse(source)
        self._bytes = source.encode()
        starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        self._starts = starts
        self._edits: dict[tuple[int, int], str] = {}
        self._removed: dict[ast.stmt, tuple[int, int]] = {}
        self.functions: dict[str, Function] = {
            node.name: node
            for node in self.tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }

    def segment(self, node: ast.AST) -> str:
        """Return the text of a node."""
        start, end = self._span(node)
        return self._bytes[start:end].decode()

    def replaced(self, node: ast.AST) -> str:
        """Return the text of a node, or what was put in its place."""
        return self._edits.get(self._span(node)) or self.segment(node)

    def replace(self, node: ast.AST, text: str) -> None:
        """Put a text in a node's place."""
        self._edits[self._span(node)] = text

    def remove(self, statement: ast.stmt, *, is_with_comment: bool = False) -> None:
        """Take out whole lines, with the empty lines before them if such follow too."""
        start, end = self._lines(statement)
        indent = b" " * statement.col_offset + b"#"
        while is_with_comment and start > 0 and self._line(start - 1).startswith(indent):
            start -= 1
        is_last = end >= len(self._starts) - 1 or not self._line(end).strip()
        while is_last and start > 0 and not self._line(start - 1).strip():
            start -= 1
        place = self._starts[start], self._starts[end]
        self._edits[place], self._removed[statement] = "", place

    def leave_pass(self, statement: ast.stmt) -> None:
        """Put `pass` in the place of a statement that was taken out."""
        self._edits[self._removed[statement]] = f"{' ' * statement.col_offset}pass\n"

    def rewrite(self, statement: ast.stmt, text: str) -> None:
        """Put other lines in the place of a statement's."""
        start, end = self._lines(statement)
        self._edits[self._starts[start], self._starts[end]] = text

    def insert_before(self, statement: ast.stmt, text: str) -> None:
        """Put lines before a statement, in its indentation."""
        start, _ = self._lines(statement)
        self._insert(start, _indented(text, statement.col_offset))

    def is_after_gap(self, statement: ast.stmt) -> bool:
        """True when an empty line is before a statement."""
        start, _ = self._lines(statement)
        return start == 0 or not self._line(start - 1).strip()

    def insert_after(self, statement: ast.stmt, text: str) -> None:
        """Put lines after a statement, in its indentation."""
        _, end = self._lines(statement)
        self._insert(end, _indented(text, statement.col_offset))

    def _insert(self, line: int, text: str) -> None:
        place = (self._starts[line], self._starts[line])
        self._edits[place] = self._edits.get(place, "") + text

    def edited(self) -> str:
        """Return the text with all edits; one within another's place is lost with that."""
        made, at = b"", 0
        for (start, end), text in sorted(self._edits.items()):
            if start < at:
                continue
            made += self._bytes[at:start] + text.encode()
            at = end if text or end == start else self._after_gap(made, end)
        return (made + self._bytes[at:]).decode()

    def _after_gap(self, made: bytes, at: int) -> int:
        """Return where to go on after lines that are gone: the empty lines around them are one."""
        rest, is_open = self._bytes[at:], not made or made.endswith(b":\n")
        after = len(rest) - len(rest.lstrip(b"\n"))
        before = len(made) - len(made.rstrip(b"\n")) - 1
        return at + (after if is_open else max(0, min(before, after)))

    def _span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt | ast.keyword)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _lines(self, statement: ast.stmt) -> tuple[int, int]:
        assert statement.end_lineno is not None
        first = min([statement.lineno, *(one.lineno for one in _decorators(statement))])
        return first - 1, statement.end_lineno

    def _line(self, index: int) -> bytes:
        return self._bytes[self._starts[index] : self._starts[index + 1]]


def called(node: ast.AST, name: str) -> Iterator[ast.Call]:
    """Yield the calls of `context.<name>` within a node."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute):
            is_context = ast.unparse(each.func.value).rpartition(".")[2] == "context"
            if is_context and each.func.attr == name:
                yield each


def loaded(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that are read in the nodes."""
    return {
        each.id
        for node in nodes
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
    }


def bound(statements: Iterable[ast.stmt]) -> set[str]:
    """Return the names that the statements themselves give: assignments, imports, definitions."""
    found: set[str] = set()
    for statement in statements:
        match statement:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {(one.asname or one.name).partition(".")[0] for one in names}
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name):
                found.add(name)
            case ast.If() | ast.Try() | ast.With():
                inner = (each for each in ast.walk(statement) if each is not statement)
                found |= bound(each for each in inner if isinstance(each, ast.stmt))
            case _:
                found |= {
                    each.id
                    for each in ast.walk(statement)
                    if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
                }
    return found


def parents(root: ast.AST) -> dict[ast.AST, ast.AST]:
    """Return what each node stands in."""
    return {child: node for node in ast.walk(root) for child in ast.iter_child_nodes(node)}


def _decorators(statement: ast.stmt) -> list[ast.expr]:
    return list(getattr(statement, "decorator_list", ()))


def _indented(text: str, depth: int) -> str:
    lines = text.splitlines()
    return "".join(f"{' ' * depth}{line}\n" if line else "\n" for line in lines)
