"""Proofs: one for each direction of a revision, one for env.py, and one for loading the history."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tenantmig.history.adaptation.url import url_line
from tenantmig.history.purity.evaluator import Evaluator
from tenantmig.history.purity.findings import Enough, Finding, Findings
from tenantmig.history.purity.importing import Imported, Importing
from tenantmig.history.purity.modules import Module, Project
from tenantmig.history.purity.prover import Prover
from tenantmig.history.purity.values import Kind

URL_UNUSED = (
    "remove line {line} of env.py: tenantmig provides the connection, and `database_url` the URL"
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is proved of one direction of a revision.

    `impure` says why it may not run where another tenant was served, None if it may.
    `not_replayed` says why its statements may not stand for those of other tenants, None if nothing
    in its code forbids it. `formats_tenant`: it writes the tenant schema's name into SQL, and
    asks nothing of it.
    """

    impure: str | None = None
    not_replayed: str | None = None
    formats_tenant: bool = False
    by_tenant: str | None = None
    """Where it does something that depends on the tenant, or may."""

    @property
    def is_pure(self) -> bool:
        """True when it may run in a process that serves tenant after tenant."""
        return self.impure is None


@dataclass(frozen=True, slots=True)
class EnvironmentProof:
    """What is proved of env.py.

    `unshared` says why a process may run it for one tenant only; `by_tenant` says where it does
    something that depends on the tenant, or may, so that no revision may be replayed.
    """

    unshared: str | None = None
    by_tenant: str | None = None


class Purity:
    """The proofs of one history. `roots` are searched for modules, before `sys.path`."""

    def __init__(self, roots: Sequence[str] = (), vouched: Sequence[str] = ()) -> None:
        self._prover = Prover(Project(roots), vouched)
        self._guard = threading.Lock()

    @property
    def own_files(self) -> frozenset[Path]:
        """The files of the project's own modules that the proofs so far have read."""
        with self._guard:
            return self._prover.project.own_files

    def prove(self, file: str, function: str) -> Proof:
        """Prove `upgrade` or `downgrade` of a script."""
        with self._guard:
            return self._prove(file, function)

    def _prove(self, file: str, function: str) -> Proof:
        if not file.endswith(".py"):
            return Proof(impure="its source is missing")
        findings = Findings()
        module = self._prover.project.script(file)
        with suppress(Enough):
            self._follow(module, function, findings)
        return Proof(
            impure=_first(findings.impure, file),
            not_replayed=_first([*findings.by_tenant, *findings.by_moment], file),
            formats_tenant=findings.formats_tenant,
            by_tenant=_first(findings.by_tenant, file),
        )

    def _follow(self, module: Module, function: str, findings: Findings) -> None:
        values = self._prover.global_values(module, function)
        at = Evaluator(self._prover, module, findings)
        for value in values:
            if value.kind is Kind.FUNCTION:
                self._prover.follow(at, value.node or module.tree, value, [], {})
            else:
                at.impure(module.tree, f"{function} is not a function of the script")
        if not values:
            at.impure(module.tree, f"it has no {function}()")

    def what_loading_does(self, files: Sequence[str]) -> str | None:
        """Say what loading these scripts does beside defining things, or None.

        Alembic loads scripts after env.py has begun; what one looks at then may tell the tenant.
        """
        with self._guard:
            return self._first_deed(files)

    def _first_deed(self, files: Sequence[str]) -> str | None:
        for file in files:
            if not file.endswith(".py"):
                return f"{Path(file).name}: its source is missing"
            does = self._prover.loading.does(self._prover.project.script(file))
            if does:
                return does
        return None

    def what_environment_imports(self, file: str, *, is_pure: bool) -> tuple[Imported, ...]:
        """Return what env.py imports that may be imported before it runs (see `importing`).

        `is_pure` says that its other statements change nothing for an import.
        """
        with self._guard:
            return Importing(self._prover).early(Module(Path(file), "env"), is_pure=is_pure)

    def prove_environment(self, file: str) -> EnvironmentProof:
        """Prove env.py, which runs before the revisions of each tenant."""
        findings = Findings(is_whole=True)
        module = Module(Path(file), "env")
        at = Evaluator(self._prover, module, findings, is_environment=True)
        with self._guard:
            at.run(module.tree.body, _names(module))
        unshared = [*findings.by_tenant, *findings.impure, *findings.loads]
        return EnvironmentProof(
            unshared=_advised(unshared, file, module),
            by_tenant=_advised([*findings.by_tenant, *findings.impure], file, module),
        )


def _names(module: Module) -> list[str]:
    return list(module.bindings)


def _advised(findings: Sequence[Finding], file: str, module: Module) -> str | None:
    """Write the first finding, and what to do where it is only about the URL of the database."""
    told = _first(findings, file)
    if told is None or findings[0].file != file:
        return told
    line = url_line(module.tree, findings[0].line)
    return told if line is None else f"{told}; {URL_UNUSED.format(line=line)}"


def _first(findings: Sequence[Finding], file: str) -> str | None:
    """Write the first finding as a sentence, naming the file if it is another one."""
    if not findings:
        return None
    first = findings[0]
    where = f"line {first.line}"
    if first.file != file:
        where = f"{Path(first.file).name}, {where}"
    return f"{first.text} ({where})"
