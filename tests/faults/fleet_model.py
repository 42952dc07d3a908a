"""What the state machine believes: a history that grows, and where each tenant stands in it."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from psycopg import sql

from tests.fixtures.command import INI, REPOSITORY
from tests.fixtures.database import Database
from tests.fixtures.faults import COUNT, R1, UNCOUNT
from tests.fixtures.goldens import Golden, describe
from tests.fixtures.history import write_history

Kinds = tuple[str, ...]
"""What the revisions r2, r3, … of a history do; r1 is always the same."""
OUTSIDE = "with op.get_context().autocommit_block():\n    {}"
KINDS = {
    "column": (
        f"op.execute('ALTER TABLE thing ADD c{{n}} int')\n{COUNT}",
        f"op.execute('ALTER TABLE thing DROP c{{n}}')\n{UNCOUNT}",
    ),
    "table": (
        f"op.execute('CREATE TABLE t{{n}} (id int PRIMARY KEY)')\n{COUNT}",
        f"op.execute('DROP TABLE t{{n}}')\n{UNCOUNT}",
    ),
    "index": (
        OUTSIDE.format("op.execute('CREATE INDEX CONCURRENTLY i{n} ON thing (id)')"),
        OUTSIDE.format("op.execute('DROP INDEX CONCURRENTLY i{n}')"),
    ),
    "indexes": (
        OUTSIDE.format(
            "op.execute('CREATE INDEX CONCURRENTLY i{n} ON thing (id)')\n"
            "    op.execute('CREATE INDEX CONCURRENTLY j{n} ON thing (name)')"
        )
        + f"\n{COUNT}",
        OUTSIDE.format(
            "op.execute('DROP INDEX CONCURRENTLY j{n}')\n"
            "    op.execute('DROP INDEX CONCURRENTLY i{n}')"
        )
        + f"\n{UNCOUNT}",
    ),
}
MADE_OUTSIDE = ("indexes i", "indexes j")  # what the latter two make, in words of `differences`


def write_kinds(folder: Path, kinds: Kinds) -> Path:
    """Write the history r1, r2, … into a folder."""
    scripts = [
        (f"r{n}", KINDS[kind][0].replace("{n}", str(n)), KINDS[kind][1].replace("{n}", str(n)))
        for n, kind in enumerate(kinds, 2)
    ]
    return write_history(folder, R1, *scripts)


@dataclass
class Standing:
    """A tenant of the model, at revision `r<at>`."""

    at: int
    is_active: bool = True
    is_drifted: bool = False


class GoldenFleet:
    """What a tenant is at the last revision of a history, made by plain Alembic, each once."""

    def __init__(self, scratch: Database) -> None:
        self._scratch = scratch
        self._known: dict[Kinds, Golden] = {}

    def at(self, kinds: Kinds) -> Golden:
        """Return the golden of the history's last revision."""
        if kinds not in self._known:
            self._known[kinds] = self._build(f"golden_{len(self._known)}", kinds)
        return self._known[kinds]

    def _build(self, schema: str, kinds: Kinds) -> Golden:
        self._scratch.execute(
            sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)).as_string()
        )
        with tempfile.TemporaryDirectory() as folder:
            history = write_kinds(Path(folder) / "history", kinds)
            ini = Path(folder) / "alembic.ini"
            ini.write_text(INI.format(script_location=history, root=REPOSITORY))
            config = Config(ini, cmd_opts=Namespace(x=[f"tenant={schema}", f"schema={schema}"]))
            engine = sa.create_engine(
                self._scratch.url.replace("postgresql://", "postgresql+psycopg://"),
                poolclass=sa.NullPool,
                connect_args={"options": f"-c search_path={schema}"},
            )
            with closing(engine.connect()) as connection:
                connection.info["tenantmig_schema"] = schema
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        return describe(self._scratch, schema)


def differences(
    database: Database, schema: str, golden: Golden, *, has_parts: bool, is_drifted: bool
) -> Sequence[str]:
    """Name what differs in a tenant schema, apart from what is accounted for."""
    lines = golden.differences(describe(database, schema))
    drift = [line for line in lines if " drift" in line]
    lines = [line for line in lines if line not in drift]
    if has_parts:  # an index that is being built, or dropped, is in the ledger
        lines = [line for line in lines if not line.startswith(MADE_OUTSIDE)]
    if bool(drift) is not is_drifted:
        lines.append(f"the drift is {'gone' if is_drifted else 'new'}: {drift}")
    return lines
