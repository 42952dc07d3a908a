"""SQL that PostgreSQL runs and that nests too deeply for the parser: no reason to fall over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig import Fleet
from tenantmig.catalog.wording import is_same
from tenantmig.domain.recording import Sent
from tenantmig.engines.template import NotReplayable, check_statement
from tenantmig.postgres.autocommit import IN_STEPS, read_statement
from tenantmig.postgres.parsing import UnreadableError, parse
from tests.fixtures.command import Project
from tests.fixtures.history import write_history

DEEP = "SELECT " + " || ".join(["'a'"] * 90)


def test_one_error_for_all_that_cannot_be_read() -> None:
    assert len(parse("SELECT 1; SELECT 2").stmts) == 2
    for text in ("SELEKT 1", DEEP):
        with pytest.raises(UnreadableError):
            parse(text)


def test_who_reads_statements_goes_on() -> None:
    with pytest.raises(NotReplayable, match="too deeply"):
        check_statement(Sent(DEEP))
    assert read_statement(DEEP, "acme") is IN_STEPS
    assert not is_same("view", f"{DEEP} ARRAY[1]", f"{DEEP} ARRAY[2]")


@pytest.mark.slow
def test_lint_says_so(tmp_path: Path) -> None:
    history = write_history(tmp_path / "history", ("r1", f'op.execute("{DEEP}")'))
    report = Fleet.open(Project(tmp_path, "", history).ini).lint()
    assert [finding.rule for finding in report.findings] == ["unreadable-sql"]
