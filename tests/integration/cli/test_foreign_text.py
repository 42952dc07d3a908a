"""Names, labels, comments and errors of others: every command shows them, and nobody obeys them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import typer.main
from psycopg import sql

from tenantmig.cli.app import app
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.hostile import HOSTILE, assert_harmless
from tests.fixtures.in_process import Ask
from tests.fixtures.rollouts import CREATE

NASTY = "x" + "".join(HOSTILE).replace("\0", "")
LITERAL = sql.Literal(NASTY).as_string()
NAME = f"bad{NASTY}"[:20] + "\n::error::owned\u202e"
SCHEMA = "bad\x1b[2J\n::error::o\u202e\u2028##[group]"
QUOTED = sql.Identifier(SCHEMA).as_string()
FAIL = f"""
print({NASTY!r})
import warnings, sys
if op.get_context().as_sql is False:
    sys.stderr.write({NASTY!r})
    told = {LITERAL!r}.replace(":", "\\\\:")
    op.execute(sa.text("DO $$ BEGIN RAISE WARNING '%', " + told + "; END $$"))
    if op.get_bind().scalar(sa.text("SELECT to_regclass('fails')")):
        op.get_bind().exec_driver_sql({f'SELECT * FROM "{NASTY[:50]}"'.replace("%", "%%")!r})
"""
COMMENT = f"""
op.create_table("more", sa.Column("id", sa.Integer, comment={NASTY!r}))
op.execute(sa.text("COMMENT ON TABLE more IS " + {LITERAL!r}.replace(":", "\\\\:")))
"""
COMMANDS = (
    ("status",), ("plan",), ("plan", "--sql"), ("runs",), ("show", "2"), ("drift",),
    ("drift", "--sql"), ("lint",), ("lint", "--format", "github"),
    ("check", "--replay"), ("tenants", "list"), ("tenants", "suspend", NAME),
    ("tenants", "activate", NAME), ("tenants", "label", NAME, "--label", f"k={NASTY}"),
    ("tenants", "adopt", SCHEMA, NASTY), ("upgrade", "--dry-run"), ("upgrade",), ("resume",),
    ("resume", "--dry-run"), ("rollback", "2", "--yes"), ("rollback", "2", "--dry-run"),
    ("downgrade", "r1", "-t", NAME, "--yes"), ("stamp", "r1", "-t", NAME),
    ("onboard", NASTY), ("onboard", "born"), ("offboard", NAME, "--dry-run"),
    ("offboard", NASTY, "--yes"), ("restore", NAME, NASTY, "--yes"), ("status", "-t", NASTY),
    ("revision", "-m", NASTY, "--dry-run"), ("revision", "-m", "x", "--head", NASTY),
    ("init", NASTY, "--dry-run"), ("demo", "--project", NASTY), (NASTY,), ("status", NASTY),
    ("status", "--json"), ("show", "2", "--json"), ("tenants", "list", "--json"),
    ("--config", NASTY, "status"), ("lint", NASTY), ("upgrade", NASTY),
    ("upgrade", "--canary", NASTY), ("pool",), ("pool", "--json"), ("pool", "drain"),
    ("pool", "fill"), ("pool", NASTY),
    ("upgrade", "--wave", "1", "--gate", NASTY), ("upgrade", "--lock-timeout", NASTY),
)  # fmt: skip
STARTING = {
    *("drift", "lint", "check", "upgrade", "resume", "rollback", "downgrade", "stamp", "onboard"),
    *("restore", "revision", "adopt", "--sql", "fill"),
}
"""Words of commands that may start workers; the others run in this process."""


@pytest.fixture
def fleet(tmp_path: Path, database: Database) -> Project:
    """Three tenants, one of them forged into the registry under a name that no rule allows."""
    history = write_history(
        tmp_path / "history", CREATE, ("r2", FAIL, "pass"), ("r3", COMMENT, "op.drop_table('more')")
    )
    project = Project(tmp_path, database.url, history)
    project.settings('canary = "0"\nmax_failures = "100%"\nparallel = 2\nattempts = 1\n')
    project.run("onboard", "acme", "beta", "forged", "--to", "r1")
    database.execute('CREATE TABLE acme."fails" ()')
    database.execute(f"ALTER SCHEMA forged RENAME TO {QUOTED}")
    database.execute(
        "UPDATE tenantmig.tenant SET name = %s, schema = %s, labels = %s WHERE name = 'forged'",
        [NAME, SCHEMA, json.dumps({NASTY: NASTY})],
    )
    for schema in ("acme", QUOTED):
        nasty = sql.Identifier(NASTY[:20]).as_string()
        database.execute(f"CREATE TABLE {schema}.{nasty} (id int DEFAULT 5)")
        database.execute(f"COMMENT ON TABLE {schema}.{nasty} IS {LITERAL}")
    database.execute("CREATE SCHEMA IF NOT EXISTS other")
    project.run("pool", "fill")
    forged = "INSERT INTO tenantmig.pool_member VALUES (%s, %s, %s, '{}', '{}', %s, 1)"
    database.execute(forged, [NASTY] * 4)
    project.run("upgrade", "r2", expect=3)
    update = "UPDATE tenantmig.run SET reason = %s, target = 'r2' WHERE id = 2"
    database.execute(update, [NASTY])
    database.execute("UPDATE tenantmig.run SET kind = %s WHERE id = 1", [NASTY])
    return project


@pytest.mark.slow
def test_no_command_prints_what_a_terminal_or_a_ci_obeys(fleet: Project, ask: Ask) -> None:
    shown = ""
    for command in COMMANDS:
        is_starting = STARTING & set(command) and "--dry-run" not in command
        run = fleet.run if is_starting else partial(ask, fleet)
        result = run(*(word.replace("\0", "") for word in command), expect=None)
        try:
            assert result.code in {0, 2, 3, 5}
            assert "Traceback" not in result.err
            assert_harmless(result.out.replace("::error file=", "error file="))
            assert_harmless(result.err)
        except AssertionError as error:
            error.add_note(f"{command}: {result.code}\n{result.out}\n{result.err}")
            raise
        shown += result.out + result.err
    assert r"bad\x1b[2J" in shown
    assert r"\u202e" in shown


def test_the_table_has_every_command() -> None:
    group = typer.main.get_group(app)
    tried = {command[0] for command in COMMANDS}
    assert set(group.commands) <= tried
    for name in ("tenants", "pool"):
        inner = {words[1] for words in map(list, COMMANDS) if words[0] == name and len(words) > 1}
        assert set(getattr(group.commands[name], "commands")) <= inner  # noqa: B009  typer's


@pytest.mark.slow
def test_json_is_exact(fleet: Project) -> None:
    found = {t["tenant"]: t for t in fleet.run("tenants", "list", "--json").json["tenants"]}
    assert found[NAME]["schema"] == SCHEMA
    assert found[NAME]["labels"] == {NASTY: NASTY}
    assert fleet.run("show", "2", "--json").json["reason"] == NASTY


def test_an_error_that_postgresql_cannot_keep_is_one_tenants(
    tmp_path: Path, database: Database
) -> None:
    script = 'raise RuntimeError("a\\0b\\ud800")'
    project = Project(tmp_path, database.url, write_history(tmp_path / "h", CREATE, ("r2", script)))
    project.run("onboard", "acme", "--to", "r1")
    (tenant,) = project.run("upgrade", "--json", expect=3).json["tenants"]
    assert (tenant["outcome"], r"a\x00b\ud800" in tenant["error"]) == ("failed", True)


# -- secrets --------------------------------------------------------------------------------------

SECRET = "Zq/pass wörd%41qZ"  # noqa: S105  of no server
TELL = """
import os
raise RuntimeError("refused: " + os.environ["PGPASSWORD"] + " " + os.environ["LIKE_IT"])
"""


def test_a_password_of_the_environment_is_told_nowhere(tmp_path: Path, database: Database) -> None:
    history = write_history(tmp_path / "history", CREATE, ("r2", TELL))
    environment = {"PGPASSWORD": SECRET, "LIKE_IT": "Zq%2fpass%20w%C3%B6rd%2541qZ"}
    project = Project(tmp_path, database.url, history, environment=environment)
    project.run("onboard", "acme", "--to", "r1")
    result = project.run("upgrade", expect=3)
    shown = project.run("show", "2", "--json").out + project.run("lint", expect=None).err
    kept = database.fetch("SELECT error FROM tenantmig.run_tenant WHERE run = 2")[0][0]
    for text in (result.out, result.err, shown, kept):
        assert "Zq" not in text
        assert "qZ" not in text
    assert "refused: *** ***" in kept


def test_the_gate_gets_no_secret(tmp_path: Path, database: Database) -> None:
    history = write_history(tmp_path / "history", CREATE)
    head, _, rest = database.url.partition("://")
    user, _, place = rest.partition("@")
    environment = {
        "PGPASSWORD": SECRET,
        "PGPASSFILE": "/nowhere/pass",
        "LIKE_IT": f"postgresql://app:{'Zq%2Fpass%20w%C3%B6rd%2541qZ'}@db/x",
    }
    url = f"{head}://{user.partition(':')[0]}:Zsecret@{place}"
    project = Project(tmp_path, url, history, environment=environment)
    (tmp_path / "gate.sh").write_text(f"#!/bin/sh\nenv > {tmp_path / 'seen'}\n")
    (tmp_path / "gate.sh").chmod(0o755)
    project.run("onboard", "acme", "beta", "--gate", str(tmp_path / "gate.sh"), expect=None)
    project.run("onboard", "ceta", "delta")
    project.run("downgrade", "base", "--all", "--yes", "--gate", str(tmp_path / "gate.sh"))
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert "PGPASSWORD" not in seen
    assert "Zsecret" not in str(seen)
    assert "qZ" not in str(seen)
    assert seen["TENANTMIG_DATABASE_URL"] == url.replace(":Zsecret", "")
    assert seen["PGPASSFILE"] == "/nowhere/pass"
