"""As whom a restore runs, and to whom it may give what it makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from tenantmig.backups.dump_targets import DumpFacts
from tenantmig.errors import BackupRefusedError, PrivilegeError
from tenantmig.postgres.sql import query

Mark = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Roles:
    """What the server says of the roles. `mark` is the tenant schema's row, None if it is gone."""

    connected: str
    present: frozenset[str]
    reachable: frozenset[str]
    existing: frozenset[str]
    superusers: frozenset[str]
    mark: Mark | None


def read_roles(connection: psycopg.Connection[Any], schema: str, named: Iterable[str]) -> Roles:
    """Ask the server."""
    row = connection.execute(
        query("backups/restore_roles"), {"schema": schema, "named": sorted(named)}
    ).fetchone()
    assert row is not None
    present, reachable, existing, superusers = map(frozenset, row[2:6])
    mark = (row[6][0], row[6][1]) if row[6] else None
    return Roles(row[0], present, reachable, existing, superusers, mark)


def read_mark(connection: psycopg.Connection[Any], schema: str) -> Mark | None:
    """Return what tells a schema from another one of its name, None if there is none."""
    return read_roles(connection, schema, ()).mark


def choose_role(
    facts: DumpFacts, roles: Roles, wanted: str | None, schema: str, *, is_proven: bool
) -> str | None:
    """Return the role as which the tenant's own code runs; None is the connected one itself.

    `wanted` is what the user named. Without it: who owns the schema, or else its functions, if
    that is not the connected role.

    Raises:
        BackupRefusedError: the backup gives something to a role that is not the tenant's.
        PrivilegeError: the wanted role cannot be used.
    """
    if wanted is not None:
        _check_wanted(wanted, roles)
    allowed = {roles.connected, *roles.present, *filter(None, [wanted])}
    if is_proven:
        allowed |= roles.reachable
    _check_owners(facts, roles, allowed, schema, is_proven=is_proven)
    if wanted is not None:
        return wanted if wanted != roles.connected else None
    coders = sorted(set().union(*facts.code_owners.values()))
    candidates = [facts.schema_owner, *coders, *sorted(facts.owners)]
    barred = {roles.connected, *roles.superusers, None}
    return next((role for role in candidates if role not in barred), None)


def _check_wanted(wanted: str, roles: Roles) -> None:
    problem = None
    if wanted not in roles.existing:
        problem = "the role does not exist"
    elif wanted not in roles.reachable:
        problem = f'"{roles.connected}" is not a member of it'
    elif wanted in roles.superusers:
        problem = "it is a superuser"
    if problem:
        raise PrivilegeError(
            f'A restore cannot run as the role "{wanted}": {problem}. Nothing was touched.'
        )


def _check_owners(
    facts: DumpFacts, roles: Roles, allowed: set[str], schema: str, *, is_proven: bool
) -> None:
    owner = facts.schema_owner or roles.connected
    strangers = sorted(facts.owners - allowed)
    if strangers:
        known = ", ".join(f'"{role}"' for role in sorted(allowed))
        exists = "" if strangers[0] in roles.existing else ", which does not exist,"
        raise BackupRefusedError(
            f'The backup of the schema "{schema}" is refused: it gives something to the '
            f'role "{strangers[0]}"{exists} but may give it only to {known}. If that role '
            "is right, name it as the owner with --role. Nothing was touched."
        )
    for name, owners in sorted(facts.code_owners.items()):
        others = sorted(owners - {owner})
        if others and (name in facts.definers or not is_proven):
            what = "a SECURITY DEFINER function" if name in facts.definers else "code"
            raise BackupRefusedError(
                f'The backup of the schema "{schema}" is refused: "{name[-1]}" is {what} of '
                f'the role "{others[0]}", but the schema belongs to "{owner}". Nothing was '
                "touched."
            )
