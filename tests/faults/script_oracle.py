"""The script oracle: a random history by the default engine and by plain Alembic, compared.

Plain Alembic runs alone in a process for each tenant, which is what "right" means. Compared are
each tenant's catalog and rows, what scripts wrote elsewhere, and who arrived.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg.sql import Identifier

from tests.faults.random_scripts import Example, History, Piece, write
from tests.faults.vocabulary.tenants import TENANTS
from tests.fixtures.command import INI, Project, Result
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.oracles import catalog, content
from tests.fixtures.server import AnyServer

ROWS = {
    "acme": 3,
    "name": 3,
    'q"uo te': 4,
    "n" * 63: 5,
    "Delta 5": 2,
}
"""How many things each tenant has at first."""
BASE = """
CREATE TABLE thing (id int PRIMARY KEY, name text, qty int, amount numeric(14,4),
                    ratio double precision, seen timestamptz DEFAULT '2024-01-01 00:00+00');
INSERT INTO thing SELECT n, (ARRAY['one', 'it''s', 'acme', 'vip', 'name'])[n], n * 3, n * 1.15,
                         n / 7.0::float8 FROM generate_series(1, {rows}) AS n;
CREATE TABLE results (what text, id int, found text);
CREATE TABLE alembic_version (version_num varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO alembic_version VALUES ('r00');
"""
VIP = "n" * 63
"""Who has a table that others have not."""
SETTINGS = """
source = "file"
source_file = "{folder}/tenants.csv"
names = "wide"
parallel = 2
canary = "{canary}"
max_failures = "100%"
attempts = 2
"""
ROLE = """
DO $$ BEGIN
  CREATE ROLE oracle_writer SUPERUSER;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$
"""
DONE = {"upgraded", "already_current"}
MOST_TRIES = 15  # to leave something out of an example


@dataclass
class Verdict:
    """What a comparison found, and how the default engine went."""

    differences: list[str]
    engines: Counter[str] = field(default_factory=Counter)
    reached: int = 0
    """How many goals all tenants arrived at."""
    said: str = ""


def prepare(database: Database) -> None:
    """Make the tenants, at the first revision."""
    database.execute(ROLE)
    database.execute("CREATE SCHEMA outside; CREATE TABLE outside.log (what text, who text)")
    for name, schema in TENANTS.items():
        quoted = Identifier(schema).as_string()
        vips = "CREATE TABLE vips (id int);" if schema == VIP else ""
        base = BASE.format(rows=ROWS[name])
        database.execute(f"CREATE SCHEMA {quoted}; SET search_path = {quoted}; {base} {vips}")


class ScriptOracle:
    """Compares examples on one server, each in two fresh databases."""

    def __init__(self, server: AnyServer, template: Database, folder: Path) -> None:
        self.server = server
        self.template = template
        self.folder = folder
        self._compared = 0

    def compare(self, history: History) -> Verdict:
        """Run a history both ways."""
        self._compared += 1
        folder = self.folder / f"history-{self._compared}"
        write(history, folder)
        with self._database() as ours, self._database() as plain:
            mine = self._project(folder, ours, "ours", history)
            theirs = self._project(folder, plain, "plain", history)
            goals, tenants = json.dumps(history.goals), json.dumps(TENANTS)
            begun = [
                mine.start(str(mine.ini), goals, program="ours"),
                theirs.start(str(theirs.ini), goals, tenants, program="plain"),
            ]
            runs, right = (Project.finish(process, expect=None) for process in begun)
            if runs.code or right.code:
                return Verdict([f"a program failed:\n{runs.err}\n{right.err}"])
            verdict = _compare_runs(history, runs, right)
            verdict.differences += _compare_states(ours, plain, verdict)
            verdict.differences += _compare_files(mine.folder, theirs.folder)
            return verdict

    @contextmanager
    def _database(self) -> Iterator[Database]:
        with fresh_database(self.server, self.template.name) as database:
            yield database

    @staticmethod
    def _project(folder: Path, database: Database, name: str, history: History) -> Project:
        root = folder.with_name(f"{folder.name}-{name}")
        root.mkdir()
        environment = {"ORACLE_SQLITE": str(root / "out.db")}
        project = Project(root, database.url, folder, environment)
        project.ini.write_text(INI.format(script_location=folder, root=folder))
        with (root / "tenants.csv").open("w", newline="") as file:
            csv.writer(file).writerows(TENANTS.items())
        canary = ",".join(history.canary).replace('"', '\\"')
        project.settings(SETTINGS.format(folder=root, canary=canary))
        return project

    def reduce(self, example: Example, verdict: Verdict) -> tuple[Example, Verdict]:
        """Leave out whatever is not needed for a difference."""
        said = "\n".join(verdict.differences)
        named = [piece for piece in example.pieces if piece.name in said]
        for pieces in [named[:1], named[1:2], named] if named else []:
            less = example.only(pieces)
            found = self.compare(less.history)
            if found.differences:
                example, verdict = less, found
                break
        return self._reduce(example, verdict)

    def _reduce(self, example: Example, verdict: Verdict) -> tuple[Example, Verdict]:
        size, tries = max(1, len(example.pieces) // 2), 0
        while len(example.pieces) > 1 and tries < MOST_TRIES:
            for start in range(0, len(example.pieces), size):
                rest: Sequence[Piece] = example.pieces[:start] + example.pieces[start + size :]
                tries += 1
                found = self.compare(example.only(rest).history) if rest else Verdict([])
                if found.differences:
                    example, verdict = example.only(rest), found
                    break
            else:
                if size == 1:
                    break
                size //= 2
            size = min(size, max(1, len(example.pieces) // 2))
        return example, verdict


def _compare_runs(history: History, runs: Result, right: Result) -> Verdict:
    verdict = Verdict([])
    for goal, run, plain in zip(history.goals, runs.json, right.json, strict=True):
        all_arrived = True
        verdict.said += f"{goal}: not replayed {run['obstacles']}\n"
        for name, (outcome, engine, message) in run["tenants"].items():
            verdict.engines[engine or "none"] += 1
            is_done, failure = outcome in DONE, plain[name]
            all_arrived &= is_done
            if is_done is not (failure is None):
                last = str(failure).strip().splitlines()[-4:]
                verdict.differences.append(
                    f"{goal} {name}: {outcome} by {engine} ({message}); plain Alembic: {last}"
                )
            if not is_done:
                verdict.said += f"{goal} {name}: {outcome} {message}\n"
        verdict.reached += all_arrived
        if not all_arrived:
            verdict.said += str(next((p for p in plain.values() if p), ""))[-900:]
    return verdict


def _compare_states(ours: Database, plain: Database, verdict: Verdict) -> Iterator[str]:
    """Compare tenants that went the same way, and what was written elsewhere."""
    unlike = {line.split(":")[0].split(" ", 1)[1] for line in verdict.differences}
    with ours.connect() as one, plain.connect() as two:
        for name, schema in TENANTS.items():
            if name in unlike:
                continue
            for look in (catalog, content):
                yield from _unlike(f"{name}", look(one, schema), look(two, schema))
        if not unlike:
            yield from _unlike("outside", content(one, "outside"), content(two, "outside"))


def _unlike(where: str, mine: Any, right: Any) -> Iterator[str]:
    """Name what differs, down to the single thing."""
    if mine == right:
        return
    if isinstance(mine, dict) and isinstance(right, dict):
        for key in sorted({*mine, *right}):
            yield from _unlike(f"{where} {key}", mine.get(key), right.get(key))
    elif (
        isinstance(mine, list)
        and isinstance(right, list)
        and all(isinstance(x, str) for x in (*mine, *right))
    ):
        more, less = Counter(mine) - Counter(right), Counter(right) - Counter(mine)
        yield f"{where}: has {list(more.elements())}, not {list(less.elements())}"
    else:
        yield f"{where}: is {mine!r}, not {right!r}"


def _compare_files(mine: Path, right: Path) -> Iterator[str]:
    found = []
    for folder in (mine, right):
        file, rows = folder / "out.db", []
        if file.exists():
            with closing(sqlite3.connect(file)) as connection:
                rows = [what for (what,) in connection.execute("SELECT what FROM log ORDER BY 1")]
        found.append(rows)
    yield from _unlike("sqlite3", *found)
