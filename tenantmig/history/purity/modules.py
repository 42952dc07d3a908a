"""Modules of a project, read and never run: which names they bind."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tenantmig.domain.python_source import parse_source

STANDARD = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
"""The folders of Python's own modules."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What one name of a module is bound to: an import, a definition or an expression."""

    node: ast.AST
    statement: ast.stmt


@dataclass(eq=False)
class Module:
    """One module's syntax tree. `name` is dotted; that of a script is only its file's stem."""

    file: Path
    name: str
    is_package: bool = False
    is_script: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        """The source, read. Raises what reading and parsing do."""
        return parse_source(str(self.file))

    @cached_property
    def is_installed(self) -> bool:
        """True when it belongs to an installed distribution and not to the project."""
        parts = self.file.resolve().parts
        return "site-packages" in parts or "dist-packages" in parts

    @cached_property
    def is_standard(self) -> bool:
        """True when it is Python's own."""
        return str(self.file).startswith(STANDARD) and not self.is_installed

    @property
    def is_own(self) -> bool:
        """True when it is the project's."""
        return not (self.is_installed or self.is_standard)

    @cached_property
    def bindings(self) -> dict[str, list[Bound]]:
        """Every name that the module's own statements bind, in whichever branch."""
        found: dict[str, list[Bound]] = {}
        for statement in flat(self.tree.body):
            for name, node in _bound(statement):
                found.setdefault(name, []).append(Bound(node, statement))
        return found

    @cached_property
    def rebound(self) -> frozenset[str]:
        """Names that a function of the module binds anew (`global`): they hold state."""
        return frozenset(
            name
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Global)
            for name in node.names
        )

    @cached_property
    def says_schema(self) -> bool:
        """True when something is given a `schema=` that is not None."""
        return any(
            (
                isinstance(node, ast.Call)
                and node.args
                and ast.unparse(node.func).rpartition(".")[2] == "MetaData"
            )
            or (
                isinstance(node, ast.keyword)
                and node.arg in {"schema", "inherit_schema"}
                and not (isinstance(node.value, ast.Constant) and node.value.value is None)
            )
            for node in ast.walk(self.tree)
        )

    def absolute(self, statement: ast.ImportFrom) -> str:
        """Return the dotted name of the module that an import takes from."""
        if not statement.level:
            return statement.module or ""
        parts = self.name.split(".")
        kept = parts[: len(parts) - statement.level + int(self.is_package)]
        return ".".join([*kept, *([statement.module] if statement.module else [])])


def flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module with those in its branches."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try | ast.With):
            inner = [*statement.body, *getattr(statement, "orelse", ())]
            inner += getattr(statement, "finalbody", ())
            for handler in getattr(statement, "handlers", ()):
                inner += handler.body
            yield statement
            yield from flat(inner)
        else:
            yield statement


def _bound(statement: ast.stmt) -> Iterator[tuple[str, ast.AST]]:  # noqa: C901  a case a statement
    match statement:
        case ast.Import(names=names):
            for alias in names:
                yield alias.asname or alias.name.partition(".")[0], alias
        case ast.ImportFrom(names=names):
            for alias in names:
                yield alias.asname or alias.name, alias
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name, statement
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _targets(target, value)
        case ast.AnnAssign(target=target, value=value) if value is not None:
            yield from _targets(target, value)
        case ast.AugAssign(target=target):
            yield from _targets(target, statement)
        case ast.For(target=target):
            yield from _targets(target, statement)


def _targets(target: ast.expr, value: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match target:
        case ast.Name(id=name):
            yield name, value
        case ast.Tuple(elts=inner) | ast.List(elts=inner):
            is_paired = isinstance(value, ast.Tuple) and len(value.elts) == len(inner)
            values = value.elts if is_paired else [value] * len(inner)  # type: ignore[attr-defined]
            for part, bound in zip(inner, values, strict=True):
                yield from _targets(part, bound)
        case ast.Starred(value=part):
            yield from _targets(part, value)


class Project:
    """The modules of a project, found as its import would find them, without importing."""

    def __init__(self, roots: Sequence[str] = ()) -> None:
        self.roots = [Path(root or ".") for root in (*roots, *sys.path)]
        self._found: dict[str, Module | None] = {}
        self._files: dict[str, Module] = {}

    @property
    def own_files(self) -> frozenset[Path]:
        """The files of the project's own modules that were read, without scripts."""
        found = [module for module in self._found.values() if module is not None]
        return frozenset(module.file for module in found if module.is_own)

    def script(self, file: str) -> Module:
        """Return the module of one file, which no name leads to."""
        if file not in self._files:
            self._files[file] = Module(Path(file), Path(file).stem, is_script=True)
        return self._files[file]

    def find(self, name: str) -> Module | None:
        """Return a module of the project by its dotted name; None for anything that is installed.

        What cannot be read is not known either.
        """
        if name not in self._found:
            self._found[name] = self._look_for(name)
        return self._found[name]

    def _look_for(self, name: str) -> Module | None:
        relative = Path(*name.split("."))
        for root in self.roots:
            for file, is_package in (
                (root / relative / "__init__.py", True),
                (root / relative.with_suffix(".py"), False),
            ):
                if file.is_file():
                    return self._read(file, name, is_package=is_package)
        return None

    @staticmethod
    def _read(file: Path, name: str, *, is_package: bool) -> Module | None:
        module = Module(file, name, is_package)
        try:
            if not module.is_standard:  # Python's own can be read, and is long
                _ = module.tree
        except (SyntaxError, UnicodeDecodeError, OSError, RecursionError):
            return None
        return module
