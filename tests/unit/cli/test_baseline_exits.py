"""What `check --replay` exits with is never 0 where the engines differ or were not compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig.cli.app import app
from tenantmig.cli.exits import FOUND, INCOMPLETE, OK, run
from tenantmig.fleet.check_report import CheckReport, Downgrade, RevisionCheck
from tenantmig.fleet.fleet import Fleet
from tenantmig.fleet.replay_check import ReplayReport

NOT_TRIED = RevisionCheck("r1", Downgrade.NOT_TRIED, "it acts", is_passed=False, accepted="why")


@pytest.mark.parametrize("more", [(), ("--accept", "shipped")])
@pytest.mark.parametrize(
    ("is_complete", "differences", "code"),
    [(True, (), OK), (True, ("table a",), FOUND), (False, (), INCOMPLETE)],
)
def test_engines_that_differ_are_never_accepted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    is_complete: bool,
    differences: tuple[str, ...],
    code: int,
) -> None:
    found = CheckReport("r1", (), () if is_complete else (NOT_TRIED,))
    compared = ReplayReport(1, 1, differences=differences)
    monkeypatch.setattr(Fleet, "check", lambda *_: found)
    monkeypatch.setattr(Fleet, "check_replay", lambda _: compared)
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = history\n")
    assert run(app, ["--config", str(ini), "check", *more]) in {OK, FOUND}
    assert run(app, ["--config", str(ini), "check", "--replay", *more]) == code
