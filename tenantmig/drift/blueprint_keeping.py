"""Keeping blueprints: the mark of all that one was made from, and its text for the ledger.

A blueprint is used again only where all of that is the same: the scripts, env.py, the ini and each
Python file that was loaded for its births; the settings that matter; the server, its roles,
extensions and settings; and what lies in the schemas that tenants share.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path as File
from typing import Any

import psycopg

from tenantmig.domain.plan import Path, RunKind, show_heads
from tenantmig.drift.blueprint import Blueprint
from tenantmig.engines.blueprints import BLUEPRINT
from tenantmig.engines.template import SEPARATOR, Template
from tenantmig.ledger.blueprints import read_blueprint, write_blueprint
from tenantmig.postgres.connection import SessionOptions, connect, in_catalog
from tenantmig.postgres.sql import query

FORMAT = 1
"""Of what is kept: another one has another mark."""


@dataclass(frozen=True, slots=True)
class BlueprintKeeper:
    """Keeps blueprints in a ledger. `facts` are the settings that matter."""

    options: SessionOptions
    files: tuple[File, ...]
    """The scripts, env.py and the ini."""
    shared: tuple[str, ...]
    """The schemas that tenants share."""
    facts: Mapping[str, object]
    key: str | None

    def find(self, path: Path) -> Template | None:
        """Return the blueprint of a birth along a path, if one is kept that still holds."""
        with closing(connect(self.options)) as connection:
            mark, roles = self._marks(connection, path)
            content = mark and read_blueprint(connection, self.options.ledger, mark, self.key)
        return _template(json.loads(content), path, roles) if content else None

    def keep(self, path: Path, made: Blueprint) -> None:
        """Keep a blueprint in the place of those with the same target."""
        content: dict[str, Any] = {
            "pieces": made.template.pieces[0],
            "count": made.template.count,
            "after": made.template.after,
            "is_written": made.template.is_written,
            "files": _hashes(map(File, made.seen.files)),
        }
        with closing(connect(self.options)) as connection:
            mark, roles = self._marks(connection, path)
            content["roles"] = roles if made.seen.asks_roles else None
            heads, said = show_heads(path.target) or "", json.dumps(content)
            if mark:
                write_blueprint(connection, self.options.ledger, heads, mark, said, self.key)

    def _marks(self, connection: psycopg.Connection, path: Path) -> tuple[str | None, str]:
        """Return a mark of all that is known before a birth, and one of the roles that there are.

        The first is None if a file cannot be read.
        """
        with in_catalog(connection):
            row = connection.execute(
                query("drift/surroundings"), {"schemas": list(self.shared)}
            ).fetchone()
        assert row is not None
        try:
            files = _hashes(self.files)
        except OSError:
            return None, row[1]
        known = {
            "format": FORMAT,
            "python": sys.version,
            "path": asdict(path),
            "files": files,
            "surroundings": row[0],
            **self.facts,
        }
        said = json.dumps(known, sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest(), row[1]


def _template(kept: Mapping[str, Any], path: Path, roles: str) -> Template | None:
    """Return what was kept, if all that was found out with it is the same now."""
    if kept["roles"] not in {None, roles}:
        return None
    try:
        if _hashes(map(File, kept["files"])) != kept["files"]:
            return None
    except OSError:
        return None
    pieces = tuple(kept["pieces"])
    return Template(
        revision=BLUEPRINT,
        direction=RunKind.ONBOARD,
        source=(),
        target=path.target,
        texts=(SEPARATOR.join(pieces),),
        count=kept["count"],
        is_written=kept["is_written"],
        after=kept["after"],
        pieces=(pieces,),
    )


def _hashes(files: Iterable[File]) -> dict[str, str]:
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
