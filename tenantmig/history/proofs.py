"""Proofs of one history: which revisions may share a process, and which may be replayed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util.pyfiles import pyc_file_from_path

from tenantmig.domain.plan import RunKind
from tenantmig.history.purity import EnvironmentProof, Imported, Proof, Purity
from tenantmig.history.script_source import NO_SOURCE, is_bytecode

ASKS_NAME = re.compile(
    r"current_schemas?\b|\bnspname\b|\bregnamespace\b|\btable_schema\b|\bschemaname\b"
    r"|show\s+search_path|current_setting\(\s*'search_path|default_schema_name",
    re.IGNORECASE,
)
"""What in SQL, or of a dialect, may tell a script the name of the tenant schema."""
OWN_PROCESS = "each tenant needs its own process: "


class HistoryProofs:
    """What is proved of the scripts of a history and of its env.py. Runs none of them."""

    def __init__(
        self, script: ScriptDirectory, roots: Sequence[str], vouched: Sequence[str]
    ) -> None:
        self._script = script
        self._purity = Purity(roots, vouched)
        self._known: dict[tuple[RunKind, str], Proof] = {}

    def of(self, kind: RunKind, revision: str) -> Proof:
        """Return the proof of what a run of this kind runs of a revision; asked for each tenant."""
        if (kind, revision) not in self._known:
            script = self._script.get_revision(revision)
            assert script is not None
            function = "downgrade" if kind is RunKind.DOWNGRADE else "upgrade"
            file = str(script.path)
            proof = Proof(NO_SOURCE) if is_bytecode(file) else self._purity.prove(file, function)
            self._known[kind, revision] = proof
        return self._known[kind, revision]

    @property
    def own_files(self) -> frozenset[Path]:
        """The files of the project's own modules that the proofs so far have read."""
        return self._purity.own_files

    def why_by_tenant(self, kind: RunKind, revisions: Iterable[str]) -> str | None:
        """Say what in env.py or these revisions may depend on the tenant's name, or None."""
        environment = self.environment.by_tenant or self.environment.unshared
        if environment:
            return f"env.py: {environment}"
        for revision in revisions:
            proof = self.of(kind, revision)
            reason = proof.impure or proof.by_tenant
            if proof.formats_tenant and not reason:
                reason = "it writes the tenant schema's name into SQL"
            asked = reason or self._asked_on_server(revision)
            if asked:
                return f"revision {revision}: {asked}"
        return None

    def _asked_on_server(self, revision: str) -> str | None:
        """Say where the SQL of a script may ask the server for the schema's name, or None."""
        script = self._script.get_revision(revision)
        assert script is not None
        for number, line in enumerate(Path(script.path).read_text().splitlines(), start=1):
            found = ASKS_NAME.search(line)
            if found:
                return f"its SQL may ask for the schema's name: {found[0]} (line {number})"
        return None

    @cached_property
    def environment(self) -> EnvironmentProof:
        """The proof of env.py."""
        file = Path(self._script.env_py_location)
        if not file.is_file() and pyc_file_from_path(file) is not None:
            return EnvironmentProof(NO_SOURCE, NO_SOURCE)
        if not file.is_file():
            return EnvironmentProof()  # whoever runs it will say so
        return self._purity.prove_environment(str(file))

    @cached_property
    def loading(self) -> str | None:
        """Say what loading the scripts does beside defining things, or None."""
        files = [str(script.path) for script in self._script.walk_revisions()]
        if any(map(is_bytecode, files)):
            return NO_SOURCE
        return self._purity.what_loading_does(files)

    @cached_property
    def environment_imports(self) -> tuple[Imported, ...]:
        """What env.py imports, as far as importing it earlier changes nothing."""
        file = Path(self._script.env_py_location)
        if not file.is_file():
            return ()
        is_pure = self.environment.unshared is None
        return self._purity.what_environment_imports(str(file), is_pure=is_pure)

    def why_isolated(self, kind: RunKind, revisions: Iterable[str]) -> str | None:
        """Say why these revisions need a process that has seen no other tenant, or None."""
        if self.environment.unshared:
            return f"env.py: {self.environment.unshared}"
        for revision in revisions:
            impure = self.of(kind, revision).impure
            if impure:
                return f"revision {revision}: {impure}"
        return None

    def obstacle(self, kind: RunKind, revision: str) -> str | None:
        """Say why the code of a revision keeps it from being replayed, or None."""
        if self.environment.by_tenant:
            return f"env.py: {self.environment.by_tenant}"
        proof = self.of(kind, revision)
        return f"{OWN_PROCESS}{proof.impure}" if proof.impure else proof.not_replayed
