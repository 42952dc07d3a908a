"""What env.py imports that may be imported before it runs, because nothing else comes of it.

A process can then import it once for all that run env.py.
"""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

from tenantmig.history.purity.modules import Module, flat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tenantmig.history.purity.prover import Prover

Imported = tuple[str, tuple[str, ...]]
"""A module, and the names that are taken from it: `__import__` has both."""
ORM = "sqlalchemy.orm"
MOST_READ = 60  # modules of a project that are read in search of who imports SQLAlchemy's ORM


class Importing:
    """Looks at what env.py imports, by what is proved of modules."""

    def __init__(self, prover: Prover) -> None:
        self._prover = prover

    def early(self, module: Module, *, is_pure: bool) -> tuple[Imported, ...]:
        """Return the imports of env.py that are proved, in their order.

        They end at the first that is not: it may change what those after it find. Where env.py is
        not pure, they end at its first statement that is no import.
        """
        found: list[Imported] = []
        for statement in module.tree.body:
            match statement:
                case ast.Import() | ast.ImportFrom(level=0):
                    imports = _imports(statement)
                    if not all(self._is_proved(*one, is_pure=is_pure) for one in imports):
                        break
                    found += [one for one in imports if one[0] != "__future__"]
                case ast.Expr(value=ast.Constant()):
                    continue
                case _ if not is_pure:
                    break
        if (ORM, ()) not in found and self._leads_to_orm(module):
            found.append((ORM, ()))  # a library, wherever it is imported
        return tuple(found)

    def _is_proved(self, name: str, taken: tuple[str, ...], *, is_pure: bool) -> bool:
        prover = self._prover
        found = prover.project.find(name)
        is_own = found is not None and found.is_own
        if name.partition(".")[0] in sys.stdlib_module_names and not is_own:
            return True
        if is_pure and prover.is_vouched(name):  # its processes are shared anyway
            return True
        if found is None or prover.loading.does(found) is not None:
            return False
        if is_own and "__getattr__" in found.bindings:  # runs for a name that is taken
            return False
        inner = [prover.project.find(f"{name}.{one}") for one in taken]
        return all(prover.loading.does(one) is None for one in inner if one is not None)

    def _leads_to_orm(self, module: Module) -> bool:
        """True when a module of the project that env.py imports, or it, imports the ORM."""
        pending, seen = [module], {module}
        while pending and len(seen) < MOST_READ:
            for name in _names(pending.pop()):
                if name == ORM or name.startswith(f"{ORM}."):
                    return True
                found = self._prover.project.find(name)
                if found is not None and found.is_own and found not in seen:
                    seen.add(found)
                    pending.append(found)
        return False


def _imports(statement: ast.Import | ast.ImportFrom) -> list[Imported]:
    if isinstance(statement, ast.ImportFrom):
        return [(statement.module or "", tuple(alias.name for alias in statement.names))]
    return [(alias.name, ()) for alias in statement.names]


def _names(module: Module) -> Iterator[str]:
    """Yield the modules that a module's own statements import, or take something from."""
    for statement in flat(module.tree.body):
        match statement:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom():
                parent = module.absolute(statement)
                yield parent
                yield from (f"{parent}.{alias.name}" for alias in statement.names)
