"""`SET ROLE` in env.py works if the role may write the ledger; else one sentence has the GRANTs."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history

R1 = ("r1", "op.execute('CREATE TABLE note (id int)')")
MAKE = "op.execute('CREATE TABLE made AS SELECT current_user::text AS by')"
IN_PARTS = f"with op.get_context().autocommit_block():\n    {MAKE}"
SESSION = "    with tenant.session() as connection:\n"


@pytest.mark.slow
@pytest.mark.parametrize("script", [MAKE, IN_PARTS], ids=["as a whole", "in parts"])
def test_set_role_in_env(tmp_path: Path, database: Database, script: str) -> None:
    role = f"Role of {database.name}"
    named = f'"{role}"'
    history = write_history(tmp_path / "history", R1, ("r2", script))
    project = Project(tmp_path, database.url, history)
    project.run("onboard", "acme", "globex", "--to", "r1")
    database.execute(f"CREATE ROLE {named}")
    try:
        for tenant in ("acme", "globex"):
            database.execute(
                f"GRANT ALL ON SCHEMA {tenant} TO {named};"
                f"GRANT ALL ON {tenant}.alembic_version TO {named}"
            )
        env = history / "env.py"
        sets = (
            f"        connection.exec_driver_sql('SET ROLE {named}')\n        connection.commit()\n"
        )
        env.write_text(env.read_text().replace(SESSION, SESSION + sets))
        told = project.run("upgrade", "--canary", "0", "--json", expect=3).json["tenants"]
        for each in told:
            assert f'runs as the role "{role}" (SET ROLE in env.py or a script)' in each["error"]
            assert f"GRANT USAGE ON SCHEMA tenantmig TO {named};" in each["error"]
            assert "ON tenantmig.run_tenant TO" in each["error"]
            assert each["to"] == "r1"
        for grant in told[0]["error"].split("Grant it: ")[1].split(";")[:-1]:
            with psycopg.connect(database.url, autocommit=True) as connection:
                connection.execute(grant.encode())
        project.run("upgrade")
        for tenant in ("acme", "globex"):
            assert database.fetch(f"SELECT by FROM {tenant}.made") == [(role,)]
    finally:
        database.execute(f"DROP OWNED BY {named}; DROP ROLE {named}")
