"""Abstract evaluation of a function's statements, until nothing more becomes known of its names."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from tenantmig.history.purity.expressions import Expressions
from tenantmig.history.purity.values import (
    BOX,
    ELEMENT,
    IMMUTABLE,
    NOTHING,
    PLAIN,
    SHALLOW,
    Kind,
    Values,
    contained,
    tells,
)

CHANGEABLE = frozenset({Kind.PLAIN, Kind.MADE})
MOST_PASSES = 8


class Evaluator(Expressions):
    """One function, or one module's own statements, with what is known of its names."""

    def run(self, body: Sequence[ast.stmt], local: Iterable[str]) -> None:
        """Evaluate statements until nothing more becomes known of the names."""
        self.local = frozenset(local) | frozenset(self.names)
        for _ in range(MOST_PASSES):
            before = dict(self.names)
            self.block(body)
            if self.names == before:
                return
        self.impure(body[0], "it is too complex to follow")

    def block(self, body: Sequence[ast.stmt]) -> None:
        """Evaluate statements once."""
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:  # noqa: C901, PLR0912, PLR0915  a case a statement
        """Evaluate one statement."""
        match node:
            case ast.Expr(value=value):
                self.eval(value)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self.assign(target, self.eval(value))
            case ast.AnnAssign(target=target, value=value):
                if value is not None:
                    self.assign(target, self.eval(value))
            case ast.AugAssign():
                self._augment(node)
            case ast.Return(value=value):
                self.returned |= self.eval(value) if value else PLAIN
            case (
                ast.If(test=test, body=body, orelse=orelse)
                | ast.While(test=test, body=body, orelse=orelse)
            ):
                self.truth(test)
                self.block([*body, *orelse])
            case ast.For(target=target, iter=iterated, body=body, orelse=orelse):
                self.assign(target, self.elements(iterated, self.eval(iterated)))
                self.block([*body, *orelse])
            case ast.With(items=items, body=body):
                for item in items:
                    entered = self.eval(item.context_expr)
                    self.truth(item.context_expr)
                    if item.optional_vars is not None:
                        self.assign(item.optional_vars, entered)
                self.block(body)
            case ast.Try():
                self._try(node)
            case ast.Raise(exc=exc, cause=cause):
                for part in (exc, cause):
                    if part is not None:
                        self.eval(part)
            case ast.Assert(test=test, msg=message):
                self.truth(test)
                if message is not None:
                    self.eval(message)
            case ast.FunctionDef(name=name):
                self.bind(name, self.definition(node))
            case ast.ClassDef(name=name):
                self.bind(name, self.prover.classes.made(self, node))
            case ast.Import() | ast.ImportFrom():
                self._import(node)
            case ast.Delete(targets=targets):
                for target in targets:
                    if not isinstance(target, ast.Name):
                        self._change(target)
            case ast.Match():
                self._match(node)
            case ast.Pass() | ast.Break() | ast.Continue():
                pass
            case ast.Global() | ast.Nonlocal():
                self.impure(node, f"it keeps {node.names[0]} for the next tenant")
            case _:
                self.impure(node, f"it has a statement of the type {type(node).__name__}")

    def _try(self, node: ast.Try) -> None:
        self.block(node.body)
        for handler in node.handlers:
            if handler.type is not None:
                self.eval(handler.type)
            if handler.name:
                self.bind(handler.name, PLAIN)
            self.block(handler.body)
        self.block([*node.orelse, *node.finalbody])

    def _match(self, node: ast.Match) -> None:
        subject = self.eval(node.subject)
        if tells(subject):
            self.asks(node, "compares")
        for case in node.cases:
            for inner in ast.walk(case.pattern):
                captured = getattr(inner, "name", None) or getattr(inner, "rest", None)
                if isinstance(captured, str):
                    self.bind(captured, subject)
            if case.guard is not None:
                self.truth(case.guard)
            self.block(case.body)

    def _augment(self, node: ast.AugAssign) -> None:
        value = self.eval(node.value)
        if not isinstance(node.target, ast.Name):
            self._change(node.target)
            return
        stands = self.name(node.target)
        if any(
            (v.kind is Kind.CONSTANT and v.path not in {IMMUTABLE, ELEMENT})
            or (v.kind is Kind.SHARED and not isinstance(node.op, ast.BitAnd | ast.BitOr))
            for v in stands
        ):
            self.impure(node, f"it changes {node.target.id}, which the module keeps")
        self.bind(node.target.id, stands | self.combined(node, stands, value, node.op))

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or (
                alias.name if isinstance(node, ast.ImportFrom) else alias.name.partition(".")[0]
            )
            found = self.prover.imported(self.module, node, alias)
            self.bind(name, found)
            if not self.is_module:
                self.prover.check_import(self, node, alias)

    # -- names --------------------------------------------------------------------------------

    def assign(self, target: ast.expr, values: Values) -> None:
        """A target of an assignment, a loop or a `with` may also be this."""
        match target:
            case ast.Name(id=name):
                self.bind(name, values)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                inner = self.elements(target, values)
                for part in parts:
                    self.assign(part, inner)
            case ast.Starred(value=part):
                self.assign(part, values | {BOX})
            case _:
                self._change(target, values)

    def _change(self, target: ast.expr, values: Values = NOTHING) -> None:
        """Something is put into an object, or taken out of it."""
        if not isinstance(target, ast.Attribute | ast.Subscript):
            self.impure(target, "it assigns to something that cannot be followed")
            return
        if isinstance(target, ast.Subscript) and tells(self.eval(target.slice)):
            self.asks(target, "looks up by")
        if self.is_environment and tells(values):
            self.asks(target, "keeps")
        is_direct = isinstance(target.value, ast.Name)
        self.change(target, target.value, self.eval(target.value), is_direct=is_direct)
        self.put(target.value, values)

    def put(self, into: ast.expr, values: Values) -> None:
        """Whatever holds it, at any depth and in any scope, may also give it."""
        while isinstance(into, ast.Attribute | ast.Subscript):
            into = into.value
        scope: Expressions | None = self
        while isinstance(into, ast.Name) and scope is not None:
            if into.id in scope.names:
                scope.bind(into.id, contained(values))
                return
            scope = scope.outer

    def change(self, node: ast.AST, changed: ast.expr, values: Values, *, is_direct: bool) -> None:
        """Only what was made in this call may be changed."""
        held = frozenset(
            v
            for v in values
            if v.path != ELEMENT
            and not (v.kind is Kind.TENANT and (BOX in values or self.is_environment))
        )
        if any(v.kind not in CHANGEABLE for v in held):
            self.impure(node, f"it changes {ast.unparse(changed)}, which outlives the call")
        elif SHALLOW in values and not is_direct:
            self.impure(
                node, f"it changes something that {ast.unparse(changed)} may share with the module"
            )
