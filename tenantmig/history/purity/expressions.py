"""Abstract evaluation of expressions: what each can be, without running it.

Every value is a set of kinds, joined over all assignments and branches; a container is what it
holds, and a `BOX`. What is not known to be harmless is a finding. `calls` and `attributes` know
what calling and asking for an attribute gives.
"""

from __future__ import annotations

import ast
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenantmig.history.purity.allowed import BUILTINS, CHANGING
from tenantmig.history.purity.attributes import attribute
from tenantmig.history.purity.calls import call
from tenantmig.history.purity.findings import Finding, Findings
from tenantmig.history.purity.modules import Module
from tenantmig.history.purity.values import (
    BOX,
    IMMUTABLE,
    ITERATOR,
    NOTHING,
    PLAIN,
    SHALLOW,
    TENANT,
    Kind,
    Value,
    Values,
    contained,
    made_of,
    one,
    taken_out,
    tells,
    without_tenant,
)

if TYPE_CHECKING:
    from tenantmig.history.purity.prover import Prover


class Expressions(ABC):
    """The names of one function, and what its expressions can be."""

    def __init__(
        self,
        prover: Prover,
        module: Module,
        findings: Findings,
        outer: Expressions | None = None,
        *,
        is_environment: bool = False,
    ) -> None:
        self.prover = prover
        self.module = module
        self.findings = findings
        self.outer: Expressions | None = outer
        self.is_environment: bool = is_environment or bool(outer and outer.is_environment)
        self.names: dict[str, Values] = {}
        self.local: frozenset[str] = frozenset()
        self.parameters: frozenset[str] = frozenset()
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
        found = self._found(node, f"it {what} a value that depends on the tenant")
        if found not in self.findings.by_tenant:
            self.findings.by_tenant.append(found)
        return PLAIN

    def loads(self, node: ast.AST, text: str) -> None:
        """Note what env.py imports, once in a process and before it knows the tenant."""
        self.findings.loads.append(self._found(node, text))

    def moment(self, node: ast.AST, text: str) -> Values:
        """Note what is pure and still not the same for everybody."""
        found = self._found(node, text)
        if found not in self.findings.by_moment:
            self.findings.by_moment.append(found)
        return PLAIN

    # -- names -----------------------------------------------------------------------------------

    @abstractmethod
    def assign(self, target: ast.expr, values: Values) -> None:
        """A target of an assignment, a loop or a `with` may also be this."""

    @abstractmethod
    def change(self, node: ast.AST, changed: ast.expr, values: Values, *, is_direct: bool) -> None:
        """Something is changed."""

    @abstractmethod
    def put(self, into: ast.expr, values: Values) -> None:
        """Something is put into an object."""

    def bind(self, name: str, values: Values) -> None:
        """A name may also be this."""
        self.names[name] = self.names.get(name, NOTHING) | values

    def definition(self, node: ast.FunctionDef | ast.Lambda) -> Values:
        """A function inside this one; its defaults are made now."""
        self.prover.check_decorators(self, node)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.eval(default)
        return one(Kind.FUNCTION, getattr(node, "name", "lambda"), node, self)

    def name(self, node: ast.Name) -> Values:
        """What a name means here."""
        name = node.id
        scope: Expressions | None = self
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
                self.impure(
                    node, f"it uses {name}, which the module keeps from one tenant to the next"
                )
            return found
        if name == "super":
            return one(Kind.LIBRARY, "builtins.super")
        if name in BUILTINS or name == "open":
            return one(Kind.LIBRARY, f"builtins.{name}")
        return self.impure(node, f"it uses {name}, which tenantmig does not know")

    # -- expressions ----------------------------------------------------------------------------

    def eval(self, node: ast.expr) -> Values:  # noqa: C901, PLR0912  a case an expression
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
                for part in parts[:-1]:
                    self.truth(part)
                return frozenset().union(*(self.eval(part) for part in parts))
            case ast.UnaryOp(operand=operand):
                found = self.eval(operand)
                if isinstance(node.op, ast.Not):
                    self.truth(operand)
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
                for bound in (lower, upper, step):
                    if bound is not None:
                        self.eval(bound)
                return PLAIN
            case ast.ListComp(elt=part) | ast.GeneratorExp(elt=part):
                self._generators(node.generators)
                if self.is_module and isinstance(node, ast.GeneratorExp):
                    return one(Kind.STATE)
                made = self.eval(part) | {BOX}
                return made | {ITERATOR} if isinstance(node, ast.GeneratorExp) else made
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
                self.returned |= (self.eval(value) if value else PLAIN) | {BOX, ITERATOR}
                return PLAIN
            case _:
                return self.impure(node, f"it has an expression of the type {type(node).__name__}")

    def truth(self, node: ast.expr) -> None:
        """A condition: the name of a tenant is always true, a statement about it is not."""
        found = self.eval(node)
        if any(v.kind is Kind.MADE and v.tells for v in found):
            self.asks(node, "tests")
        if any(v.kind is Kind.FOREIGN for v in found) and not self.is_environment:
            self.impure(node, "it tests a value that tenantmig does not know")

    def elements(self, node: ast.AST, values: Values) -> Values:
        """What iterating over this gives."""
        if any(v.kind is Kind.TENANT for v in values) and BOX not in values:
            return self.asks(node, "takes a part of")
        values = taken_out(values)
        unfit = [v for v in values if v.kind in {Kind.FOREIGN, Kind.STATE, Kind.CONFIG}]
        if unfit and not self.is_environment:
            return self.impure(node, "it iterates over a value that tenantmig does not know")
        return values

    def _generators(self, generators: Sequence[ast.comprehension]) -> None:
        for generator in generators:
            if generator.is_async:
                self.impure(generator.iter, "it is asynchronous")
            for part in ast.walk(generator.target):
                if isinstance(part, ast.Name) and part.id in self.module.bindings:
                    self.impure(part, f"{part.id} is a name both of the module and of a loop")
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
                if (
                    any(v.kind in {Kind.FOREIGN, Kind.STATE} for v in inner)
                    and not self.is_environment
                ):
                    self.impure(node, "it writes a value that tenantmig does not know")
                if part.format_spec is not None and tells(self.eval(part.format_spec)):
                    self.asks(node, "takes a part of")
                if tells(inner):
                    found = self.asks(node, "takes a part of") if part.format_spec else TENANT
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
            return TENANT if is_written else self.asks(node, "takes a part of")
        kinds = {v.kind for v in both}
        if self.is_module and kinds == {Kind.CONSTANT}:
            return one(Kind.CONSTANT)
        if not kinds <= {Kind.PLAIN, Kind.CONSTANT, Kind.LIBRARY, Kind.CLASS}:
            return self.impure(node, "it calculates with a value that tenantmig does not know")
        held = (
            {SHALLOW}
            if any(v.kind is Kind.CONSTANT and v.path != IMMUTABLE for v in both)
            else set()
        )
        return frozenset({Value(Kind.PLAIN), *(both & {BOX, SHALLOW}), *held})

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
            return self.impure(node, "it compares a value that tenantmig does not know")
        return PLAIN

    def _subscript(self, node: ast.Subscript) -> Values:
        values, key = self.eval(node.value), self.eval(node.slice)
        if (
            isinstance(node.slice, ast.Constant)
            and node.slice.value == "target_metadata"
            and not self.is_environment
        ):
            return self.impure(node, "it uses the metadata of the models, which outlives the call")
        if tells(key):
            return self.asks(node, "looks up by")
        found: Values = NOTHING
        for value in values:
            match value.kind:
                case Kind.TENANT | Kind.CONFIG if BOX not in values:
                    is_key = isinstance(node.slice, ast.Constant) and not isinstance(
                        node.slice.value, int
                    )
                    found |= TENANT if is_key else self.asks(node, "takes a part of")
                case Kind.FOREIGN | Kind.STATE if not self.is_environment:
                    found |= self.impure(
                        node,
                        f"it indexes {ast.unparse(node.value)}, which tenantmig does not know",
                    )
                case Kind.METADATA:
                    found |= one(Kind.TABLE)
                case _:
                    found |= {value}
        return taken_out(found)

    def arguments(self, node: ast.Call) -> tuple[list[Values], dict[str, Values]]:
        """Evaluate what a call is given; what `*` and `**` give may be any of them."""
        for part in node.args:
            if (
                isinstance(part, ast.Attribute)
                and part.attr in CHANGING
                and any(
                    v.kind in {Kind.CONSTANT, Kind.SHARED, Kind.METADATA, Kind.TABLE}
                    for v in self.eval(part.value)
                )
            ):
                self.impure(
                    part,
                    f"it passes on {ast.unparse(part)}, which changes something that "
                    "outlives the call",
                )
        stars = [i for i, part in enumerate(node.args) if isinstance(part, ast.Starred)]
        positional = [self.eval(part) for part in node.args[: stars[0] if stars else None]]
        rest = (
            frozenset().union(NOTHING, *(self.eval(part) for part in node.args[stars[0] :]))
            if stars
            else NOTHING
        )
        named = {k.arg or "**": self.eval(k.value) for k in node.keywords}
        if stars:
            named["*"] = rest
        return positional, named


def _is_simple(template: str) -> bool:
    """True when a template of `%` puts whole texts in."""
    return re.fullmatch(r"(?:[^%]|%(?:\(\w+\))?s|%%)*", template, re.DOTALL) is not None
