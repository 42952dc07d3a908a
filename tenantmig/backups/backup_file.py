"""A backup file (`pg_dump -Fc` of one tenant schema): what it holds, and whether it can be read.

Asks pg_restore, which alone knows the format. Knows no database.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.running_program import Limits
from tenantmig.domain.counting import counted
from tenantmig.domain.plan import Heads
from tenantmig.errors import BackupFileError, ClientProgramError

ENTRY = re.compile(r"(\d+); (\d+) (\d+) (.+)")
SCHEMA = "SCHEMA - "
CREATE = "CREATE SCHEMA "
VERSION_COLUMN = "version_num"
FORMAT = "--format=custom"


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """What a backup file holds: one tenant schema, standing at `heads` (None: no version table)."""

    file: Path
    schema: str
    heads: Heads | None = None


def read_backup(
    programs: ClientPrograms, file: Path, version_table: str, limits: Limits
) -> BackupFacts:
    """Read a whole backup file and say what it holds.

    Raises:
        BackupFileError: it cannot be read to its end, or is not the backup of exactly one schema.
    """
    try:
        schema = _read_schema(programs, file, limits)
        check_backup(programs, file, schema, limits)
        return BackupFacts(file, schema, _read_heads(programs, file, version_table, limits))
    except ClientProgramError as error:
        raise BackupFileError(
            f"{file} cannot be read as a backup: {error.message.rstrip('.')}. Nothing was touched."
        ) from error


def check_backup(programs: ClientPrograms, file: Path, schema: str, limits: Limits) -> None:
    """Make sure that a file can be read to its end and holds this schema and nothing else.

    `pg_restore --list` reads the table of contents alone, so all data is read as well.

    Raises:
        BackupFileError: it holds something else.
        ClientProgramError: it cannot be read.
    """
    # -N leaves out what lies in the schema of exactly this name
    others = _list(programs, file, limits, "-N", schema)
    own = (f"{SCHEMA}{schema} ", *(f"{kind} - SCHEMA {schema} " for kind in ("ACL", "COMMENT")))
    foreign = [entry for _, entry in others if not f"{entry} ".startswith(own)]
    if foreign or not any(entry.startswith(own[0]) for _, entry in others):
        found = foreign[0] if foreign else "no such schema"
        raise BackupFileError(
            f'{file} is not a backup of the schema "{schema}" alone: it holds {found}. '
            "Nothing was touched."
        )
    programs.run("pg_restore", FORMAT, "-f", "/dev/null", _path(file), limits=limits)


def _read_schema(programs: ClientPrograms, file: Path, limits: Limits) -> str:
    entries = _list(programs, file, limits)
    schemas = [number for number, entry in entries if entry.startswith(SCHEMA)]
    if len(schemas) != 1:
        raise BackupFileError(
            f"{file} is not a backup of one tenant: it holds "
            f"{counted(len(schemas), 'schema')}. Nothing was touched."
        )
    with tempfile.NamedTemporaryFile("w", suffix=".list") as chosen:
        chosen.write(f"{schemas[0]};\n")  # the list shows names unquoted, the statement does not
        chosen.flush()
        statements = programs.run(
            "pg_restore", FORMAT, "-L", chosen.name, "-f", "-", _path(file), limits=limits
        ).decode()
    lines = [line for line in statements.splitlines() if line.startswith(CREATE)]
    if len(lines) != 1:
        raise BackupFileError(
            f"{file} does not contain the statement that creates its schema. Nothing was touched."
        )
    return _unquoted(lines[0].removeprefix(CREATE).removesuffix(";"))


def listed_objects(
    programs: ClientPrograms, file: Path, limits: Limits
) -> frozenset[tuple[int, int]]:
    """Return what a dump says that it holds: the oids of catalogs, and in them of objects.

    Raises:
        ClientProgramError: it cannot be read.
    """
    entries = _entries(programs, file, limits)
    return frozenset((int(entry[2]), int(entry[3])) for entry in entries)


def _list(
    programs: ClientPrograms, file: Path, limits: Limits, *arguments: str
) -> list[tuple[int, str]]:
    """Return the entries of the table of contents: number, and "TYPE schema name owner"."""
    return [(int(one[1]), one[4]) for one in _entries(programs, file, limits, *arguments)]


def _entries(
    programs: ClientPrograms, file: Path, limits: Limits, *arguments: str
) -> list[re.Match[str]]:
    printed = programs.run("pg_restore", FORMAT, "--list", *arguments, _path(file), limits=limits)
    found = (ENTRY.fullmatch(line) for line in printed.decode("utf-8", "replace").splitlines())
    return [entry for entry in found if entry]


def _read_heads(
    programs: ClientPrograms, file: Path, version_table: str, limits: Limits
) -> Heads | None:
    printed = programs.run(
        "pg_restore", FORMAT, "--data-only", "-t", version_table, "-f", "-", _path(file),
        limits=limits,
    )  # fmt: skip
    heads = list(_copied(iter(printed.decode().splitlines())))
    if not heads:
        return None
    if any(revision is None or "\\" in revision for revision in heads[1:]):
        raise BackupFileError(
            f"{file}: its table {version_table} is not Alembic's version table. Nothing was "
            "touched."
        )
    return tuple(sorted(revision for revision in heads[1:] if revision))


def _copied(lines: Iterator[str]) -> Iterator[str | None]:
    """Yield None where the version table's COPY begins, then the revision of each of its rows."""
    for line in lines:
        copy = re.fullmatch(r"COPY .+ \(([^()]+)\) FROM stdin;", line)
        columns = copy[1].split(", ") if copy else []
        if VERSION_COLUMN not in columns:
            continue
        yield None
        for row in lines:
            if row == "\\.":
                return
            yield row.split("\t")[columns.index(VERSION_COLUMN)]


def _unquoted(identifier: str) -> str:
    if identifier.startswith('"') and identifier.endswith('"'):
        return identifier[1:-1].replace('""', '"')
    return identifier


def _path(file: Path) -> str:
    return str(file.absolute())  # never taken for an option
