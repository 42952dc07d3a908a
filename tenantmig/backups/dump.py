"""Dumps: one tenant schema written to a file by pg_dump, at a cost that is not the fleet's.

pg_dump reads the catalog of the whole database. So it asks through a relay, which shows it what the
tenant has to do with. What the dump then lists is compared with what the server says the schema
holds. If anything is missing, or the relay fails, pg_dump runs again without it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tenantmig.backups.backup_file import listed_objects
from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.connecting import Connecting
from tenantmig.backups.dump_relay import DumpRelay
from tenantmig.backups.running_program import Limits
from tenantmig.domain.counting import counted
from tenantmig.errors import ClientProgramError

Tell = Callable[[str], None]


def ignore(reason: str) -> None:
    """Tell nobody."""


def dump(
    programs: ClientPrograms,
    schema: str,
    path: Path,
    connecting: Connecting,
    limits: Limits,
    lock_timeout_s: float,
    tell: Tell = ignore,
) -> None:
    """Write a dump of one schema to a file that is there. `tell` gets the reason of a slow one.

    Raises:
        ClientProgramError: pg_dump failed.
    """
    arguments = (
        "--format=custom",
        f"--schema={literal_pattern(schema)}",
        "--strict-names",
        "--encoding=UTF8",  # also of the pattern
        f"--lock-wait-timeout={max(1, round(lock_timeout_s * 1000))}",
        "--no-password",
        f"--file={path}",  # not to our descriptor: it then writes its contents twice
    )
    with DumpRelay(connecting, schema) as relay:
        if relay.problem is not None:
            tell(relay.problem)
        elif relay.is_worth_it:
            problem = _dump_narrowed(programs, arguments, path, relay, limits)
            if problem is None:
                return
            tell(problem)
    programs.run("pg_dump", *arguments, connecting=connecting, limits=limits)


def _dump_narrowed(
    programs: ClientPrograms,
    arguments: tuple[str, ...],
    path: Path,
    relay: DumpRelay,
    limits: Limits,
) -> str | None:
    """Dump through a relay; return why the dump is not to be used, if it is not."""
    try:
        programs.run("pg_dump", *arguments, connecting=relay.connecting, limits=limits)
        listed = listed_objects(programs, path, limits)
    except ClientProgramError as error:
        if relay.is_refused or limits.problem:
            raise
        return relay.problem or error.message
    if relay.problem is not None:
        return relay.problem
    missing = len(relay.listed - listed) if relay.listed is not None else None
    if missing is None:
        return "pg_dump sent no query to the server"
    return (
        f"the dump does not contain {counted(missing, 'object')} of the schema" if missing else None
    )


def literal_pattern(schema: str) -> str:
    """Write a schema name as a pattern of pg_dump that means this schema alone.

    In double quotes, pg_dump takes `*`, `?`, dots, capitals and regular expressions literally
    (PostgreSQL docs, psql, "Patterns").
    """
    return '"' + schema.replace('"', '""') + '"'
