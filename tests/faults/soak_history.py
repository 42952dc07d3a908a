"""The histories of the soak: five revisions of the tenants, three of the shared lineage."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.goldens import Golden, describe
from tests.fixtures.history import write_history
from tests.fixtures.server import Server

CORE = "core"  # where the shared lineage is
INDEX = "thing_size"
COUNT = "op.execute('UPDATE counter SET n = n + 1')"
UNCOUNT = "op.execute('UPDATE counter SET n = n - 1')"
NAP = "op.execute('SELECT pg_sleep(0.2)')"
OUTSIDE = "with op.get_context().autocommit_block():\n    op.execute('{}')"
SCRIPTS = (
    (
        "r1",
        (
            "op.execute('CREATE TABLE thing (id int, name text)')\n"
            "op.execute('CREATE TABLE counter (n int)')\n"
            "op.execute('INSERT INTO counter VALUES (0)')"
        ),
        "op.execute('DROP TABLE thing, counter')",
    ),
    ("r2", f"op.execute('ALTER TABLE thing ADD size int')\n{COUNT}",
     f"op.execute('ALTER TABLE thing DROP size')\n{UNCOUNT}"),
    ("r3", OUTSIDE.format(f"CREATE INDEX CONCURRENTLY {INDEX} ON thing (size)"),
     OUTSIDE.format(f"DROP INDEX CONCURRENTLY {INDEX}")),
    ("r4", f"op.execute('CREATE TABLE part (id int PRIMARY KEY)')\n{COUNT}",
     f"op.execute('DROP TABLE part')\n{UNCOUNT}"),
    ("r5", f"op.execute('ALTER TABLE thing ADD CHECK (id > 0)')\n{COUNT}",
     f"op.execute('ALTER TABLE thing DROP CONSTRAINT thing_id_check')\n{UNCOUNT}"),
)  # fmt: skip
SHARED_SCRIPTS = (
    ("s1", "op.execute('CREATE TABLE country (code text)')", "op.execute('DROP TABLE country')"),
    ("s2", f"op.execute('ALTER TABLE country ADD currency text')\n{NAP}",
     f"op.execute('ALTER TABLE country DROP currency')\n{NAP}"),
    ("s3", f"op.execute('CREATE TABLE rate (id int)')\n{NAP}",
     f"op.execute('DROP TABLE rate')\n{NAP}"),
)  # fmt: skip
REVISIONS = tuple(script[0] for script in SCRIPTS)
SHARED_REVISIONS = tuple(script[0] for script in SHARED_SCRIPTS)


def project_on(folder: Path, database: Database) -> Project:
    """A project with both histories."""
    shared = write_history(folder / "shared", *SHARED_SCRIPTS, environment="env_shared.py.txt")
    project = Project(folder, database.url, write_history(folder / "history", *SCRIPTS))
    with project.ini.open("a") as ini:
        ini.write(f"\n[shared]\nscript_location = {shared}\npath_separator = os\n")
    project.settings(f'shared_schema = "{CORE}"\n')
    return project


def shared_goldens(server: Server) -> dict[str, Golden]:
    """What plain Alembic makes of the shared schema at each revision."""
    goldens = {}
    with fresh_database(server) as scratch, tempfile.TemporaryDirectory() as folder:
        project = project_on(Path(folder), scratch)
        scratch.execute(f"CREATE SCHEMA {CORE}")
        for revision in SHARED_REVISIONS:
            project.alembic("-n", "shared", "upgrade", revision)
            goldens[revision] = describe(scratch, CORE)
    return goldens
