"""What loading a module does beside defining things.

Alembic loads scripts after env.py has begun; what a module looks at then may tell the tenant.
"""

from __future__ import annotations

import ast
from contextlib import suppress
from typing import TYPE_CHECKING

from tenantmig.history.purity.findings import Enough, Findings
from tenantmig.history.purity.modules import Module, flat

if TYPE_CHECKING:
    from tenantmig.history.purity.expressions import Expressions
    from tenantmig.history.purity.prover import Prover

WRAPPING = ("functools.", "contextlib.", "typing.", "typing_extensions.", "dataclasses.", "abc.")
WRAPPERS = frozenset(
    """
    staticmethod classmethod property setter deleter cached_property lru_cache cache wraps
    singledispatch contextmanager asynccontextmanager abstractmethod override final overload
    dataclass unique total_ordering declared_attr hybrid_property hybrid_method expression
    comparator validates validator field_validator model_validator computed_field no_type_check
    """.split()  # noqa: SIM905  thirty quotes less
)
KNOWN = ("alembic.", "sqlalchemy.", "psycopg.", "tenantmig.")


class Loading:
    """Looks at the statements of modules, and of those that they import."""

    def __init__(self, prover: Prover) -> None:
        self.prover = prover
        self._does: dict[Module, str | None] = {}

    def does(self, module: Module) -> str | None:
        """Say what the module's own statements do beside defining things; None, if nothing.

        Modules of installed distributions are taken as they are: they are the same for everybody.
        """
        if module not in self._does:
            self._does[module] = None  # while it is looked at: a circle
            self._does[module] = self._look(module) if module.is_own else None
        return self._does[module]

    @staticmethod
    def registers(module: Module) -> str | None:
        """Say what a module's own statements may register with somebody, or None.

        They call something for its effect, or decorate a function with what may keep it.
        """
        for statement in flat(module.tree.body):
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                return f"{ast.unparse(statement.value.func)} is called"
            for decorator in getattr(statement, "decorator_list", ()):
                if isinstance(statement, ast.FunctionDef) and not _wraps(decorator):
                    return f"{statement.name} is decorated with {ast.unparse(decorator)}"
        return None

    def _look(self, module: Module) -> str | None:
        findings = Findings()
        at = self.prover.of_module(module, findings)
        with suppress(Enough):
            for statement in module.tree.body:
                self._look_at(at, statement)
        for found in (*findings.impure, *findings.by_tenant, *findings.by_moment):
            return f"{found.text} ({module.file.name}, line {found.line})"
        for name in (*packages(module), *_imported_modules(module)):
            inner = None if name.startswith(KNOWN) else self.prover.project.find(name)
            does = self.does(inner) if inner is not None else None
            if does:
                return does
        return None

    def _look_at(self, at: Expressions, statement: ast.stmt) -> None:  # noqa: C901, PLR0912  a case a statement
        match statement:
            case ast.Import() | ast.ImportFrom():
                return
            case (
                ast.FunctionDef(decorator_list=decorators)
                | ast.AsyncFunctionDef(decorator_list=decorators)
            ):
                for decorator in decorators:
                    if not _wraps(decorator):
                        at.impure(decorator, f"it has the decorator {ast.unparse(decorator)}")
            case ast.ClassDef(body=body):
                for inner in body:
                    self._look_at(at, inner)
            case ast.If(test=test, body=body, orelse=orelse):
                if ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
                    return
                if ast.unparse(test) != "__name__ == '__main__'":
                    at.truth(test)
                    for inner in (*body, *orelse):
                        self._look_at(at, inner)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
                caught = [inner for handler in handlers for inner in handler.body]
                for inner in (*body, *caught, *orelse, *final):
                    self._look_at(at, inner)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                return
            case ast.Assign(value=value) | ast.AnnAssign(value=value) if value is not None:
                at.eval(value)
            case ast.AnnAssign():
                return
            case _:
                at.impure(statement, f"it runs `{ast.unparse(statement)[:60]}` during the import")


def _wraps(decorator: ast.expr) -> bool:
    """A decorator may register what it decorates; one that only wraps it does nothing yet."""
    bare = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = ast.unparse(bare)
    return name.startswith(WRAPPING) or name.rpartition(".")[2] in WRAPPERS


def packages(module: Module) -> list[str]:
    """Return the packages that a module is in: its import runs them first."""
    if module.is_script:
        return []
    parts = module.name.split(".")[:-1]
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def _imported_modules(module: Module) -> list[str]:
    names = []
    for bounds in module.bindings.values():
        for bound in bounds:
            match bound.statement:
                case ast.Import(names=aliases):
                    names += [alias.name for alias in aliases]
                case ast.ImportFrom() as statement:
                    parent = module.absolute(statement)
                    names += [parent, *(f"{parent}.{alias.name}" for alias in statement.names)]
    return list(dict.fromkeys(names))
