"""Every command as a role that owns nothing: docs/guides/roles-and-grants.md is enough."""

from __future__ import annotations

import re

import pytest
from typer.main import get_command

from tenantmig.cli.app import app
from tests.fixtures.command import Result
from tests.fixtures.grants import PAGE, TENANT, Grant, Row, Stage, read_rows
from tests.fixtures.in_process import Ask

ROWS = {row.command: row for row in read_rows()}
STANDS = "SELECT version_num FROM {}.alembic_version"
STATE = "SELECT state, labels->>'a' FROM tenantmig.tenant WHERE name = 'acme'"
ADOPTED = "SELECT state FROM tenantmig.tenant WHERE name = '{}'"
THERE = "SELECT count(*) FROM pg_namespace WHERE nspname = '{}'"
Outcome = tuple[str, tuple[object, ...]]
RESULTS: dict[str, str | Outcome] = {
    "tenantmig tenants list": "acme",
    "tenantmig runs": "upgrade",
    "tenantmig show 3": "poisoned",
    "tenantmig status": "Head r3: 2 tenants, 1 at head",
    "tenantmig plan": "1 tenant to change, 1 at the target",
    "tenantmig plan --sql": "ALTER TABLE thing ADD b int",
    "tenantmig drift": "Reference r3: 1 tenant equal, 0 differ",
    "tenantmig check": "Models: same as the history's head r3",
    "tenantmig revision -m more --autogenerate": "The history already has everything",
    "tenantmig tenants suspend acme": (STATE, ("suspended", None)),
    "tenantmig tenants activate acme": (STATE, ("active", None)),
    "tenantmig tenants label acme --label a=b": (STATE, ("active", "b")),
    "tenantmig tenants adopt echo": (ADOPTED.format("echo"), ("active",)),
    "tenantmig tenants adopt delta": (STANDS.format("delta"), ("r1",)),
    "tenantmig upgrade -t acme": (STANDS.format("acme"), ("r3",)),
    "tenantmig upgrade r2 -t acme": (STANDS.format("acme"), ("r2",)),
    "tenantmig downgrade r1 -t beta --yes": (STANDS.format("beta"), ("r1",)),
    "tenantmig downgrade r1 -t beta --yes --backup saved": (STANDS.format("beta"), ("r1",)),
    "tenantmig rollback 2 --yes": (STANDS.format("beta"), ("r1",)),
    "tenantmig resume 3": (STANDS.format("acme"), ("r3",)),
    "tenantmig stamp r2 -t acme": (STANDS.format("acme"), ("r2",)),
    "tenantmig onboard gamma": (STANDS.format("gamma"), ("r3",)),
    "tenantmig offboard beta --yes": (THERE.format("beta"), (0,)),
    "tenantmig restore beta saved/run4-beta.dump --yes": (STANDS.format("beta"), ("r3",)),
    "alembic -x tenant=acme current": "r1",
    "alembic -x tenant=acme upgrade head": (STANDS.format("acme"), ("r3",)),
}
"""What each command of the table says, or does."""
WITHOUT_DATABASE = {"init", "lint", "demo"}


def run(stage: Stage, row: Row, ask: Ask, *, is_worker: bool = True) -> Result:
    """Run the command of a row as the visitor; in this process if it should start no worker."""
    program, *arguments = row.words
    if program == "alembic" or is_worker:
        return stage.as_visitor().run(*arguments, program=program, expect=None)
    return ask(stage.as_visitor(), *arguments, expect=None)


def tells(result: Result, stage: Stage, row: Row, grant: Grant) -> bool:
    """True when a result says which grant is lacking, as SQL that can be run."""
    said = " ".join((result.out + result.err).split()).replace('"', "")
    wanted = [re.escape(sql).replace("GRANT\\ ", "GRANT [^;]*") for sql in grant.given(stage, row)]
    found = [re.search(sql.replace("\\ ON\\ ", "[^;]* ON ") + ";", said) for sql in wanted]
    return any(found) and "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("command", ROWS)
def test_a_role_with_these_grants_and_no_other(stage: Stage, ask: Ask, command: str) -> None:
    row = ROWS[command]
    stage.grant(row.grants, row)
    problems = []
    inside = [grant for grant in row.grants if grant.column == TENANT]
    outside = [grant for grant in row.grants if grant.column != TENANT]
    for grants, besides in ((outside, ()), (inside, (stage.ledger,))):
        with stage.untouched(*besides):
            for grant in grants:
                stage.revoke([grant], row)
                result = run(stage, row, ask, is_worker=grant in inside)
                stage.grant([grant], row)
                if result.code != row.code(grant) or not tells(result, stage, row, grant):
                    problems.append(f"without {grant}: {result}")
    assert not problems, "\n".join(problems)
    result = run(stage, row, ask)
    assert result.code == 0, result
    expected = RESULTS[command]
    if isinstance(expected, str):
        assert expected in result.out
    else:
        assert stage.database.fetch(expected[0]) == [expected[1]]


def test_every_command_is_on_the_page() -> None:
    """Whoever adds a command says there what it needs."""
    page = PAGE.read_text()
    root = get_command(app)
    assert hasattr(root, "commands")
    for name, command in root.commands.items():
        for full in [f"{name} {sub}" for sub in getattr(command, "commands", ())] or [name]:
            said = f"`{name}`" if name in WITHOUT_DATABASE else f"`tenantmig {full}"
            assert said in page, f"{full} is not in docs/guides/roles-and-grants.md"
    assert ROWS.keys() == RESULTS.keys()
