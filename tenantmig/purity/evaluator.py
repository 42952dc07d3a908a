"""Abstract evaluation: what each name and expression of a function can be, without running it.

Every value is a set of kinds, joined over all assignments and branches; a container is what it
holds, and a `BOX`. What is not known to be harmless is a finding. Knows statements and expressions;
`calls` knows what calling and asking for an attribute gives.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tenantmig.purity.allowed import BUILTINS, CHANGING
from tenantmig.purity.calls import attribute, call, called
from tenantmig.purity.modules import Module
from tenantmig.purity.values import (
    NOTHING,
    PLAIN,
    TENANT,
    Finding,
    Findings,
    Kind,
    Value,
    Values,
    one,
)

if TYPE_CHECKING:
    from tenantmig.purity.prover import Prover

BOX = Value(Kind.PLAIN, "box")
SHALLOW = Value(Kind.PLAIN, "shallow copy")
IMMUTABLE = "immutable"
ELEMENT = "element"
CHANGEABLE = frozenset({Kind.PLAIN, Kind.MADE})
MOST_PASSES = 8


class Evaluator:
    """One function, or one module's own statements, with what is known of its names."""

    def __init__(
        self,
        prover: Prover,
        module: Module,
        findings: Findings,
        outer: Evaluator | None = None,
        *,
        is_environment: bool = False,
    ) -> None:
        self.prover = prover
        self.module = module
        self.findings = findings
        self.outer: Evaluator | None = outer
        self.is_environment: bool = is_environment or bool(outer and outer.is_environment)
        self.names: dict[str, Values] = {}
        self.local: frozenset[str] = frozenset()
        self.returned: Values = NOTHING
        self.is_module = False

    # -- findings -----------------------------------------------------------------------------

    def _found(self, node: ast.AST, text: str) -> Finding:
        return Finding(getattr(node, "lineno", 1), text, str(self.module.file))

    def impure(self, node: ast.AST, text: str) -> Values:
        """Note why this is not proved; go on as if it were data."""
        self.findings.add_impure(self._found(node, text))
        return PLAIN

    def asks(self, node: ast.AST, what: str) -> Values:
        """Note that the tenant's name is used otherwise than to be written into SQL."""
        found = self._found(node, f"it {what} what tells the tenant")
        if found not in self.findings.by_tenant:
            self.findings.by_tenant.append(found)
        return PLAIN

    def moment(self, node: ast.AST, text: str) -> Values:
        """Note what is pure and still not the same for everybody."""
        found = self._found(node, text)
        if found not in self.findings.by_moment:
            self.findings.by_moment.append(found)
        return PLAIN

    # -- functions and statements ----------------------------------------------------------------

    def run(self, body: Sequence[ast.stmt], local: Iterable[str]) -> None:
        """Evaluate statements until nothing more becomes known of the names."""
        self.local = frozenset(local) | frozenset(self.names)
        for _ in range(MOST_PASSES):
            before = dict(self.names)
            self.block(body)
            if self.names == before:
                return
        self.impure(body[0], "it is too entangled to be understood")

    def block(self, body: Sequence[ast.stmt]) -> None:
        """Evaluate statements once."""
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:  # noqa: C901, PLR0912  a case a statement
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
                self.bind(name, self.prover.class_value(self, node))
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
                self.impure(node, f"it has a statement of the kind {type(node).__name__}")

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
        if any(v.kind is Kind.CONSTANT and v.path not in {IMMUTABLE, ELEMENT} for v in stands):
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

    def definition(self, node: ast.FunctionDef | ast.Lambda) -> Values:
        """A function inside this one; its defaults are made now."""
        return one(Kind.FUNCTION, getattr(node, "name", "lambda"), node, self)

    # -- names --------------------------------------------------------------------------------

    def bind(self, name: str, values: Values) -> None:
        """A name may also be this."""
        self.names[name] = self.names.get(name, NOTHING) | values

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
            self.impure(target, "it assigns to what cannot be followed")
            return
        if isinstance(target, ast.Subscript) and tells(self.eval(target.slice)):
            self.asks(target, "looks up by")
        is_direct = isinstance(target.value, ast.Name)
        self.change(target, target.value, self.eval(target.value), is_direct=is_direct)
        if isinstance(target.value, ast.Name) and target.value.id in self.names:
            self.bind(target.value.id, contained(values))

    def change(self, node: ast.AST, changed: ast.expr, values: Values, *, is_direct: bool) -> None:
        """Only what was made in this call may be changed."""
        held = frozenset(v for v in values if v.kind is not Kind.TENANT and v.path != ELEMENT)
        if any(v.kind not in CHANGEABLE for v in held):
            self.impure(node, f"it changes {ast.unparse(changed)}, which outlives the call")
        elif SHALLOW in values and not is_direct:
            self.impure(node, f"it changes what {ast.unparse(changed)} may share with the module")

    def name(self, node: ast.Name) -> Values:
        """What a name means here."""
        name = node.id
        scope: Evaluator | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            if name in scope.local:
                return NOTHING  # it is bound further on; a later pass knows
            scope = scope.outer
        if self.outer is None and self.is_environment and name in self.local:
            return NOTHING
        if name in self.module.bindings or name in {"__file__", "__name__", "__doc__"}:
            found = self.prover.global_values(self.module, name)
            if any(v.kind is Kind.STATE for v in found):
                self.impure(node, f"it uses {name}, which the module keeps between tenants")
            return found
        if name in BUILTINS or name == "open":
            return one(Kind.LIBRARY, f"builtins.{name}")
        return self.impure(node, f"it uses {name}, of which nothing is known")

    # -- expressions ----------------------------------------------------------------------------

    def eval(self, node: ast.expr) -> Values:  # noqa: C901, PLR0911, PLR0912  a case an expression
        """What an expression can be."""
        match node:
            case ast.Constant():
                return one(Kind.CONSTANT, IMMUTABLE) if self.is_module else PLAIN
            case ast.Name():
                return self.name(node)
            case ast.Attribute(value=value, attr=name):
                return attribute(self, node, self.eval(value), name)
            case ast.Call():
                return call(self, node)
            case ast.JoinedStr(values=parts):
                return self._formatted(node, parts)
            case ast.FormattedValue(value=value):
                return self.eval(value)
            case ast.BinOp(left=left, op=op, right=right):
                return self.combined(node, self.eval(left), self.eval(right), op, left)
            case ast.BoolOp(values=parts):
                return frozenset().union(*(self.eval(part) for part in parts))
            case ast.UnaryOp(operand=operand):
                found = self.eval(operand)
                return PLAIN if isinstance(node.op, ast.Not) else without_tenant(found)
            case ast.Compare():
                return self._compared(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.truth(test)
                return self.eval(body) | self.eval(orelse)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return self._boxed(parts)
            case ast.Set(elts=parts):
                return self._hashed(node, parts)
            case ast.Dict(keys=keys, values=values):
                self._hashed(node, [key for key in keys if key is not None])
                return self._boxed(values)
            case ast.Subscript():
                return self._subscript(node)
            case ast.Slice(lower=lower, upper=upper, step=step):
                for part in (lower, upper, step):
                    if part is not None:
                        self.eval(part)
                return PLAIN
            case ast.ListComp(elt=part) | ast.GeneratorExp(elt=part):
                self._generators(node.generators)
                if self.is_module and isinstance(node, ast.GeneratorExp):
                    return one(Kind.STATE)
                return self.eval(part) | {BOX}
            case ast.SetComp(elt=part):
                self._generators(node.generators)
                return self._hashed(node, [part])
            case ast.DictComp(key=key, value=value):
                self._generators(node.generators)
                self._hashed(node, [key])
                return self.eval(value) | {BOX}
            case ast.Lambda():
                return self.definition(node)
            case ast.Starred(value=value):
                return self.elements(node, self.eval(value))
            case ast.NamedExpr(target=target, value=value):
                found = self.eval(value)
                self.assign(target, found)
                return found
            case ast.Yield(value=value) | ast.YieldFrom(value=value):
                self.returned |= self.eval(value) if value else PLAIN
                return PLAIN
            case _:
                return self.impure(node, f"it has an expression of the kind {type(node).__name__}")

    def truth(self, node: ast.expr) -> None:
        """A condition: the name of a tenant is always true, a statement about it is not."""
        found = self.eval(node)
        if any(v.kind is Kind.MADE and v.tells for v in found):
            self.asks(node, "asks for the truth of")

    def elements(self, node: ast.AST, values: Values) -> Values:
        """What iterating over this gives."""
        if any(v.kind is Kind.TENANT for v in values) and BOX not in values:
            return self.asks(node, "cuts")
        values = taken_out(values)
        unfit = [v for v in values if v.kind in {Kind.FOREIGN, Kind.STATE, Kind.CONFIG}]
        if unfit and not self.is_environment:
            return self.impure(node, "it goes through something of which nothing is known")
        return values

    def _generators(self, generators: Sequence[ast.comprehension]) -> None:
        for generator in generators:
            if generator.is_async:
                self.impure(generator.iter, "it is asynchronous")
            self.assign(generator.target, self.elements(generator.iter, self.eval(generator.iter)))
            for test in generator.ifs:
                self.truth(test)

    def _boxed(self, parts: Sequence[ast.expr]) -> Values:
        inner = frozenset().union(*(self.eval(part) for part in parts))
        if self.is_module:
            is_plain = all(v.kind is Kind.CONSTANT for v in inner)
            return one(Kind.CONSTANT) if is_plain else inner | {BOX}
        return contained(inner) | {BOX}

    def _hashed(self, node: ast.AST, parts: Sequence[ast.expr]) -> Values:
        inner = self._boxed(parts)
        return self.asks(node, "hashes") if tells(inner) else inner

    def _formatted(self, node: ast.JoinedStr, parts: Sequence[ast.expr]) -> Values:
        found = PLAIN
        for part in parts:
            if isinstance(part, ast.FormattedValue):
                inner = self.eval(part.value)
                if tells(inner):
                    found = self.asks(node, "cuts") if part.format_spec else TENANT
        if found == TENANT:
            self.findings.formats_tenant = True
        return one(Kind.CONSTANT, IMMUTABLE) if self.is_module and found == PLAIN else found

    def combined(
        self,
        node: ast.AST,
        left: Values,
        right: Values,
        op: ast.operator,
        template: ast.expr | None = None,
    ) -> Values:
        """What an operator makes of two values."""
        both = left | right
        if any(v.kind is Kind.FILE for v in both):
            return self.asks(node, "looks up by") if tells(both) else one(Kind.FILE)
        made = frozenset(v for v in both if v.kind in {Kind.MADE, Kind.SHARED, Kind.TABLE})
        if made:
            return made_of(made, both)
        if tells(both):
            is_template = isinstance(template, ast.Constant) and _is_simple(str(template.value))
            is_written = isinstance(op, ast.Add) or (isinstance(op, ast.Mod) and is_template)
            self.findings.formats_tenant = True
            return TENANT if is_written else self.asks(node, "cuts")
        kinds = {v.kind for v in both}
        if self.is_module and kinds == {Kind.CONSTANT}:
            return one(Kind.CONSTANT)
        if not kinds <= {Kind.PLAIN, Kind.CONSTANT, Kind.LIBRARY, Kind.CLASS}:
            return self.impure(node, "it calculates with what it knows nothing of")
        return frozenset({Value(Kind.PLAIN), *(both & {BOX, SHALLOW})})

    def _compared(self, node: ast.Compare) -> Values:
        values = [self.eval(part) for part in (node.left, *node.comparators)]
        both: Values = frozenset().union(*values)
        is_none = all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops)
        is_sql = all(not isinstance(op, ast.In | ast.NotIn | ast.Is | ast.IsNot) for op in node.ops)
        made = frozenset(v for v in both if v.kind in {Kind.MADE, Kind.SHARED, Kind.TABLE})
        if made and is_sql:
            return made_of(made, both)
        if tells(both) and not is_none:
            return self.asks(node, "compares")
        if any(v.kind in {Kind.FOREIGN, Kind.CONFIG} for v in both) and not self.is_environment:
            return self.impure(node, "it compares something of which nothing is known")
        return PLAIN

    def _subscript(self, node: ast.Subscript) -> Values:
        values, key = self.eval(node.value), self.eval(node.slice)
        if tells(key):
            return self.asks(node, "looks up by")
        found: Values = NOTHING
        for value in values:
            match value.kind:
                case Kind.TENANT | Kind.CONFIG if BOX not in values:
                    is_key = isinstance(node.slice, ast.Constant) and not isinstance(
                        node.slice.value, int
                    )
                    found |= TENANT if is_key else self.asks(node, "cuts")
                case Kind.FOREIGN | Kind.STATE if not self.is_environment:
                    found |= self.impure(node, f"it looks into {ast.unparse(node.value)}")
                case Kind.METADATA:
                    found |= one(Kind.TABLE)
                case _:
                    found |= {value}
        return taken_out(found)

    def arguments(self, node: ast.Call) -> tuple[list[Values], dict[str, Values]]:
        """Evaluate what a call is given; what `*` and `**` give may be any of them."""
        positional = [self.eval(part) for part in node.args]
        named = {k.arg or "**": self.eval(k.value) for k in node.keywords}
        return positional, named

    @staticmethod
    def contained(values: Values) -> Values:
        """What is put into a container."""
        return contained(values)

    def call_function(
        self, node: ast.AST, value: Value, positional: list[Values], named: dict[str, Values]
    ) -> Values:
        """Follow a call into a function of the project."""
        return self.prover.follow(self, node, value, positional, named)

    def call_back(self, node: ast.AST, values: Values) -> Values:
        """A function that a library is given is called with data."""
        return called(self, node, values)


def tells(values: Values) -> bool:
    """True when a value tells the tenant, or was made from what does."""
    return any(v.kind in {Kind.TENANT, Kind.CONFIG} or v.tells for v in values)


def contained(values: Values) -> Values:
    """What is put into a container: what a module holds there is an element, not the container."""
    return frozenset(
        Value(Kind.CONSTANT, ELEMENT) if v.kind is Kind.CONSTANT and v.path != IMMUTABLE else v
        for v in values
    )


def taken_out(values: Values) -> Values:
    """What is taken out of a container."""
    is_held = SHALLOW in values or any(v.path == ELEMENT for v in values)
    kept = frozenset(v for v in values if v.path != ELEMENT)
    return kept | one(Kind.CONSTANT) if is_held else kept


def made_of(made: Values, both: Values) -> Values:
    """What a library makes of several values."""
    is_told = tells(both)
    return frozenset(
        Value(v.kind, v.path, tells=True) if is_told and v.kind is Kind.MADE else v for v in made
    ) | (one(Kind.MADE, tells=is_told) if is_told else NOTHING)


def without_tenant(values: Values) -> Values:
    """What a calculation gives."""
    return frozenset(v for v in values if v.kind is not Kind.TENANT) or PLAIN


def _is_simple(template: str) -> bool:
    """True when a template of `%` puts whole texts in."""
    return all(part[:1] in {"s", "%"} or part[:1] == "(" for part in template.split("%")[1:])


def is_changing(name: str) -> bool:
    """True when a method of this name changes what it belongs to."""
    return name in CHANGING
