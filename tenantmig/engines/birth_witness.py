"""Birth witnesses: one birth in a scratch schema, watched for all that may decide what it makes.

Scripts may read what they have made themselves. What they read beside that could be otherwise for
the next tenant: rows of other schemas, the clock, chance, files, the tenant's name.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from alembic.runtime.migration import MigrationContext, RevisionStep

from tenantmig.engines.birth_inputs import mentions, why_unsure
from tenantmig.engines.hooks import HookLook
from tenantmig.engines.witness import Witness
from tenantmig.history.purity.modules import Module
from tenantmig.postgres.session import TenantSession
from tenantmig.postgres.sql import query

ROLES = frozenset(
    f"pg_catalog.pg_{name}"
    for name in ("authid", "auth_members", "roles", "user", "shadow", "group")
)


@dataclass(frozen=True, slots=True)
class BirthSeen:
    """What was seen of a birth: why another one may end otherwise, if so; which Python files its
    process has loaded beside the scripts; and whether a script asked which roles there are.
    """

    unsure: str | None = None
    files: tuple[str, ...] = ()
    asks_roles: bool = False


def loaded_files() -> tuple[str, ...]:
    """Return the files of all modules of this process that are not Python's own."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return tuple(
        sorted(
            file
            for file in files
            if file and file.endswith(".py") and not Module(Path(file), "").is_standard
        )
    )


@dataclass(slots=True)
class BirthWitness:
    """Watches the scripts of one birth. Used in the worker's process."""

    session: TenantSession
    version_table: str
    formats: frozenset[str]
    """Revisions that are proved to write the tenant's name and to ask nothing of it."""
    witness: Witness = field(init=False)
    asks_roles: bool = False
    """Scripts have asked which roles there are."""
    _read: dict[str, str | None] = field(default_factory=dict)
    _running: str = ""
    _first: str | None = None

    def __post_init__(self) -> None:
        """Begin to watch a schema in which nothing is."""
        schema = self.session.schema
        assert schema is not None
        connection = self.session.sqlalchemy
        self.witness = Witness(connection, schema, self.version_table, self.formats, is_birth=True)

    def begin(self, context: MigrationContext) -> None:
        """Look at what env.py and the application do beside the scripts."""
        self.witness.look_at(context, HookLook().find())

    def watch(self, step: RevisionStep, context: MigrationContext) -> None:
        """Watch the script of a step when Alembic runs it."""
        self._running = str(step.revision.revision)
        self.witness.watch(step, context)

    def reached(self) -> None:
        """A revision is about to be committed: look at what its transaction has read."""
        if self.session.has_own_commit:
            self.witness.note_script("it ends its transaction itself")
        if self.witness.unsure and self._first is None:
            self._first = f"revision {self._running}: {self.witness.unsure}"
        facts = {"schema": self.session.schema}
        found = self.session.driver.execute(query("engines/read_outside"), facts).fetchall()
        for name, table, is_keyed, is_read in found:
            if name in ROLES:
                self.asks_roles = True
            elif is_read:
                # a foreign key reads what it points at, to check rows that are there
                self._read.setdefault(name, table if is_keyed else None)

    @property
    def unsure(self) -> str | None:
        """Say why another birth may end otherwise; None if nothing shows that it may."""
        asked = self.witness.asked
        if self.witness.unsure:
            return self._first or self.witness.unsure
        for name, table in self._read.items():
            if table is None or mentions(asked, table):
                return f"it reads {name}, which is not the tenant's"
        return why_unsure(asked)
